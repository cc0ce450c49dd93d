"""Who is told what, and how often: Dagster's sensors over the outbox, to a simulated Slack."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import dagster as dg
import pytest

from clearfacts_assets import resources, settings
from clearfacts_assets.invoices.defs.notifications import MOST_SILENCE, tell_of_waiting
from clearfacts_assets.invoices.defs.sensors import alerts
from clearfacts_assets.invoices.lifecycle import State, Verdict
from clearfacts_assets.notifications import outbox
from clearfacts_assets.notifications.slack import Slack
from clearfacts_assets_tests.fixtures.databases import PostgresServer
from clearfacts_assets_tests.fixtures.pipeline import DAY, Finished, Pipeline

ERP_DOWN = {"match": {"operation": "list"}, "status": 401}


def given(pipeline: Pipeline) -> dict[str, object]:
    return {name: resources.from_settings()[name] for name in ("database", "slack")}


def failed(pipeline: Pipeline, run: dg.DagsterRun) -> dg.SkipReason | None:
    """The failure sensor's tick for a run."""
    event = pipeline.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)[-1].dagster_event
    assert event is not None
    context = dg.build_run_status_sensor_context(
        "job_failed", event, pipeline.instance, run, resources={"database": resources.DatabaseResource()}
    )
    reason: dg.SkipReason | None = alerts.job_failed(context.for_run_failure())
    return reason


def completed(pipeline: Pipeline, run: Finished) -> None:
    context = dg.build_run_status_sensor_context(
        "job_completed",
        run.result.get_run_success_event(),
        pipeline.instance,
        run.result.dagster_run,
        resources={"database": resources.DatabaseResource()},
    )
    alerts.job_completed(context)


def dispatched(pipeline: Pipeline) -> str:
    context = dg.build_sensor_context(instance=pipeline.instance, resources=given(pipeline))
    return str(alerts.alert_dispatch(context).skip_message)


def failed_run(pipeline: Pipeline, tags: dict[str, str] | None = None) -> Finished:
    pipeline.simulator.fault("erp", "status", **ERP_DOWN)
    return pipeline.run(tags=tags)


def test_a_failed_job_is_told_once_with_its_reason_and_a_link(pipeline: Pipeline) -> None:
    run = failed_run(pipeline)
    failed(pipeline, run.result.dagster_run)
    failed(pipeline, run.result.dagster_run)
    assert "1 sent" in dispatched(pipeline)
    assert "0 sent" in dispatched(pipeline)
    (message,) = pipeline.simulator.slack_messages()
    assert message["channel"] == "#invoices"
    assert message["text"].startswith(f"daily_processing of {DAY} failed: Nothing was retrieved.")
    assert f"http://127.0.0.1:3000/runs/{run.run_id}" in str(message["blocks"])
    assert pipeline.simulator.erp_token not in str(message)


def test_a_day_that_failed_half_way_is_told_with_its_counts(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(SOURCE__PAGE_SIZE=5)
    quick_pipeline.simulator.fault("erp", "status", status=401, after=1, match={"operation": "list"})
    run = quick_pipeline.run()
    failed(quick_pipeline, run.result.dagster_run)
    dispatched(quick_pipeline)
    (message,) = quick_pipeline.simulator.slack_messages()
    assert "The ERP gave only 1 page." in message["text"]
    assert f"*Sent*\\n{run.counts.sent}" in str(message["blocks"])


def test_a_run_that_dagster_retries_is_not_told_yet(quick_pipeline: Pipeline) -> None:
    run = failed_run(quick_pipeline)
    again = run.result.dagster_run.with_tags({"dagster/will_retry": "true"})
    reason = failed(quick_pipeline, again)
    assert reason is not None
    assert "will be retried" in str(reason.skip_message)


def test_a_run_that_died_before_it_opened_its_job_is_told_once(pipeline: Pipeline) -> None:
    job = pipeline.definitions.resolve_job_def("daily_processing")
    run = pipeline.instance.create_run_for_job(job_def=job, tags={"dagster/partition": DAY})
    pipeline.instance.report_run_failed(run, message="The worker never started.")
    assert pipeline.jobs.get(UUID(run.run_id)) is None
    failed(pipeline, run)
    failed(pipeline, run)
    dispatched(pipeline)
    assert [text.partition(":")[0] for text in pipeline.told()] == ["daily_processing failed"]
    assert "The worker never started." in pipeline.told()[0]


def test_a_run_started_with_materialize_has_a_name_that_says_something(quick_pipeline: Pipeline) -> None:
    job = quick_pipeline.definitions.resolve_job_def("daily_processing")
    run = quick_pipeline.instance.create_run_for_job(job_def=job)
    quick_pipeline.instance.report_run_failed(run, message="The worker never started.")
    failed(quick_pipeline, quick_pipeline.instance.get_run_by_id(run.run_id)._replace(job_name="__ASSET_JOB"))
    dispatched(quick_pipeline)
    assert quick_pipeline.told()[0].startswith("materialization failed")


def test_a_job_that_no_sensor_saw_is_found_and_told_once(pipeline: Pipeline) -> None:
    """The daemon was down, or the run was started from a terminal."""
    failed_run(pipeline)
    assert "1 alerts found, 1 sent" in dispatched(pipeline)
    assert "0 alerts found, 0 sent" in dispatched(pipeline)
    assert len(pipeline.told()) == 1


@pytest.mark.parametrize(
    ("setting", "broken_share", "told"),
    [
        ("always", 0, True),
        ("always", 0.1, True),
        ("with_failures", 0, False),
        ("with_failures", 0.1, True),
        ("never", 0.1, False),
    ],
)
def test_a_completed_job_is_told_as_the_setting_has_it(
    quick_pipeline: Pipeline, setting: str, broken_share: float, told: bool
) -> None:
    quick_pipeline.configure(SLACK__ON_SUCCESS=setting)
    quick_pipeline.simulator.reset(per_day=10, broken_share=broken_share, duplicate_share=0)
    run = quick_pipeline.run()
    completed(quick_pipeline, run)
    completed(quick_pipeline, run)
    dispatched(quick_pipeline)
    assert len(quick_pipeline.told()) == told
    if told:
        assert f"{run.counts.sent} of 10 invoices sent" in quick_pipeline.told()[0]


def test_what_waits_for_a_person_is_told_with_its_reason(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(SLACK__ON_SUCCESS="with_failures", DELIVERY__PATIENCE=10)
    quick_pipeline.simulator.reset(per_day=4, broken_share=0, duplicate_share=0)
    quick_pipeline.simulator.fault("clearfacts", "accept_then_drop", times=1, match={"operation": "upload"})
    run = quick_pipeline.run()
    assert (run.job.status, run.counts.pending) == ("completed", 1)
    dispatched(quick_pipeline)
    message, _ = quick_pipeline.simulator.slack_messages()  # the second one is about what waits, whatever day
    assert "parked for a person" in str(message["blocks"])


def later(seconds: float) -> Callable[[], datetime]:
    return lambda: datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("down", {}), ("status", {"status": 503}), ("html", {}), ("slack_error", {"error": "internal_error"})],
)
def test_while_slack_is_down_alerts_wait_and_are_told_once_when_it_is_back(
    quick_pipeline: Pipeline, kind: str, options: dict[str, object]
) -> None:
    quick_pipeline.simulator.fault("slack", kind, **options)
    run = failed_run(quick_pipeline)
    assert run.job.status == "failed", "the job's own end does not depend on Slack"
    assert "0 sent, 1 to be sent again" in dispatched(quick_pipeline)
    assert quick_pipeline.told() == []
    quick_pipeline.simulator.clear_faults()
    send = Slack(resources.slack().get_client()).send
    assert outbox.dispatch(quick_pipeline.engine, send, later(60)).sent == 1
    assert outbox.dispatch(quick_pipeline.engine, send, later(600)).sent == 0
    assert len(quick_pipeline.told()) == 1


def test_without_a_token_alerts_are_kept(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(SLACK__TOKEN="")
    failed_run(quick_pipeline)
    assert "1 alerts found, 0 sent" in dispatched(quick_pipeline)
    quick_pipeline.configure(SLACK__TOKEN=quick_pipeline.simulator.slack_token)
    assert "1 sent" in dispatched(quick_pipeline)


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_a_run_that_failed_while_the_database_is_down_is_told_at_once(
    pipeline: Pipeline, postgres_server: PostgresServer
) -> None:
    run = pipeline.instance.create_run_for_job(job_def=pipeline.definitions.resolve_job_def("daily_processing"))
    pipeline.instance.report_run_failed(run, message="connection refused")
    postgres_server.stop()
    try:
        failed(pipeline, run)
    finally:
        postgres_server.start()
    (text,) = pipeline.told()
    assert "Our database does not answer either" in text


def parked(pipeline: Pipeline, number: int) -> None:
    """A day of which so many uploads more than before get no answer that settles anything."""
    pipeline.simulator.fault("clearfacts", "accept_then_500", times=number)
    pipeline.configure(DESTINATION__TRANSPORT="graphql", DELIVERY__UNKNOWNS_IN_A_ROW=100, DELIVERY__PATIENCE=20)


def waiting_told(pipeline: Pipeline) -> list[str]:
    return [text for text in pipeline.told() if "for a person:" in text]


def test_that_deliveries_wait_for_a_person_is_told_once_and_again_when_others_follow(pipeline: Pipeline) -> None:
    parked(pipeline, 2)
    pipeline.run()
    dispatched(pipeline)
    dispatched(pipeline)
    (told,) = waiting_told(pipeline)
    assert told.startswith("2 deliveries wait for a person: 2 parked")
    (message,) = [one for one in pipeline.simulator.slack_messages() if one["text"] == told]
    assert "it may have been accepted" in str(message["blocks"])
    assert "clearfacts deliveries list --state parked --state held" in str(message["blocks"])
    assert "http://127.0.0.1:3000/assets/processed_invoices" in str(message["blocks"])
    one = pipeline.deliveries.list(states=[State.PARKED]).items[0]
    pipeline.deliveries.resolve(one.id, Verdict.DELIVERED, reason="seen", actor="a person", now=datetime.now(UTC))
    dispatched(pipeline)
    assert len(waiting_told(pipeline)) == 1, "one less is no news"
    parked(pipeline, 1)
    pipeline.run("2026-11-17")
    dispatched(pipeline)
    assert [text[:21] for text in waiting_told(pipeline)] == ["2 deliveries wait for", "2 deliveries wait for"]


def test_what_waits_is_told_when_the_jobs_under_way_are_over_or_after_a_while(quick_pipeline: Pipeline) -> None:
    parked(quick_pipeline, 1)
    quick_pipeline.run()
    job = quick_pipeline.jobs.begin(
        uuid4(), job_type="manual", partition_key=DAY, correlation_id=None, details={}, now=datetime.now(UTC)
    )
    known, engine = settings.load(), quick_pipeline.engine
    assert not tell_of_waiting(engine, known, now=datetime.now(UTC))
    assert tell_of_waiting(engine, known, now=datetime.now(UTC) + MOST_SILENCE)
    quick_pipeline.jobs.finish(job.id, "failed", error_message="", now=datetime.now(UTC))
    assert not tell_of_waiting(engine, known, now=datetime.now(UTC))


def test_nothing_is_told_when_nothing_waits(quick_pipeline: Pipeline) -> None:
    quick_pipeline.run()
    dispatched(quick_pipeline)
    assert waiting_told(quick_pipeline) == []


@pytest.mark.parametrize(("threshold", "severity"), [(0, "ERROR"), (1, "ERROR"), (2, "WARN")])
def test_the_check_is_red_above_the_threshold_and_names_what_waits(
    quick_pipeline: Pipeline, threshold: int, severity: str
) -> None:
    parked(quick_pipeline, 2)
    quick_pipeline.configure(DELIVERY__PARKED_THRESHOLD=threshold)
    run = quick_pipeline.run()
    (check,) = [one for one in run.result.get_asset_check_evaluations() if one.check_name == "no_delivery_is_unknown"]
    assert (check.passed, check.severity.value) == (False, severity)
    assert (check.metadata["parked"].value, check.metadata["held"].value) == (2, 0)
    rows = check.metadata["waiting"]
    assert isinstance(rows, dg.TableMetadataValue)
    numbers = {record.data["number"] for record in rows.records}
    assert numbers == {one.key.number for one in quick_pipeline.deliveries.list(states=[State.PARKED]).items}
    assert "resolve" in str(check.metadata["decide"].value)

"""After an outage nobody has to press a button: the sensor starts what is due, a bounded number of times."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import dagster as dg
import pytest
from sqlalchemy import select

from clearfacts_assets import resources
from clearfacts_assets.invoices.defs.notifications import LEFT_SUBJECT
from clearfacts_assets.invoices.defs.sensors.alerts import tend
from clearfacts_assets.invoices.defs.sensors.due_deliveries import (
    FIRST_WAIT,
    MOST_RUNS,
    DeliveryPlan,
    due_deliveries,
    due_runs,
    planned,
    written,
)
from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.review_queue import days_due
from clearfacts_assets.storage.operations.tables import Alert
from clearfacts_assets_tests.fixtures.pipeline import DAY, Pipeline
from clearfacts_assets_tests.fixtures.submissions import TRANSPORT

NOW = datetime.now(UTC)


def looked(pipeline: Pipeline, plan: DeliveryPlan | None = None, now: datetime = NOW) -> dg.SensorResult:
    return due_runs(pipeline.instance, pipeline.engine, written({DAY: plan}) if plan else None, now)


def days(result: dg.SensorResult) -> list[str | None]:
    return [request.partition_key for request in result.run_requests or ()]


def newest_job(pipeline: Pipeline) -> str:
    return str(pipeline.jobs.list().items[0].id)


def alerts_told(pipeline: Pipeline) -> list[str]:
    """What stands in the outbox of days that were left to a person."""
    with reading(pipeline.engine) as connection:
        return list(connection.scalars(select(Alert.subject).where(Alert.subject.startswith(LEFT_SUBJECT))))


def outage(pipeline: Pipeline) -> None:
    """Clearfacts is down while the day runs, and answers again."""
    pipeline.configure(DELIVERY__UNKNOWNS_IN_A_ROW=1)
    pipeline.simulator.fault("clearfacts", "status", status=503, match={"operation": "upload"})
    assert pipeline.run().job.status == "failed"
    assert pipeline.states()[State.READY] > 0
    pipeline.simulator.clear_faults()


def test_what_an_outage_left_is_sent_by_the_run_that_the_sensor_starts(pipeline: Pipeline) -> None:
    outage(pipeline)
    before = pipeline.states()
    past = written({DAY: DeliveryPlan(0, datetime.now(UTC) - timedelta(seconds=1))})
    context = dg.build_sensor_context(
        instance=pipeline.instance, cursor=past, resources={"database": resources.DatabaseResource()}
    )
    result = due_deliveries(context)
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or ()
    assert request.partition_key == DAY
    calls = pipeline.simulator.calls()["erp.list"]
    run = pipeline.run(job="delivery_of_what_is_due", tags=dict(request.tags))
    assert (run.job.status, run.counts.sent) == ("completed", before[State.READY])
    assert run.job.details["triggered_by"] == "due_deliveries"
    assert pipeline.simulator.calls()["erp.list"] == calls, "the ERP is not asked again"
    assert pipeline.states()[State.PARKED] == before[State.PARKED]
    after = looked(pipeline, DeliveryPlan(1, NOW))
    assert (days(after), planned(after.cursor)) == ([], {})


def test_the_first_run_waits_and_the_wait_doubles(quick_pipeline: Pipeline) -> None:
    outage(quick_pipeline)
    first = looked(quick_pipeline)
    assert days(first) == []
    assert planned(first.cursor) == {DAY: DeliveryPlan(0, NOW + FIRST_WAIT)}
    assert "due" in str(first.skip_reason)
    job = newest_job(quick_pipeline)
    for runs in range(MOST_RUNS):
        started = looked(quick_pipeline, DeliveryPlan(runs, NOW))
        assert days(started) == [DAY]
        assert planned(started.cursor) == {DAY: DeliveryPlan(runs + 1, NOW + FIRST_WAIT * 2 ** (runs + 1), job)}
        assert days(looked(quick_pipeline, DeliveryPlan(runs + 1, NOW + timedelta(seconds=1)))) == []


def test_what_six_runs_did_not_send_is_told_once_and_turns_the_check_yellow(quick_pipeline: Pipeline) -> None:
    outage(quick_pipeline)
    due = days_due(quick_pipeline.engine)[DAY]
    tend(quick_pipeline.instance, quick_pipeline.engine, resources.slack())
    told = len(quick_pipeline.told())
    over = looked(quick_pipeline, DeliveryPlan(MOST_RUNS, NOW, "the job before"))
    patient = DeliveryPlan(MOST_RUNS, NOW + FIRST_WAIT, newest_job(quick_pipeline))
    assert planned(over.cursor) == {DAY: patient}, "what waits shall be due, too"
    assert planned(looked(quick_pipeline, patient).cursor) == {DAY: patient}
    assert alerts_told(quick_pipeline) == []
    last = looked(quick_pipeline, patient, NOW + FIRST_WAIT)
    assert days(last) == []
    assert "left to a person" in str(last.skip_reason)
    assert planned(last.cursor) == {DAY: replace(patient, left=due)}
    again = looked(quick_pipeline, planned(last.cursor)[DAY], NOW + timedelta(hours=1))
    assert planned(again.cursor) == planned(last.cursor)
    tend(quick_pipeline.instance, quick_pipeline.engine, resources.slack())
    (message,) = quick_pipeline.told()[told:]
    assert message.startswith(f"{due} invoices of {DAY} left behind")
    other_day = quick_pipeline.run("2026-11-17")
    (check,) = [
        one for one in other_day.result.get_asset_check_evaluations() if one.check_name == "no_delivery_is_unknown"
    ]
    assert not check.passed
    assert check.metadata["left_behind"].value == due
    assert DAY in str(check.description)
    assert quick_pipeline.run().checks["no_delivery_is_unknown"] is (quick_pipeline.states()[State.PARKED] == 0)


def test_a_day_is_not_left_before_its_last_run_is_over(quick_pipeline: Pipeline) -> None:
    outage(quick_pipeline)
    asked_for = DeliveryPlan(MOST_RUNS, NOW + timedelta(hours=1), newest_job(quick_pipeline))
    assert planned(looked(quick_pipeline, asked_for).cursor) == {DAY: asked_for}
    quick_pipeline.jobs.begin(
        uuid4(), job_type="manual", partition_key=DAY, correlation_id=None, details={}, now=datetime.now(UTC)
    )
    assert planned(looked(quick_pipeline, asked_for).cursor) == {DAY: asked_for}
    assert alerts_told(quick_pipeline) == []


@pytest.mark.parametrize("acts", ["resends", "runs the day"])
def test_a_day_that_was_left_is_tried_anew_once_a_person_has_acted(quick_pipeline: Pipeline, acts: str) -> None:
    outage(quick_pipeline)
    left = planned(looked(quick_pipeline, DeliveryPlan(MOST_RUNS, NOW, newest_job(quick_pipeline))).cursor)[DAY]
    assert left.left is not None
    if acts == "resends":
        assert quick_pipeline.decide() > 0
    else:
        quick_pipeline.simulator.fault("clearfacts", "status", status=503, match={"operation": "upload"})
        quick_pipeline.run()
    anew = looked(quick_pipeline, left)
    assert planned(anew.cursor) == {DAY: DeliveryPlan(0, NOW + FIRST_WAIT)}
    assert days(looked(quick_pipeline, planned(anew.cursor)[DAY], NOW + FIRST_WAIT)) == [DAY]


def test_what_waits_for_a_person_is_never_due(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(DESTINATION__TRANSPORT="graphql", DELIVERY__UNKNOWNS_IN_A_ROW=100, DELIVERY__PATIENCE=20)
    quick_pipeline.simulator.fault("clearfacts", "accept_then_500", times=1)
    quick_pipeline.run()
    assert quick_pipeline.states()[State.PARKED] == 1
    assert days(looked(quick_pipeline, DeliveryPlan(0, NOW))) == []
    quick_pipeline.decide()
    assert days(looked(quick_pipeline, DeliveryPlan(0, NOW))) == []


def test_what_a_killed_run_was_sending_is_due_when_its_lease_is_over(pipeline: Pipeline) -> None:
    """So that somebody looks it up, or it is parked and told, without waiting for a person to start a run."""
    pipeline.simulator.fault("clearfacts", "status", status=429, retry_after=3600, match={"operation": "upload"})
    pipeline.run()
    assert set(pipeline.states()) == {State.WAITING, State.READY}
    ready = [one.id for one in pipeline.deliveries.list(states=[State.READY], limit=1000).items]
    ledger = SqlDeliveryLedger(pipeline.engine)
    left = len(ready) - len(ledger.claim(uuid4(), ready[:2], 30, TRANSPORT))
    assert days_due(pipeline.engine) == {DAY: left}
    ledger.claim(uuid4(), ready[2:3], -1, TRANSPORT)
    assert days_due(pipeline.engine) == {DAY: left}


def test_a_run_for_one_invoice_does_not_hide_the_others_of_a_run_that_died_before_it_met_them(
    pipeline: Pipeline,
) -> None:
    died = pipeline.run(assets=["raw_invoices", "validated_invoices"])
    accepted = [name for name, row in died.rows.items() if row.status == "pending"]
    assert days_due(pipeline.engine) == {DAY: len(accepted)}
    pipeline.run(job="manual_trigger", config={"invoice_ids": accepted[:1]})
    assert days_due(pipeline.engine) == {DAY: len(accepted) - 1}
    pipeline.run(job="delivery_of_what_is_due")
    assert days_due(pipeline.engine) == {}
    pipeline.check_all_delivered()


def test_what_the_erp_withdrew_before_any_run_met_it_is_not_sent(quick_pipeline: Pipeline) -> None:
    died = quick_pipeline.run(assets=["raw_invoices", "validated_invoices"])
    accepted = sum(row.status == "pending" for row in died.rows.values())
    quick_pipeline.simulator.reset(per_day=0)
    quick_pipeline.run(assets=["raw_invoices"])
    assert accepted
    assert days_due(quick_pipeline.engine) == {}
    assert quick_pipeline.run(job="delivery_of_what_is_due").counts.total == 0
    assert quick_pipeline.simulator.accepted() == []


def test_a_day_is_started_once_while_its_run_is_under_way(quick_pipeline: Pipeline) -> None:
    outage(quick_pipeline)
    job = quick_pipeline.jobs.begin(
        uuid4(),
        job_type="manual",
        partition_key=DAY,
        correlation_id=None,
        details={},
        now=datetime.now(UTC),
    )
    under_way = looked(quick_pipeline, DeliveryPlan(1, NOW))
    assert days(under_way) == []
    assert planned(under_way.cursor) == {DAY: DeliveryPlan(1, NOW)}, "its wait is not forgotten"
    quick_pipeline.jobs.finish(job.id, "failed", error_message="", now=datetime.now(UTC))
    assert days(looked(quick_pipeline, DeliveryPlan(1, NOW))) == [DAY]


def test_a_day_whose_run_a_person_stopped_is_left_alone(quick_pipeline: Pipeline) -> None:
    outage(quick_pipeline)
    (job,) = quick_pipeline.jobs.list().items
    run = quick_pipeline.instance.get_run_by_id(str(job.id))
    assert run is not None
    quick_pipeline.instance.report_run_canceled(run)
    assert days(looked(quick_pipeline, DeliveryPlan(0, NOW))) == []


@pytest.mark.parametrize("cursor", [None, ""])
def test_a_quiet_night_starts_nothing(quick_pipeline: Pipeline, cursor: str | None) -> None:
    quick_pipeline.run()
    result = due_runs(quick_pipeline.instance, quick_pipeline.engine, cursor, NOW)
    assert (days(result), result.skip_reason) == ([], dg.SkipReason("nothing is due"))

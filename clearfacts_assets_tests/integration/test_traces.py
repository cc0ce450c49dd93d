"""One trace from the call that asks for a run to the alert that tells what it came to."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import dagster as dg
import pytest

from clearfacts_assets import resources, settings, tracing
from clearfacts_assets.invoices.defs.automation import PIPELINE, nightly
from clearfacts_assets.invoices.defs.notifications import tell_of_job
from clearfacts_assets.invoices.defs.sensors.alerts import tend
from clearfacts_assets.orchestration.tags import PARTITION_TAG, TRACEPARENT_TAG, trace_tags, traced_tick
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.collector import ListeningCollector, listening
from clearfacts_assets_tests.fixtures.pipeline import DAY, Pipeline, daily_processing

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def run_of(pipeline: Pipeline, tags: dict[str, str]) -> dg.DagsterRun:
    """A run by its own executor, to its end."""
    job = dg.reconstructable(daily_processing)
    with dg.execute_job(job, pipeline.instance, tags={PARTITION_TAG: DAY, **tags}, raise_on_error=False) as result:
        found = pipeline.instance.get_run_by_id(result.run_id)
    assert found is not None
    return found


@pytest.fixture
def collector(quick_pipeline: Pipeline) -> ListeningCollector:
    with listening() as one:
        quick_pipeline.configure(TRACES__ENDPOINT=one.url, SLACK__ON_SUCCESS="always")
        tracing.configure(settings.load().collector)
        yield one


def test_a_run_is_told_with_its_steps_pages_calls_and_statements_and_its_alert_belongs_to_it(
    quick_pipeline: Pipeline, collector: ListeningCollector
) -> None:
    with tracing.span("POST /api/v1/process", parent=CALLER):
        tags = trace_tags()
    run = run_of(quick_pipeline, tags)
    assert run.is_success
    with traced_tick("job_completed", run):
        told = tell_of_job(quick_pipeline.engine, settings.load(), UUID(run.run_id), now=datetime.now(UTC))
    assert told
    slack = resources.slack()
    assert tend(quick_pipeline.instance, quick_pipeline.engine, slack).sending.sent == 1
    tracing.configure(None)

    (whole,) = collector.named("run daily_processing")
    assert whole.trace == CALLER[3:35]
    assert whole.parent == tags[TRACEPARENT_TAG][36:52]
    assert (whole.attributes["dagster.run.id"], whole.attributes["dagster.partition"]) == (run.run_id, DAY)
    steps = {one.name: one for one in collector.spans if one.parent == whole.id and one.name.startswith("step ")}
    assert {f"step {name}" for name in PIPELINE} <= set(steps)  # checks are steps too
    below = collector.under(steps["step raw_invoices"])
    retrieval = [one.name for one in below]
    assert "page" in retrieval
    assert "GET 127.0.0.1" in retrieval
    written = [one.attributes["db.query.summary"] for one in below if one.name == "write"]
    assert any("INSERT invoices" in summary for summary in written)
    sent = [one for one in collector.under(steps["step processed_invoices"]) if one.name == "send"]
    assert len(sent) == quick_pipeline.accepted().total() > 0
    assert {one.attributes["clearfacts.outcome"] for one in sent} == {"Accepted"}
    assert all("POST 127.0.0.1" in [call.name for call in collector.under(one)] for one in sent)
    (alert,) = collector.named("alert")
    assert alert.trace == CALLER[3:35]
    assert [one.name for one in collector.under(alert)] == ["POST 127.0.0.1"]

    body = b"".join(collector.bodies)
    known = settings.load()
    for secret in (*known.secrets, *quick_pipeline.rows(UUID(run.run_id)), "BE0", "Bearer"):
        assert secret.encode() not in body


def test_a_run_that_nobody_asked_for_within_a_trace_begins_one_and_tells_which_step_failed(
    quick_pipeline: Pipeline, collector: ListeningCollector
) -> None:
    quick_pipeline.simulator.fault("erp", "status", status=401)
    assert run_of(quick_pipeline, {}).is_failure
    tracing.configure(None)
    (whole,) = collector.named("run daily_processing")
    (step,) = collector.named("step raw_invoices")
    assert (whole.parent, whole.status, step.status) == ("", "STEP_FAILURE", "STEP_FAILURE")


def test_a_tick_of_the_schedule_hands_its_trace_to_the_run(collector: ListeningCollector) -> None:
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 11, 21, 1, 0, tzinfo=UTC))
    asked = nightly(context)
    tracing.configure(None)
    (tick,) = collector.named("tick nightly")
    assert asked.tags[TRACEPARENT_TAG][:-2] == f"00-{tick.trace}-{tick.id}-"


def test_the_api_goes_on_with_the_callers_trace_and_hands_it_to_the_run(quick_api: RunningApi) -> None:
    with listening() as collector:
        tracing.configure(tracing.Collector(collector.url))
        client = quick_api.client("operator")
        answer = client.post("/api/v1/invoices/process", json={"date": DAY}, headers={"traceparent": CALLER})
        client.get("/healthz", headers={"traceparent": CALLER})
        tracing.configure(None)
    assert answer.status_code == 202, answer.text
    run = quick_api.instance.get_run_by_id(answer.json()["data"]["job_id"])
    assert run is not None
    assert run.tags[TRACEPARENT_TAG][:35] == CALLER[:35]
    (served,) = [one for one in collector.spans if one.kind == 2]
    assert (served.trace, served.parent) == (CALLER[3:35], CALLER[36:52])
    assert served.name == f"POST {served.attributes['http.route']}"
    assert served.attributes["http.response.status_code"] == 202
    assert served.attributes["clearfacts.correlation_id"] == answer.headers["X-Correlation-ID"]


def test_while_traces_are_off_runs_carry_nothing_of_them(quick_api: RunningApi) -> None:
    answer = quick_api.client("operator").post(
        "/api/v1/invoices/process", json={"date": DAY}, headers={"traceparent": CALLER}
    )
    run = quick_api.instance.get_run_by_id(answer.json()["data"]["job_id"])
    assert run is not None
    assert TRACEPARENT_TAG not in run.tags

"""Starting a job over the API, watching it, and running again what failed."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import httpx
import pytest
from sqlalchemy import select, update

from clearfacts_assets import resources
from clearfacts_assets.api.invoices import job_submission
from clearfacts_assets.invoices.days import ZONE
from clearfacts_assets.invoices.defs.sensors.alerts import tend
from clearfacts_assets.storage.accounts.tables import AuditLog
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets.storage.invoices.tables import Job
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

DAY = "2026-11-18"
JOB_FIELDS = ["job_id", "status", "started_at", "completed_at", "duration_seconds", "results", "errors"]


def started(client: httpx.Client, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/invoices/process", json={"date": DAY, **body}, headers=headers)
    assert answer.status_code == 202, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def new_key() -> dict[str, str]:
    """A job's id is made of its key, and Dagster's instance outlives a test."""
    return {"Idempotency-Key": str(uuid4())}


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def job_of(client: httpx.Client, job_id: str) -> dict[str, Any]:
    data: dict[str, Any] = client.get(f"/api/v1/jobs/{job_id}").raise_for_status().json()["data"]
    return data


def test_a_job_from_the_request_to_its_result(api: RunningApi, simulator: RunningSimulator) -> None:
    simulator.reset(per_day=6)
    client = api.client()
    accepted = started(client)
    assert list(accepted) == ["job_id", "status", "estimated_completion", "message"]
    assert (accepted["status"], accepted["estimated_completion"]) == ("pending", None)
    job_id = accepted["job_id"]
    assert job_of(client, job_id)["status"] == "pending"

    api.run(job_id)

    expected = simulator.generator.expect([datetime.fromisoformat(DAY).date()])
    job = job_of(client, job_id)
    assert list(job) == JOB_FIELDS
    assert (job["job_id"], job["status"]) == (job_id, "completed")
    assert job["results"] == {
        "total_invoices": expected.total,
        "processed": expected.processed,
        "failed": expected.failed,
        "duplicates": expected.duplicates,
    }
    assert job["duration_seconds"] > 0
    assert len(job["errors"]) == expected.failed
    assert all(list(error) == ["invoice_id", "error", "timestamp"] and error["error"] for error in job["errors"])


def test_the_run_carries_who_asked_for_what_day_and_under_which_id(quick_api: RunningApi) -> None:
    job_id = started(
        quick_api.client(), {"X-Correlation-ID": "erp/4711"}, invoice_ids=["A", "B", "A"], force_processing=True
    )["job_id"]
    run = quick_api.instance.get_run_by_id(job_id)
    assert run is not None
    assert (run.job_name, run.status) == ("manual_trigger", dg.DagsterRunStatus.QUEUED)
    assert run.tags["clearfacts/correlation_id"] == "erp/4711"
    assert run.tags["clearfacts/triggered_by"] == "operator"
    assert run.tags["dagster/partition"] == DAY
    assert run.run_config == {
        "ops": {
            "raw_invoices": {"config": {"invoice_ids": ["A", "B"], "force_processing": True}},
            "processed_invoices": {"config": {"force_processing": True}},
        }
    }


def test_the_callers_id_is_in_the_alert_and_in_every_outgoing_call(
    quick_api: RunningApi, simulator: RunningSimulator
) -> None:
    simulator.reset(per_day=3)
    job_id = started(quick_api.client(), {"X-Correlation-ID": "erp-4712"})["job_id"]
    quick_api.run(job_id)
    tend(quick_api.instance, quick_api.engine, resources.slack())
    assert [message for message in simulator.slack_messages() if "Request erp-4712" in str(message)]
    detail = quick_api.client().get("/api/v1/deliveries").json()["data"]["items"][0]
    tries = quick_api.client().get(f"/api/v1/deliveries/{detail['delivery_id']}").json()["data"]["tries"]
    assert [one["correlation_id"] for one in tries] == ["erp-4712"]


def test_a_started_job_is_audited(api: RunningApi) -> None:
    job_id = started(api.client(), {"X-Correlation-ID": "audit-1"})["job_id"]
    with reading(api.engine) as connection:
        entry = connection.execute(
            select(AuditLog.action, AuditLog.details).where(AuditLog.resource_id == job_id)
        ).one()
    assert entry.action == "job.requested"
    assert (entry.details["actor"], entry.details["correlation_id"]) == ("operator", "audit-1")
    assert entry.details["after"]["partition_key"] == DAY


def at(api: RunningApi, moment: str) -> None:
    """From now on it is this moment (in Brussels) to whoever asks what day it is."""
    state, now = api.app.state, datetime.fromisoformat(moment).replace(tzinfo=ZONE)
    state.services = replace(state.services, clock=lambda: now)


@pytest.mark.parametrize("moment", ["2026-11-18T00:00:01", "2026-11-18T23:59:59"])
def test_without_a_date_the_day_is_todays_in_brussels(quick_api: RunningApi, moment: str) -> None:
    at(quick_api, moment)
    answer = quick_api.client().post("/api/v1/invoices/process", json={})
    run = quick_api.instance.get_run_by_id(answer.json()["data"]["job_id"])
    assert run is not None
    assert run.tags["dagster/partition"] == "2026-11-18"


@pytest.mark.parametrize("day", ["2025-12-31", "2099-01-01", "2026-02-30", "2026-13-01"])
def test_a_day_that_is_no_partition_is_refused(quick_api: RunningApi, day: str) -> None:
    answer = quick_api.client().post("/api/v1/invoices/process", json={"date": day})
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["fields"][0]["field"] == "body.date"
    assert quick_api.instance.get_runs() == []


def test_a_second_job_of_the_same_day_is_told_of_the_first(api: RunningApi) -> None:
    client = api.client()
    job_id = started(client)["job_id"]
    second = client.post("/api/v1/invoices/process", json={"date": DAY})
    assert code(second) == (409, "JOB_RUNNING")
    assert second.json()["error"]["details"]["job_id"] == job_id
    assert started(client, date="2026-11-17")["job_id"] != job_id


def test_of_requests_at_the_same_time_one_starts_a_job(api: RunningApi) -> None:
    client, gate = api.client(), threading.Barrier(6)

    def ask(_: int) -> httpx.Response:
        gate.wait()
        return client.post("/api/v1/invoices/process", json={"date": DAY})

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, range(6)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409, 409, 409]
    assert len(api.instance.get_runs()) == 1


def test_a_run_that_dagster_started_itself_is_in_the_way_too(quick_api: RunningApi) -> None:
    client = quick_api.client()
    job_id = started(client)["job_id"]
    with quick_api.engine.begin() as connection:  # as for a run of the schedule, whose row its first asset writes
        connection.execute(Job.__table__.delete())
    answer = client.post("/api/v1/invoices/process", json={"date": DAY})
    assert code(answer) == (409, "JOB_RUNNING")
    assert answer.json()["error"]["details"]["job_id"] == job_id


def test_the_same_key_with_the_same_request_gets_the_same_answer(api: RunningApi) -> None:
    client, key = api.client(), new_key()
    first = client.post("/api/v1/invoices/process", json={"date": DAY}, headers=key)
    again = client.post("/api/v1/invoices/process", json={"date": DAY, "force_processing": False}, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["data"] == again.json()["data"]
    assert ("Idempotent-Replayed" in first.headers, again.headers["Idempotent-Replayed"]) == (False, "true")
    assert len(api.instance.get_runs()) == 1


def test_a_request_without_a_date_gets_the_same_answer_after_midnight(api: RunningApi) -> None:
    client, key = api.client(), new_key()
    at(api, "2026-11-18T23:59:59")
    first = client.post("/api/v1/invoices/process", json={}, headers=key)
    at(api, "2026-11-19T00:00:01")
    again = client.post("/api/v1/invoices/process", json={"date": None}, headers=key)
    assert (first.status_code, again.status_code) == (202, 202), again.text
    assert first.json()["data"] == again.json()["data"]
    assert len(api.instance.get_runs()) == 1
    dated = client.post("/api/v1/invoices/process", json={"date": "2026-11-18"}, headers=key)
    assert code(dated) == (422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize("body", [{}, {"date": "2026-11-18"}])
def test_a_key_of_before_the_day_left_the_digest_is_still_known(quick_api: RunningApi, body: dict[str, str]) -> None:
    client, key = quick_api.client(), new_key()
    at(quick_api, "2026-11-18T12:00:00")
    first = client.post("/api/v1/invoices/process", json=body, headers=key)
    as_it_was = {"partition_key": "2026-11-18", "invoice_ids": [], "force_processing": False, "retry_of": None}
    digest = sha256(json.dumps(as_it_was, sort_keys=True).encode()).hexdigest()
    with quick_api.engine.begin() as connection:
        details = connection.scalars(select(Job.details)).one()
        written = {**details, "request": {**details["request"], "sha256": digest}}
        connection.execute(update(Job).values(details=written))
    again = client.post("/api/v1/invoices/process", json=body, headers=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.json()["data"] == again.json()["data"]


def test_the_same_key_with_another_request_is_refused(quick_api: RunningApi) -> None:
    client, key = quick_api.client(), new_key()
    started(client, key)
    answer = client.post("/api/v1/invoices/process", json={"date": DAY, "invoice_ids": ["A"]}, headers=key)
    assert code(answer) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_a_key_belongs_to_its_caller(quick_api: RunningApi) -> None:
    key = new_key()
    first = started(quick_api.client("operator"), key)
    second = started(quick_api.client("admin"), key, date="2026-11-17")
    assert first["job_id"] != second["job_id"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 129])
def test_a_key_that_is_none_is_refused(quick_api: RunningApi, key: str) -> None:
    answer = quick_api.client().post("/api/v1/invoices/process", json={"date": DAY}, headers={"Idempotency-Key": key})
    assert code(answer) == (422, "VALIDATION_ERROR")


def test_when_dagster_takes_no_run_the_job_says_so_and_the_key_may_be_used_again(
    quick_api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, key = quick_api.client(), new_key()
    with monkeypatch.context() as broken:
        broken.setattr(job_submission, "LOCATION", "a location that did not load")
        answer = client.post("/api/v1/invoices/process", json={"date": DAY}, headers=key)
    assert code(answer) == (503, "EXTERNAL_API_ERROR")
    details = answer.json()["error"]["details"]
    assert (details["api_endpoint"], details["status_code"], details["retry_count"]) == ("dagster", None, 0)
    assert datetime.fromisoformat(details["next_retry_at"]) > datetime.now(UTC)
    assert job_of(client, details["job_id"])["status"] == "failed"
    (summary,) = client.get("/api/v1/jobs").json()["data"]["items"]
    assert "Nothing was started" in summary["error_message"]
    again = started(client, key)
    assert job_of(client, again["job_id"])["status"] == "pending"
    assert again["job_id"] != details["job_id"]


def test_a_launch_that_answers_late_leaves_a_pending_job(
    quick_api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, goes_on = quick_api.client(), threading.Event()
    inner = job_submission.submit_run

    def slow(*arguments: Any) -> Any:
        goes_on.wait(300)
        return inner(*arguments)

    quick_api.app.state.services.job_submission.patience = 0.05
    monkeypatch.setattr(job_submission, "submit_run", slow)
    job_id = started(client)["job_id"]
    assert quick_api.instance.get_run_by_id(job_id) is None
    assert job_of(client, job_id)["status"] == "pending"
    goes_on.set()
    quick_api.app.state.services.job_submission.close()
    run = quick_api.instance.get_run_by_id(job_id)
    assert run is not None
    assert run.status is dg.DagsterRunStatus.QUEUED


def test_a_launch_that_fails_late_is_told_by_the_job(quick_api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    client, goes_on = quick_api.client(), threading.Event()

    def broken(*arguments: Any) -> Any:
        goes_on.wait(300)
        raise RuntimeError("the code server is gone")

    quick_api.app.state.services.job_submission.patience = 0.05
    monkeypatch.setattr(job_submission, "submit_run", broken)
    job_id = started(client)["job_id"]
    assert job_of(client, job_id)["status"] == "pending"
    goes_on.set()
    quick_api.app.state.services.job_submission.close()
    assert job_of(client, job_id)["status"] == "failed"


def age(api: RunningApi, job_id: str, seconds: float) -> None:
    """Let the job have been asked for so long ago, and let the next reader look."""
    moment = datetime.now(UTC) - timedelta(seconds=seconds)
    with api.engine.begin() as connection:
        connection.execute(update(Job).where(Job.id == UUID(job_id)).values(created_at=moment))
    api.app.state.services.watch._next = float("-inf")


def test_a_job_that_was_never_launched_is_failed_after_a_minute(api: RunningApi) -> None:
    """The process died between the row and the run."""
    client = api.client()
    job_id = started(client)["job_id"]
    api.instance.delete_run(job_id)
    age(api, job_id, 30)
    assert job_of(client, job_id)["status"] == "pending"
    age(api, job_id, 61)
    assert job_of(client, job_id)["status"] == "failed"
    assert started(client)["job_id"] != job_id


def test_a_run_that_died_without_a_word_is_a_failed_job(api: RunningApi) -> None:
    client = api.client()
    job_id = started(client)["job_id"]
    JobRepository(api.engine).begin(
        UUID(job_id), job_type="manual", partition_key=DAY, correlation_id=None, details={}, now=datetime.now(UTC)
    )
    run = api.instance.get_run_by_id(job_id)
    assert run is not None
    api.instance.report_run_failed(run, message="killed")
    age(api, job_id, 1)
    assert job_of(client, job_id)["status"] == "failed"
    assert client.get("/api/v1/jobs").json()["data"]["items"][0]["error_message"]


def test_what_is_in_the_way_but_dead_is_cleared_at_once(quick_api: RunningApi) -> None:
    client = quick_api.client()
    job_id = started(client)["job_id"]
    run = quick_api.instance.get_run_by_id(job_id)
    assert run is not None
    quick_api.instance.report_run_canceled(run)
    quick_api.app.state.services.watch._next = time.monotonic() + 60  # nobody looks by itself
    assert started(client)["job_id"] != job_id
    assert job_of(client, job_id)["status"] == "failed"


def test_the_estimate_comes_from_what_jobs_took_lately(quick_api: RunningApi) -> None:
    jobs = JobRepository(quick_api.engine)
    for number, seconds in enumerate((10, 60, 600)):
        begin = datetime(2026, 11, 1, 2, number, tzinfo=UTC)
        job_id = uuid4()
        jobs.begin(job_id, job_type="scheduled", partition_key="2026-11-01", correlation_id=None, details={}, now=begin)
        jobs.finish(job_id, "completed", error_message=None, now=begin + timedelta(seconds=seconds))
    client = quick_api.client()
    before = datetime.now(UTC)
    estimated = datetime.fromisoformat(started(client)["estimated_completion"])
    assert before <= estimated - timedelta(seconds=60) <= datetime.now(UTC)


def test_a_failed_job_is_run_again_with_the_same_choice(api: RunningApi, simulator: RunningSimulator) -> None:
    simulator.reset(per_day=4)
    client = api.client()
    simulator.fault("erp", "status", status=500, times=100)
    first = started(client, invoice_ids=["ERP-20261118-00000"], force_processing=True)["job_id"]
    api.run(first)
    simulator.clear_faults()
    assert (job_of(client, first)["status"], simulator.accepted()) == ("failed", [])
    api.instance.run_storage.wipe()  # it was executed elsewhere: here it would still wait
    answer = client.post(f"/api/v1/jobs/{first}/retry")
    assert answer.status_code == 202, answer.text
    second = answer.json()["data"]["job_id"]
    run = api.instance.get_run_by_id(second)
    assert run is not None
    retrieval = run.run_config["ops"]["raw_invoices"]["config"]
    assert retrieval == {"invoice_ids": ["ERP-20261118-00000"], "force_processing": True}
    api.run(second)
    job = job_of(client, second)
    assert (job["status"], job["results"]["total_invoices"]) == ("completed", 1)


def test_a_job_with_nothing_left_is_not_run_again(quick_api: RunningApi) -> None:
    client = quick_api.client()
    job_id = started(client)["job_id"]
    assert code(client.post(f"/api/v1/jobs/{job_id}/retry")) == (409, "JOB_NOT_RETRYABLE")
    JobRepository(quick_api.engine).finish(UUID(job_id), "completed", error_message=None, now=datetime.now(UTC))
    assert code(client.post(f"/api/v1/jobs/{job_id}/retry")) == (409, "JOB_NOT_RETRYABLE")
    assert code(client.post(f"/api/v1/jobs/{uuid4()}/retry")) == (404, "JOB_NOT_FOUND")

"""Looking at jobs, invoices and deliveries over the API, and deciding about deliveries."""

from __future__ import annotations

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import insert, select, update

from clearfacts_assets.invoices.delivery.status_polling import Reply
from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.invoices.ports import FiledDocument
from clearfacts_assets.storage.accounts.tables import AuditLog
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.document_status import DeliveredDocuments
from clearfacts_assets.storage.invoices.tables import Delivery, Job
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

DAY = "2026-11-18"
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)

NOBODYS_ID = "8f84b63c-d1e5-404f-8e76-3663014ba2c9"  # written out: the names of tests must not change from run to run


def get(client: httpx.Client, path: str, **query: Any) -> Any:
    answer = client.get(f"/api/v1{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def walk(client: httpx.Client, path: str, **query: Any) -> list[dict[str, Any]]:
    """All pages of a list."""
    items: list[dict[str, Any]] = []
    while True:
        page = get(client, path, **query)
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        query["cursor"] = page["next_cursor"]


def write_jobs(api: RunningApi, count: int) -> list[str]:
    """Completed jobs, three of them at each moment; their ids, oldest first, equal moments by id."""
    ids = sorted((uuid4() for _ in range(count)), key=str)
    rows = [
        {
            "id": job_id,
            "job_type": "scheduled" if number % 2 else "manual",
            "status": "failed" if number % 5 == 0 else "completed",
            "partition_key": f"2026-11-{number % 20 + 1:02}",
            "started_at": BEGIN,
            "completed_at": BEGIN + timedelta(seconds=number),
            "created_at": BEGIN + timedelta(minutes=number // 3),
            "updated_at": BEGIN,
        }
        for number, job_id in enumerate(ids)
    ]
    with api.engine.begin() as connection:
        connection.execute(insert(Job), rows)
    return [str(job_id) for job_id in ids]


def test_pages_hold_every_job_once_in_both_directions(api: RunningApi) -> None:
    client, ids = api.client("user"), write_jobs(api, 20)
    oldest_first = [job["job_id"] for job in walk(client, "/jobs", limit=3, sort="created_at")]
    newest_first = [job["job_id"] for job in walk(client, "/jobs", limit=7)]
    assert oldest_first == ids
    assert newest_first == ids[::-1]


def test_a_page_stays_what_it_was_when_new_jobs_come(quick_api: RunningApi) -> None:
    client, ids = quick_api.client("user"), write_jobs(quick_api, 6)
    first = get(client, "/jobs", limit=3)
    with quick_api.engine.begin() as connection:
        connection.execute(
            insert(Job).values(
                id=uuid4(),
                job_type="manual",
                status="completed",
                created_at=BEGIN + timedelta(days=1),
                updated_at=BEGIN,
            )
        )
    second = get(client, "/jobs", limit=3, cursor=first["next_cursor"])
    assert [job["job_id"] for job in [*first["items"], *second["items"]]] == ids[::-1]
    assert second["next_cursor"] is None


def test_jobs_by_status_type_day_and_time(api: RunningApi) -> None:
    client = api.client("user")
    write_jobs(api, 20)
    assert len(walk(client, "/jobs", status="failed")) == 4
    assert {job["job_type"] for job in walk(client, "/jobs", job_type="scheduled")} == {"scheduled"}
    assert [job["partition"] for job in walk(client, "/jobs", partition="2026-11-07")] == ["2026-11-07"]
    span = {"created_from": "2026-11-01T01:02:00+01:00", "created_to": "2026-11-01T00:04:00Z"}
    assert len(walk(client, "/jobs", **span)) == 6


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 201},
        {"limit": "true"},
        {"sort": "status"},
        {"status": "done"},
        {"created_from": "2026-11-01T00:00:00"},
        {"created_from": "yesterday"},
        {"partition": "18-11-2026"},
        {"stauts": "failed"},
        {"cursor": ""},
    ],
)
def test_a_filter_that_is_none_is_refused_and_named(quick_api: RunningApi, query: dict[str, Any]) -> None:
    answer = quick_api.client("user").get("/api/v1/jobs", params=query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_ERROR")
    (field,) = answer.json()["error"]["details"]["fields"]
    assert field["field"] == f"query.{next(iter(query))}"


@pytest.mark.parametrize("path", ["/jobs", "/invoices/history", "/deliveries"])
@pytest.mark.parametrize("cursor", ["x", "MjAyNg==", "%00", "é", "' OR 1=1 --"])
def test_a_forged_cursor_is_refused(quick_api: RunningApi, path: str, cursor: str) -> None:
    answer = quick_api.client("user").get(f"/api/v1{path}", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_CURSOR")


LISTS = ["/jobs", "/invoices/history", "/deliveries", "/users", "/keys", "/audit"]
BEFORE_YEAR_1, AFTER_YEAR_9999 = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"


@pytest.mark.parametrize("path", LISTS)
def test_a_moment_outside_the_calendar_is_refused_by_every_list(api: RunningApi, path: str) -> None:
    client = api.client("admin")
    for name in ("created_from", "created_to"):
        for moment in (BEFORE_YEAR_1, AFTER_YEAR_9999):
            answer = client.get(f"/api/v1{path}", params={name: moment})
            assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_ERROR")
            assert [one["field"] for one in answer.json()["error"]["details"]["fields"]] == [f"query.{name}"]
    for moment in (BEFORE_YEAR_1, AFTER_YEAR_9999):
        cursor = base64.urlsafe_b64encode(f"{moment} {NOBODYS_ID}".encode()).decode()
        answer = client.get(f"/api/v1{path}", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_CURSOR")


@pytest.mark.parametrize("path", LISTS)
def test_the_first_and_the_last_moment_of_the_calendar_bound_every_list(api: RunningApi, path: str) -> None:
    client, ends = api.client("admin"), ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z")
    get(client, path, created_from=ends[0], created_to=ends[1])
    for moment in ends:
        get(client, path, cursor=base64.urlsafe_b64encode(f"{moment} {NOBODYS_ID}".encode()).decode())


def test_invoices_with_findings_report_and_delivery(api: RunningApi, simulator: RunningSimulator) -> None:
    simulator.reset(per_day=8, broken_share=0.5)
    client = api.client()
    answer = client.post("/api/v1/invoices/process", json={"date": DAY}, headers={"X-Correlation-ID": "see-1"})
    job_id = answer.json()["data"]["job_id"]
    api.run(job_id)
    status = get(client, f"/invoices/status/{job_id}")
    history = walk(client, "/invoices/history", job_id=job_id, limit=3)
    assert status["results"]["total_invoices"] == len(history)
    assert (status["status"], status["partition"], status["correlation_id"]) == ("completed", DAY, "see-1")

    sent = next(row for row in history if row["status"] == "sent")
    by_row, by_name = get(client, f"/invoices/{sent['id']}"), get(client, f"/invoices/{sent['invoice_id']}")
    assert by_row == by_name
    assert by_row["delivery"]["state"] == "delivered"
    assert by_row["delivery"]["document_id"]
    assert {name: by_row[name] for name in sent} == sent
    delivery = get(client, f"/deliveries/{sent['delivery_id']}")
    assert [one["outcome"] for one in delivery["tries"]] == ["accepted"]
    assert delivery["tries"][0]["correlation_id"] == "see-1"
    assert [one["job_id"] for one in delivery["seen_in"]] == [job_id]
    assert (delivery["document"], by_row["document"]) == (None, None)  # nobody has asked about it yet
    assert get(client, "/deliveries", number=sent["number"], state=["delivered", "parked"])["items"]

    failed = next(row for row in history if row["status"] == "failed" and row["decision"] == "reject")
    detail = get(client, f"/invoices/{failed['id']}")
    report = get(client, f"/invoices/{failed['id']}/report")["report"]
    assert detail["delivery"] is None
    assert [one["rule"] for one in detail["findings"]] == [one["rule"] for one in report["findings"]]
    assert report["decision"] == "reject"
    assert get(client, "/invoices/history", status="failed", invoice_id=failed["invoice_id"])["items"] == [failed]


def test_what_became_of_a_document_stands_with_its_delivery_and_its_invoice(api: RunningApi) -> None:
    client = api.client()
    job_id = client.post("/api/v1/invoices/process", json={"date": DAY}).json()["data"]["job_id"]
    api.run(job_id)
    sent = next(row for row in walk(client, "/invoices/history", job_id=job_id) if row["status"] == "sent")
    documents, moment = DeliveredDocuments(api.engine), datetime(2026, 11, 21, 5, tzinfo=UTC)
    due = documents.due(now=datetime.now(UTC), again_after=1, followed_days=1, limit=100)
    (asked,) = [one for one in due if str(one.delivery_id) == sent["delivery_id"]]
    documents.record([Reply(asked, FiledDocument(asked.document_id, "2026-11-20", "PURCHASE", "PAID"))], now=moment)
    shown = {
        "document_id": asked.document_id,
        "status": "found",
        "document_type": "PURCHASE",
        "document_date": "2026-11-20",
        "payment_state": "PAID",
        **dict.fromkeys(("asked_at", "answered_at", "changed_at"), "2026-11-21T05:00:00Z"),
    }
    assert get(client, f"/deliveries/{sent['delivery_id']}")["document"] == shown
    assert get(client, f"/invoices/{sent['id']}")["document"] == shown


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"/jobs/{NOBODYS_ID}", "JOB_NOT_FOUND"),
        (f"/invoices/status/{NOBODYS_ID}", "JOB_NOT_FOUND"),
        (f"/invoices/{NOBODYS_ID}", "INVOICE_NOT_FOUND"),
        ("/invoices/ERP-1/report", "INVOICE_NOT_FOUND"),
        (f"/deliveries/{NOBODYS_ID}", "DELIVERY_NOT_FOUND"),
    ],
)
def test_what_is_not_there_is_404_with_its_own_code(quick_api: RunningApi, path: str, code: str) -> None:
    answer = quick_api.client("user").get(f"/api/v1{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)


def write_delivery(api: RunningApi, state: State) -> UUID:
    delivery_id = uuid4()
    with api.engine.begin() as connection:
        connection.execute(
            insert(Delivery).values(
                id=delivery_id,
                key_digest=delivery_id.hex * 2,
                destination="clearfacts",
                receiver="BE0123456749",
                supplier="BE0987654394",
                document_type="invoice",
                number="2026/17",
                issue_year=2026,
                content_sha256=delivery_id.hex * 2,
                state=state,
                created_at=BEGIN,
                updated_at=BEGIN,
                delivered_at=BEGIN if state is State.DELIVERED else None,
            )
        )
    return delivery_id


def test_a_verdict_is_carried_out_and_audited_with_its_giver(api: RunningApi) -> None:
    delivery_id, client = write_delivery(api, State.PARKED), api.client("reviewer")
    answer = client.post(
        f"/api/v1/deliveries/{delivery_id}/resolve",
        json={"verdict": "delivered", "reason": "seen under its file name", "seen": seen("parked")},
        headers={"X-Correlation-ID": "verdict-1", "User-Agent": "a desk"},
    )
    assert answer.status_code == 200, answer.text
    resolved = answer.json()["data"]
    assert (resolved["state"], len(resolved["decisions"])) == ("delivered", 1)
    with reading(api.engine) as connection:
        entry = connection.execute(select(AuditLog).where(AuditLog.resource_id == str(delivery_id))).one()
    assert entry.action == "delivery.confirmed"
    assert entry.details["actor"] == "reviewer"
    assert entry.details["reason"] == "seen under its file name"
    assert entry.details["correlation_id"] == "verdict-1"


def seen(state: str, generation: int = 1) -> dict[str, Any]:
    """A delivery as it was read by whoever decides."""
    return {"state": state, "generation": generation}


@pytest.mark.parametrize("state", [State.UNKNOWN, State.DELIVERED])
def test_a_verdict_that_the_life_cycle_does_not_know_is_refused(quick_api: RunningApi, state: State) -> None:
    delivery_id = write_delivery(quick_api, state)
    body = {"verdict": "delivered", "reason": "because", "seen": seen(state)}
    answer = quick_api.client("reviewer").post(f"/api/v1/deliveries/{delivery_id}/resolve", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "DELIVERY_NOT_RESOLVABLE")
    assert answer.json()["error"]["details"]["state"] == state


@pytest.mark.parametrize(
    "body",
    [
        {"verdict": "delivered"},
        {"verdict": "delivered", "reason": "because"},
        {"verdict": "delivered", "reason": "because", "seen": {"state": "parked"}},
        {"verdict": "delivered", "reason": "because", "seen": {"state": "lost", "generation": 1}},
        {"verdict": "delivered", "reason": " "},
        {"verdict": "sent", "reason": "because"},
        {"verdict": "delivered", "reason": "because", "actor": "somebody else"},
        {"verdict": "delivered", "reason": "x" * 1001},
        {"verdict": "delivered", "reason": 7},
    ],
)
def test_a_verdict_needs_a_reason_and_nothing_else(quick_api: RunningApi, body: dict[str, Any]) -> None:
    delivery_id = write_delivery(quick_api, State.PARKED)
    answer = quick_api.client("reviewer").post(f"/api/v1/deliveries/{delivery_id}/resolve", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_ERROR")
    assert get(quick_api.client("user"), f"/deliveries/{delivery_id}")["state"] == "parked"


def test_a_verdict_on_what_has_changed_meanwhile_is_refused_with_the_change(api: RunningApi) -> None:
    delivery_id, client = write_delivery(api, State.PARKED), api.client("reviewer")
    address = f"/api/v1/deliveries/{delivery_id}/resolve"
    first = {"verdict": "delivered", "reason": "it is there", "seen": seen("parked")}
    assert client.post(address, json=first).status_code == 200
    answer = client.post(address, json={"verdict": "resend", "reason": "an old list", "seen": seen("parked")})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (409, "DELIVERY_CHANGED")
    assert (error["details"]["state"], error["details"]["generation"]) == ("delivered", 1)
    again = {"verdict": "resend", "reason": "nevertheless", "seen": seen("delivered")}
    assert client.post(address, json=again).json()["error"]["code"] == "DELIVERY_NOT_RESOLVABLE"
    by_name = again | {"verdict": "send_again"}
    assert client.post(address, json=by_name).json()["data"]["generation"] == 2


def test_a_verdict_that_comes_again_under_its_key_changes_nothing(api: RunningApi) -> None:
    delivery_id, client = write_delivery(api, State.PARKED), api.client("reviewer")
    body = {"verdict": "resend", "reason": "it is not there", "seen": seen("parked")}
    address, key = f"/api/v1/deliveries/{delivery_id}/resolve", {"Idempotency-Key": "click-1"}
    answers = [client.post(address, json=body, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.json()["data"]["generation"] for answer in answers] == [2, 2]
    assert len(answers[1].json()["data"]["decisions"]) == 1
    assert client.post(address, json=body).json()["error"]["code"] == "DELIVERY_CHANGED"


def test_a_readers_look_closes_the_jobs_of_dead_runs_at_most_every_two_seconds(quick_api: RunningApi) -> None:
    watch, asked = quick_api.app.state.services.watch, []
    clock = [100.0]
    watch.monotonic = lambda: clock[0]
    watch._next = float("-inf")
    watch.instance = type("Asked", (), {"get_run_by_id": lambda self, run_id: asked.append(run_id)})()
    client = quick_api.client("user")
    job_id = uuid4()
    with quick_api.engine.begin() as connection:
        connection.execute(
            insert(Job).values(
                id=job_id, job_type="manual", status="pending", created_at=datetime.now(UTC), updated_at=BEGIN
            )
        )
    for seconds in (0, 1.0, 0.9, 0.2, 1.9):
        clock[0] += seconds
        get(client, f"/jobs/{job_id}")
        get(client, "/jobs")
    assert asked == [str(job_id)] * 2
    with quick_api.engine.begin() as connection:
        connection.execute(update(Job).values(status="completed"))


@pytest.mark.parametrize("path", ["/jobs", "/jobs/{job_id}", "/invoices/status/{job_id}"])
def test_while_dagster_is_slow_only_who_made_us_look_waits_for_it(quick_api: RunningApi, path: str) -> None:
    asked, goes_on, job_id = threading.Event(), threading.Event(), uuid4()
    inner = quick_api.instance

    class Slow:
        def get_run_by_id(self, run_id: str) -> Any:
            asked.set()
            assert goes_on.wait(300)
            return inner.get_run_by_id(run_id)

    with quick_api.engine.begin() as connection:
        connection.execute(
            insert(Job).values(id=job_id, job_type="manual", status="running", created_at=BEGIN, updated_at=BEGIN)
        )
    watch = quick_api.app.state.services.watch
    watch.instance, watch._next = Slow(), float("-inf")
    client, first = quick_api.client("user"), quick_api.client("reviewer")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(get, first, path.format(job_id=job_id))
        assert asked.wait(120)
        try:
            assert get(client, "/invoices/history")["items"] == []
            assert get(client, f"/jobs/{job_id}")["status"] == "running"  # as far as anybody knows
            assert not waiting.done()
        finally:
            goes_on.set()
        told = waiting.result(30)
    assert (told["items"][0] if path == "/jobs" else told)["status"] == "failed"

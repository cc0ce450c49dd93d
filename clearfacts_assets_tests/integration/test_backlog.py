"""What waits, as those who watch from outside are told."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
from sqlalchemy import Engine, insert

from clearfacts_assets.api.invoices.metrics import of_deliveries
from clearfacts_assets.chargeback.attribution.review import Verdict
from clearfacts_assets.chargeback.lifecycle import Event
from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.storage.chargeback.backlog import backlog as chargeback_backlog
from clearfacts_assets.storage.database import write
from clearfacts_assets.storage.invoices.backlog import last_good_night, newest_invoice, unfinished
from clearfacts_assets.storage.invoices.tables import Delivery, InvoiceRow, Job
from clearfacts_assets_tests.fixtures.chargeback import Books, row

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def put(engine: Engine, table: type, *rows: dict[str, Any]) -> None:
    write(engine, lambda connection: connection.execute(insert(table), list(rows)))


def delivery(number: str, state: str, age: timedelta) -> dict[str, Any]:
    since = NOON - age
    sending = (
        {"run_id": uuid.uuid4(), "lease_until": NOON} if state == "sending" else {"run_id": None, "lease_until": None}
    )
    return {
        "key_digest": f"{number:0>64}",
        "destination": "clearfacts",
        "receiver": "BE0999000228",
        "supplier": "BE0888000319",
        "document_type": "invoice",
        "number": number,
        "issue_year": 2026,
        "content_sha256": "0" * 64,
        "state": state,
        "delivered_at": since if state == "delivered" else None,
        "created_at": since,
        "updated_at": NOON,
        **sending,
    }


def test_each_state_of_deliveries_is_counted_and_the_oldest_unfinished_one_is_told(engine: Engine) -> None:
    hour = timedelta(hours=1)
    put(
        engine,
        Delivery,
        delivery("1", "delivered", 9 * hour),
        delivery("2", "waiting", 2 * hour),
        delivery("3", "waiting", 5 * hour),
        delivery("4", "parked", hour),
        delivery("5", "sending", hour),
    )
    found = unfinished(engine)
    assert found.numbers == {"ready": 0, "held": 0, "sending": 1, "waiting": 2, "unknown": 0, "parked": 1}
    assert found.oldest == {"waiting": NOON - 5 * hour, "parked": NOON - hour, "sending": NOON - hour}
    with dg.DagsterInstance.ephemeral() as instance:
        numbers, _ = of_deliveries(engine, instance)
    told = {one.labels["state"]: one.value for one in numbers.samples}
    assert {state: number for state, number in told.items() if number} == {
        "delivered": 1,
        "waiting": 2,
        "parked": 1,
        "sending": 1,
    }
    assert told.keys() == {state.value for state in State}


def test_nothing_is_told_of_a_database_without_jobs(engine: Engine) -> None:
    assert last_good_night(engine) is None
    assert newest_invoice(engine) is None
    assert unfinished(engine).oldest == {}


def test_only_a_scheduled_job_that_was_completed_is_a_good_night(engine: Engine) -> None:
    base = {"details": {}, "created_at": NOON, "updated_at": NOON}
    jobs = [
        {"id": uuid.uuid4(), "job_type": kind, "status": status, "completed_at": NOON + timedelta(hours=hours), **base}
        for kind, status, hours in (
            ("scheduled", "completed", 1),
            ("scheduled", "completed", 2),
            ("scheduled", "failed", 3),
            ("manual", "completed", 4),
        )
    ]
    put(engine, Job, *jobs)
    assert last_good_night(engine) == NOON + timedelta(hours=2)
    rows = [
        {
            "job_id": jobs[0]["id"],
            "invoice_id": str(number),
            "status": "pending",
            "source_updated_at": NOON - timedelta(hours=number),
            "created_at": NOON,
            "updated_at": NOON,
        }
        for number in (3, 7)
    ]
    put(engine, InvoiceRow, *rows)
    assert newest_invoice(engine) == NOON - timedelta(hours=3)


def test_money_that_nobody_pays_for_is_told_until_its_period_is_finalized(books: Books) -> None:
    books.put(
        row(BilledCost="10.25"),
        row(BilledCost="0.75", Tags="", ResourceId="nobody"),
        row(BilledCost="ten", ResourceId="unreadable"),
    )
    found = chargeback_backlog(books.engine)
    assert (found.periods, found.refused_rows, found.waiting) == ({"open": 1, "closed": 0, "finalized": 0}, 1, 1)
    assert found.unattributed == {"USD": Decimal("0.75")}
    assert set(found.statements.values()) == set(found.mails.values()) == {0}
    books.decide(Verdict.REJECT, books.charges(status=("flagged",))[0]["id"], note="not ours")
    books.change("2025-03", Event.CLOSE, Event.FINALIZE)
    found = chargeback_backlog(books.engine)
    assert (found.periods["finalized"], found.waiting, found.unattributed) == (1, 0, {})

"""What is asked for every page of invoices is found by an index, however many invoices there were before."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, event

from clearfacts_assets.invoices.ledger.model import Settlement
from clearfacts_assets.invoices.lifecycle import Event
from clearfacts_assets.invoices.model import Decision, Report
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets.storage.invoices.known_reports import take_known_reports
from clearfacts_assets.storage.invoices.takeover import Takeover
from clearfacts_assets_tests.integration.test_storage_invoices import NOW, document, invoice, new_job

GROWS = ("invoices", "deliveries", "source_versions", "delivery_attempts", "holds_the_document")
Asked = dict[str, Any]  # statements with the values of their last time


@pytest.fixture
def asked(engine: Engine) -> Asked:
    """Every statement of the life of an invoice."""
    statements: Asked = {}

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            statements[statement] = values[0] if many else values

    event.listen(engine, "before_cursor_execute", note)
    rows, ledger = InvoiceRepository(engine), SqlDeliveryLedger(engine)
    for _ in range(2):
        day_of(engine, rows, ledger)
    event.remove(engine, "before_cursor_execute", note)
    return statements


def day_of(engine: Engine, rows: InvoiceRepository, ledger: SqlDeliveryLedger) -> None:
    job: UUID = new_job(JobRepository(engine))
    rows.store(job, [document("a"), document("b")], now=NOW)
    list(take_known_reports(engine, job, "f" * 64, now=NOW))
    said = Report("0" * 64, 10, "peppol_bis3", invoice(), Decision.ACCEPT, (), (), 0.0)
    for batch in rows.batches_to_validate(job, 100):
        rows.record_reports(job, [(row.id, said, {}) for row in batch], now=NOW)
    for candidates in rows.batches_to_deliver(job, 100):
        found = ledger.register(job, "clearfacts", candidates)
        claimed = ledger.claim(job, [one.delivery.id for one in found], 60, "rest")
        ledger.settle([Settlement(one.id, one.fence, (Event.REFUSED,), "no") for one in claimed])
        ledger.states([one.id for one in claimed])
    ledger.withdraw(job, "2026-11-20")
    ledger.expire([uuid4()])
    ledger.park_foreign("clearfacts", "rest")
    ledger.unknown("clearfacts", 10, "rest")
    rows.follow_deliveries(job, now=NOW)
    Takeover(engine).day(job, "2026-11-20", now=NOW)
    Takeover(engine).unvalidated(job, "2026-11-20", now=NOW)
    list(Takeover(engine).unfinished(job, "2026-11-20", now=NOW))
    list(Takeover(engine).due(job, "2026-11-20", now=NOW))


def test_no_question_walks_through_a_table_that_grows(engine: Engine, asked: Asked) -> None:
    assert len(asked) > 15
    lines = [(line, statement) for statement, values in asked.items() for line in plan(engine, statement, values)]
    assert [(line, statement) for line, statement in lines if walks_through(line)] == []


def plan(engine: Engine, statement: str, values: Any) -> list[str]:
    with reading(engine) as connection:
        if engine.dialect.name == "sqlite":
            return [str(row[-1]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # the tables are small
        return [str(row[0]) for row in connection.exec_driver_sql(f"EXPLAIN {statement}", values)]


def walks_through(line: str) -> bool:
    words = line.replace("->", " ").split()
    name = words[1] if words[:1] == ["SCAN"] else words[3] if words[:3] == ["Seq", "Scan", "on"] else ""
    return name in GROWS

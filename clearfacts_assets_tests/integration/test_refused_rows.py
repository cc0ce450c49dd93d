"""Text of any length from outside is kept and found; what a database refuses of one row is that row's matter."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from clearfacts_assets.invoices.ledger.model import DeliveryResult
from clearfacts_assets.invoices.model import Decision, Invoice, InvoiceStatus, Party, Report
from clearfacts_assets.money import Money
from clearfacts_assets.storage.accounts import audit
from clearfacts_assets.storage.database import in_words, refuses_a_row, write
from clearfacts_assets.storage.invoices.invoice_rows import bounded_id
from clearfacts_assets.storage.invoices.invoice_views import InvoiceRecord
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets_tests.integration.test_storage_invoices import NOW, document, invoice, new_job

LONG = "".join(random.Random(6).choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=6000))  # which does not compress


@pytest.fixture
def rows(engine: Engine) -> InvoiceRepository:
    return InvoiceRepository(engine)


@pytest.fixture
def job(engine: Engine) -> UUID:
    return new_job(JobRepository(engine))


def report(head: Invoice | None, decision: Decision = Decision.ACCEPT) -> Report:
    return Report("0" * 64, 10, "peppol_bis3", head, decision, (), (), 0.0)


def validated(rows: InvoiceRepository, job: UUID, heads: dict[str, Invoice]) -> int:
    """Store and validate one document a head. Returns how many the database refused."""
    rows.store(job, [document(name) for name in heads], now=NOW)
    found = [row for batch in rows.batches_to_validate(job, 100) for row in batch]
    told = {bounded_id(name): report(head) for name, head in heads.items()}
    return rows.record_reports(job, [(row.id, told[row.invoice_id], {}) for row in found], now=NOW)


def of(rows: InvoiceRepository, job: UUID) -> dict[str, InvoiceRecord]:
    return {row.invoice_id: row for row in rows.list(job_id=job).items}


def test_a_number_of_6000_characters_is_kept_and_found(rows, job):
    like = LONG[:-1] + "?"
    assert validated(rows, job, {"a": invoice(LONG), "b": invoice(like), "c": invoice("F-2")}) == 0
    assert {name: row.status for name, row in of(rows, job).items()} == dict.fromkeys("abc", "pending")
    for number, name in ((LONG, "a"), (like, "b"), ("F-2", "c")):
        assert [row.invoice_id for row in rows.list(number=number).items] == [name]
    assert rows.list(number=LONG[:250]).items == []
    assert [len(batch) for batch in rows.batches_to_deliver(job, 10)] == [3]


def test_numbers_are_looked_up_by_their_index(engine, rows, job):
    seen: list[tuple[str, object]] = []
    event.listen(engine, "before_cursor_execute", lambda *told: seen.append((told[2], told[3])))
    rows.list(number="F-2")
    statement, parameters = seen[-1]
    with engine.connect() as connection:  # and nothing of it is kept
        if engine.dialect.name == "postgresql":
            # Among a few rows any index will do: the one that has them in the order of the list must not be there.
            connection.exec_driver_sql("DROP INDEX ix_invoices_created_at_id")
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        else:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        assert "ix_invoices_number" in "\n".join(" ".join(map(str, row)) for row in plan)


def test_every_text_of_an_invoice_may_be_long(rows, job):
    party = Party(LONG, vat_id=LONG, legal_id=LONG, endpoint=LONG)
    head = replace(invoice(LONG), supplier=party, customer=party, payable=Money(Decimal(1), LONG))
    assert validated(rows, job, {LONG: head, "b": invoice()}) == 0
    found = of(rows, job)
    assert len(found) == 2
    assert rows.get(LONG) is not None
    assert [row.supplier for row in rows.list(invoice_id=LONG).items] == [LONG]


@pytest.mark.parametrize("amount", ["1" * 40, "1." + "1" * 20_000, "1E+400", "-1E-400", "1E+200000"])
def test_an_amount_that_no_database_holds_stops_nobody(rows, job, amount):
    assert validated(rows, job, {"a": invoice(amount=amount), "b": invoice("F-2")}) == 0
    assert [(row.payable_amount, row.status) for _, row in sorted(of(rows, job).items())] == [
        (None, "pending"),
        (Decimal("121.00"), "pending"),
    ]


@pytest.mark.parametrize("day", [date(1, 1, 1), date(9999, 12, 31)])
def test_a_date_at_the_end_of_time_is_kept(rows, job, day):
    assert validated(rows, job, {"a": replace(invoice(), issue_date=day)}) == 0
    assert of(rows, job)["a"].issue_date == day


@pytest.fixture
def narrow(engine: Engine) -> Callable[[str], int]:
    """Makes the database refuse what is longer than some thousand characters in a column of invoices; on SQLite,
    which looks at no lengths, in any."""
    most = 3000

    def make(column: str) -> int:
        if engine.dialect.name == "postgresql":
            with engine.begin() as connection:
                connection.execute(text(f"ALTER TABLE invoices ALTER COLUMN {column} TYPE varchar({most})"))
        else:
            event.listen(engine, "checkout", limited)
        return most

    def limited(connection: sqlite3.Connection, *_: object) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, most)

    return make


@pytest.mark.parametrize(
    ("column", "head", "named"),
    [
        ("number", replace(invoice(), number=LONG), "its number (BT-1), 6,000 characters"),
        ("currency", replace(invoice(), payable=Money(Decimal(1), LONG)), "its currency (BT-5), 6,000 characters"),
    ],
)
def test_what_the_database_refuses_of_one_row_fails_that_row_alone(rows, job, narrow, column, head, named):
    narrow(column)
    heads = {f"{n:02d}": invoice(f"F-{n}") for n in range(20)} | {"07": head}
    assert validated(rows, job, heads) == 1
    found = of(rows, job)
    assert sum(row.status == "pending" and row.decision == "accept" for row in found.values()) == 19
    bad = found["07"]
    assert (bad.status, bad.decision, bad.processed_at) == ("failed", "reject", NOW)
    assert bad.error_message.startswith(f"the database cannot hold {named}: ")
    assert (getattr(bad, column), bad.issue_date) == (None, date(2026, 11, 20))  # the rest of it is kept
    assert sum(len(batch) for batch in rows.batches_to_deliver(job, 100)) == 19


def test_a_document_that_the_database_refuses_fails_alone(rows, job, narrow):
    narrow("ubl_data")
    stored = rows.store(job, [document("a"), document("b", f"<Invoice>{LONG}</Invoice>"), document("c")], now=NOW)
    assert (stored.new, stored.unusable) == (3, 1)
    found = of(rows, job)
    assert {name: row.status for name, row in found.items()} == {"a": "pending", "b": "failed", "c": "pending"}
    assert found["b"].error_message.startswith("the database cannot hold its document, 6,019 characters: ")
    again = rows.store(job, [document("b", f"<Invoice>{LONG}</Invoice>")], now=NOW)
    assert again.repeated == 1


def test_an_answer_that_the_database_refuses_leaves_the_invoice_sent(engine, rows, job, narrow):
    validated(rows, job, {"a": invoice(), "b": invoice("F-2")})
    narrow("error_message")
    found = of(rows, job)
    results = [
        DeliveryResult(found["a"].id, InvoiceStatus.SENT, None, LONG, {"uuid": "1"}),
        DeliveryResult(found["b"].id, InvoiceStatus.SENT, None, "", {"uuid": "2"}),
    ]
    rows.record_results(job, results, now=NOW + timedelta(minutes=1))
    after = of(rows, job)
    assert [(row.status, row.clearfacts_response) for _, row in sorted(after.items())] == [
        ("sent", None),
        ("sent", {"uuid": "2"}),
    ]
    assert after["a"].error_message.startswith("the database cannot hold what was answered: ")


class NotOurs(Exception):
    sqlstate = "08006"


def test_a_lost_connection_or_a_collision_is_no_refusal():
    for state in ("08006", "40001", "40P01", "57P01", "23505", ""):
        lost = NotOurs()
        lost.sqlstate = state
        assert not refuses_a_row(OperationalError("", {}, lost))
    lost.sqlstate = "54000"
    refused = OperationalError("", {}, lost)
    assert refuses_a_row(refused)
    assert "does not answer" not in in_words(refused)


def test_errors_that_are_no_refusals_are_raised(engine, rows, job):
    rows.store(job, [document("a")], now=NOW)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE invoices RENAME COLUMN number TO nummer"))
    (row,) = next(rows.batches_to_validate(job, 10))
    with pytest.raises(DBAPIError):
        rows.record_reports(job, [(row.id, report(invoice()), {})], now=NOW)


def test_an_audit_entry_of_something_with_a_long_name_is_kept_and_found(engine):
    names = (LONG, LONG[:-1] + "?", "short")
    for name in names:
        write(
            engine,
            lambda connection, name=name: audit.record(
                connection,
                actor=audit.Actor("an"),
                action=f"{name}.changed",
                resource_type="invoice",
                resource_id=name,
                now=NOW,
            ),
        )
    for name in names:
        (entry,) = audit.entries(engine, resource_id=name).items
        assert len(entry.resource_id) <= audit.LONGEST_RESOURCE
    assert audit.verify(engine).broken is None

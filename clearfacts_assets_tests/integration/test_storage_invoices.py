"""The invoices table: what a job saw and did, in batches."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, insert

from clearfacts_assets.invoices.ledger.model import DeliveryResult
from clearfacts_assets.invoices.lifecycle import FINAL, State
from clearfacts_assets.invoices.model import (
    Decision,
    DocumentType,
    Finding,
    Invoice,
    InvoiceStatus,
    Party,
    Report,
    Severity,
    SourceDocument,
)
from clearfacts_assets.invoices.retrieval import Stored
from clearfacts_assets.money import Money
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.documents import stored
from clearfacts_assets.storage.invoices.invoice_rows import LONGEST_INVOICE_ID
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.job_views import JobCounts
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets.storage.invoices.tables import Delivery, SourceVersion
from clearfacts_assets.storage.invoices.takeover import Takeover

NOW = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)
DAY = "2026-11-20"


@pytest.fixture
def rows(engine: Engine) -> InvoiceRepository:
    return InvoiceRepository(engine)


@pytest.fixture
def jobs(engine: Engine) -> JobRepository:
    return JobRepository(engine)


def new_job(jobs: JobRepository, minutes: int = 0) -> UUID:
    now = NOW + timedelta(minutes=minutes)
    job = jobs.begin(uuid4(), job_type="manual", partition_key=DAY, correlation_id=None, details={}, now=now)
    return job.id


@pytest.fixture
def job(jobs: JobRepository) -> UUID:
    return new_job(jobs)


def document(invoice_id: str, content: str = "", *, minutes: int = 0, problem: str = "") -> SourceDocument:
    text = content or f"<Invoice>{invoice_id} é</Invoice>"
    return SourceDocument(invoice_id, NOW + timedelta(minutes=minutes), b"" if problem else text.encode(), problem)


def invoice(number: str = "F-1", amount: str = "121.00") -> Invoice:
    return Invoice(
        document_type=DocumentType.INVOICE,
        number=number,
        issue_date=date(2026, 11, 20),
        type_code="380",
        payable=Money(Decimal(amount), "EUR"),
        supplier=Party("Fourni SA", vat_id="BE0123456749", endpoint="0208:0123456749"),
        customer=Party("Client NV", vat_id="BE0987654394"),
        customization_id=None,
        profile_id=None,
    )


def report(decision: Decision, head: Invoice | None = None) -> Report:
    findings = () if decision is Decision.ACCEPT else (Finding("BR-CO-10", "en16931", Severity.ERROR, "sum is wrong"),)
    return Report("0" * 64, 10, "peppol_bis3", head, decision, findings, (("ubl_xsd", "2.1"),), 0.01)


def validate(rows: InvoiceRepository, job: UUID, decision: Decision = Decision.ACCEPT) -> None:
    for batch in rows.batches_to_validate(job, 2):
        rows.record_reports(
            job, [(row.id, report(decision, invoice(row.invoice_id)), {"seen": True}) for row in batch], now=NOW
        )


def test_what_was_stored_comes_back_byte_for_byte(rows: InvoiceRepository, job: UUID) -> None:
    assert rows.store(job, [document("b"), document("a")], now=NOW) == Stored(new=2)
    ((first, second),) = rows.batches_to_validate(job, 10)
    assert (first.invoice_id, first.content) == ("a", "<Invoice>a é</Invoice>".encode())
    assert second.invoice_id == "b"


def test_the_same_row_again_is_repeated_and_a_later_one_replaces_it(rows: InvoiceRepository, job: UUID) -> None:
    rows.store(job, [document("a")], now=NOW)
    assert rows.store(job, [document("a"), document("a", minutes=1)], now=NOW) == Stored(repeated=2)
    assert rows.store(job, [document("a", "<older/>", minutes=-1)], now=NOW) == Stored(repeated=1)
    changed = [document("a", "<second/>", minutes=2), document("a", "<first/>", minutes=1)]
    assert rows.store(job, changed, now=NOW) == Stored(replaced=1, repeated=1)
    ((row,),) = rows.batches_to_validate(job, 10)
    assert row.content == b"<second/>"


def test_a_changed_document_is_validated_again(rows: InvoiceRepository, jobs: JobRepository, job: UUID) -> None:
    rows.store(job, [document("a")], now=NOW)
    validate(rows, job, Decision.REJECT)
    assert jobs.counts(job).failed == 1
    rows.store(job, [document("a", "<corrected/>", minutes=1)], now=NOW)
    assert jobs.counts(job).pending == 1
    assert [row.content for batch in rows.batches_to_validate(job, 10) for row in batch] == [b"<corrected/>"]


def in_ledger(engine: Engine, content: bytes, state: State, source_id: str = "a") -> UUID:
    """A delivery of the content, which the source shows under the id, that has come to the state."""
    values = {
        "id": uuid4(),
        "key_digest": "0" * 64,
        "destination": "clearfacts",
        "receiver": "R",
        "supplier": "S",
        "document_type": "invoice",
        "number": "1",
        "issue_year": 2026,
        "content_sha256": stored(content).sha256,
        "state": state,
        "created_at": NOW,
        "updated_at": NOW,
        "delivered_at": NOW,
    }
    with engine.begin() as connection:
        connection.execute(insert(Delivery), values)
        shown = {"source_id": source_id, "delivery_id": values["id"], "seen_at": NOW, "source_updated_at": NOW}
        connection.execute(insert(SourceVersion), shown)
    return values["id"]


@pytest.mark.parametrize("state", [state for state in State if state is not State.SENDING])
def test_content_that_is_settled_is_a_duplicate_at_once(engine: Engine, job: UUID, state: State) -> None:
    one, settled = document("a"), state in FINAL
    in_ledger(engine, one.content, state)
    rows = InvoiceRepository(engine)
    assert rows.store(job, [one], now=NOW) == Stored(new=1, delivered_before=int(settled))
    found = rows.get("a")
    assert found is not None
    assert (found.record.status == "duplicate", found.document is None) == (settled, settled)
    elsewhere = InvoiceRepository(engine, "elsewhere").store(job, [document("b", one.content.decode())], now=NOW)
    assert elsewhere.delivered_before == 0


def test_a_forced_job_stores_settled_content_again(rows: InvoiceRepository, engine: Engine, job: UUID) -> None:
    one = document("a")
    in_ledger(engine, one.content, State.DELIVERED)
    assert rows.store(job, [one], now=NOW, skip_delivered=False) == Stored(new=1)


def test_a_document_on_its_way_is_not_replaced(rows: InvoiceRepository, job: UUID, engine: Engine) -> None:
    rows.store(job, [document("a")], now=NOW)
    validate(rows, job)
    ((row,),) = rows.batches_to_deliver(job, 10)
    (answer,) = SqlDeliveryLedger(engine).register(job, "clearfacts", [row])
    rows.record_results(job, [DeliveryResult(row.row_id, InvoiceStatus.SENT, answer.delivery.id)], now=NOW)
    assert rows.store(job, [document("a", "<changed/>", minutes=5)], now=NOW) == Stored(repeated=1)


def test_a_problem_fails_its_row_alone(rows: InvoiceRepository, jobs: JobRepository, job: UUID) -> None:
    bad = [document("p", problem="the record has no ubl"), SourceDocument("n", NOW, b"<x>\x00</x>")]
    assert rows.store(job, [*bad, document("a")], now=NOW) == Stored(new=3, unusable=2)
    assert jobs.counts(job) == JobCounts(failed=2, pending=1)
    assert {error.invoice_id for error in jobs.errors(job)} == {"p", "n"}
    assert [row.invoice_id for batch in rows.batches_to_validate(job, 10) for row in batch] == ["a"]


@pytest.mark.parametrize("invoice_id", ["x" * 5000, "a\x00b", "\ud800", "'; DROP TABLE invoices; --", "é" * 300])
def test_hostile_ids_are_stored(rows: InvoiceRepository, job: UUID, invoice_id: str) -> None:
    assert rows.store(job, [document(invoice_id, "<x/>")], now=NOW) == Stored(new=1)
    assert rows.store(job, [document(invoice_id, "<x/>")], now=NOW) == Stored(repeated=1)
    ((row,),) = rows.batches_to_validate(job, 10)
    assert len(row.invoice_id) <= LONGEST_INVOICE_ID


def test_ids_that_differ_late_stay_apart(rows: InvoiceRepository, job: UUID) -> None:
    long_ids = [document("x" * 400 + end, "<x/>") for end in "ab"]
    assert rows.store(job, long_ids, now=NOW) == Stored(new=2)


def test_verdicts_decide_what_happens_to_a_row(rows: InvoiceRepository, jobs: JobRepository, job: UUID) -> None:
    rows.store(job, [document("a"), document("h"), document("r")], now=NOW)
    ((accept, hold, reject),) = rows.batches_to_validate(job, 10)
    rows.record_reports(
        job,
        [
            (accept.id, report(Decision.ACCEPT, invoice("F-7")), {"n": 1}),
            (hold.id, report(Decision.HOLD), {}),
            (reject.id, report(Decision.REJECT), {}),
        ],
        now=NOW,
    )
    assert jobs.counts(job) == JobCounts(failed=1, pending=2)
    held = rows.get(hold.id)
    assert held is not None
    assert (held.record.status, held.record.error_message) == ("pending", "BR-CO-10: sum is wrong")
    shown = rows.get("a")
    assert shown is not None
    assert shown.report == {"n": 1}
    assert (shown.record.number, shown.record.payable_amount, shown.record.currency) == (
        "F-7",
        Decimal("121.00"),
        "EUR",
    )
    ((candidate,),) = rows.batches_to_deliver(job, 10)
    assert candidate.invoice_id == "a"
    assert (candidate.invoice.supplier, candidate.invoice.customer.vat_id) == (invoice().supplier, "BE0987654394")
    assert candidate.content_sha256 == stored(candidate.content).sha256


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1E+500", "1E-500"])
def test_an_absurd_amount_is_not_kept_but_breaks_nothing(rows: InvoiceRepository, job: UUID, amount: str) -> None:
    rows.store(job, [document("a")], now=NOW)
    ((row,),) = rows.batches_to_validate(job, 10)
    rows.record_reports(job, [(row.id, report(Decision.ACCEPT, invoice(amount=amount)), {})], now=NOW)
    ((candidate,),) = rows.batches_to_deliver(job, 10)
    assert candidate.invoice.payable.amount == 0


def test_batches_are_bounded_and_complete_while_rows_change(rows: InvoiceRepository, job: UUID) -> None:
    rows.store(job, [document(f"i-{number:03}") for number in range(25)], now=NOW)
    validate(rows, job)
    sizes, seen = [], []
    for batch in rows.batches_to_deliver(job, 10):
        sizes.append(len(batch))
        seen += [candidate.invoice_id for candidate in batch]
        rows.record_results(
            job, [DeliveryResult(one.row_id, InvoiceStatus.FAILED, None, "refused") for one in batch], now=NOW
        )
    assert sizes == [10, 10, 5]
    assert seen == [f"i-{number:03}" for number in range(25)]
    assert list(rows.batches_to_deliver(job, 10)) == []


def test_a_job_without_documents_of_its_own_takes_over_the_days_newest(
    rows: InvoiceRepository, jobs: JobRepository, engine: Engine
) -> None:
    first, second, third = (new_job(jobs, minutes) for minutes in range(3))
    rows.store(first, [document("a"), document("b"), document("p", problem="no document")], now=NOW)
    validate(rows, first, Decision.REJECT)
    rows.store(second, [document("b", "<newer/>", minutes=9)], now=NOW + timedelta(minutes=1))
    validate(rows, second)
    takeover = Takeover(engine)
    assert takeover.day(third, DAY, now=NOW + timedelta(minutes=2)) == 3
    assert takeover.day(third, DAY, now=NOW + timedelta(minutes=2)) == 3
    assert jobs.counts(third) == JobCounts(failed=1, pending=2)
    waiting = {row.invoice_id: row.content for batch in rows.batches_to_validate(third, 10) for row in batch}
    assert waiting == {"a": "<Invoice>a é</Invoice>".encode(), "b": b"<newer/>"}


def test_taking_over_with_verdicts_keeps_them(rows: InvoiceRepository, jobs: JobRepository, engine: Engine) -> None:
    first, second = new_job(jobs), new_job(jobs, 1)
    rows.store(first, [document("a"), document("b")], now=NOW)
    ((a, b),) = rows.batches_to_validate(first, 10)
    rows.record_reports(first, [(a.id, report(Decision.ACCEPT, invoice()), {})], now=NOW)
    rows.record_reports(first, [(b.id, report(Decision.REJECT), {})], now=NOW)
    Takeover(engine).day(second, DAY, now=NOW, validated=True)
    assert jobs.counts(second) == JobCounts(failed=1, pending=1)
    assert [one.invoice_id for batch in rows.batches_to_deliver(second, 10) for one in batch] == ["a"]


def test_lists_filter_and_page(rows: InvoiceRepository, job: UUID) -> None:
    rows.store(job, [document(f"i-{number}") for number in range(5)], now=NOW)
    first = rows.list(job_id=job, limit=3)
    rest = rows.list(job_id=job, limit=3, cursor=first.next_cursor)
    assert sorted(row.invoice_id for page in (first, rest) for row in page.items) == [f"i-{n}" for n in range(5)]
    assert rest.next_cursor is None
    assert [row.invoice_id for row in rows.list(invoice_id="i-3").items] == ["i-3"]
    assert rows.list(status="sent").items == []
    assert rows.get("nothing") is None

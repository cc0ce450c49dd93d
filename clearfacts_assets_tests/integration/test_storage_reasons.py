"""Why invoices did not leave: one line a reason, however many documents and lines it was found in."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Engine, insert

from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets.storage.invoices.reasons import Reason, by_reason, reasons_of
from clearfacts_assets.storage.invoices.tables import InvoiceRow

NOW = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)
ROWS = (
    ("c", "failed", "BR-CO-16: The amount due is wrong. (line 31) and 2 more"),
    ("b", "failed", "BR-CO-16: The amount due is wrong. (line 32)"),
    ("d", "failed", "BR-CO-16: The amount due is wrong."),
    ("e", "pending", None),
    ("f", "pending", "HTTP 429 (line 3) was answered"),  # only the end of a reason is of one document
    ("a", "sent", None),
    ("g", "duplicate", "delivered before"),
)


def test_reasons_are_counted_without_what_differs_from_document_to_document(engine: Engine) -> None:
    jobs = JobRepository(engine)
    ids = []
    for _ in range(2):
        job = jobs.begin(
            uuid4(), job_type="manual", partition_key="2026-11-20", correlation_id=None, details={}, now=NOW
        )
        ids.append(job.id)
        values = [
            {"id": uuid4(), "job_id": job.id, "invoice_id": invoice, "status": status, "error_message": message}
            for invoice, status, message in ROWS
        ]
        with engine.begin() as connection:
            connection.execute(insert(InvoiceRow), [{**one, "created_at": NOW, "updated_at": NOW} for one in values])
    assert reasons_of(engine, ids[0]) == [
        Reason("BR-CO-16: The amount due is wrong.", 3, ("b", "c", "d")),
        Reason("HTTP 429 (line 3) was answered", 1, ("f",)),
        Reason("not tried yet", 1, ("e",)),
    ]
    assert reasons_of(engine, uuid4()) == []


RECEIVER = (
    "held for a person: receiver {} is not an administration of this Clearfacts account: add it there and run the day "
    "again, or `clearfacts deliveries resolve ID --as resend` sends it all the same, `--as waive` never"
)


def told(*messages: str) -> list[tuple[str, int]]:
    found = by_reason((message, 1, f"INV-{place:03d}") for place, message in enumerate(messages))
    return [(reason.text, reason.invoices) for reason in found]


def test_40_unknown_receivers_of_44_invoices_are_one_reason_with_examples():
    messages = [(RECEIVER.format(f"BE{900_000_000 + n:010d}"), 2 if n < 4 else 1, f"INV-{n:03d}") for n in range(40)]
    assert by_reason(messages) == [Reason(RECEIVER.format("…"), 44, ("INV-000", "INV-001", "INV-002"))]


def test_a_reason_that_is_alone_keeps_its_values():
    assert told(RECEIVER.format("BE0900000001")) == [(RECEIVER.format("BE0900000001"), 1)]


def test_findings_of_a_rule_are_one_reason_whatever_they_name():
    assert told(
        "BR-CL-03: currencyID MUST be coded: EUX",
        "BR-CL-03: currencyID MUST be coded: EUX (line 7) and 2 more",
        "BE-VAT: BE0123 is not a number",
        "BE-VAT: BEABC is not a number",
        "BR-CL-04: currencyID MUST be coded: EUX",
    ) == [
        ("BE-VAT: … is not a number", 2),
        ("BR-CL-03: currencyID MUST be coded: EUX", 2),
        ("BR-CL-04: currencyID MUST be coded: EUX", 1),
    ]


def test_values_are_numbers_and_what_stands_in_quotes():
    same = (
        ("refused: TOO_LARGE: 'a.pdf' has 17 pages", "refused: TOO_LARGE: 'b.pdf' has 8 pages", 1),
        ("given up after 5 tries: HTTP 503", "given up after 4 tries: HTTP 503", 1),
        ("given up after 5 tries: HTTP 503", "given up after 5 tries: HTTP 502", 2),
        ("refused: A: no", "refused: B: no", 2),
        ("the document has no number (BT-1)", "the document has no amount (BT-115)", 2),
        ("DOC-HEAD: 'x' is not a date", "DOC-HEAD: 'y' is not a date", 1),
        ("DOC-HEAD: 'x' is not a date", "DOC-HEAD: 'x' is not an amount", 2),
        ("the supplier's number and the receiver's", "the supplier's name and the receiver's", 2),
        (
            "the document has 21,000,000 bytes; validation.document_bytes allows 20,971,520",
            "the document has 22 bytes; validation.document_bytes allows 20,971,520",
            1,
        ),
        (
            "run 6f1f0c52-5b0e-4c7a-9c39-5b6c1d3f8a10 is sending it",
            "run aaaaaaaa-5b0e-4c7a-9c39-5b6c1d3f8a1f is sending it",
            1,
        ),
        ("XSD: Element 'x': This element is not expected.", "XSD: Element 'y': This element is not expected.", 1),
        ("XSD: This element is not expected.", "XSD: This element is missing.", 2),
    )
    for first, second, reasons in same:
        assert len(told(first, second)) == reasons, (first, second)

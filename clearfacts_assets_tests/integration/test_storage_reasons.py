"""Why invoices did not leave: one line a reason, however many documents and lines it was found in."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Engine, insert

from clearfacts_assets.storage.jobs import JobRepository
from clearfacts_assets.storage.reasons import Reason, reasons_of
from clearfacts_assets.storage.tables import InvoiceRow

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
        Reason("BR-CO-16: The amount due is wrong.", 3, "b"),
        Reason("HTTP 429 (line 3) was answered", 1, "f"),
        Reason("not tried yet", 1, "e"),
    ]
    assert reasons_of(engine, uuid4()) == []

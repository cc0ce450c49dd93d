"""What a long outage does to the size of our database: a run that sends nothing leaves next to nothing behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine, func, select

from clearfacts_assets.invoices.model import SourceDocument
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices import takeover
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets.storage.invoices.review_queue import days_due
from clearfacts_assets.storage.invoices.tables import InvoiceRow
from clearfacts_assets_tests.fixtures.pipeline import DAY, Pipeline

PIECE = 3  # rows that are taken over together; so many and no more does a run take that stops at once


def size(engine: Engine) -> tuple[int, int]:
    """Rows, and the documents that are kept with them."""
    with reading(engine) as connection:
        rows, documents = connection.execute(select(func.count(), func.count(InvoiceRow.ubl_data))).one()
    return rows, documents


@pytest.fixture
def outage(quick_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Clearfacts is down while the day runs, and stays so."""
    pipeline = quick_pipeline
    monkeypatch.setattr(takeover, "ROWS_AT_ONCE", PIECE)
    pipeline.configure(DELIVERY__UNKNOWNS_IN_A_ROW=1, DELIVERY__CONCURRENCY=1)
    pipeline.simulator.fault("clearfacts", "status", status=503, match={"operation": "upload"})
    assert pipeline.run().job.status == "failed"
    return pipeline


def test_runs_for_what_is_due_multiply_neither_rows_nor_documents_while_clearfacts_is_down(outage: Pipeline) -> None:
    rows, documents = size(outage.engine)
    due = days_due(outage.engine)[DAY]
    assert due > 2 * PIECE
    for runs in range(1, 3):
        again = outage.run(job="delivery_of_what_is_due")
        assert (again.job.status, again.counts.total) == ("failed", PIECE)
        assert again.checks["counts_are_conserved"]
        assert size(outage.engine) == (rows + runs * PIECE, documents)
    outage.simulator.clear_faults()
    outage.configure(DELIVERY__UNKNOWNS_IN_A_ROW=3)
    assert outage.run(job="delivery_of_what_is_due").job.status == "completed"
    assert days_due(outage.engine) == {}
    outage.check_nothing_twice()


def test_a_document_that_a_job_has_kept_which_is_over_is_not_kept_again(engine: Engine) -> None:
    jobs, rows, now = JobRepository(engine), InvoiceRepository(engine), datetime(2026, 11, 21, tzinfo=UTC)
    over, under_way, again = (uuid4() for _ in range(3))
    for job in (over, under_way, again):
        jobs.begin(job, job_type="manual", partition_key=DAY, correlation_id=None, details={}, now=now)
    rows.store(over, [SourceDocument("a", now, b"<a/>")], now=now)
    rows.store(under_way, [SourceDocument("b", now, b"<b/>")], now=now)
    jobs.finish(over, "failed", error_message="Clearfacts is down", now=now)
    rows.store(again, [SourceDocument("a", now, b"<a/>"), SourceDocument("b", now, b"<b/>")], now=now)
    assert {row.invoice_id: row.content for batch in rows.batches_to_validate(again, 10) for row in batch} == {
        "a": b"<a/>",
        "b": b"<b/>",
    }
    # What a job under way has may yet be replaced there.
    assert size(engine) == (4, 3)
    rows.store(under_way, [SourceDocument("b", now + timedelta(hours=1), b"<newer/>")], now=now)
    ((_, b),) = rows.batches_to_validate(again, 10)
    assert b.content == b"<b/>"

"""What a long outage does to the size of our database: a run that sends nothing leaves next to nothing behind."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices import takeover
from clearfacts_assets.storage.invoices.review_queue import days_due
from clearfacts_assets.storage.invoices.tables import InvoiceRow
from clearfacts_assets_tests.fixtures.pipeline import DAY, Pipeline

PIECE = 3  # rows that are taken over together; so many and no more does a run take that stops at once


def size(pipeline: Pipeline) -> tuple[int, int]:
    """Rows, and the documents that are kept with them."""
    with reading(pipeline.engine) as connection:
        rows, documents = connection.execute(select(func.count(), func.count(InvoiceRow.ubl_data))).one()
    return rows, documents


@pytest.fixture
def outage(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Clearfacts is down while the day runs, and stays so."""
    monkeypatch.setattr(takeover, "ROWS_AT_ONCE", PIECE)
    pipeline.configure(DELIVERY__UNKNOWNS_IN_A_ROW=1, DELIVERY__CONCURRENCY=1)
    pipeline.simulator.fault("clearfacts", "status", status=503, match={"operation": "upload"})
    assert pipeline.run().job.status == "failed"
    return pipeline


def test_runs_for_what_is_due_multiply_neither_rows_nor_documents_while_clearfacts_is_down(outage: Pipeline) -> None:
    rows, documents = size(outage)
    due = days_due(outage.engine)[DAY]
    assert due > 2 * PIECE
    for runs in range(1, 3):
        again = outage.run(job="delivery_of_what_is_due")
        assert (again.job.status, again.counts.total) == ("failed", PIECE)
        assert again.checks["counts_are_conserved"]
        assert size(outage) == (rows + runs * PIECE, documents)
    outage.simulator.clear_faults()
    outage.configure(DELIVERY__UNKNOWNS_IN_A_ROW=3)
    assert outage.run(job="delivery_of_what_is_due").job.status == "completed"
    assert days_due(outage.engine) == {}
    outage.check_nothing_twice()


def test_a_day_that_is_run_again_while_clearfacts_is_down_keeps_no_document_twice(outage: Pipeline) -> None:
    documents = size(outage)[1]
    again = outage.run()
    assert again.job.status == "failed"
    assert size(outage)[1] == documents
    outage.simulator.clear_faults()
    last = outage.run()
    assert (last.job.status, size(outage)[1]) == ("completed", documents)
    outage.check_nothing_twice()

"""An invoice's row says what became of its delivery, however the run ended, and whoever found it out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, insert
from sqlalchemy.exc import OperationalError

from clearfacts_assets.invoices.defs.runs import reconcile
from clearfacts_assets.invoices.ledger.model import DeliveryRecord, Settlement
from clearfacts_assets.invoices.lifecycle import Event, State
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets.storage.invoices.tables import InvoiceRow
from clearfacts_assets_tests.fixtures.pipeline import DAY, Pipeline
from clearfacts_assets_tests.fixtures.submissions import TRANSPORT, candidate

NOW = datetime.now(UTC)
LOST = OperationalError("", {}, Exception("server closed the connection"), connection_invalidated=True)


class Connection:
    """A database that goes away once at the n-th call of a method, as PostgreSQL does when it is restarted."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: type, method: str, lost_at: int) -> None:
        self.calls, real = 0, getattr(owner, method)

        def call(*arguments, **more):
            self.calls += 1
            if self.calls == lost_at:
                raise LOST
            return real(*arguments, **more)

        patch.setattr(owner, method, call)


def test_what_arrived_is_noted_by_a_run_that_ends_by_an_exception(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.configure(DELIVERY__CONCURRENCY=1)  # so that some are not claimed yet
    Connection(monkeypatch, SqlDeliveryLedger, "exchange", lost_at=4)
    run = pipeline.run()
    states = pipeline.states()
    assert run.job.status == "failed"
    assert states[State.DELIVERED] > 0
    assert states[State.READY] > 0
    assert run.counts.sent == states[State.DELIVERED]
    assert run.counts.pending == states.total() - states[State.DELIVERED]


def test_a_job_whose_rows_cannot_follow_stays_open_until_they_can(
    quick_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    Connection(monkeypatch, SqlDeliveryLedger, "exchange", lost_at=4)
    Connection(monkeypatch, InvoiceRepository, "follow_deliveries", lost_at=1)
    run = quick_pipeline.run()
    assert run.job.status == "running"
    assert run.counts.sent < quick_pipeline.states()[State.DELIVERED]
    reconcile(quick_pipeline.instance, quick_pipeline.engine)
    assert quick_pipeline.jobs.counts(run.job.id).sent == quick_pipeline.states()[State.DELIVERED]
    assert quick_pipeline.jobs.list(status="failed").items[0].id == run.job.id


@pytest.mark.parametrize(
    ("ended", "row"),
    [("failed", "sent"), ("completed", "sent"), (None, "pending")],
)
def test_rows_of_an_earlier_job_follow_what_a_later_one_found_out(engine: Engine, ended: str | None, row: str) -> None:
    """Only those of jobs that are over: a job that runs writes its rows itself."""
    job_id, later = begun(engine), begun(engine)
    (record,) = in_doubt(engine, job_id, ["F-1"])
    if ended:
        JobRepository(engine).finish(job_id, ended, error_message=None, now=NOW)
    SqlDeliveryLedger(engine).settle([Settlement(record.id, record.fence, (Event.FOUND,), document_id="d-1")])
    InvoiceRepository(engine).follow_deliveries(later, now=NOW)
    assert [one.status for one in InvoiceRepository(engine).list(job_id=job_id).items] == [row]


def test_rows_whose_deliveries_are_open_wait_on(engine: Engine) -> None:
    job_id = begun(engine)
    in_doubt(engine, job_id, ["F-1", "F-2"])
    JobRepository(engine).finish(job_id, "failed", error_message=None, now=NOW)
    assert InvoiceRepository(engine).follow_deliveries(job_id, now=NOW) == 0
    assert JobRepository(engine).counts(job_id).pending == 2


def begun(engine: Engine) -> UUID:
    job = JobRepository(engine).begin(
        uuid4(), job_type="manual", partition_key=DAY, correlation_id=None, details={}, now=NOW
    )
    return job.id


def in_doubt(engine: Engine, job_id: UUID, numbers: Sequence[str]) -> Sequence[DeliveryRecord]:
    """Deliveries that the job was sending, and of which nobody can tell; each with a pending row of the job."""
    ledger, some = SqlDeliveryLedger(engine), [candidate(number) for number in numbers]
    with engine.begin() as connection:
        for one in some:
            values = {"id": one.row_id, "invoice_id": one.invoice_id, "created_at": NOW, "updated_at": NOW}
            connection.execute(insert(InvoiceRow).values(job_id=job_id, **values))
    answers = ledger.register(job_id, "clearfacts", some)
    records = ledger.claim(job_id, [answer.delivery.id for answer in answers], 60, TRANSPORT)
    ledger.expire([job_id])
    return records

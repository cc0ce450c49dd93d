"""Runs that are late: what they took from the ERP is not what it shows by now, whoever brings it to the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from clearfacts_assets.invoices.ledger.model import DeliveryRecord
from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.invoices.model import SourceDocument
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets.storage.invoices.takeover import Takeover
from clearfacts_assets_tests.faults.papers import Paper
from clearfacts_assets_tests.faults.worker import accepted_report

DAY, MORNING = "2026-11-20", datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
FIRST, CORRECTED = Paper("E1", "F-1"), Paper("E1", "F-1", version=2)


class Night:
    """Runs of one day, each step at its minute."""

    def __init__(self, engine: Engine) -> None:
        self.jobs, self.rows = JobRepository(engine), InvoiceRepository(engine)
        self.ledger, self.takeover = SqlDeliveryLedger(engine), Takeover(engine)

    def run(self, minute: int, *papers: Paper) -> UUID:
        """It takes these from the ERP, which changed them a minute before, and has them validated."""
        return self.run_at(MORNING + timedelta(minutes=minute), *papers)

    def run_at(self, now: datetime, *papers: Paper) -> UUID:
        run_id = uuid4()
        self.jobs.begin(run_id, job_type="manual", partition_key=DAY, correlation_id=str(run_id), details={}, now=now)
        changed = now - timedelta(minutes=1)
        documents = [SourceDocument(paper.erp_id, changed, paper.content) for paper in papers]
        self.rows.store(run_id, documents, now=now, skip_delivered=True)
        for batch in self.rows.batches_to_validate(run_id, 50):
            self.rows.record_reports(run_id, [(row.id, accepted_report(row.content), {}) for row in batch], now=now)
        return run_id

    def register(self, run_id: UUID) -> list[DeliveryRecord]:
        batches = self.rows.batches_to_deliver(run_id, 50, lambda changed: DAY)
        return [one.delivery for batch in batches for one in self.ledger.register(run_id, "clearfacts", batch)]

    def dies(self, run_id: UUID, minute: int) -> None:
        self.jobs.finish(run_id, "failed", error_message="killed", now=MORNING + timedelta(minutes=minute))

    def re_execute(self, run_id: UUID, minute: int) -> list[DeliveryRecord]:
        """From failure: on the rows that the run took."""
        again = self.run(minute)
        self.takeover.job(again, DAY, run_id, now=MORNING + timedelta(minutes=minute), validated=True)
        return self.register(again)

    def state(self, one: DeliveryRecord) -> State:
        return self.ledger.states([one.id])[one.id].state


@pytest.fixture
def night(engine: Engine) -> Night:
    return Night(engine)


def test_a_re_execution_from_failure_does_not_put_old_content_in_a_corrections_place(night: Night) -> None:
    killed = night.run(0, FIRST)
    night.dies(killed, 1)
    (correction,) = night.register(night.run(5, CORRECTED))
    (old,) = night.re_execute(killed, 9)
    assert (night.state(old), night.state(correction)) == (State.SUPERSEDED, State.READY)


def test_a_re_execution_of_a_re_execution_is_no_newer_either(night: Night) -> None:
    killed = night.run(0, FIRST)
    night.dies(killed, 1)
    again = night.run(2)
    night.takeover.job(again, DAY, killed, now=MORNING + timedelta(minutes=2), validated=True)
    night.dies(again, 3)
    (correction,) = night.register(night.run(5, CORRECTED))
    (old,) = night.re_execute(again, 9)
    assert (night.state(old), night.state(correction)) == (State.SUPERSEDED, State.READY)


def test_what_one_run_saw_withdrawn_does_not_leave_by_another_one_that_took_it_before(night: Night) -> None:
    night.register(night.run(0, FIRST))
    late = night.run(2, FIRST)
    assert night.ledger.withdraw(night.run(5), DAY) == 1
    (one,) = night.register(late)
    assert night.state(one) is State.WITHDRAWN
    (back,) = night.register(night.run(8, FIRST))
    assert (back.id, back.state) == (one.id, State.READY)


def test_a_run_withdraws_nothing_that_another_one_saw_after_it_had_begun(night: Night) -> None:
    whole_day = night.run(0)
    (created,) = night.register(night.run(1, FIRST))
    assert night.ledger.withdraw(whole_day, DAY) == 0
    assert night.state(created) is State.READY


def test_what_a_run_with_a_clock_that_is_ahead_did_not_see_leaves_when_others_see_it_again(night: Night) -> None:
    """It may have read a list that was being written; its withdrawal does not last until its clock's time has come."""
    night.register(night.run(0, FIRST))
    assert night.ledger.withdraw(night.run_at(datetime.now(UTC) + timedelta(days=1)), DAY) == 1
    (back,) = night.register(night.run_at(datetime.now(UTC), FIRST))
    assert back.state is State.READY

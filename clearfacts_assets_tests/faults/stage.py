"""One database, one simulator, workers: what the fault suite plays on, and what must hold whatever was played."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from uuid import UUID, uuid4

from sqlalchemy import Table, delete, func, select

from clearfacts_assets.invoices.defs.notifications import tell_of_forgotten_jobs
from clearfacts_assets.invoices.ledger.model import DeliveryRecord
from clearfacts_assets.invoices.lifecycle import FINAL, OVER, State, Verdict
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.notifications.outbox import LONGEST_WAIT, dispatch
from clearfacts_assets.storage.database import open_engine, reading
from clearfacts_assets.storage.invoices.delivery_review import DeliveryReview
from clearfacts_assets.storage.invoices.delivery_rows import record_of
from clearfacts_assets.storage.invoices.jobs import FINISHED
from clearfacts_assets.storage.invoices.tables import (
    Base,
    Delivery,
    DeliveryAttempt,
    DeliveryWish,
    InvoiceRow,
    Job,
    SourceVersion,
)
from clearfacts_assets.storage.operations.tables import Alert
from clearfacts_assets_tests.faults.papers import Paper
from clearfacts_assets_tests.faults.worker import WINDOW, Place, Worker
from clearfacts_assets_tests.faults.workshop import Workshop
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator


class Stage:
    """Plays workers against the simulator and looks at what came of it."""

    def __init__(self, database_url: str, simulator: RunningSimulator, workshop: Workshop) -> None:
        self.database_url, self.simulator, self.workshop = database_url, simulator, workshop
        self.transport = "graphql"
        self.engine = open_engine(database_url)
        self.review = DeliveryReview(self.engine)
        self.runs: list[str] = []  # of this scene
        self.dead: list[str] = []
        self.people = False  # who may send again what is delivered, and change their minds
        self._final: dict[UUID, DeliveryRecord] = {}

    def __enter__(self) -> Stage:
        self.workshop.warm_up(self.place)
        self.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.engine.dispose()

    def clear(self) -> None:
        """An empty database and a simulator that has seen nothing, and has nothing left to do."""
        self.simulator.become_quiet()
        with self.engine.begin() as connection:
            for entity in (
                InvoiceRow,
                DeliveryAttempt,
                DeliveryWish,
                SourceVersion,
                Delivery,
                Job,
                Alert,
            ):  # the audit log can only be added to
                connection.execute(delete(entity))
        self.simulator.reset(per_day=0)
        self.runs, self.dead, self.people, self._final = [], [], False, {}

    def play(self, *workers: Worker) -> list[int]:
        """Run workers at once; who died is told to those who come later."""
        ends = self.workshop.run(self.place, workers)
        self.runs += [worker.run_id for worker in workers]
        self.dead += [worker.run_id for worker, end in zip(workers, ends, strict=True) if end != 0]
        return ends

    @property
    def place(self) -> Place:
        simulated = self.simulator
        return Place(
            self.database_url,
            self.transport,
            simulated.clearfacts_url,
            simulated.clearfacts_token,
            simulated.erp_url,
            simulated.erp_token,
            simulated.slack_url,
            simulated.slack_token,
        )

    def fill_the_erp(self, papers: Sequence[Paper]) -> None:
        """The ERP has these, changed one second after the other."""
        for number, paper in enumerate(papers):
            moment = WINDOW.start + timedelta(hours=1, seconds=number)
            self.simulator.inject(paper.erp_id, moment, paper.content.decode())

    def run(self, papers: Sequence[Paper], **options: object) -> int:
        """One worker, told of all that died before it."""
        (end,) = self.play(Worker(new_run(), papers, dead_run_ids=tuple(self.dead), **options))  # type: ignore[arg-type]
        self.watch_final_states()
        return end

    def deliveries(self) -> list[DeliveryRecord]:
        with reading(self.engine) as connection:
            return [record_of(row) for row in connection.execute(select(_table(Delivery))).mappings()]

    def states(self) -> dict[str, State]:
        """By number; where there are revisions, of the last one."""
        return {record.key.number: record.state for record in sorted(self.deliveries(), key=lambda one: one.revision)}

    def rows_left(self) -> list[tuple[str, State]]:
        """Rows of jobs that are over, which wait for deliveries that are over, too."""
        states = {record.id: record.state for record in self.deliveries()}
        query = select(InvoiceRow.invoice_id, InvoiceRow.delivery_id).join(Job, Job.id == InvoiceRow.job_id)
        query = query.where(InvoiceRow.status == InvoiceStatus.PENDING, Job.status.in_(FINISHED))
        with reading(self.engine) as connection:
            rows = connection.execute(query).tuples().all()
        return [(erp_id, states[one]) for erp_id, one in rows if one is not None and states[one] in OVER]

    def accepted(self) -> Counter[str]:
        """How often the simulator accepted which content."""
        return Counter(document["sha256"] for document in self.simulator.accepted())

    def watch_final_states(self) -> None:
        """An acceptance stays; so does a final state, where nobody resends what was delivered or waived."""
        now = {record.id: record for record in self.deliveries()}
        for identifier, before in self._final.items():
            assert before.delivered_at is None or now[identifier].delivered_at is not None, f"forgotten: {before}"
            if self.people:
                continue
            assert now[identifier].state is before.state, f"{before} became {now[identifier]}"
        self._final = {identifier: record for identifier, record in now.items() if record.state in FINAL}

    def decide(self) -> int:
        """An honest person looks at Clearfacts and decides about all that waits. Returns the number of verdicts."""
        self.simulator.become_quiet()
        accepted = self.accepted()
        by_key: defaultdict[str, list[DeliveryRecord]] = defaultdict(list)
        for record in self.deliveries():
            by_key[record.key.digest].append(record)
        verdicts = 0
        for revisions in by_key.values():
            there = [record for record in revisions if accepted[record.content_sha256]]
            open_ones = [one for one in revisions if one.state in (State.HELD, State.PARKED)]
            for record in open_ones:
                if record in there:
                    self._resolve(record, Verdict.DELIVERED)
                elif there or record is not open_ones[-1]:
                    self._resolve(record, Verdict.WAIVE)
                else:
                    self._resolve(record, Verdict.RESEND)
                verdicts += 1
            if not there and all(one.state is State.REJECTED for one in revisions):
                self._resolve(revisions[-1], Verdict.RESEND)
                verdicts += 1
        return verdicts

    def _resolve(self, record: DeliveryRecord, verdict: Verdict) -> None:
        self.review.resolve(record.id, verdict, reason="seen at Clearfacts", actor="a person", now=datetime.now(UTC))

    def check(self, papers: Sequence[Paper]) -> None:
        """What must hold after any scene, before a person decides anything."""
        self.simulator.become_quiet()
        accepted, deliveries = self.accepted(), self.deliveries()
        self._never_twice(papers, accepted)
        self._nothing_claimed(deliveries)
        self._ledger_agrees(deliveries, accepted)
        self._counts_conserved()

    def check_all_delivered(self, papers: Sequence[Paper]) -> None:
        """Once a person has decided and a last run is over: every invoice has arrived, exactly once."""
        self.check(papers)
        accepted = self.accepted()
        missing = {paper.key for paper in papers} - {paper.key for paper in papers if accepted[paper.sha256]}
        assert not missing, f"lost: {missing}"
        waiting = [record for record in self.deliveries() if record.state not in (*FINAL, State.REJECTED)]
        assert not waiting, f"not settled: {waiting}"

    def check_all_told(self) -> None:
        """Once Slack is well again, every job that came to an end has been told; once, but for those that were cut."""
        known, long_after = self.place.settings, datetime.now(UTC) + 2 * LONGEST_WAIT
        tell_of_forgotten_jobs(self.engine, known, now=datetime.now(UTC))
        while dispatch(self.engine, self.place.slack.send, lambda: long_after).sent:
            pass
        with reading(self.engine) as connection:
            ended = [str(one) for one in connection.scalars(select(Job.id).where(Job.status.in_(FINISHED)))]
            waiting = connection.execute(select(Alert.subject, Alert.last_error).where(Alert.state != "sent")).all()
        assert not waiting, f"never told: {waiting}"
        messages = [json.dumps(message) for message in self.simulator.slack_messages()]
        told = Counter({job: sum(f"/runs/{job}" in message for message in messages) for job in ended})
        assert all(told.values()), f"never told: {told}"
        assert told.total() <= len(ended) + len(self.dead), f"told more than once: {told}"

    def _never_twice(self, papers: Sequence[Paper], accepted: Counter[str]) -> None:
        by_key: Counter[tuple[str, str]] = Counter()
        for sha256, key in {(paper.sha256, paper.key) for paper in papers}:
            by_key[key] += accepted[sha256]
        twice = {key: number for key, number in by_key.items() if number > 1}
        assert not twice, f"accepted more than once: {twice}"
        assert accepted.total() == sum(by_key.values()), "something was accepted that nobody sent"

    def _nothing_claimed(self, deliveries: Sequence[DeliveryRecord]) -> None:
        claimed = [record for record in deliveries if record.state in (State.SENDING, State.UNKNOWN)]
        assert not claimed, f"still claimed: {claimed}"
        with reading(self.engine) as connection:
            attempts = _table(DeliveryAttempt)
            unfinished = select(func.count()).where(attempts.c.outcome.is_(None))
            assert connection.execute(unfinished).scalar_one() == 0, "an attempt without an outcome"
            fences = select(func.coalesce(func.sum(_table(Delivery).c.fence), 0))
            tries = select(func.count()).select_from(attempts)
            assert connection.execute(tries).scalar_one() == connection.execute(fences).scalar_one()

    def _ledger_agrees(self, deliveries: Sequence[DeliveryRecord], accepted: Counter[str]) -> None:
        for record in deliveries:
            if record.state is State.DELIVERED:
                assert accepted[record.content_sha256], f"never accepted: {record}"
            elif record.state in (State.READY, State.WAITING, State.HELD, State.REJECTED):
                assert not accepted[record.content_sha256], f"accepted, and would be sent again: {record}"

    def _counts_conserved(self) -> None:
        with reading(self.engine) as connection:
            jobs = dict(connection.execute(select(Job.id, Job.status)).tuples().all())
            rows = connection.execute(select(InvoiceRow.job_id, InvoiceRow.status, InvoiceRow.delivery_id)).all()
        sent = Counter(row.delivery_id for row in rows if row.status == InvoiceStatus.SENT)
        assert all(number == 1 for number in sent.values()), f"counted as sent more than once: {sent.most_common(3)}"
        states = {record.id: record.state for record in self.deliveries()}
        for row in rows:
            if row.status == InvoiceStatus.SENT:
                assert states[row.delivery_id] is State.DELIVERED
            elif row.status == InvoiceStatus.PENDING and jobs[row.job_id] == "completed" and row.delivery_id:
                assert states[row.delivery_id] is not State.REJECTED


def new_run() -> str:
    return str(uuid4())


def _table(entity: type[Base]) -> Table:
    table = entity.__table__
    assert isinstance(table, Table)
    return table

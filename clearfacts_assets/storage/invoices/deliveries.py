"""The delivery ledger on SQLite or PostgreSQL: nobody sends without a claim in it, nobody claims what another one has.

Every method is one transaction, retried when it collides with another one. Leases are kept by the database's clock.
What may be done is decided by the trade (invoices/ledger/history.py); here it is loaded, and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast
from uuid import UUID

from sqlalchemy import (
    Connection,
    Engine,
    Table,
    bindparam,
    exists,
    func,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError

from clearfacts_assets.invoices.ledger.batch import Batch
from clearfacts_assets.invoices.ledger.model import (
    HELD_FOR_RECEIVER,
    Attempt,
    Barrier,
    Candidate,
    Claim,
    DeliveryRecord,
    Force,
    Registration,
    Settlement,
)
from clearfacts_assets.invoices.lifecycle import OVER, Event, State, before
from clearfacts_assets.invoices.model import InvoiceKey
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets.storage.bulk import execute_many
from clearfacts_assets.storage.database import database_now, read, reading, was_lost, write
from clearfacts_assets.storage.invoices.claims import claim_free, doubted_elsewhere, settle
from clearfacts_assets.storage.invoices.delivery_rows import PersonsDecision, audit, record_of
from clearfacts_assets.storage.invoices.histories import (
    Raced,
    complete,
    load,
    wishes_of,
)
from clearfacts_assets.storage.invoices.tables import (
    SHOWN_NOW,
    Delivery,
    DeliveryAttempt,
    InvoiceRow,
    Job,
    SourceVersion,
)

SETTLE_PATIENCE_SECONDS = 60.0  # an answer that cannot be written costs a person's time: try longer than elsewhere
ROUNDS = 20  # each lost one means that somebody else registered something
WITHDRAWN_AT_ONCE = 200

_deliveries = cast(Table, Delivery.__table__)
_attempts = cast(Table, DeliveryAttempt.__table__)
_rows = cast(Table, InvoiceRow.__table__)
_shown = cast(Table, SourceVersion.__table__)

T = TypeVar("T")


class SqlDeliveryLedger:
    """See ports.DeliveryLedger. ``clock`` replaces the database's time, for tests; ``patience`` is in seconds."""

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], datetime] | None = None,
        patience: float = SETTLE_PATIENCE_SECONDS,
    ) -> None:
        self._engine, self._clock, self._patience = engine, clock, patience

    def register(
        self, run_id: UUID, destination: str, candidates: Sequence[Candidate], force: Force | None = None
    ) -> list[Registration]:
        if not candidates:
            return []
        fresh = [one for one in candidates if one.delivery_id is None]
        keys = [InvoiceKey.of(one.invoice, destination) for one in candidates]
        digests = {key.digest for one, key in zip(candidates, keys, strict=True) if one.delivery_id is None}
        source_ids = {one.invoice_id for one in fresh}
        known = {one.delivery_id for one in candidates if one.delivery_id is not None}

        def work(connection: Connection) -> list[Registration]:
            now = self._now(connection)
            loaded = load(connection, now, digests=digests, delivery_ids=known, source_ids=source_ids)
            if force is not None:
                loaded.batch.wishes = wishes_of(connection, force.request, {*digests, *loaded.batch.histories})
            answers = loaded.batch.register(destination, candidates, force, keys)
            loaded.save(connection)
            if force is not None:
                _audit_forced(connection, loaded.batch, force, now)
            _link(connection, answers)
            return answers

        return self._unraced(work)

    def hold(self, reasons: Mapping[UUID, str]) -> dict[UUID, DeliveryRecord]:
        barriers = {one: Barrier(HELD_FOR_RECEIVER, reason) for one, reason in reasons.items()}
        return self._bar(barriers, Event.UNRECOGNISED)

    def release(self, delivery_ids: Sequence[UUID]) -> dict[UUID, DeliveryRecord]:
        return self._bar(dict.fromkeys(delivery_ids), Event.RECOGNISED)

    def _bar(self, barriers: Mapping[UUID, Barrier | None], event: Event) -> dict[UUID, DeliveryRecord]:
        def work(batch: Batch) -> dict[UUID, DeliveryRecord]:
            for delivery_id, barrier in barriers.items():
                history, one = batch.of(delivery_id), batch.version(delivery_id)
                # What a person ordered, or may be there already, is not kept back for its receiver's sake.
                kept_back = barrier is not None and one.ordered is None and not one.in_doubt
                released = barrier is None and one.held_for == HELD_FOR_RECEIVER
                if one.state in before(event) and (kept_back or released):
                    history.hold(delivery_id, barrier)
                    history.review(delivery_id, event)
            return {delivery_id: batch.version(delivery_id) for delivery_id in barriers}

        return self._change(list(barriers), work) if barriers else {}

    def claim(
        self, run_id: UUID, delivery_ids: Sequence[UUID], lease: float, transport: str, correlation_id: str = ""
    ) -> list[DeliveryRecord]:
        return self.exchange((), Claim(run_id, delivery_ids, lease, transport, correlation_id))[1]

    def settle(self, settlements: Sequence[Settlement]) -> dict[UUID, DeliveryRecord]:
        return self.exchange(settlements, None)[0]

    def exchange(
        self, settlements: Sequence[Settlement], claim: Claim | None
    ) -> tuple[dict[UUID, DeliveryRecord], list[DeliveryRecord]]:
        claiming = claim is not None and bool(claim.delivery_ids)
        if not settlements and not claiming:
            return {}, []

        def work(connection: Connection) -> tuple[dict[UUID, DeliveryRecord], list[DeliveryRecord]]:
            now = self._now(connection)
            settled = settle(connection, settlements, now) if settlements else {}
            claimed = claim_free(connection, claim, now) if claim is not None and claiming else []
            return settled, claimed

        try:
            return write(self._engine, work, repeatable=not claiming, patience=self._patience)
        except DBAPIError as error:
            if not claiming or claim is None or not was_lost(error):
                raise
            # Nobody heard of the commit: settle again, which changes nothing if it happened, and look what is ours.
            return self.exchange(settlements, None)[0], self._claimed(claim)

    def _claimed(self, claim: Claim) -> list[DeliveryRecord]:
        """Those of the wished ones that this run has claimed, and has not sent yet."""
        query = select(_deliveries).where(
            _deliveries.c.id.in_(claim.delivery_ids),
            _deliveries.c.state == State.SENDING,
            _deliveries.c.run_id == claim.run_id,
        )
        return read(self._engine, lambda connection: [record_of(row) for row in connection.execute(query).mappings()])

    def expire(self, dead_run_ids: Collection[UUID] = ()) -> int:
        def find(connection: Connection) -> list[UUID]:
            over = or_(_deliveries.c.lease_until < self._now(connection), _deliveries.c.run_id.in_(dead_run_ids))
            return list(connection.scalars(_of_state(State.SENDING).where(over)))

        def work(connection: Connection) -> int:
            delivery_ids = find(connection)
            now = self._now(connection)
            loaded = load(connection, now, delivery_ids=delivery_ids)
            ended = []
            for delivery_id in delivery_ids:
                one = loaded.batch.version(delivery_id)
                is_over = one.lease_until is not None and (one.lease_until < now or one.run_id in dead_run_ids)
                if one.state is State.SENDING and is_over:
                    said = loaded.batch.of(delivery_id).expire(delivery_id)
                    ended.append((Attempt(one.id, one.fence, one.generation, Event.LOST), said))
            loaded.save(connection)
            complete(connection, ended, now)
            return len(ended)

        if not read(self._engine, find):
            return 0
        return write(self._engine, work, repeatable=True)

    def park_foreign(self, destination: str, transport: str) -> int:
        reason = f"it may have been accepted by another transport than {transport}, which cannot tell"
        query = (
            select(_deliveries.c.id)
            .where(_deliveries.c.state.in_(before(Event.GIVEN_UP)), _deliveries.c.destination == destination)
            .where(doubted_elsewhere(transport))
        )

        def work(batch: Batch) -> int:
            parked = [one for one in found if batch.version(one).state in before(Event.GIVEN_UP)]
            for delivery_id in parked:
                batch.of(delivery_id).give_up(delivery_id, reason)
            return len(parked)

        found = read(self._engine, lambda connection: list(connection.scalars(query)))
        return self._change(found, work) if found else 0

    def withdraw(self, run_id: UUID, day: str) -> int:
        gone = ~exists().where(_rows.c.job_id == run_id, _rows.c.invoice_id == _shown.c.source_id)
        begun = read(self._engine, lambda connection: self._begun(connection, run_id))
        query = (
            select(_shown.c.id, _shown.c.delivery_id)
            .join(_deliveries, _deliveries.c.id == _shown.c.delivery_id)
            .where(_shown.c.day == day, SHOWN_NOW, _shown.c.withdrawn_at.is_(None), gone)
            .where(_shown.c.seen_at <= begun)
            .where(_deliveries.c.state.not_in(OVER))
        )
        found = dict(read(self._engine, lambda connection: connection.execute(query).tuples().all()))
        shown_ids = list(found)
        for start in range(0, len(shown_ids), WITHDRAWN_AT_ONCE):
            self._withdraw({one: found[one] for one in shown_ids[start : start + WITHDRAWN_AT_ONCE]}, begun)
        return len(found)

    def _begun(self, connection: Connection, run_id: UUID) -> datetime:
        """When the run began, by its own clock, as the times at which rows were retrieved; never later than now.

        A clock that is ahead would else withdraw an invoice until its time has come, however often others see it.
        """
        job = connection.execute(select(Job.started_at, Job.created_at).where(Job.id == run_id)).one_or_none()
        now = self._now(connection)
        return min(job.started_at or job.created_at, now) if job is not None else now

    def _withdraw(self, shown: Mapping[UUID, UUID], begun: datetime) -> None:
        def work(batch: Batch) -> None:
            for shown_id, delivery_id in shown.items():
                history = batch.of(delivery_id)
                history.withdraw([shown_id], begun)
                history.review()

        self._change(list(shown.values()), work)

    def unknown(self, destination: str, limit: int, transport: str | None = None) -> list[DeliveryRecord]:
        query = (
            select(_deliveries)
            .where(_deliveries.c.state == State.UNKNOWN, _deliveries.c.destination == destination)
            .order_by(_deliveries.c.updated_at, _deliveries.c.id)
            .limit(limit)
        )
        if transport is not None:
            query = query.where(not_(doubted_elsewhere(transport)))
        return read(self._engine, lambda connection: [record_of(row) for row in connection.execute(query).mappings()])

    def holders(self) -> list[UUID]:
        """The runs that have deliveries under way."""
        query = select(_deliveries.c.run_id).where(_deliveries.c.state == State.SENDING).distinct()
        with reading(self._engine) as connection:
            return [run_id for run_id in connection.scalars(query) if run_id is not None]

    def count_by_state(self) -> dict[State, int]:
        """How many deliveries are in each state."""
        query = select(_deliveries.c.state, func.count()).group_by(_deliveries.c.state)
        with reading(self._engine) as connection:
            return {State(state): int(number) for state, number in connection.execute(query)}

    def states(self, delivery_ids: Sequence[UUID]) -> dict[UUID, DeliveryRecord]:
        query = select(_deliveries).where(_deliveries.c.id.in_(delivery_ids))
        rows = read(self._engine, lambda connection: connection.execute(query).mappings().all())
        return {row["id"]: record_of(row) for row in rows}

    def _change(self, delivery_ids: Sequence[UUID], work: Callable[[Batch], T]) -> T:
        """Let histories change, and keep them."""

        def whole(connection: Connection) -> T:
            loaded = load(connection, self._now(connection), delivery_ids=delivery_ids)
            result = work(loaded.batch)
            loaded.save(connection)
            return result

        return write(self._engine, whole, repeatable=True)

    def _unraced(self, work: Callable[[Connection], T]) -> T:
        for _ in range(ROUNDS):
            try:
                return write(self._engine, work, repeatable=True)
            except Raced:
                continue
        raise RuntimeError(f"{ROUNDS} races for the same invoices were lost")

    def _now(self, connection: Connection) -> datetime:
        return self._clock() if self._clock else database_now(connection)


def _of_state(state: State) -> Any:
    return select(_deliveries.c.id).where(_deliveries.c.state == state)


def _audit_forced(connection: Connection, batch: Batch, force: Force, now: datetime) -> None:
    for was, event in batch.forced:
        became = batch.version(was.id).state
        audit(connection, was, PersonsDecision(event, Actor(force.actor), force.reason), now, became=became)


def _link(connection: Connection, answers: Sequence[Registration]) -> None:
    """Let each row of the job name its delivery."""
    linked = {answer.row_id: answer.delivery.id for answer in answers}
    rows = [{"row": row_id, "delivery": delivery_id} for row_id, delivery_id in linked.items()]
    execute_many(connection, _LINK, rows)


_LINK = update(_rows).where(_rows.c.id == bindparam("row")).values(delivery_id=bindparam("delivery"))

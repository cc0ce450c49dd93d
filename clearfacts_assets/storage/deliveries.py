"""The delivery ledger on SQLite or PostgreSQL: nobody sends without a claim in it, nobody claims what another one has.

Every method is one transaction, retried when it collides with another one. Leases are kept by the database's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    bindparam,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)

from clearfacts_assets.invoices.lifecycle import Event, State, after, before
from clearfacts_assets.invoices.ports import Candidate, DeliveryRecord, Force, Registration, Settlement
from clearfacts_assets.storage.database import commit_to_disk, database_now, read, reading, write
from clearfacts_assets.storage.delivery_rows import (
    attempt_of,
    hold,
    record_of,
    release,
)
from clearfacts_assets.storage.registration import Raced, Registrar
from clearfacts_assets.storage.tables import Delivery, DeliveryAttempt

SETTLE_PATIENCE_SECONDS = 60.0  # an answer that cannot be written costs a person's time: try longer than elsewhere
REGISTER_ROUNDS = 20  # each lost one means that somebody else registered something
CHARGED = frozenset({Event.NOT_SENT, Event.LOST})
IN_DOUBT = "an earlier call got no answer that settles it, and may have been accepted all the same"

_deliveries = cast(Table, Delivery.__table__)
_attempts = cast(Table, DeliveryAttempt.__table__)


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

        def work(connection: Connection) -> list[Registration]:
            return Registrar(connection, self._now(connection), force).register(destination, candidates)

        for _ in range(REGISTER_ROUNDS):
            try:
                return write(self._engine, work, repeatable=True)
            except Raced:
                continue
        raise RuntimeError(f"run {run_id} lost {REGISTER_ROUNDS} races for the same keys")

    def hold(self, reasons: Mapping[UUID, str]) -> dict[UUID, DeliveryRecord]:
        if reasons:
            write(self._engine, lambda to: hold(to, reasons, self._now(to)), repeatable=True)
        return self.states(list(reasons))

    def release(self, delivery_ids: Sequence[UUID]) -> dict[UUID, DeliveryRecord]:
        if delivery_ids:
            write(self._engine, lambda to: release(to, delivery_ids, self._now(to)), repeatable=True)
        return self.states(delivery_ids)

    def claim(
        self, run_id: UUID, delivery_ids: Sequence[UUID], lease: float, transport: str, correlation_id: str = ""
    ) -> list[DeliveryRecord]:
        if not delivery_ids:
            return []

        def work(connection: Connection) -> list[DeliveryRecord]:
            commit_to_disk(connection)
            now = self._now(connection)
            free = (
                select(_deliveries.c.id)
                .where(
                    _deliveries.c.id.in_(delivery_ids),
                    _deliveries.c.state.in_(before(Event.CLAIMED)),
                    or_(_deliveries.c.not_before.is_(None), _deliveries.c.not_before <= now),
                    not_(_doubted_elsewhere(transport)),
                )
                .with_for_update(skip_locked=True)
            )
            claimed = connection.execute(
                update(_deliveries)
                .where(_deliveries.c.id.in_(free))  # locked above: nobody changes them before we do
                .values(
                    state=after(State.READY, Event.CLAIMED),
                    run_id=run_id,
                    fence=_deliveries.c.fence + 1,
                    lease_until=now + timedelta(seconds=lease),
                    not_before=None,
                    updated_at=now,
                )
                .returning(*_deliveries.c)
            )
            records = [record_of(row) for row in claimed.mappings()]
            if records:
                attempts = [attempt_of(record, transport, correlation_id, now) for record in records]
                connection.execute(insert(_attempts), attempts)
            return records

        return write(self._engine, work)

    def settle(self, settlements: Sequence[Settlement]) -> dict[UUID, DeliveryRecord]:
        if not settlements:
            return {}
        return write(
            self._engine,
            lambda connection: _settle(connection, settlements, self._now(connection)),
            repeatable=True,
            patience=self._patience,
        )

    def expire(self, dead_run_ids: Collection[UUID] = ()) -> int:
        reason = "the run that was sending it ended without an answer"

        def work(connection: Connection) -> int:
            now = self._now(connection)
            lost = connection.execute(
                update(_deliveries)
                .where(
                    _deliveries.c.state == State.SENDING,
                    or_(_deliveries.c.lease_until < now, _deliveries.c.run_id.in_(dead_run_ids)),
                )
                .values(
                    state=after(State.SENDING, Event.LOST),
                    attempts=_deliveries.c.attempts + 1,
                    lease_until=None,
                    reason=reason,
                    updated_at=now,
                )
                .returning(_deliveries.c.id, _deliveries.c.fence)
            ).all()
            _complete(
                connection,
                [_ended(row.id, row.fence, Event.LOST, reason, None, now) for row in lost],
            )
            return len(lost)

        return write(self._engine, work, repeatable=True)

    def park_foreign(self, destination: str, transport: str) -> int:
        reason = f"it may have been accepted by another transport than {transport}, which cannot tell"

        def work(connection: Connection) -> int:
            parked = connection.execute(
                update(_deliveries)
                .where(
                    _deliveries.c.state.in_(before(Event.GIVEN_UP)),
                    _deliveries.c.destination == destination,
                    _doubted_elsewhere(transport),
                )
                .values(
                    state=after(State.UNKNOWN, Event.GIVEN_UP),
                    not_before=None,
                    reason=reason,
                    updated_at=self._now(connection),
                )
            )
            return parked.rowcount

        return write(self._engine, work, repeatable=True)

    def unknown(self, destination: str, limit: int) -> list[DeliveryRecord]:
        query = (
            select(_deliveries)
            .where(_deliveries.c.state == State.UNKNOWN, _deliveries.c.destination == destination)
            .order_by(_deliveries.c.updated_at, _deliveries.c.id)
            .limit(limit)
        )
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

    def _now(self, connection: Connection) -> datetime:
        return self._clock() if self._clock else database_now(connection)


def _settle(connection: Connection, settlements: Sequence[Settlement], now: datetime) -> dict[UUID, DeliveryRecord]:
    rows = connection.execute(
        select(_deliveries)
        .where(_deliveries.c.id.in_([settlement.delivery_id for settlement in settlements]))
        .order_by(_deliveries.c.id)
        .with_for_update()
    ).mappings()
    records = {row["id"]: record_of(row) for row in rows}
    doubted = _doubted(connection, settlements)
    changed, ended = [], []
    for settlement in settlements:
        record = records.get(settlement.delivery_id)
        if record is not None and (record.id, record.generation) in doubted:
            settlement = replace(settlement, events=(Event.LOST,), reason=f"{settlement.reason}; {IN_DOUBT}")
        if record is None or record.fence != settlement.fence:
            continue
        events = _possible(record.state, settlement)
        if events is None:
            continue
        records[record.id] = settled = _settled(record, settlement, events, now)
        changed.append({"delivery": record.id, **{f"new_{name}": getattr(settled, name) for name in _CHANGEABLE}})
        response = dict(settlement.response) or None
        ended.append(_ended(record.id, record.fence, events[0], settlement.reason, response, now))
    if changed:
        connection.execute(
            update(_deliveries).where(_deliveries.c.id == bindparam("delivery")).values(_CHANGED), changed
        )
        _complete(connection, ended)
    return records


def _doubted(connection: Connection, settlements: Sequence[Settlement]) -> set[tuple[UUID, int]]:
    """Refused deliveries of which an earlier call, under the same idempotency key, may have been accepted."""
    refused = [settlement.delivery_id for settlement in settlements if settlement.events[0] is Event.REFUSED]
    if not refused:
        return set()
    query = select(_attempts.c.delivery_id, _attempts.c.generation).where(
        _attempts.c.delivery_id.in_(refused), _attempts.c.outcome == Event.LOST
    )
    return {(row.delivery_id, row.generation) for row in connection.execute(query)}


def _doubted_elsewhere(transport: str) -> ColumnElement[bool]:
    """Whether an attempt under the delivery's idempotency key got no answer by another transport, or one not noted."""
    return exists().where(
        _attempts.c.delivery_id == _deliveries.c.id,
        _attempts.c.generation == _deliveries.c.generation,
        _attempts.c.outcome == Event.LOST,
        _attempts.c.transport.is_distinct_from(transport),
    )


_CHANGEABLE = ("state", "attempts", "reason", "document_id", "delivered_at", "not_before", "lease_until", "updated_at")
_CHANGED: dict[str, Any] = {name: bindparam(f"new_{name}") for name in _CHANGEABLE}


def _possible(state: State, settlement: Settlement) -> tuple[Event, ...] | None:
    """The events as they apply to the state; None where the first one does not."""
    if state in before(settlement.events[0]):
        return settlement.events
    if settlement.events[0] is Event.ACCEPTED and state in before(Event.FOUND):
        return (Event.FOUND,)
    return None


def _settled(record: DeliveryRecord, settlement: Settlement, events: Sequence[Event], now: datetime) -> DeliveryRecord:
    state = reduce(after, events, record.state)
    waits = state is State.WAITING and settlement.delay is not None
    return replace(
        record,
        state=state,
        attempts=record.attempts + (events[0] in CHARGED),
        reason=settlement.reason or None,
        document_id=settlement.document_id or record.document_id,
        delivered_at=now if state is State.DELIVERED else record.delivered_at,
        not_before=now + timedelta(seconds=settlement.delay or 0) if waits else None,
        lease_until=None,
        updated_at=now,
    )


def _ended(
    delivery_id: UUID, fence: int, outcome: Event, reason: str, response: dict[str, Any] | None, now: datetime
) -> dict[str, Any]:
    return {
        "delivery": delivery_id,
        "attempt": fence,
        "new_outcome": outcome,
        "new_reason": reason or None,
        "new_response": response,
        "new_finished_at": now,
    }


def _complete(connection: Connection, ended: Sequence[Mapping[str, Any]]) -> None:
    """Write how attempts ended, once: what stands there stays."""
    if ended:
        connection.execute(
            update(_attempts)
            .where(
                _attempts.c.delivery_id == bindparam("delivery"),
                _attempts.c.fence == bindparam("attempt"),
                _attempts.c.outcome.is_(None),
            )
            .values({name: bindparam(f"new_{name}") for name in ("outcome", "reason", "response", "finished_at")}),
            ended,
        )

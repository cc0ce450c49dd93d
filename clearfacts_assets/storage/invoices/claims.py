"""Claims and what they come to: one statement takes what is free, and an answer counts while its claim is the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Connection, Table, bindparam, exists, not_, or_, select, update

from clearfacts_assets.invoices.ledger.history import ENDS_AN_ATTEMPT
from clearfacts_assets.invoices.ledger.model import Attempt, Claim, DeliveryRecord, Settlement
from clearfacts_assets.invoices.lifecycle import Event, State, before
from clearfacts_assets.storage.database import commit_to_disk
from clearfacts_assets.storage.invoices.delivery_rows import attempt_row, record_of
from clearfacts_assets.storage.invoices.histories import attempts_of, begin_attempts, complete, load
from clearfacts_assets.storage.invoices.tables import Delivery, DeliveryAttempt

_deliveries = cast(Table, Delivery.__table__)
_attempts = cast(Table, DeliveryAttempt.__table__)

SETTLED_ALONE = ENDS_AN_ATTEMPT - {Event.REFUSED}  # whatever earlier attempts came to


def settle(connection: Connection, settlements: Sequence[Settlement], now: datetime) -> dict[UUID, DeliveryRecord]:
    """Write what happened to those whose claim is still the last one; all as they are then."""
    loaded = load(connection, now, delivery_ids={one.delivery_id for one in settlements})
    attempts = _open_attempts(loaded.versions, settlements)
    others = [one for one in settlements if (one.delivery_id, one.fence) not in attempts]
    if others:
        attempts |= attempts_of(connection, others)
    ended: list[tuple[Attempt, Settlement]] = []
    for settlement in settlements:
        attempt = attempts.get((settlement.delivery_id, settlement.fence))
        if attempt is None:
            continue
        completed = loaded.batch.of(settlement.delivery_id).settle(settlement, attempt)
        if completed is not None and completed != attempt:
            ended.append((completed, settlement))
            attempts[settlement.delivery_id, settlement.fence] = completed
    loaded.save(connection)
    complete(connection, ended, now)
    known = [one.delivery_id for one in settlements if one.delivery_id in loaded.versions]
    return {delivery_id: loaded.batch.version(delivery_id) for delivery_id in known}


def _open_attempts(
    versions: Mapping[UUID, DeliveryRecord], settlements: Sequence[Settlement]
) -> dict[tuple[UUID, int], Attempt]:
    """The attempts of claims that stand: a claim writes its attempt in its own transaction, and whatever ends the
    attempt ends the claim in the same one. So these need not be read, but for a refusal, which asks what was before."""
    found = {}
    for one in settlements:
        version = versions.get(one.delivery_id)
        stands = version is not None and version.state is State.SENDING and version.fence == one.fence
        if version is not None and stands and one.events[0] in SETTLED_ALONE:
            found[version.id, version.fence] = Attempt(version.id, version.fence, version.generation)
    return found


def claim_free(connection: Connection, claim: Claim, now: datetime) -> list[DeliveryRecord]:
    """Take those that are due and free, each with an attempt that begins. The commit reaches the disk."""
    commit_to_disk(connection)
    values = {
        "ids": list(claim.delivery_ids),
        "now": now,
        "transport": claim.transport,
        "run": claim.run_id,
        "until": now + timedelta(seconds=claim.lease),
    }
    claimed = connection.execute(_CLAIM, values)
    records = [record_of(row) for row in claimed.mappings()]
    begin_attempts(connection, [attempt_row(one, claim.transport, claim.correlation_id, now) for one in records])
    return records


def doubted_elsewhere(transport: str | BindParameter[str]) -> ColumnElement[bool]:
    """Whether an attempt under the delivery's idempotency key got no answer by another transport, or one not noted."""
    return exists().where(
        _attempts.c.delivery_id == _deliveries.c.id,
        _attempts.c.generation == _deliveries.c.generation,
        _attempts.c.outcome == Event.LOST,
        _attempts.c.proof.is_(None),
        _attempts.c.transport.is_distinct_from(transport),
    )


_FREE = (
    select(_deliveries.c.id)
    .where(
        _deliveries.c.id.in_(bindparam("ids", expanding=True)),
        _deliveries.c.state.in_(before(Event.CLAIMED)),
        or_(_deliveries.c.not_before.is_(None), _deliveries.c.not_before <= bindparam("now")),
        not_(doubted_elsewhere(bindparam("transport", type_=_attempts.c.transport.type))),
    )
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(_deliveries)
    .where(_deliveries.c.id.in_(_FREE))  # locked there: nobody changes them before we do
    .values(
        state=State.SENDING,
        run_id=bindparam("run"),
        fence=_deliveries.c.fence + 1,
        lease_until=bindparam("until"),
        not_before=None,
        updated_at=bindparam("now"),
    )
    .returning(*_deliveries.c)
)

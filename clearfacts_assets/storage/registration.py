"""Candidates become deliveries: known ones are found, new keys and new versions of known keys are made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import cast
from uuid import UUID

from sqlalchemy import Connection, Table, bindparam, exists, select, update

from clearfacts_assets.invoices.lifecycle import WAITS_FOR_A_PERSON, Event, State
from clearfacts_assets.invoices.model import InvoiceKey
from clearfacts_assets.invoices.ports import HELD_FOR_RECEIVER, Candidate, DeliveryRecord, Force, Registration
from clearfacts_assets.storage.audit import Actor
from clearfacts_assets.storage.database import insert_into
from clearfacts_assets.storage.delivery_rows import audit, first_event, new_record, record_of, resent, values_of
from clearfacts_assets.storage.tables import Delivery, InvoiceRow

FORCEABLE = (State.DELIVERED, State.REJECTED, State.WAIVED)  # of a number's versions only the first kind there is
STANDING = WAITS_FOR_A_PERSON.union(FORCEABLE)  # no run is sending these

_deliveries = cast(Table, Delivery.__table__)


class Raced(Exception):
    """Somebody else registered the same key at the same time: look again."""


class Registrar:
    """One transaction's view of the keys of one batch. Raises Raced where another transaction knew them first."""

    def __init__(self, connection: Connection, now: datetime, force: Force | None) -> None:
        self._connection, self._now, self._force = connection, now, force

    def register(self, destination: str, candidates: Sequence[Candidate]) -> list[Registration]:
        keys = [InvoiceKey.of(candidate.invoice, destination) for candidate in candidates]
        known = self._known({key.digest for key in keys}, lock=self._force is not None)
        known.update(self._known(_changed(candidates, keys, known), lock=True))
        answers, new = [], []
        for candidate, key in zip(candidates, keys, strict=True):
            revisions = known[key.digest]
            same = [record for record in revisions if record.content_sha256 == candidate.content_sha256]
            if same:
                answers.append(Registration(candidate.row_id, same[-1], None))
                continue
            event = first_event(revisions)
            record = new_record(key, candidate.content_sha256, revisions, event, self._now)
            revisions.append(record)
            new.append(record)
            answers.append(Registration(candidate.row_id, record, event))
        self._insert(new)
        if self._force is not None:
            answers = self._resend(answers, known, self._force)
        self._link(answers)
        return answers

    def _known(self, digests: Collection[str], *, lock: bool) -> defaultdict[str, list[DeliveryRecord]]:
        known: defaultdict[str, list[DeliveryRecord]] = defaultdict(list)
        if not digests:
            return known
        query = (
            select(_deliveries)
            .where(_deliveries.c.key_digest.in_(digests))
            .order_by(_deliveries.c.key_digest, _deliveries.c.revision)
        )
        if lock:
            # Then read anew: a version that somebody entered while we waited for the lock is not in this answer.
            self._connection.execute(query.with_for_update())
        for row in self._connection.execute(query).mappings():
            known[row["key_digest"]].append(record_of(row))
        return known

    def _insert(self, records: Sequence[DeliveryRecord]) -> None:
        if not records:
            return
        values = sorted((values_of(record) for record in records), key=itemgetter("key_digest"))  # the same for all
        statement = insert_into(self._connection, _deliveries).on_conflict_do_nothing().returning(_deliveries.c.id)
        if len(self._connection.execute(statement, values).all()) < len(records):
            raise Raced

    def _resend(
        self, answers: Sequence[Registration], known: Mapping[str, Sequence[DeliveryRecord]], force: Force
    ) -> list[Registration]:
        chosen = {
            answer.delivery.id: answer.delivery
            for answer in answers
            if answer.delivery.state is _forceable(known[answer.delivery.key.digest])
        }
        version = _deliveries.alias()
        again: dict[UUID, DeliveryRecord] = {}
        for delivery in sorted(chosen.values(), key=attrgetter("revision"), reverse=True):
            changed = (
                self._connection.execute(
                    update(_deliveries)
                    .where(
                        _deliveries.c.id == delivery.id,
                        _deliveries.c.state == delivery.state,
                        # One version of a number for each request, though it comes more than once, in other batches.
                        ~exists().where(
                            version.c.key_digest == _deliveries.c.key_digest, version.c.forced_by == force.request
                        ),
                    )
                    .values(resent(delivery, force.reason, self._now) | {"forced_by": force.request})
                    .returning(*_deliveries.c)
                )
                .mappings()
                .one_or_none()
            )
            if changed is None:
                continue
            again[delivery.id] = record_of(changed)
            audit(self._connection, delivery, Event.RESENT, Actor(force.actor), force.reason, self._now)
        return [
            Registration(answer.row_id, again[answer.delivery.id], Event.RESENT)
            if answer.delivery.id in again
            else answer
            for answer in answers
        ]

    def _link(self, answers: Sequence[Registration]) -> None:
        self._connection.execute(
            update(cast(Table, InvoiceRow.__table__))
            .where(InvoiceRow.id == bindparam("row"))
            .values(delivery_id=bindparam("delivery")),
            [{"row": answer.row_id, "delivery": answer.delivery.id} for answer in answers],
        )


def _forceable(versions: Sequence[DeliveryRecord]) -> State | None:
    """The state of those versions of a number that may be sent again; None while a run may send any of them."""
    if any(version.state not in STANDING or version.held_for == HELD_FOR_RECEIVER for version in versions):
        return None
    states = {version.state for version in versions}
    return next((state for state in FORCEABLE if state in states), None)


def _changed(
    candidates: Sequence[Candidate], keys: Sequence[InvoiceKey], known: Mapping[str, Sequence[DeliveryRecord]]
) -> set[str]:
    """Known keys that came with other content: what follows depends on the states of all their versions."""
    return {
        key.digest
        for candidate, key in zip(candidates, keys, strict=True)
        if key.digest in known
        and all(version.content_sha256 != candidate.content_sha256 for version in known[key.digest])
    }

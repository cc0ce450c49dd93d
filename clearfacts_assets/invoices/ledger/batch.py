"""The histories that one transaction works on: candidates become versions, the source's ids are followed, wishes are
obeyed once.

A ledger loads what a batch needs, lets it change here, and keeps what has changed. This is the same for every ledger,
whatever it is kept in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID, uuid4

from clearfacts_assets.invoices.ledger.history import History
from clearfacts_assets.invoices.ledger.model import (
    HELD_FOR_DECISION,
    HELD_FOR_RECEIVER,
    HELD_FOR_SOURCE_ID,
    OF_THE_DOCUMENT,
    Barrier,
    Candidate,
    DeliveryRecord,
    Force,
    Registration,
    Shown,
)
from clearfacts_assets.invoices.lifecycle import OVER, WAITS_FOR_A_PERSON, Event, State
from clearfacts_assets.invoices.model import InvoiceKey

FORCEABLE = (State.DELIVERED, State.REJECTED, State.WAIVED)  # of an invoice's versions only the first kind there is
STANDING = WAITS_FOR_A_PERSON | OVER  # no run is sending these
MAY_LEAVE = frozenset({State.READY, State.WAITING})


@dataclass(slots=True)
class Batch:
    """What is known of some invoices, and what becomes of them."""

    now: datetime
    histories: dict[str, History] = field(default_factory=dict)  # by the key's digest
    current: dict[str, Shown] = field(default_factory=dict)  # what the source shows now, by its ids
    wishes: set[tuple[str, str]] = field(default_factory=set)  # (wish, digest) that were carried out before
    granted: list[tuple[str, str, UUID]] = field(default_factory=list)  # ... and those of this batch, with the version
    forced: list[tuple[DeliveryRecord, Event]] = field(default_factory=list)  # versions as they were before
    _home: dict[UUID, History] = field(default_factory=dict)  # of each version

    def include(self, histories: Iterable[History]) -> None:
        for history in histories:
            self.histories[history.key.digest] = history
            self._home.update({one.id: history for one in history.versions})

    def of(self, delivery_id: UUID) -> History:
        return self._home[delivery_id]

    def version(self, delivery_id: UUID) -> DeliveryRecord:
        return self._home[delivery_id].version(delivery_id)

    def register(
        self,
        destination: str,
        candidates: Sequence[Candidate],
        force: Force | None = None,
        keys: Sequence[InvoiceKey] | None = None,
    ) -> list[Registration]:
        """Find or make the version of each candidate; with ``force``, order again what is settled.

        ``keys`` are theirs, one for each, where they are known already.
        """
        known = keys or [InvoiceKey.of(one.invoice, destination) for one in candidates]
        entered = [self._enter(one, key) for one, key in zip(candidates, known, strict=True)]
        ordered = self._obey(force, [delivery_id for delivery_id, _ in entered]) if force else {}
        return [
            Registration(one.row_id, self.version(delivery_id), ordered.get(delivery_id, event))
            for one, (delivery_id, event) in zip(candidates, entered, strict=True)
        ]

    def _enter(self, candidate: Candidate, key: InvoiceKey) -> tuple[UUID, Event | None]:
        if candidate.delivery_id is not None:  # a job goes on with it: the source has said nothing new
            return candidate.delivery_id, None
        history = self.histories.setdefault(key.digest, History(key, self.now))
        known, event = history.with_content(candidate.content_sha256), None
        if known is not None:
            delivery_id = known.id
        else:
            delivery_id, event = history.add(candidate.content_sha256, candidate.day)
            self._home[delivery_id] = history
        if candidate.day is not None:
            history.dated(delivery_id, candidate.day)
        reused = self._show(candidate, history, delivery_id)
        self._bar(history, delivery_id, reused or candidate.barrier)
        history.review(delivery_id, event or Event.REVIEWED)
        return delivery_id, event

    def _bar(self, history: History, delivery_id: UUID, barrier: Barrier | None) -> None:
        """What stands in the way of a version; what a person has sent knows no barrier."""
        one = history.version(delivery_id)
        if one.held_for in (HELD_FOR_SOURCE_ID, HELD_FOR_DECISION):
            return
        if one.generation > 1 and (barrier is None or barrier.kind in OF_THE_DOCUMENT):
            return
        if barrier is not None or one.held_for in OF_THE_DOCUMENT:
            history.hold(delivery_id, barrier)

    def _show(self, candidate: Candidate, history: History, delivery_id: UUID) -> Barrier | None:
        """Note that the source shows this version under the candidate's id now, and no other one any more.

        Returns a barrier where the id was another invoice before, which has arrived or may have.
        """
        before, own = self.current.get(candidate.invoice_id), history.shown_as(candidate.invoice_id, delivery_id)
        barrier = None
        same = before is not None and before.delivery_id == delivery_id
        if before is not None and _is_older(candidate, before, same=same):
            if own is None:
                history.show(self._shown(candidate, delivery_id, is_current=False))
            return None
        if before is not None and not same:
            other = self.of(before.delivery_id)
            other.show(replace(before, is_current=False))
            replaced = other.version(before.delivery_id)
            if other is not history:
                other.review()
            if other is not history and other.may_have_arrived:
                barrier = _reused(candidate, other)
            elif replaced.held_for == HELD_FOR_SOURCE_ID and replaced.held_because is not None:
                # Whether the id was reused is not answered by what comes under it next.
                barrier = Barrier(HELD_FOR_SOURCE_ID, replaced.held_because)
        if own is not None and _is_the_same(candidate, own):
            return barrier
        shown = self._shown(candidate, delivery_id, is_current=True)
        shown = replace(shown, id=own.id) if own is not None else shown
        history.show(shown)
        self.current[candidate.invoice_id] = shown
        return barrier

    def _shown(self, candidate: Candidate, delivery_id: UUID, *, is_current: bool) -> Shown:
        seen_at = candidate.retrieved_at or self.now
        return Shown(
            uuid4(), candidate.invoice_id, delivery_id, candidate.updated_at, seen_at, candidate.day, is_current
        )

    def _obey(self, force: Force, entered: Sequence[UUID]) -> dict[UUID, Event]:
        """Order one version of each invoice, unless this wish had one sent before; returns those ordered."""
        named: dict[str, list[UUID]] = {}
        for delivery_id in dict.fromkeys(entered):
            named.setdefault(self.of(delivery_id).key.digest, []).append(delivery_id)
        ordered: dict[UUID, Event] = {}
        for digest, delivery_ids in named.items():
            if (force.request, digest) in self.wishes:
                continue
            history = self.histories[digest]
            kind = forceable(history.versions)
            versions = sorted((history.version(one) for one in delivery_ids), key=lambda one: -one.revision)
            chosen = next((one for one in versions if one.state is kind), None)
            leaving = next((one for one in versions if one.state in MAY_LEAVE), None)
            if chosen is not None:
                event = Event.SENT_AGAIN if chosen.state is State.DELIVERED else Event.RESENT
                history.order(chosen.id, force.request, force.reason, event)
                self.forced.append((chosen, event))
                ordered[chosen.id] = event
            granted = chosen or leaving  # what leaves anyhow fulfils the wish, too
            if granted is not None:
                self.wishes.add((force.request, digest))
                self.granted.append((force.request, digest, granted.id))
        return ordered


def forceable(versions: Sequence[DeliveryRecord]) -> State | None:
    """The state of those versions of an invoice that may be sent again; None while a run may send any of them."""
    if any(one.state not in STANDING or one.held_for == HELD_FOR_RECEIVER for one in versions):
        return None
    states = {one.state for one in versions}
    return next((state for state in FORCEABLE if state in states), None)


def _is_the_same(candidate: Candidate, shown: Shown) -> bool:
    """Whether what was noted of the id says it all."""
    stands = shown.is_current and shown.withdrawn_at is None
    same_time = candidate.updated_at in (None, shown.source_updated_at)
    return stands and same_time and candidate.day in (None, shown.day)


def _is_older(candidate: Candidate, shown: Shown, *, same: bool) -> bool:
    """Whether a run that is late brings what the source had before what it shows now, or before it withdrew it.

    What was retrieved later is never older, whatever the source's clock says: it may have been set.
    """
    if shown.withdrawn_at is not None:
        return candidate.retrieved_at is not None and candidate.retrieved_at < shown.withdrawn_at
    if same or candidate.updated_at is None or shown.source_updated_at is None:
        return False
    if candidate.retrieved_at is not None and candidate.retrieved_at > shown.seen_at:
        return False
    return candidate.updated_at < shown.source_updated_at


def _reused(candidate: Candidate, other: History) -> Barrier:
    newest = other.versions[-1]
    return Barrier(
        HELD_FOR_SOURCE_ID,
        f"the ERP's {candidate.invoice_id} was invoice {other.key.number} of {other.key.issue_year} before, "
        f"which is {newest.state}: if that one was renumbered, waive this one and correct it where it was sent; if "
        "this is another invoice, resend it",
    )

"""One invoice, one history: all versions of it, what the source shows of them, what was tried and what people said.

Every change of the ledger is one of the methods of :class:`History`. Each notes what happened; ``review`` (standing.py)
then asks decisions.py where all versions stand because of it. Nothing here reads or writes a database: a ledger loads
histories, lets them change, and keeps what has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

from clearfacts_assets.invoices.ledger.effects import EFFECTS, NO_DOUBT
from clearfacts_assets.invoices.ledger.model import (
    HELD_FOR_DECISION,
    AsSeen,
    Attempt,
    Barrier,
    DeliveryRecord,
    Settlement,
    Shown,
)
from clearfacts_assets.invoices.ledger.standing import Versions
from clearfacts_assets.invoices.lifecycle import (
    MAY_BE_ACCEPTED,
    NOT_LEFT,
    ORDERS,
    AnotherVersionIsOpen,
    Event,
    ForbiddenTransition,
    Outdated,
    State,
    Verdict,
    before,
)

IN_DOUBT = "an earlier call got no answer that settles it, and may have been accepted all the same"
ENDED_WITHOUT_ANSWER = "the run that was sending it ended without an answer"
CAME_LATE = "it had been accepted: the answer came when nobody waited for it any more"
ENDS_AN_ATTEMPT = frozenset({Event.ACCEPTED, Event.REFUSED, Event.NOT_SENT, Event.DENIED, Event.RELEASED, Event.LOST})
_CAME_TO_NOTHING = frozenset({Event.NOT_SENT, Event.DENIED, Event.RELEASED, Event.NOT_FOUND, Event.GIVEN_UP})
CHARGED = frozenset({Event.NOT_SENT, Event.LOST})


@dataclass(slots=True)
class History(Versions):
    """What happens to the versions of one invoice."""

    # What comes from the source

    def add(self, content_sha256: str, day: str | None) -> tuple[UUID, Event]:
        """A version with content that none before it has. Orders for others lapse: they did not know of it."""
        event = self._first_event()
        record = DeliveryRecord(
            id=uuid4(),
            key=self.key,
            revision=max((one.revision for one in self.versions), default=0) + 1,
            content_sha256=content_sha256,
            state=State.READY,
            generation=1,
            attempts=0,
            fence=0,
            run_id=None,
            lease_until=None,
            not_before=None,
            document_id=None,
            reason=None,
            created_at=self.now,
            updated_at=self.now,
            delivered_at=None,
            day=day,
        )
        self.lapse_orders()
        self.versions.append(record)
        return record.id, event

    def _first_event(self) -> Event:
        if not self.versions:
            return Event.REGISTERED
        refused = all(one.state is State.REJECTED for one in self.versions)
        return Event.CORRECTED if refused else Event.CHANGED

    def show(self, shown: Shown) -> None:
        """Note what the source shows, or shows no more, in place of what was noted of it."""
        self.shown = [one for one in self.shown if one.id != shown.id] + [shown]

    def dated(self, delivery_id: UUID, day: str) -> None:
        """The day whose runs look after the version: that on which the source showed it last."""
        if self.version(delivery_id).day != day:
            self._put(self.version(delivery_id), day=day)

    def withdraw(self, shown_ids: Iterable[UUID], at: datetime) -> None:
        """The source did not have these ids any more at that time. Orders for what it shows no more lapse."""
        gone = set(shown_ids)
        self.shown = [replace(one, withdrawn_at=at) if one.id in gone else one for one in self.shown]
        self.lapse_orders([one for one in self.versions if self._is_withdrawn(one)])

    def lapse_orders(self, versions: Sequence[DeliveryRecord] | None = None) -> None:
        """Orders that were given without knowing what is known now are not carried out.

        A call that is under way is not called back; should it come to nothing, there is no second one.
        """
        for one in list(self.versions if versions is None else versions):
            if one.ordered is not None:
                self._put(one, ordered=None, not_before=None)
                if one.state is not State.SENDING:
                    self._ask_again(one)

    def _ask_again(self, lapsed: DeliveryRecord) -> None:
        """Versions in whose place this one was to be sent wait for a new decision."""
        because = f"a person had revision {lapsed.revision} sent in its place, which was not done: decide again"
        for other in self.others(lapsed.id):
            if other.replaced:
                self._put(other, replaced=False, held_for=HELD_FOR_DECISION, held_because=because)

    def hold(self, delivery_id: UUID, barrier: Barrier | None) -> None:
        """Put something of its own in the version's way, or take it away."""
        one = self.version(delivery_id)
        kind, because = (barrier.kind, barrier.reason) if barrier else (None, None)
        if (one.held_for, one.held_because) != (kind, because):
            not_before = one.not_before if barrier is None else None
            self._put(one, held_for=kind, held_because=because, not_before=not_before)

    # What comes from the destination

    def settle(self, settlement: Settlement, attempt: Attempt | None) -> Attempt | None:
        """Take what is said of an attempt; returns the attempt as it is to be kept, None where nothing changes.

        An acceptance is always taken, said or found, however late. Anything else counts only for the claim that stands.
        """
        one = self.version(settlement.delivery_id)
        first = settlement.events[0]
        if attempt is None:
            return None
        stands = attempt.fence == one.fence and one.state in before(first)
        if first not in ENDS_AN_ATTEMPT:
            if stands:
                self._apply(one.id, settlement, settlement.events)
                return attempt
            if first is Event.FOUND and Event.ACCEPTED not in (attempt.outcome, attempt.proof):
                self._prove(one, settlement, attempt)
                return replace(attempt, proof=Event.ACCEPTED)
            return None
        if attempt.outcome is None and stands:
            events = settlement.events
            if first is Event.REFUSED and (one.in_doubt or attempt.follows_doubt):
                settlement = replace(settlement, reason=f"{settlement.reason}; {IN_DOUBT}")
                events = (Event.LOST,)
            self._apply(one.id, settlement, events)
            return replace(attempt, outcome=events[0])
        if first is Event.ACCEPTED and Event.ACCEPTED not in (attempt.outcome, attempt.proof):
            self._prove(one, settlement, attempt)
            if attempt.outcome is None:
                return replace(attempt, outcome=Event.ACCEPTED)
            return replace(attempt, proof=Event.ACCEPTED)
        return None

    def expire(self, delivery_id: UUID) -> Settlement:
        """The claim is over without an answer: whoever held it is dead, or slept too long. Returns what is noted."""
        lost = Settlement(delivery_id, self.version(delivery_id).fence, (Event.LOST,), ENDED_WITHOUT_ANSWER)
        self._apply(delivery_id, lost, lost.events)
        return lost

    def give_up(self, delivery_id: UUID, reason: str) -> None:
        """No run is to go on with it by itself."""
        one = self.version(delivery_id)
        self._apply(delivery_id, Settlement(delivery_id, one.fence, (Event.GIVEN_UP,), reason), (Event.GIVEN_UP,))

    def _apply(self, delivery_id: UUID, settlement: Settlement, events: Sequence[Event]) -> None:
        for event in events:
            one = self.version(delivery_id)
            if one.state not in before(event):
                if event is events[0]:
                    raise ForbiddenTransition(one.state, event)
                return  # what it came to makes the rest pointless: a newer version is there, or nobody wants it
            changes = EFFECTS[event](one, settlement, self.now)
            document_id = settlement.document_id or one.document_id
            self._put(one, reason=settlement.reason or None, document_id=document_id, lease_until=None, **changes)
            if event in _CAME_TO_NOTHING and one.generation > 1 and self.version(one.id).ordered is None:
                self._ask_again(one)
            self.review(delivery_id, event)

    def _prove(self, one: DeliveryRecord, settlement: Settlement, attempt: Attempt) -> None:
        """An acceptance of which nobody knew: whatever was decided without it is corrected."""
        for other in self.others(one.id):
            if other.ordered is not None:
                self._put(other, ordered=None, not_before=None)
        newest = attempt.generation == one.generation
        under_way = one.state is State.SENDING
        self._put(
            one,
            delivered_at=one.delivered_at or self.now,
            document_id=settlement.document_id if newest or one.document_id is None else one.document_id,
            in_doubt=one.in_doubt and not newest,
            in_doubt_before=False,
            given_up=one.given_up and one.in_doubt and not newest,
            may_repeat=one.may_repeat and not newest,
            ordered=None,
            not_before=one.not_before if one.in_doubt and not newest else None,
            # Who waived a copy of what was known to be there did not decide without the proof.
            waived=one.waived and one.delivered_at is not None,
            replaced=False,
            refused=False,
            reason=one.reason if under_way else CAME_LATE,
        )
        self.review(one.id, Event.PROVED)

    # What comes from people

    def judge(self, delivery_id: UUID, verdict: Verdict, *, seen: AsSeen | None, note: str, wish: str) -> None:
        """Carry out a person's verdict.

        Raises Outdated where the version is not as it was seen any more; ForbiddenTransition where the verdict does
        not fit its state; AnotherVersionIsOpen where another version may be accepted just now.
        """
        one, event = self.version(delivery_id), verdict.event
        if seen is not None and (seen.state, seen.generation) != (one.state, one.generation):
            raise Outdated(event, f"{seen.state}, generation {seen.generation},", one.state, one.generation, one.reason)
        if one.state not in before(event):
            raise ForbiddenTransition(one.state, event)
        if event in ORDERS:
            self.order(delivery_id, wish, note, event, instead=verdict is Verdict.RESEND)
            return
        settled = {"ordered": None, "not_before": None, "reason": note}
        if verdict is Verdict.WAIVE:
            self._put(one, waived=True, **settled)
        else:
            self._put(one, delivered_at=self.now, waived=False, replaced=False, refused=False, **NO_DOUBT, **settled)
        self.review(delivery_id, event)

    def order(self, delivery_id: UUID, wish: str, note: str, event: Event, *, instead: bool = False) -> None:
        """A wish to send it, under a new idempotency key; ``instead`` of all others that have not left.

        Should the order lapse, what stood before it stands again: refused, waived. Raises AnotherVersionIsOpen.
        """
        one = self.version(delivery_id)
        for other in self.others(delivery_id):
            if other.state in MAY_BE_ACCEPTED or (other.in_doubt and not other.given_up and not other.waived):
                raise AnotherVersionIsOpen(other.revision, other.state)
        for other in self.others(delivery_id):
            if instead and other.state in NOT_LEFT:
                why = f"revision {one.revision} is sent instead: {note}"
                self._put(other, replaced=True, ordered=None, reason=why)
            elif other.ordered is not None:
                self._put(other, ordered=None)
        self._put(
            one,
            generation=one.generation + 1,
            attempts=0,
            ordered=wish,
            not_before=None,
            in_doubt_before=one.in_doubt or one.in_doubt_before,
            in_doubt=False,
            may_repeat=False,
            given_up=False,
            replaced=False,
            held_for=None,
            held_because=None,
            reason=note,
        )
        self.review(delivery_id, event)

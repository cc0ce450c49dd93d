"""The life of a delivery: every state, every edge, and the event that names it. There is no other way through.

A delivery is one version of an invoice. Which of an edge's ends it comes to is decided from the whole history of the
invoice (decisions.py); this table says which events a state takes, and which ends are possible at all.

The promise behind it: never automatically sent again once acceptance is possible; never silently lost; every
uncertainty visible to a person. ``docs/delivery.md`` holds the diagram that is generated from this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from clearfacts_assets.invoices.model import InvoiceStatus


class State(StrEnum):
    """Where a delivery stands. ``DELIVERED`` and ``WAIVED`` are final: only a person's decision leaves them."""

    READY = "ready"  # validated and unique; may be claimed
    HELD = "held"  # another version is in its way, or something of its own (its receiver, ...); a person decides
    SENDING = "sending"  # claimed under a lease; an attempt is recorded and bytes may be leaving
    WAITING = "waiting"  # provably not accepted; due again later
    UNKNOWN = "unknown"  # may have been accepted
    DELIVERED = "delivered"  # accepted, with the destination's id
    REJECTED = "rejected"  # refused for what it is
    PARKED = "parked"  # waits for a person
    WAIVED = "waived"  # a person decided that it will not be sent
    SUPERSEDED = "superseded"  # has not left, and the source shows another version or invoice in its place
    WITHDRAWN = "withdrawn"  # has not left, and the source does not have it any more


class Event(StrEnum):
    """What happens to a delivery, in the past tense."""

    REGISTERED = "registered"  # an invoice that nobody has seen
    CHANGED = "changed"  # a known invoice with other content
    CORRECTED = "corrected"  # ... after a refusal: the remedy that was asked for
    REVIEWED = "reviewed"  # another version, or what the source shows, has changed what may be done
    UNRECOGNISED = "unrecognised"  # Clearfacts has no administration of its receiver
    RECOGNISED = "recognised"  # ... and now it has one
    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    DENIED = "denied"  # credentials refused: back to the queue, no attempt charged
    RELEASED = "released"  # claimed, but the run was told to stop before any byte left
    LOST = "lost"  # no answer that settles it: error after connect, 5xx, malformed answer, lease expired
    FOUND = "found"  # acceptance was proved by a look-up
    PROVED = "proved"  # ... or by an answer that came when nobody waited for it any more
    NOT_FOUND = "not_found"  # a look-up proved the contrary
    REPEATABLE = "repeatable"  # nobody can tell, but the idempotency key makes another try safe
    GIVEN_UP = "given_up"  # attempts or patience exhausted, or nothing can tell
    CONFIRMED = "confirmed"  # a person: it has been delivered
    RESENT = "resent"  # a person: send it, knowingly
    SENT_AGAIN = "sent_again"  # a person: send once more what is delivered
    DISMISSED = "dismissed"  # a person: it will not be sent


_NOT_LEFT = (State.READY, State.HELD, State.SUPERSEDED, State.WITHDRAWN)
_ACCEPTED_BEFORE = (State.DELIVERED, State.PARKED)  # what may come of a copy whose order has lapsed
_DECIDED_BEFORE = (State.WAIVED, State.REJECTED)  # ... and of what was never accepted

TRANSITIONS: dict[tuple[State | None, Event], tuple[State, ...]] = {
    (None, Event.REGISTERED): (State.READY, State.HELD, State.SUPERSEDED),
    (None, Event.CHANGED): (State.READY, State.HELD, State.SUPERSEDED),
    (None, Event.CORRECTED): (State.READY, State.HELD, State.SUPERSEDED),
    (State.READY, Event.REVIEWED): (
        *(State.HELD, State.SUPERSEDED, State.WITHDRAWN, State.WAIVED, State.REJECTED, State.UNKNOWN),
        *_ACCEPTED_BEFORE,
    ),
    (State.WAITING, Event.REVIEWED): (
        *(State.READY, State.HELD, State.SUPERSEDED, State.WITHDRAWN, State.WAIVED, State.REJECTED, State.UNKNOWN),
        *_ACCEPTED_BEFORE,
    ),
    (State.HELD, Event.REVIEWED): (
        *(State.READY, State.WAITING, State.PARKED, State.SUPERSEDED, State.WITHDRAWN, State.WAIVED),
    ),
    (State.PARKED, Event.REVIEWED): (State.HELD, State.SUPERSEDED, State.WITHDRAWN),
    (State.SUPERSEDED, Event.REVIEWED): (State.READY, State.WAITING, State.HELD, State.PARKED),
    (State.WITHDRAWN, Event.REVIEWED): (State.READY, State.WAITING, State.HELD, State.SUPERSEDED, State.PARKED),
    (State.UNKNOWN, Event.REVIEWED): (State.READY, State.WAITING),
    (State.WAIVED, Event.REVIEWED): (State.HELD, State.PARKED, State.REJECTED, State.SUPERSEDED, State.WITHDRAWN),
    (State.READY, Event.UNRECOGNISED): (State.HELD,),
    (State.WAITING, Event.UNRECOGNISED): (State.HELD,),
    (State.HELD, Event.RECOGNISED): (State.READY, State.HELD),
    (State.READY, Event.CLAIMED): (State.SENDING,),
    (State.WAITING, Event.CLAIMED): (State.SENDING,),
    (State.SENDING, Event.ACCEPTED): (State.DELIVERED,),
    (State.SENDING, Event.REFUSED): (State.REJECTED, *_ACCEPTED_BEFORE),
    (State.SENDING, Event.NOT_SENT): (
        *(State.WAITING, State.UNKNOWN, *_NOT_LEFT[1:], *_ACCEPTED_BEFORE, *_DECIDED_BEFORE),
    ),
    (State.SENDING, Event.DENIED): (State.UNKNOWN, *_NOT_LEFT, *_ACCEPTED_BEFORE, *_DECIDED_BEFORE),
    (State.SENDING, Event.RELEASED): (State.UNKNOWN, *_NOT_LEFT, *_ACCEPTED_BEFORE, *_DECIDED_BEFORE),
    (State.SENDING, Event.LOST): (State.UNKNOWN,),
    (State.UNKNOWN, Event.FOUND): (State.DELIVERED,),
    (State.UNKNOWN, Event.NOT_FOUND): (State.WAITING, State.REJECTED, *_NOT_LEFT[1:], *_ACCEPTED_BEFORE),
    (State.UNKNOWN, Event.REPEATABLE): (State.WAITING, State.UNKNOWN),
    (State.UNKNOWN, Event.GIVEN_UP): (State.PARKED,),
    (State.WAITING, Event.GIVEN_UP): (*_ACCEPTED_BEFORE, *_NOT_LEFT[1:]),
    (State.READY, Event.GIVEN_UP): (*_ACCEPTED_BEFORE, *_NOT_LEFT[1:]),
    (State.SENDING, Event.PROVED): (State.SENDING,),
    (State.UNKNOWN, Event.PROVED): (State.DELIVERED, State.UNKNOWN),
    (State.READY, Event.PROVED): (State.DELIVERED,),
    (State.WAITING, Event.PROVED): (State.DELIVERED, State.UNKNOWN),
    (State.HELD, Event.PROVED): (State.DELIVERED,),
    (State.PARKED, Event.PROVED): (State.DELIVERED, State.PARKED),
    (State.REJECTED, Event.PROVED): (State.DELIVERED,),
    (State.WAIVED, Event.PROVED): (State.DELIVERED,),
    (State.SUPERSEDED, Event.PROVED): (State.DELIVERED,),
    (State.WITHDRAWN, Event.PROVED): (State.DELIVERED,),
    (State.DELIVERED, Event.PROVED): (State.DELIVERED,),
    (State.READY, Event.CONFIRMED): (State.DELIVERED,),
    (State.WAITING, Event.CONFIRMED): (State.DELIVERED,),
    (State.HELD, Event.CONFIRMED): (State.DELIVERED,),
    (State.PARKED, Event.CONFIRMED): (State.DELIVERED,),
    (State.REJECTED, Event.CONFIRMED): (State.DELIVERED,),
    (State.WAIVED, Event.CONFIRMED): (State.DELIVERED,),
    (State.SUPERSEDED, Event.CONFIRMED): (State.DELIVERED,),
    (State.WITHDRAWN, Event.CONFIRMED): (State.DELIVERED,),
    (State.READY, Event.DISMISSED): (State.WAIVED, State.DELIVERED),
    (State.WAITING, Event.DISMISSED): (State.WAIVED, State.DELIVERED),
    (State.HELD, Event.DISMISSED): (State.WAIVED,),
    (State.PARKED, Event.DISMISSED): (State.WAIVED, State.DELIVERED),
    (State.HELD, Event.RESENT): (State.READY,),
    (State.PARKED, Event.RESENT): (State.READY,),
    (State.REJECTED, Event.RESENT): (State.READY,),
    (State.WAIVED, Event.RESENT): (State.READY,),
    (State.SUPERSEDED, Event.RESENT): (State.READY,),
    (State.WITHDRAWN, Event.RESENT): (State.READY,),
    (State.DELIVERED, Event.SENT_AGAIN): (State.READY,),
}


class Verdict(StrEnum):
    """What a person may decide about a delivery."""

    DELIVERED = "delivered"
    RESEND = "resend"
    SEND_AGAIN = "send_again"  # for what is delivered, so that nobody sends twice who only meant to send
    WAIVE = "waive"

    @property
    def event(self) -> Event:
        return _EVENT_OF[self]


_EVENT_OF = {
    Verdict.DELIVERED: Event.CONFIRMED,
    Verdict.RESEND: Event.RESENT,
    Verdict.SEND_AGAIN: Event.SENT_AGAIN,
    Verdict.WAIVE: Event.DISMISSED,
}

BY_A_PERSON = frozenset(_EVENT_OF.values())
ORDERS = frozenset({Event.RESENT, Event.SENT_AGAIN})
WAITS_FOR_A_PERSON = frozenset({State.HELD, State.PARKED})
FINAL = frozenset({State.DELIVERED, State.WAIVED})
OVER = FINAL | {State.REJECTED, State.SUPERSEDED, State.WITHDRAWN}  # nothing more happens to it by itself
MAY_BE_ACCEPTED = frozenset({State.SENDING, State.UNKNOWN})
NOT_LEFT = frozenset({State.READY, State.WAITING, State.HELD})


@dataclass(frozen=True, slots=True)
class RowMeaning:
    """What a delivery's state means for the rows of jobs, each of which is one invoice as one job saw it."""

    waited: InvoiceStatus  # a row that waited for the delivery
    met: InvoiceStatus  # a row that meets it later
    words: str  # {when}: the moment of it; {run}: who claimed it last
    same_content: str = ""  # of a row whose content is the delivery's: it is over before the document is looked at


_PENDING, _FAILED, _DUPLICATE = InvoiceStatus.PENDING, InvoiceStatus.FAILED, InvoiceStatus.DUPLICATE

# The one place that says so. The row of the job that got a version delivered is sent; that is for the job to know.
# What a person waived is a failure for the row that waited to be sent, and nothing new for one that comes later.
ROW_MEANING: dict[State, RowMeaning] = {
    State.READY: RowMeaning(_PENDING, _PENDING, "not sent yet"),
    State.WAITING: RowMeaning(_PENDING, _PENDING, "to be tried again"),
    State.SENDING: RowMeaning(_PENDING, _PENDING, "run {run} is sending it"),
    State.UNKNOWN: RowMeaning(_PENDING, _PENDING, "it may have been accepted; it is looked up again in the next run"),
    State.HELD: RowMeaning(_PENDING, _PENDING, "held for a person"),
    State.PARKED: RowMeaning(_PENDING, _PENDING, "parked for a person"),
    State.REJECTED: RowMeaning(_FAILED, _FAILED, ""),
    State.DELIVERED: RowMeaning(
        _DUPLICATE,
        _DUPLICATE,
        "delivered before, on {when}",
        same_content="this content was delivered before",
    ),
    State.WAIVED: RowMeaning(
        _FAILED,
        _DUPLICATE,
        "a person decided on {when} not to send it",
        same_content="a person decided that this content is not sent",
    ),
    State.SUPERSEDED: RowMeaning(_DUPLICATE, _DUPLICATE, ""),
    State.WITHDRAWN: RowMeaning(_FAILED, _FAILED, ""),
}


class ForbiddenTransition(Exception):
    """A delivery in this state cannot take this event. A bad program, or a person's wish that came too late."""

    def __init__(self, state: State | None, event: Event) -> None:
        super().__init__(f"a delivery that is {state.value if state else 'new'} cannot be {event.value}")
        self.state, self.event = state, event


class AnotherVersionIsOpen(ForbiddenTransition):
    """Another version of the same invoice may be accepted at this moment: this one is not sent beside it."""

    def __init__(self, revision: int, state: State) -> None:
        super().__init__(state, Event.RESENT)
        self.args = (f"revision {revision} of it is {state} and may be accepted: decide when that is settled",)


class Outdated(ForbiddenTransition):
    """The delivery is not any more as the person saw it who decided; the message says how it is now."""

    def __init__(self, event: Event, seen: str, now: State, generation: int, reason: str | None) -> None:
        super().__init__(now, event)
        why = f" ({reason})" if reason else ""
        self.args = (
            f"it was {seen} when you looked, and is {now} now, generation {generation}{why}: look again, then decide",
        )


@cache
def before(event: Event) -> frozenset[State]:
    """The states that can take this event; none for the events that begin a delivery."""
    return frozenset(state for state, possible in TRANSITIONS if possible is event and state is not None)


def after(state: State | None, event: Event) -> tuple[State, ...]:
    """The states that may follow; None stands before the first. Raises ForbiddenTransition where there is no edge."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ForbiddenTransition(state, event) from None


def diagram() -> str:
    """The table as a Mermaid state diagram, one line a pair of states; docs/delivery.md holds it."""
    edges: dict[tuple[State | None, State], list[Event]] = {}
    for (state, event), ends in TRANSITIONS.items():
        for following in ends:
            edges.setdefault((state, following), []).append(event)
    lines = ["stateDiagram-v2"]
    for (state, following), events in edges.items():
        names = ", ".join(f"{event}*" if event in BY_A_PERSON else event for event in events)
        lines.append(f"    {state or '[*]'} --> {following} : {names}")
    return "\n".join(lines)

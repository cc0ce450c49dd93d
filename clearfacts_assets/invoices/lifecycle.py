"""The life of a delivery: every state, every edge, and the event that names it. There is no other way through.

The promise behind it: never automatically sent again once acceptance is possible; never silently lost; every
uncertainty visible to a person. ``docs/delivery.md`` holds the diagram that is generated from this table.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a delivery stands. ``DELIVERED`` and ``WAIVED`` are final: only a person's decision leaves them."""

    READY = "ready"  # validated and unique; may be claimed
    HELD = "held"  # a known key with changed content, or a receiver that Clearfacts does not know; a person decides
    SENDING = "sending"  # claimed under a lease; an attempt is recorded and bytes may be leaving
    WAITING = "waiting"  # provably not accepted; due again later
    UNKNOWN = "unknown"  # may have been accepted
    DELIVERED = "delivered"  # accepted, with the destination's id
    REJECTED = "rejected"  # refused for what it is
    PARKED = "parked"  # waits for a person
    WAIVED = "waived"  # a person decided that it will not be sent


class Event(StrEnum):
    """What happens to a delivery, in the past tense."""

    REGISTERED = "registered"  # a key that nobody has seen
    CHANGED = "changed"  # a known key with other content
    CORRECTED = "corrected"  # ... after a refusal: the remedy that was asked for
    UNRECOGNISED = "unrecognised"  # Clearfacts has no administration of its receiver
    RECOGNISED = "recognised"  # ... and now it has one
    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    DENIED = "denied"  # credentials refused: back to the queue, no attempt charged
    RELEASED = "released"  # claimed, but the run was told to stop before any byte left
    LOST = "lost"  # no answer that settles it: error after connect, 5xx, malformed answer, lease expired
    FOUND = "found"  # acceptance was proved: by a look-up, or by an answer that came after the lease had expired
    NOT_FOUND = "not_found"  # a look-up proved the contrary, or the idempotency key makes another try safe
    GIVEN_UP = "given_up"  # attempts or patience exhausted, or nothing can tell
    CONFIRMED = "confirmed"  # a person: it has been delivered
    RESENT = "resent"  # a person: send it (again), knowingly
    DISMISSED = "dismissed"  # a person: it will not be sent


TRANSITIONS: dict[tuple[State | None, Event], State] = {
    (None, Event.REGISTERED): State.READY,
    (None, Event.CHANGED): State.HELD,
    (None, Event.CORRECTED): State.READY,
    (State.READY, Event.UNRECOGNISED): State.HELD,
    (State.WAITING, Event.UNRECOGNISED): State.HELD,
    (State.HELD, Event.RECOGNISED): State.READY,
    (State.READY, Event.CLAIMED): State.SENDING,
    (State.WAITING, Event.CLAIMED): State.SENDING,
    (State.SENDING, Event.ACCEPTED): State.DELIVERED,
    (State.SENDING, Event.REFUSED): State.REJECTED,
    (State.SENDING, Event.NOT_SENT): State.WAITING,
    (State.SENDING, Event.DENIED): State.READY,
    (State.SENDING, Event.RELEASED): State.READY,
    (State.SENDING, Event.LOST): State.UNKNOWN,
    (State.UNKNOWN, Event.FOUND): State.DELIVERED,
    (State.UNKNOWN, Event.NOT_FOUND): State.WAITING,
    (State.UNKNOWN, Event.GIVEN_UP): State.PARKED,
    (State.WAITING, Event.GIVEN_UP): State.PARKED,
    (State.READY, Event.GIVEN_UP): State.PARKED,
    (State.WAITING, Event.FOUND): State.DELIVERED,
    (State.PARKED, Event.FOUND): State.DELIVERED,
    (State.READY, Event.DISMISSED): State.WAIVED,
    (State.WAITING, Event.DISMISSED): State.WAIVED,
    (State.HELD, Event.CONFIRMED): State.DELIVERED,
    (State.HELD, Event.RESENT): State.READY,
    (State.HELD, Event.DISMISSED): State.WAIVED,
    (State.PARKED, Event.CONFIRMED): State.DELIVERED,
    (State.PARKED, Event.RESENT): State.READY,
    (State.PARKED, Event.DISMISSED): State.WAIVED,
    (State.REJECTED, Event.RESENT): State.READY,
    (State.DELIVERED, Event.RESENT): State.READY,
    (State.WAIVED, Event.RESENT): State.READY,
}


class Verdict(StrEnum):
    """What a person may decide about a delivery."""

    DELIVERED = "delivered"
    RESEND = "resend"
    WAIVE = "waive"

    @property
    def event(self) -> Event:
        return _EVENT_OF[self]


_EVENT_OF = {Verdict.DELIVERED: Event.CONFIRMED, Verdict.RESEND: Event.RESENT, Verdict.WAIVE: Event.DISMISSED}

BY_A_PERSON = frozenset(_EVENT_OF.values())
WAITS_FOR_A_PERSON = frozenset({State.HELD, State.PARKED})
FINAL = frozenset({State.DELIVERED, State.WAIVED})
MAY_BE_ACCEPTED = frozenset({State.SENDING, State.UNKNOWN})


class ForbiddenTransition(Exception):
    """A delivery in this state cannot take this event. A bad program, never bad data."""

    def __init__(self, state: State | None, event: Event) -> None:
        super().__init__(f"a delivery that is {state.value if state else 'new'} cannot be {event.value}")
        self.state, self.event = state, event


class AnotherVersionIsOpen(ForbiddenTransition):
    """Another version of the same invoice may be accepted at this moment: this one is not sent beside it."""

    def __init__(self, revision: int, state: State) -> None:
        super().__init__(state, Event.RESENT)
        self.args = (f"revision {revision} of it is {state} and may be accepted: decide when that is settled",)


def before(event: Event) -> frozenset[State]:
    """The states that can take this event; none for the events that begin a delivery."""
    return frozenset(state for state, possible in TRANSITIONS if possible is event and state is not None)


def after(state: State | None, event: Event) -> State:
    """The state that follows; None stands before the first. Raises ForbiddenTransition where there is no edge."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ForbiddenTransition(state, event) from None


def diagram() -> str:
    """The table as a Mermaid state diagram, one line a pair of states; docs/delivery.md holds it."""
    edges: dict[tuple[State | None, State], list[Event]] = {}
    for (state, event), following in TRANSITIONS.items():
        edges.setdefault((state, following), []).append(event)
    lines = ["stateDiagram-v2"]
    for (state, following), events in edges.items():
        names = ", ".join(f"{event}*" if event in BY_A_PERSON else event for event in events)
        lines.append(f"    {state or '[*]'} --> {following} : {names}")
    return "\n".join(lines)

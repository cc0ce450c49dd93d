"""The life of a period, as one table: what each state allows, and which states follow it.

A finalized period never changes again; what comes late for it is posted in the next open one.
"""

from __future__ import annotations

from enum import StrEnum

from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.messages import Message


class State(StrEnum):
    """Where a period stands."""

    OPEN = "open"
    CLOSED = "closed"
    FINALIZED = "finalized"


class Event(StrEnum):
    """What is done to a period."""

    CLOSE = "close"
    REOPEN = "reopen"
    FINALIZE = "finalize"


class Action(StrEnum):
    """What people and imports do in a period."""

    IMPORT = "import"
    ATTRIBUTE = "attribute"
    REVIEW = "review"
    POST_ADJUSTMENT = "post_adjustment"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.OPEN, Event.CLOSE): State.CLOSED,
    (State.CLOSED, Event.REOPEN): State.OPEN,
    (State.CLOSED, Event.FINALIZE): State.FINALIZED,
}

ALLOWED: dict[State, frozenset[Action]] = {
    State.OPEN: frozenset(Action),
    State.CLOSED: frozenset({Action.REVIEW, Action.ATTRIBUTE}),
    State.FINALIZED: frozenset(),
}

_WHAT_TO_DO = {
    (State.OPEN, Event.REOPEN): "it is open already",
    (State.OPEN, Event.FINALIZE): "close it first: clearfacts chargeback periods close {period}",
    (State.CLOSED, Event.CLOSE): "it is closed already",
    (State.FINALIZED, Event.CLOSE): "a finalized period never changes again",
    (
        State.FINALIZED,
        Event.REOPEN,
    ): "a finalized period never changes again; what comes late is posted in the next one",
    (State.FINALIZED, Event.FINALIZE): "it is finalized already",
}


class NotAllowed(ChargebackError):
    """The period's state does not allow this."""


def after(period: str, state: State, event: Event) -> State:
    """The state that follows. Raises NotAllowed, which says what to do instead."""
    following = TRANSITIONS.get((state, event))
    if following is None:
        raise NotAllowed(
            "{period} cannot be {done}: {hint}",
            period=period,
            done=Message(_PAST[event]),
            hint=Message(_WHAT_TO_DO[state, event], {"period": period}),
        )
    return following


def require(period: str, state: State, action: Action) -> None:
    """Raises NotAllowed where the period's state does not allow the action."""
    if action not in ALLOWED[state]:
        hint = "" if state is State.FINALIZED else "; clearfacts chargeback periods reopen {period} --reason ..."
        raise NotAllowed(
            "{period} is {state}: {doing} is not possible there{hint}",
            period=period,
            state=state,
            doing=Message(_DOING[action]),
            hint=Message(hint, {"period": period}),
        )


_PAST = {Event.CLOSE: "closed", Event.REOPEN: "reopened", Event.FINALIZE: "finalized"}
_DOING = {
    Action.IMPORT: "an import",
    Action.ATTRIBUTE: "a change of who pays",
    Action.REVIEW: "a review decision",
    Action.POST_ADJUSTMENT: "an adjustment",
}

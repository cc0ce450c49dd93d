"""The life of a journal batch, as one table. What has left is never changed: a reversal takes it back."""

from __future__ import annotations

from enum import StrEnum

from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.messages import Message


class BatchState(StrEnum):
    """Where a batch stands. Its statements are booked by it in every state but the last."""

    DRAFT = "draft"  # nobody was given it
    EXPORTED = "exported"  # the general ledger may have it
    POSTED = "posted"  # the general ledger said so
    REVERSED = "reversed"  # taken back: a draft by itself, any other by the batch that reverses it


class BatchEvent(StrEnum):
    """What happens to a batch, in the past tense."""

    EXPORTED = "exported"
    POSTED = "posted"
    REVERSED = "reversed"


TRANSITIONS: dict[tuple[BatchState, BatchEvent], BatchState] = {
    (BatchState.DRAFT, BatchEvent.EXPORTED): BatchState.EXPORTED,
    (BatchState.DRAFT, BatchEvent.REVERSED): BatchState.REVERSED,
    (BatchState.EXPORTED, BatchEvent.POSTED): BatchState.POSTED,
    (BatchState.EXPORTED, BatchEvent.REVERSED): BatchState.REVERSED,
    (BatchState.POSTED, BatchEvent.REVERSED): BatchState.REVERSED,
}
_WHAT_TO_DO = {
    (BatchState.DRAFT, BatchEvent.POSTED): "export it first: clearfacts chargeback journals export {number}",
    (BatchState.POSTED, BatchEvent.POSTED): "it is posted already",
    (BatchState.REVERSED, BatchEvent.REVERSED): "it is reversed already",
}


class BatchNotAllowed(ChargebackError):
    """The batch's state does not allow this."""


def after(number: str, state: BatchState, event: BatchEvent) -> BatchState:
    """The state that follows. Raises BatchNotAllowed, which says what to do instead."""
    following = TRANSITIONS.get((state, event))
    if following is None:
        hint = Message(_WHAT_TO_DO.get((state, event), "it stays so"), {"number": number})
        raise BatchNotAllowed(
            "{number} is {state} and cannot be {event}: {hint}", number=number, state=state, event=event, hint=hint
        )
    return following

"""The life of a statement, as one table. What was issued is never changed: another version replaces it."""

from __future__ import annotations

from enum import StrEnum

from clearfacts_assets.chargeback.model import ChargebackError


class StatementState(StrEnum):
    """Where a statement stands. Of those that are proposed or issued a subject has at most one."""

    DRAFT = "draft"  # nobody was shown it; the next `generate` overwrites it
    PROPOSED = "proposed"  # the investigator may object; silence accepts
    ISSUED = "issued"
    CORRECTED = "corrected"  # a later version stands in its place
    VOIDED = "voided"  # counts no more, and nothing stands in its place


class StatementEvent(StrEnum):
    """What happens to a statement, in the past tense."""

    DRAFTED = "drafted"
    PROPOSED = "proposed"
    ISSUED = "issued"
    ACCEPTED = "accepted"  # the days to object are over, or the investigator said yes
    CORRECTED = "corrected"
    VOIDED = "voided"


TRANSITIONS: dict[tuple[StatementState | None, StatementEvent], StatementState] = {
    (None, StatementEvent.DRAFTED): StatementState.DRAFT,
    (None, StatementEvent.PROPOSED): StatementState.PROPOSED,
    (None, StatementEvent.ISSUED): StatementState.ISSUED,
    (StatementState.DRAFT, StatementEvent.VOIDED): StatementState.VOIDED,
    (StatementState.PROPOSED, StatementEvent.ACCEPTED): StatementState.ISSUED,
    (StatementState.PROPOSED, StatementEvent.CORRECTED): StatementState.CORRECTED,
    (StatementState.PROPOSED, StatementEvent.VOIDED): StatementState.VOIDED,
    (StatementState.ISSUED, StatementEvent.CORRECTED): StatementState.CORRECTED,
    (StatementState.ISSUED, StatementEvent.VOIDED): StatementState.VOIDED,
}
LIVE = frozenset({StatementState.DRAFT, StatementState.PROPOSED, StatementState.ISSUED})
SHOWN = LIVE - {StatementState.DRAFT}  # to investigators


class StatementNotAllowed(ChargebackError):
    """The statement's state does not allow this."""


def after(number: str, state: StatementState | None, event: StatementEvent) -> StatementState:
    """The state that follows. Raises StatementNotAllowed."""
    following = TRANSITIONS.get((state, event))
    if following is None:
        raise StatementNotAllowed("{number} is {state}: it cannot be {event}", number=number, state=state, event=event)
    return following

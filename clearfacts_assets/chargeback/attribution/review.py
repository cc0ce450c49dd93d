"""What a decision makes of a charge. Pure: where a charge stands, what is decided, where it stands then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from clearfacts_assets.chargeback.model import ChargebackError, Status


class Verdict(StrEnum):
    """What a person decides."""

    APPROVE = "approve"
    REJECT = "reject"
    CORRECT = "correct"
    UNDO = "undo"


# What follows which state; what is not here cannot be decided. Undo goes back to where the last decision began.
FOLLOWS: dict[tuple[Status, Verdict], Status] = {
    (Status.FLAGGED, Verdict.APPROVE): Status.APPROVED,
    (Status.REJECTED, Verdict.APPROVE): Status.APPROVED,
    (Status.CLEAR, Verdict.REJECT): Status.REJECTED,
    (Status.FLAGGED, Verdict.REJECT): Status.REJECTED,
    (Status.APPROVED, Verdict.REJECT): Status.REJECTED,
    (Status.CLEAR, Verdict.CORRECT): Status.APPROVED,
    (Status.FLAGGED, Verdict.CORRECT): Status.APPROVED,
    (Status.APPROVED, Verdict.CORRECT): Status.APPROVED,
    (Status.REJECTED, Verdict.CORRECT): Status.APPROVED,
}


@dataclass(frozen=True, slots=True)
class ReviewDecision:
    """What a person says about some charges.

    ``fields`` are what a correction sets. ``seen`` is the status in which the person saw each charge.
    """

    verdict: Verdict
    note: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[int, str] = field(default_factory=dict)


class CannotDecide(ChargebackError):
    """The charge does not stand where this can be decided about it."""


class SeenOtherwise(CannotDecide):
    """The charge does not stand any more where it stood when its reader looked."""


def decided(charge: int, status: Status, verdict: Verdict) -> Status:
    """The status that follows. Raises CannotDecide."""
    following = FOLLOWS.get((status, verdict))
    if following is None:
        raise CannotDecide(
            "charge {charge} is {status}: there is nothing to {verdict}", charge=charge, status=status, verdict=verdict
        )
    return following

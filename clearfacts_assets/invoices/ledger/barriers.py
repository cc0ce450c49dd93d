"""What stands in a document's own way, before anybody else is asked: a person has to look at it."""

from __future__ import annotations

from dataclasses import replace

from clearfacts_assets.invoices.ledger.model import HELD_FOR_IDENTITY, HELD_FOR_NUMBER, Barrier, Candidate
from clearfacts_assets.invoices.parties import contradictions

SHOWN = 40  # characters of a number that is too long


def with_barrier(candidate: Candidate, longest_number: int) -> Candidate:
    """The candidate with what keeps it from leaving, if anything does; ``longest_number`` is the destination's, in
    characters. What the ledger has already, it knows."""
    if candidate.delivery_id is not None or candidate.barrier is not None:
        return candidate
    barrier = _identity(candidate) or _number(candidate, longest_number)
    return candidate if barrier is None else replace(candidate, barrier=barrier)


def _identity(candidate: Candidate) -> Barrier | None:
    found = contradictions(candidate.invoice)
    if not found:
        return None
    return Barrier(HELD_FOR_IDENTITY, f"{'; '.join(found)}: look which is right, and let the ERP correct it")


def _number(candidate: Candidate, longest: int) -> Barrier | None:
    number = candidate.invoice.number
    if len(number) <= longest:
        return None
    told = f"its number has {len(number):,} characters, and the destination takes {longest}: {number[:SHOWN]}..."
    return Barrier(HELD_FOR_NUMBER, told)

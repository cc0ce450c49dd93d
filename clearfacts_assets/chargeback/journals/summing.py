"""Sums of parts by some of their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from clearfacts_assets.chargeback.journals.model import Part
from clearfacts_assets.money import EXACT


def summed(parts: Iterable[Part], by: Sequence[str]) -> Iterator[tuple[tuple[str, ...], int, Decimal]]:
    """(names, charges, exact sum) in the order of the names; the same for the same parts in any order."""
    sums: dict[tuple[str, ...], tuple[int, Decimal]] = {}
    for part in parts:
        key = tuple(getattr(part, name) for name in by)
        charges, amount = sums.get(key, (0, Decimal(0)))
        sums[key] = charges + part.charges, EXACT.add(amount, part.amount)
    for key in sorted(sums):
        yield (key, *sums[key])

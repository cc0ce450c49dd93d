"""Whole numbers of cents, spread so that nothing is lost: every part is its floor, and the cents that are missing go to
the largest remainders. Ties go to who stands first, so that the same list always gives the same parts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

from clearfacts_assets.money import EXACT, exponent

_FLOOR = Context(prec=400, rounding=ROUND_FLOOR)
_HALF_UP = Context(prec=400, rounding=ROUND_HALF_UP)
_ONE = Decimal(1)


def in_cents(amount: Decimal, currency: str) -> Decimal:
    """The exact amount in the currency's smallest units, with its fraction."""
    return amount.scaleb(exponent(currency), context=EXACT)


def money_of(cents: int, currency: str) -> Decimal:
    """Whole cents as an amount of the currency, with its places: 100 USD cents are 1.00."""
    return Decimal(cents).scaleb(-exponent(currency), context=EXACT)


def half_up(amount: Decimal) -> int:
    """The nearest whole number, halves away from zero."""
    return int(amount.quantize(_ONE, context=_HALF_UP))


def apportion(total: int, exact: Sequence[Decimal]) -> list[int]:
    """``total`` whole cents over parts that are exactly so many. ``total`` lies between the sum of the floors and the
    sum of the ceilings, or the surplus is spread evenly round by round."""
    floors = [int(one.quantize(_ONE, context=_FLOOR)) for one in exact]
    missing = total - sum(floors)
    if not missing:
        return floors
    order = sorted(range(len(exact)), key=lambda index: floors[index] - exact[index])  # stable: ties keep their order
    return _spread(floors, missing, order)


def shared(total: int, weights: Sequence[Fraction | int]) -> list[int]:
    """``total`` cents in proportion to the weights, of which at least one is above zero and none below."""
    whole = sum(weights, Fraction(0))
    exact = [total * Fraction(one) / whole for one in weights]
    floors = [one.numerator // one.denominator for one in exact]
    order = sorted(range(len(exact)), key=lambda index: floors[index] - exact[index])
    return _spread(floors, total - sum(floors), [index for index in order if weights[index]])


def _spread(parts: list[int], missing: int, order: Sequence[int]) -> list[int]:
    rounds, rest = divmod(missing, len(order))
    for place, index in enumerate(order):
        parts[index] += rounds + (1 if place < rest else 0)
    return parts

"""Money on paper: an exact sum is rounded once, and its lines get cents that add up to it.

Line cents are rounded down and the missing cents go to the lines with the largest remainders, ties by id. Amounts that
are fixed (a subsidy of 100.00, the cents of a line that is reversed) are never touched; other lines take the drift.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from decimal import ROUND_FLOOR, Context, Decimal
from typing import TypeVar

from clearfacts_assets.chargeback.statements.model import Cents, DueCharge
from clearfacts_assets.money import EXACT, exact_sum, exponent, rounded

Key = TypeVar("Key", bound=Hashable)
_FLOOR = Context(prec=400, rounding=ROUND_FLOOR)


def apportioned(exact: Mapping[Key, Decimal], wanted: Decimal, currency: str) -> dict[Key, Decimal]:
    """Cents for each line that add up to ``wanted``, which is a whole number of the currency's smallest units.

    Each line is its exact amount rounded down; the units that are missing then go one each to the largest remainders,
    ties to what comes first in the mapping. Where ``wanted`` is further from the exact sum than that, the rest is
    spread in the same order again. Raises ValueError for no lines and an amount.
    """
    unit = Decimal(1).scaleb(-exponent(currency))
    cents = {key: amount.quantize(unit, context=_FLOOR) for key, amount in exact.items()}
    missing = int(EXACT.divide(EXACT.subtract(wanted, exact_sum(cents.values())), unit))
    if not missing:
        return cents
    if not cents:
        raise ValueError(f"{wanted} {currency} cannot be spread over no lines")
    ranks = {key: place for place, key in enumerate(exact)}
    order = sorted(exact, key=lambda key: (-EXACT.subtract(exact[key], cents[key]), ranks[key]))
    each, further = divmod(missing, len(order))
    for place, key in enumerate(order):
        cents[key] = EXACT.add(cents[key], unit * (each + (place < further)))
    return cents


def line_cents(
    groups: Mapping[Key, Sequence[DueCharge]], copied: Mapping[Key, Decimal], currency: str
) -> dict[Key, Cents]:
    """What is printed for each line, a line being a group of charges. Every line adds up, and so does every column.

    ``copied`` are lines whose due cents are given: reversals, which are the exact negatives of what they reverse. The
    others add up to their exact sum, rounded once.
    """
    free = {key: exact_sum(one.due for one in group) for key, group in groups.items() if key not in copied}
    due = apportioned(free, rounded(exact_sum(free.values()), currency), currency) if free else {}
    due |= copied

    def column(name: str) -> dict[Key, Decimal]:
        exact = {key: exact_sum(getattr(one, name) for one in group) for key, group in groups.items()}
        touched = {key: amount for key, amount in exact.items() if amount}
        found = apportioned(touched, rounded(exact_sum(touched.values()), currency), currency) if touched else {}
        return {key: found.get(key, Decimal(0)) for key in groups}

    subsidy, credit = column("subsidy"), column("credit")
    discount = _discount(groups, due, subsidy, credit, currency)
    return {
        key: Cents(
            # The list price takes what is left of a cent, so that each line adds up and no amount that is money moves.
            EXACT.subtract(due[key], exact_sum((discount[key], subsidy[key], credit[key]))),
            discount[key],
            subsidy[key],
            credit[key],
            due[key],
        )
        for key in groups
    }


def _discount(
    groups: Mapping[Key, Sequence[DueCharge]],
    due: Mapping[Key, Decimal],
    subsidy: Mapping[Key, Decimal],
    credit: Mapping[Key, Decimal],
    currency: str,
) -> dict[Key, Decimal]:
    """Cents of the discount: so that the list price in all is its exact sum rounded, where any line has a discount."""
    exact = {key: exact_sum(one.discount for one in group) for key, group in groups.items()}
    touched = {key: amount for key, amount in exact.items() if amount}
    nothing = dict.fromkeys(groups, Decimal(0))
    if not touched:
        return nothing
    listed = rounded(exact_sum(one.list_price for group in groups.values() for one in group), currency)
    others = exact_sum((*subsidy.values(), *credit.values(), listed))
    wanted = EXACT.subtract(exact_sum(due.values()), others)
    return nothing | apportioned(touched, wanted, currency)


def charge_cents(charges: Sequence[DueCharge], line: Decimal, currency: str) -> list[Decimal]:
    """The line's due cents, spread over its charges, so that each can be reversed by what was printed for it."""
    exact = {place: one.due for place, one in enumerate(charges)}
    return list(apportioned(exact, line, currency).values())

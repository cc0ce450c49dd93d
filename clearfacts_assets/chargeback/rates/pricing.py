"""A quantity becomes an amount: by the price of the day, by tiers, not less than the minimum.

Amounts of use have up to 12 decimals; what lies behind them is rounded half away from zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

from clearfacts_assets.chargeback.rates.book import RuleBook, Version
from clearfacts_assets.chargeback.rates.definitions import INTERNAL, Rate
from clearfacts_assets.chargeback.rates.units import factor
from clearfacts_assets.money import EXACT

IN_HOUSE = "rate card"  # the invoice issuer of charges that are priced here
PLACES = Decimal(1).scaleb(-12)
_WIDE = Context(prec=120, rounding=ROUND_HALF_UP)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Price:
    """What a use costs: at the first price (``list``), and with tiers and minimum (``amount``); ``quantity`` is in the
    rate's unit, with up to 12 decimals."""

    version: Version
    quantity: Decimal
    list: Decimal
    amount: Decimal


def price(version: Version, quantity: Decimal, unit: str, month: str, before: Decimal = ZERO) -> Price:
    """The quantity at a rate; ``before`` is what the same payer used in that month already, in the rate's unit.
    Raises UnitMismatch."""
    rate = version.definition
    assert isinstance(rate, Rate)  # noqa: S101 - whoever asks has looked it up among the rates
    of, into = factor(unit, rate.unit, month)
    exact = EXACT.multiply(quantity, Decimal(of))
    listed = _over(EXACT.multiply(exact, rate.price), EXACT.multiply(Decimal(into), rate.per))
    in_unit = _over(exact, Decimal(into))
    amount = listed if not rate.tiers else _tiered(rate, in_unit, before)
    if quantity > 0 and amount < rate.minimum:
        amount = rate.minimum
    return Price(version, in_unit, listed, amount)


def _tiered(rate: Rate, quantity: Decimal, before: Decimal) -> Decimal:
    """Each part of the quantity at the price of the tier that it falls into."""
    bounds = [(ZERO, rate.price), *((one.beyond, one.price) for one in rate.tiers)]
    total, low, high = ZERO, before, EXACT.add(before, quantity)
    for place, (begin, cost) in enumerate(bounds):
        end = bounds[place + 1][0] if place + 1 < len(bounds) else None
        first, last = max(low, begin), high if end is None else min(high, end)
        if last > first:
            total = EXACT.add(total, EXACT.multiply(EXACT.subtract(last, first), cost))
    return _over(total, rate.per)


def _over(amount: Decimal, divisor: Decimal) -> Decimal:
    if divisor == 1:
        return amount if amount.as_tuple().exponent >= -12 else _rounded(amount)  # type: ignore[operator]
    return _rounded(_WIDE.divide(amount, divisor))


def _rounded(amount: Decimal) -> Decimal:
    found = amount.quantize(PLACES, context=_WIDE)
    return found.normalize(_WIDE) if found else ZERO


def list_price(book: RuleBook, service: str, quantity: Decimal, unit: str, day: str) -> Price | None:
    """The internal price, as an import shows it before anybody knows who pays; None where there is no rate. Raises
    UnitMismatch."""
    version = book.rate(service, INTERNAL, day)
    return price(version, quantity, unit, day[:7]) if version else None

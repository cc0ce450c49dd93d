"""Budgets of funds: what is spent, what is left, how fast it goes, when the award ends; and what is to be told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal

from clearfacts_assets.chargeback.attribution.registry import Fund, normal_name
from clearfacts_assets.money import EXACT, plain, rounded

BURN_MONTHS = 3  # the newest ones, whose mean is the burn
_WIDE = Context(prec=60, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Budget:
    """One fund's entry. ``percent`` is spent of the budget, rounded down; ``months_left`` at the present burn."""

    fund_org: str
    name: str
    currency: str
    valid_from: str
    award_end: str
    budget: Decimal | None
    spent: Decimal
    burn: Decimal
    days_left: int | None

    @property
    def left(self) -> Decimal | None:
        return None if self.budget is None else EXACT.subtract(self.budget, self.spent)

    @property
    def percent(self) -> int | None:
        if not self.budget:
            return None
        return int(_WIDE.divide_int(EXACT.multiply(self.spent, Decimal(100)), self.budget))

    @property
    def months_left(self) -> str | None:
        left = self.left
        if left is None or self.burn <= 0:
            return None
        return plain(_WIDE.divide(max(left, Decimal(0)), self.burn).quantize(Decimal("0.1"), context=_WIDE))

    def as_result(self) -> dict[str, object]:
        """As JSON shows it."""
        left = self.left
        return {
            "fund_org": self.fund_org,
            "name": self.name,
            "currency": self.currency,
            "valid_from": self.valid_from,
            "award_end": self.award_end,
            "days_left": self.days_left,
            "budget": None if self.budget is None else plain(self.budget),
            "spent": plain(self.spent),
            "left": None if left is None else plain(left),
            "percent": self.percent,
            "burn": plain(self.burn),
            "months_left": self.months_left,
        }


def budgets(funds: Iterable[Fund], dues: Mapping[str, Mapping[tuple[str, str], Decimal]], today: date) -> list[Budget]:
    """Every entry with a budget or an award's end. ``dues``: period -> (fund in its normal form, currency) -> due."""
    found = []
    for fund in funds:
        if not fund.budget and not fund.award_end:
            continue
        key = (normal_name(fund.fund_org), fund.currency.upper())
        months = {
            period: of[key]
            for period, of in sorted(dues.items())
            if key in of and (not fund.valid_from or period >= fund.valid_from[:7])
            if not fund.valid_to or f"{period}-01" < fund.valid_to
        }
        spent = _sum(months.values())
        newest = sorted(dues)[-BURN_MONTHS:]
        recent = [months[period] for period in newest if period in months]
        burn = _WIDE.divide(_sum(recent), Decimal(max(1, len(newest))))
        days = (date.fromisoformat(fund.award_end) - today).days if fund.award_end else None
        head = (fund.fund_org, fund.name, key[1], fund.valid_from, fund.award_end)
        budget = Decimal(fund.budget) if fund.budget else None
        found.append(Budget(*head, budget, spent, rounded(burn, key[1]), days))
    return found


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to be told, once: a threshold that was passed, or an award's end that comes near."""

    kind: str  # budget or award
    fund: Budget
    mark: int  # percent, or days

    @property
    def subject(self) -> str:
        """By which it is known that it was told."""
        fund = self.fund
        if self.kind == "award":
            return f"award:{fund.fund_org}:{fund.award_end}:{self.mark}"
        budget = "" if fund.budget is None else plain(fund.budget)
        return f"budget:{fund.fund_org}:{fund.valid_from}:{budget}:{self.mark}"


def notices(found: Iterable[Budget], thresholds: Sequence[int], days: Sequence[int]) -> list[Notice]:
    """For each fund the highest threshold that it has passed, and the nearest mark before its award's end."""
    told = []
    for one in found:
        passed = [mark for mark in thresholds if one.percent is not None and one.percent >= mark]
        if passed:
            told.append(Notice("budget", one, max(passed)))
        near = [mark for mark in days if one.days_left is not None and one.days_left <= mark]
        if near and one.days_left is not None and (one.left is None or one.left > 0 or one.days_left <= 0):
            told.append(Notice("award", one, min(near)))
    return told


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total

"""How much of a credit is there: its amount in the window that a period lies in, less what other periods have used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from clearfacts_assets.chargeback.rates.apportioning import in_cents
from clearfacts_assets.chargeback.rates.book import Version
from clearfacts_assets.chargeback.rates.definitions import Credit, Window


@dataclass(frozen=True, slots=True)
class CreditUse:
    """What a credit has paid in another period for one of those that it is counted for, in cents."""

    rule_id: int
    period: str
    bearer: str
    cents: int


def months_between(first: str, period: str) -> int:
    """How many months lie between two periods; 0 for the same."""
    return (int(period[:4]) - int(first[:4])) * 12 + int(period[5:7]) - int(first[5:7])


def year_of(period: str, begins: int) -> int:
    """The year that a period belongs to, named by its first month; ``begins`` is the month in which years begin."""
    year, month = int(period[:4]), int(period[5:7])
    return year if month >= begins else year - 1


class Balances:
    """What is left of each credit, for each of those that it is counted for, while a period is computed."""

    def __init__(self, period: str, uses: Iterable[CreditUse]) -> None:
        self._period = period
        self._uses: Mapping[tuple[int, str], list[CreditUse]] = defaultdict(list)
        for one in uses:
            self._uses[one.rule_id, one.bearer].append(one)
        self._left: dict[tuple[int, str], int] = {}

    def left(self, version: Version, bearer: str) -> int:
        """In cents; never below zero."""
        key = (version.rule_id, bearer)
        if key not in self._left:
            credit = version.definition
            assert isinstance(credit, Credit)  # noqa: S101 - whoever asks has looked it up among the credits
            used = sum(one.cents for one in self._uses.get(key, ()) if self._same_window(credit, one.period))
            whole = int(in_cents(Decimal(credit.amount), credit.currency)) * self._windows(credit, version.valid_from)
            self._left[key] = max(0, whole - used)
        return self._left[key]

    def draw(self, version: Version, bearer: str, cents: int) -> None:
        self._left[version.rule_id, bearer] -= cents

    def _windows(self, credit: Credit, begins: str) -> int:
        """How many windows' amounts are there: one, or with ``carry`` one for each since the credit began."""
        if not credit.carry or credit.window is Window.ONCE or not begins:
            return 1
        if credit.window is Window.MONTH:
            return max(1, months_between(begins[:7], self._period) + 1)
        return max(1, year_of(self._period, credit.year_begins) - year_of(begins[:7], credit.year_begins) + 1)

    def _same_window(self, credit: Credit, period: str) -> bool:
        if credit.window is Window.ONCE or credit.carry:
            return True
        if credit.window is Window.MONTH:
            return period == self._period
        return year_of(period, credit.year_begins) == year_of(self._period, credit.year_begins)

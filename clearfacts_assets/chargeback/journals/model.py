"""The words of journals: a part of a statement, a line of a journal, a batch, and why nothing can be posted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.messages import Message, Messages
from clearfacts_assets.money import exact_sum, exponent, plain

MOST_PROBLEMS = 20  # that an error names


class Side(StrEnum):
    """Of a line; its amount is always above zero."""

    DEBIT = "D"
    CREDIT = "C"

    @property
    def other(self) -> Side:
        return Side.CREDIT if self is Side.DEBIT else Side.DEBIT


class BatchKind(StrEnum):
    """Why a batch was made."""

    CHARGES = "charges"  # statements are booked for the first time
    REVERSAL = "reversal"  # the exact negative of another batch
    TRANSFER = "transfer"  # statements that were corrected after they had been booked: the old out, the new in
    ACCRUAL = "accrual"  # what a month will cost, before there are statements


class CannotPost(ChargebackError):
    """Lines for which the chart of accounts has no place. Nothing was written."""

    def __init__(self, problems: Iterable[Message]) -> None:
        once = {str(one): one for one in problems}
        self.problems = tuple(once)
        more = len(once) - MOST_PROBLEMS
        shown = Messages([*once.values()][:MOST_PROBLEMS])
        if more > 0:
            super().__init__("nothing was written: {problems}; and {more} more", problems=shown, more=more)
        else:
            super().__init__("nothing was written: {problems}", problems=shown)


class NothingToPost(ChargebackError):
    """There is no statement, or no accrual, that has to be posted now."""


class NoSuchBatch(ChargebackError):
    """There is no journal with this number."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a statement says of one fund, service, category and source: the sum of its printed cents. Of an accrual,
    where there is no statement yet, ``statement`` is empty."""

    statement: str  # the number; with the version it names what was printed
    version: int
    period: str
    currency: str
    pi_email: str
    project_id: str
    fund_org: str
    service: str
    source: str  # empty for what belongs to a bill and to no charge
    account_code: str  # as tags or the registry say it; else empty
    charges: int
    amount: Decimal
    category: str = ""  # FOCUS' ServiceCategory; empty where it is not known

    def times(self, sign: int) -> Part:
        """The same part, or its exact negative."""
        return self if sign > 0 else replace(self, amount=-self.amount)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a journal. ``segments`` are what the fund's text was taken apart into, and what fills the rest:
    fund, orgn, program, activity, location, whatever the setting names. Lines of one ``pair`` cancel out."""

    number: int
    pair: int
    side: Side
    amount: Decimal
    fund_org: str
    account: str
    segments: Mapping[str, str]
    description: str
    reference: str
    statement: str = ""
    source: str = ""
    pi_email: str = ""
    project_id: str = ""
    instead_of: str = ""  # the closed fund whose suspense this is

    @property
    def debit(self) -> Decimal | None:
        return self.amount if self.side is Side.DEBIT else None

    @property
    def credit(self) -> Decimal | None:
        return self.amount if self.side is Side.CREDIT else None

    def segment(self, name: str) -> str:
        return self.segments.get(name, "")


@dataclass(frozen=True, slots=True)
class Header:
    """What stands over a batch. ``journal_date`` is when it was made, ``accounting_date`` in which fiscal period it
    falls."""

    number: str
    kind: BatchKind
    period: str
    currency: str
    journal_date: date
    accounting_date: date
    fiscal_year: int
    fiscal_period: int
    description: str
    reverses: str = ""


@dataclass(frozen=True, slots=True)
class Journal:
    """A batch as it is written: what stands over it, its lines, and the parts of statements behind them."""

    header: Header
    lines: Sequence[Line]
    parts: Sequence[Part] = ()
    suspended: Mapping[str, str] = field(default_factory=dict)  # closed fund -> where its lines went

    @property
    def debit(self) -> Decimal:
        return exact_sum(one.amount for one in self.lines if one.side is Side.DEBIT)

    @property
    def credit(self) -> Decimal:
        return exact_sum(one.amount for one in self.lines if one.side is Side.CREDIT)

    def as_result(self) -> dict[str, Any]:
        """As JSON shows it, without its lines."""
        head = self.header
        return {
            "number": head.number,
            "kind": head.kind.value,
            "period": head.period,
            "currency": head.currency,
            "journal_date": head.journal_date.isoformat(),
            "accounting_date": head.accounting_date.isoformat(),
            "fiscal_year": head.fiscal_year,
            "fiscal_period": head.fiscal_period,
            "description": head.description,
            "reverses": head.reverses,
            "lines": len(self.lines),
            "debit": plain(self.debit),
            "credit": plain(self.credit),
            "suspended": dict(self.suspended),
        }


def in_units(amount: Decimal, currency: str) -> int:
    """The amount as a whole number of the currency's smallest units. Raises ValueError where it is none."""
    units = amount.scaleb(exponent(currency))
    if units != int(units):
        raise ValueError(f"{amount} {currency} is no whole number of the currency's smallest units")
    return int(units)


def from_units(units: int, currency: str) -> Decimal:
    """The amount of so many smallest units, with the currency's places."""
    return Decimal(units).scaleb(-exponent(currency))

"""What rules say, a kind at a time: read from a version's definition, checked, and written back in one form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from typing import Any

from clearfacts_assets.chargeback.rates.parts import fraction_of
from clearfacts_assets.chargeback.rates.scope import BadRule, Scope, scope_of
from clearfacts_assets.money import BadAmount, normal_text, parse_amount

HUNDRED = Decimal(100)
LARGEST_NUMBER = 1_000_000  # of an order, of a count of months


class RuleKind(StrEnum):
    """The kinds of rules."""

    RATE = "rate"
    RATE_CLASS = "rate_class"
    MARKUP = "markup"
    SPLIT = "split"
    POOL = "pool"
    ALLOWANCE = "allowance"
    SUBSIDY = "subsidy"
    CREDIT = "credit"
    MINIMUM_BILL = "minimum_bill"


class Per(StrEnum):
    """For whom an allowance or a credit is counted: each has its own, or all share one."""

    ALL = "all"
    PERSON = "person"
    PROJECT = "project"
    FUND = "fund"
    INSTITUTION = "institution"


class Window(StrEnum):
    """How long a credit's amount lasts before it is there anew."""

    ONCE = "once"
    MONTH = "month"
    YEAR = "year"


INTERNAL = "internal"
RATE_CLASSES = (INTERNAL, "external_academic", "commercial")


@dataclass(frozen=True, slots=True)
class Tier:
    """From this quantity of a month on, a unit costs this."""

    beyond: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class Rate:
    """What a service costs: ``price`` for each ``per`` units. Tiers count what one payer (``tiers_per``) uses in a
    month; ``minimum`` is the least that one charge costs."""

    service: str
    unit: str
    currency: str
    price: Decimal
    rate_class: str = INTERNAL
    per: Decimal = Decimal(1)
    tiers: tuple[Tier, ...] = ()
    tiers_per: Per = Per.PROJECT
    minimum: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class RateClassOf:
    """The rate class of an institution, named or by the domain of its addresses."""

    institution: str
    rate_class: str


@dataclass(frozen=True, slots=True)
class Markup:
    """Percent on top of the price."""

    percent: Decimal
    scope: Scope


@dataclass(frozen=True, slots=True)
class Part:
    """One fund of a split: a part of the cost (of 1), or an amount of a month, or what is left."""

    fund_org: str
    account_code: str = ""
    part: Fraction | None = None
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """Which funds bear the cost. Parts add up to exactly 1; or amounts a month in their order, and one takes the
    rest."""

    scope: Scope
    parts: tuple[Part, ...]
    currency: str = ""  # of amounts


class Method(StrEnum):
    """How a pool is distributed."""

    PROPORTIONAL = "proportional"
    EVEN = "even"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who bears a part of a pool."""

    pi_email: str
    project_id: str
    fund_org: str
    account_code: str = ""
    part: Fraction = Fraction(0)  # of 1, where parts are fixed


@dataclass(frozen=True, slots=True)
class Pool:
    """What ``scope`` covers is shared by all who have charges in ``base``: in proportion to them, evenly, or by fixed
    parts. What is not distributed stays on the pool."""

    scope: Scope
    method: Method
    base: Scope = field(default_factory=Scope)
    recipients: tuple[Recipient, ...] = ()


@dataclass(frozen=True, slots=True)
class Allowance:
    """So much of a service is free in a month; ``payer`` bears it."""

    payer: str
    scope: Scope
    quantity: Decimal
    unit: str
    per: Per = Per.PROJECT


@dataclass(frozen=True, slots=True)
class Subsidy:
    """``payer`` bears this percent."""

    payer: str
    percent: Decimal
    scope: Scope
    order: int = 100


@dataclass(frozen=True, slots=True)
class Credit:
    """``payer`` bears what ``scope`` covers (``percent`` of it) until ``amount`` is used up in a window.

    A prepayment works last. ``months``: only so many months from a person's first one. ``carry``: what a window leaves
    is there in the next.
    """

    payer: str
    amount: Decimal
    currency: str
    scope: Scope
    window: Window = Window.ONCE
    per: Per = Per.ALL
    percent: Decimal = HUNDRED
    order: int = 100
    carry: bool = False
    months: int = 0
    prepayment: bool = False
    year_begins: int = 1  # the month in which its years begin


@dataclass(frozen=True, slots=True)
class MinimumBill:
    """A bill below this amount is carried forward to the next month."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Ended:
    """From its first day on, the rule says nothing."""


Definition = Rate | RateClassOf | Markup | Split | Pool | Allowance | Subsidy | Credit | MinimumBill | Ended


def read_definition(kind: RuleKind, said: Mapping[str, Any]) -> Definition:
    """Raises BadRule, which says what is missing or wrong."""
    if said.get("ended"):
        return Ended()
    reader = _Reader(dict(said))
    found = _READERS[kind](reader)
    if reader.left:
        raise BadRule(f"a {kind} knows no {', '.join(sorted(reader.left))}")
    return found


class _Reader:
    """Takes values out of a definition; what is left over at the end was not known."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.left = said

    def text(self, name: str, default: str | None = None) -> str:
        value = self.left.pop(name, default)
        if isinstance(value, list | tuple | dict):
            raise BadRule(f"{name} is a text")
        if value is None or not str(value).strip():
            if default is not None:
                return default
            raise BadRule(f"{name} is missing")
        return str(value).strip()

    def number(self, name: str, default: str | None = None) -> Decimal:
        text = self.text(name, default)
        try:
            return Decimal(normal_text(parse_amount(text)))
        except BadAmount as error:
            raise BadRule(f"{name} {text!r}: {error}") from None

    def positive(self, name: str, default: str | None = None) -> Decimal:
        value = self.number(name, default)
        if value < 0 or (not value and default is None):
            raise BadRule(f"{name} {value} is not above zero")
        return value

    def not_negative(self, name: str) -> Decimal:
        value = self.number(name)
        if value < 0:
            raise BadRule(f"{name} {value} is below zero")
        return value

    def percent(self, name: str, default: str | None = None, *, most: Decimal | None = HUNDRED) -> Decimal:
        value = self.number(name, default)
        if value < 0 or (most is not None and value > most):
            raise BadRule(f"{name} {value} is not between 0 and {most}")
        return value

    def whole(self, name: str, default: int) -> int:
        value = self.left.pop(name, default)
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            raise BadRule(f"{name} {value!r} is no whole number") from None
        if not 0 <= number <= LARGEST_NUMBER:
            raise BadRule(f"{name} {number} is not between 0 and {LARGEST_NUMBER}")
        return number

    def currency(self, *, optional: bool = False) -> str:
        return self.text("currency", "" if optional else None).upper()

    def one_of(self, name: str, kind: type[StrEnum], default: StrEnum | None = None) -> Any:
        value = self.text(name, default.value if default else None)
        try:
            return kind(value)
        except ValueError:
            raise BadRule(f"{name} {value!r} is none of {', '.join(kind)}") from None

    def scope(self, name: str = "scope") -> Scope:
        said = self.left.pop(name, None) or {}
        if not isinstance(said, Mapping):
            raise BadRule(f"{name} is an object with lists of names")
        return scope_of(said)

    def rows(self, name: str) -> list[_Reader]:
        rows = self.left.pop(name, None) or ()
        if not isinstance(rows, list | tuple) or not all(isinstance(one, Mapping) for one in rows):
            raise BadRule(f"{name} is a list of objects")
        return [_Reader(dict(one)) for one in rows]


def _rate(reader: _Reader) -> Rate:
    tiers = tuple(Tier(one.positive("from"), one.not_negative("price")) for one in reader.rows("tiers"))
    if any(first.beyond >= second.beyond for first, second in pairwise(tiers)):
        raise BadRule("tiers begin at rising quantities")
    return Rate(
        reader.text("service"),
        reader.text("unit"),
        reader.currency(),
        reader.not_negative("price"),
        reader.text("rate_class", INTERNAL),
        reader.positive("per", "1") or Decimal(1),
        tiers,
        reader.one_of("tiers_per", Per, Per.PROJECT),
        reader.positive("minimum", "0"),
    )


def _split(reader: _Reader) -> Split:
    scope, currency = reader.scope(), reader.currency(optional=True)
    parts = []
    for one in reader.rows("parts"):
        fund, account = one.text("fund_org"), one.text("account_code", "")
        part = fraction_of(one.text("part")) if "part" in one.left else None
        amount = one.positive("amount") if "amount" in one.left else None
        parts.append(Part(fund, account, part, amount))
    _check_split(parts, currency)
    return Split(scope, tuple(parts), currency)


def _check_split(parts: list[Part], currency: str) -> None:
    if not parts:
        raise BadRule("a split has parts")
    if len({(one.fund_org, one.account_code) for one in parts}) < len(parts):
        raise BadRule("a split names a fund twice")
    by_part = [one.part for one in parts if one.part is not None]
    if by_part:
        total = sum(by_part, Fraction(0))
        if len(by_part) != len(parts) or total != 1 or any(one <= 0 for one in by_part):
            raise BadRule(f"the parts of a split add up to exactly 100 %, and not to {float(total * 100):g} %")
    elif sum(one.amount is None for one in parts) != 1 or parts[-1].amount is not None or not currency:
        raise BadRule("a split by amounts has a currency, an amount for every fund but the last, which takes the rest")


def _pool(reader: _Reader) -> Pool:
    method = reader.one_of("method", Method, Method.PROPORTIONAL)
    recipients = tuple(
        Recipient(
            one.text("pi_email").lower(),
            one.text("project_id", ""),
            one.text("fund_org"),
            one.text("account_code", ""),
            fraction_of(one.text("part", "0")),
        )
        for one in reader.rows("recipients")
    )
    total = sum((one.part for one in recipients), Fraction(0))
    if method is Method.FIXED and not 0 < total <= 1:
        raise BadRule("the fixed parts of a pool add up to more than 0 and to at most 100 %")
    scope = reader.scope()
    if scope.everything:
        raise BadRule("a pool says what it takes: a scope that covers everything leaves nobody to share it")
    return Pool(scope, method, reader.scope("base"), recipients)


def _allowance(reader: _Reader) -> Allowance:
    return Allowance(
        reader.text("payer"),
        reader.scope(),
        reader.positive("quantity"),
        reader.text("unit"),
        reader.one_of("per", Per, Per.PROJECT),
    )


def _credit(reader: _Reader) -> Credit:
    return Credit(
        reader.text("payer"),
        reader.positive("amount"),
        reader.currency(),
        reader.scope(),
        reader.one_of("window", Window, Window.ONCE),
        reader.one_of("per", Per, Per.ALL),
        reader.percent("percent", "100"),
        reader.whole("order", 100),
        bool(reader.left.pop("carry", False)),
        reader.whole("months", 0),
        bool(reader.left.pop("prepayment", False)),
        reader.whole("year_begins", 1),
    )


_READERS: Mapping[RuleKind, Callable[[_Reader], Definition]] = {
    RuleKind.RATE: _rate,
    RuleKind.RATE_CLASS: lambda one: RateClassOf(one.text("institution"), one.text("rate_class")),
    RuleKind.MARKUP: lambda one: Markup(one.percent("percent", most=None), one.scope()),
    RuleKind.SPLIT: _split,
    RuleKind.POOL: _pool,
    RuleKind.ALLOWANCE: _allowance,
    RuleKind.SUBSIDY: lambda one: Subsidy(
        one.text("payer"), one.percent("percent"), one.scope(), one.whole("order", 100)
    ),
    RuleKind.CREDIT: _credit,
    RuleKind.MINIMUM_BILL: lambda one: MinimumBill(one.positive("amount"), one.currency()),
}

"""What rules say, a kind at a time: read from a version's definition, checked, and written back in one form."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from clearfacts_assets.chargeback.rates.scope import Scope

HUNDRED = Decimal(100)


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

"""Definitions of rules as they are written down, read into what they say; what is missing or wrong is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from typing import Any

from clearfacts_assets.chargeback.rates.definitions import (
    HUNDRED,
    INTERNAL,
    Allowance,
    Credit,
    Definition,
    Ended,
    Markup,
    Method,
    MinimumBill,
    Part,
    Per,
    Pool,
    Rate,
    RateClassOf,
    Recipient,
    RuleKind,
    Split,
    Subsidy,
    Tier,
    Window,
)
from clearfacts_assets.chargeback.rates.parts import fraction_of
from clearfacts_assets.chargeback.rates.scope import BadRule, Scope, scope_of
from clearfacts_assets.money import BadAmount, normal_text, parse_amount

LARGEST_NUMBER = 1_000_000  # of an order, of a count of months


def read_definition(kind: RuleKind, said: Mapping[str, Any]) -> Definition:
    """Raises BadRule, which says what is missing or wrong."""
    if said.get("ended"):
        return Ended()
    reader = _Reader(dict(said))
    found = _READERS[kind](reader)
    if reader.left:
        raise BadRule("a {kind} knows no {unknown}", kind=kind, unknown=", ".join(sorted(reader.left)))
    return found


class _Reader:
    """Takes values out of a definition; what is left over at the end was not known."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.left = said

    def text(self, name: str, default: str | None = None) -> str:
        value = self.left.pop(name, default)
        if isinstance(value, list | tuple | dict):
            raise BadRule("{name} is a text", name=name)
        if value is None or not str(value).strip():
            if default is not None:
                return default
            raise BadRule("{name} is missing", name=name)
        return str(value).strip()

    def number(self, name: str, default: str | None = None) -> Decimal:
        text = self.text(name, default)
        try:
            return Decimal(normal_text(parse_amount(text)))
        except BadAmount as error:
            raise BadRule("{name} {text!r}: {error}", name=name, text=text, error=error) from None

    def positive(self, name: str, default: str | None = None) -> Decimal:
        value = self.number(name, default)
        if value < 0 or (not value and default is None):
            raise BadRule("{name} {value} is not above zero", name=name, value=value)
        return value

    def not_negative(self, name: str) -> Decimal:
        value = self.number(name)
        if value < 0:
            raise BadRule("{name} {value} is below zero", name=name, value=value)
        return value

    def percent(self, name: str, default: str | None = None, *, most: Decimal | None = HUNDRED) -> Decimal:
        value = self.number(name, default)
        if value < 0 or (most is not None and value > most):
            raise BadRule("{name} {value} is not between 0 and {most}", name=name, value=value, most=most)
        return value

    def whole(self, name: str, default: int) -> int:
        value = self.left.pop(name, default)
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            raise BadRule("{name} {value!r} is no whole number", name=name, value=value) from None
        if not 0 <= number <= LARGEST_NUMBER:
            raise BadRule(
                "{name} {number} is not between 0 and {most}",
                name=name,
                number=number,
                most=LARGEST_NUMBER,
            )
        return number

    def currency(self, *, optional: bool = False) -> str:
        return self.text("currency", "" if optional else None).upper()

    def one_of(self, name: str, kind: type[StrEnum], default: StrEnum | None = None) -> Any:
        value = self.text(name, default.value if default else None)
        try:
            return kind(value)
        except ValueError:
            raise BadRule(
                "{name} {value!r} is none of {known}", name=name, value=value, known=", ".join(kind)
            ) from None

    def scope(self, name: str = "scope") -> Scope:
        said = self.left.pop(name, None) or {}
        if not isinstance(said, Mapping):
            raise BadRule("{name} is an object with lists of names", name=name)
        return scope_of(said)

    def rows(self, name: str) -> list[_Reader]:
        rows = self.left.pop(name, None) or ()
        if not isinstance(rows, list | tuple) or not all(isinstance(one, Mapping) for one in rows):
            raise BadRule("{name} is a list of objects", name=name)
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
            raise BadRule(
                "the parts of a split add up to exactly 100 %, and not to {percent:g} %", percent=float(total * 100)
            )
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

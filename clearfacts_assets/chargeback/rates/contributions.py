"""What others pay, in whole cents of rounded bills: allowances, subsidies, credits, prepayments, in this order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from decimal import Decimal
from fractions import Fraction

from clearfacts_assets.chargeback.rates.apportioning import half_up
from clearfacts_assets.chargeback.rates.book import RuleBook, Version
from clearfacts_assets.chargeback.rates.credits import Balances, months_between
from clearfacts_assets.chargeback.rates.definitions import HUNDRED, Allowance, Credit, RuleKind, Subsidy
from clearfacts_assets.chargeback.rates.entries import Entry, grouped, spread
from clearfacts_assets.chargeback.rates.findings import Findings
from clearfacts_assets.chargeback.rates.model import LineKind, RuleStep
from clearfacts_assets.chargeback.rates.rule_matching import Bearers, Covering
from clearfacts_assets.chargeback.rates.units import UnitMismatch, factor
from clearfacts_assets.money import EXACT, plain

FirstPeriod = Callable[[str], str]  # of an investigator: the first one with charges


class Taking:
    """Applies them to all entries of a period, which come in the order of use."""

    def __init__(
        self,
        period: str,
        book: RuleBook,
        covering: Covering,
        balances: Balances,
        first: FirstPeriod,
        findings: Findings,
    ) -> None:
        self._period, self._book, self._balances = period, book, balances
        self._first, self._findings = first, findings
        self._covering, self._bearers = covering, Bearers()

    def all(self, entries: Sequence[Entry]) -> None:
        for version, some in self._of(RuleKind.ALLOWANCE, entries):
            self._allow(version, some)
        for version, some in self._of(RuleKind.SUBSIDY, entries):
            self._subsidise(version, some)
        for version, some in self._of(RuleKind.CREDIT, entries):
            self._credit(version, some)

    def _of(self, kind: RuleKind, entries: Sequence[Entry]) -> list[tuple[Version, list[Entry]]]:
        """The versions in their order, each with the entries of its days that it covers."""
        by_version: dict[int, tuple[Version, list[Entry]]] = {}
        for day, some in grouped(entries, lambda one: one.day).items():
            for version in self._book.on(kind, str(day)):
                by_version.setdefault(version.id, (version, []))[1].extend(some)
        ordered = sorted(by_version.values(), key=lambda one: _order(one[0]))
        return [(version, [one for one in some if self._covering.covers(version, one)]) for version, some in ordered]

    def _allow(self, version: Version, entries: Sequence[Entry]) -> None:
        rule = version.definition
        assert isinstance(rule, Allowance)  # noqa: S101 - by its kind
        left: dict[str, Fraction] = defaultdict(lambda: Fraction(rule.quantity))
        for one in entries:
            if one.rest <= 0 or one.quantity <= 0:
                continue
            try:
                of, into = factor(one.unit, rule.unit, one.day[:7])
            except UnitMismatch as error:
                self._findings.add("unit_mismatch", f"{version}: {error}", one.charge_id)
                continue
            quantity = Fraction(one.quantity) * of / into
            whose = self._bearers.of(rule.per, one)
            free = min(quantity, left[whose])
            if not free:
                continue
            left[whose] -= free
            part = free / quantity
            cents = one.rest if part == 1 else _nearest(one.rest * part)
            one.take(
                cents, RuleStep.ALLOWANCE, LineKind.ALLOWANCE, version, rule.payer, f"{_short(free)} {rule.unit} free"
            )

    def _subsidise(self, version: Version, entries: Sequence[Entry]) -> None:
        rule = version.definition
        assert isinstance(rule, Subsidy)  # noqa: S101 - by its kind
        note = f"{plain(rule.percent)} %"
        for bill in grouped(entries, lambda one: one.bill).values():
            for one, cents in zip(bill, _percent(rule.percent, bill), strict=True):
                one.take(cents, RuleStep.SUBSIDY, LineKind.SUBSIDY, version, rule.payer, note)

    def _credit(self, version: Version, entries: Sequence[Entry]) -> None:
        """The last cents of a credit go by the order of use. No bill falls below zero, and what was refunded of what a
        credit covers is not paid by it."""
        rule = version.definition
        assert isinstance(rule, Credit)  # noqa: S101 - by its kind
        entries = [one for one in entries if one.currency == rule.currency and self._counts(rule, one)]
        most: dict[Hashable, int] = {}
        wanted: dict[int, int] = {}
        for key, bill in grouped(entries, lambda one: one.bill).items():
            parts = [one.rest for one in bill] if rule.percent == HUNDRED else _percent(rule.percent, bill)
            most[key] = max(0, sum(parts))
            wanted.update(zip(map(id, bill), parts, strict=True))
        step, kind = (
            (RuleStep.PREPAYMENT, LineKind.PREPAYMENT) if rule.prepayment else (RuleStep.CREDIT, LineKind.CREDIT)
        )
        for one in entries:
            whose = self._bearers.of(rule.per, one)
            left = self._balances.left(version, whose)
            cents = min(wanted[id(one)], left, most[one.bill])
            if cents > 0:
                self._balances.draw(version, whose, cents)
                most[one.bill] -= cents
                one.take(cents, step, kind, version, rule.payer)

    def _counts(self, rule: Credit, one: Entry) -> bool:
        if not rule.months or not one.to.pi_email:
            return not rule.months
        return 0 <= months_between(self._first(one.to.pi_email), self._period) < rule.months


def _order(version: Version) -> tuple[bool, int, str]:
    rule = version.definition
    return (getattr(rule, "prepayment", False), getattr(rule, "order", 100), version.name)


def _percent(percent: Decimal, bill: Sequence[Entry]) -> list[int]:
    """A percentage of what is left of each entry of a bill, in whole cents that add up to the bill's."""
    exact = [EXACT.multiply(Decimal(one.rest), percent).scaleb(-2, context=EXACT) for one in bill]
    total = Decimal(0)
    for amount in exact:
        total = EXACT.add(total, amount)
    return spread(half_up(total), bill, exact)


def _nearest(value: Fraction) -> int:
    """Halves away from zero; the value is not below zero."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def _short(value: Fraction) -> str:
    return f"{float(value):.6g}"

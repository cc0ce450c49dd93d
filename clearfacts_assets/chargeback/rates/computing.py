"""All rules over the charges of one period, in the one order: price, markup, split, pool, allowance, subsidy, credit,
prepayment, rounding; then what is too small to be billed is carried forward.

What others pay are whole cents. So a bill's cents are known as soon as its cost is, and what rounding added to a charge
or took from it is its last line, whatever was paid of it before. Pure: the same charges give the same lines, whatever
their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from clearfacts_assets.chargeback.model import Kind
from clearfacts_assets.chargeback.rates.book import RuleBook, Version
from clearfacts_assets.chargeback.rates.contributions import FirstPeriod, Taking
from clearfacts_assets.chargeback.rates.costing import Costing, Digest, Splitting
from clearfacts_assets.chargeback.rates.credits import Balances, CreditUse
from clearfacts_assets.chargeback.rates.entries import ChargeFacts, Entry, round_bills
from clearfacts_assets.chargeback.rates.findings import Finding, Findings
from clearfacts_assets.chargeback.rates.minimum_bills import Carried, brought, carry
from clearfacts_assets.chargeback.rates.model import Line
from clearfacts_assets.chargeback.rates.pools import PoolTotal, distribute, pool_of
from clearfacts_assets.chargeback.rates.rule_matching import Covering
from clearfacts_assets.chargeback.rates.units import days_of
from clearfacts_assets.chargeback.rates.writing import Written
from clearfacts_assets.money import EXACT


def _never(_email: str) -> str:
    return "9999-12"


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that the lines of a period follow from. The charges are taken once."""

    period: str
    charges: Iterable[ChargeFacts]
    book: RuleBook
    uses: Sequence[CreditUse] = ()  # of credits, in other periods
    first: FirstPeriod = _never
    carried: Sequence[Carried] = ()
    corrected: Mapping[int, Sequence[Line]] = field(default_factory=dict)  # lines of charges that are reversed here


@dataclass(frozen=True, slots=True)
class Computed:
    """The lines by charge and share, made anew each time they are gone through; and what is to be told."""

    lines: Iterable[Line]
    pools: Sequence[PoolTotal]
    findings: Sequence[Finding]
    charges: int


def compute(inputs: Inputs, digest: Digest) -> Computed:
    """The lines of a period. ``digest`` names an attribution, and keeps it where it is a new one."""
    findings, covering, book = Findings(), Covering(), inputs.book
    charges, reversed_lines, count = _reversals(inputs)
    entries, split, pooled = _entries(book, covering, charges, digest, findings)
    round_bills(entries, lambda one: one.bill)
    by_pool = {id(one): version.rule_id for one, version in pooled}
    round_bills((one for one, _ in pooled), lambda one: (by_pool[id(one)], one.currency))
    last_day = f"{inputs.period}-{days_of(inputs.period)}"
    given, totals = distribute(pooled, entries, last_day, digest)
    billed = [*entries, *given]
    balances = Balances(inputs.period, inputs.uses)
    Taking(inputs.period, book, covering, balances, inputs.first, findings).all(billed)
    billed += brought(inputs.carried, last_day, len(given) + 1)
    billed += carry(book, billed, last_day, len(given) + len(inputs.carried) + 1)
    lines = Written([*billed, *(one for one, _ in pooled)], split, reversed_lines)
    return Computed(lines, totals, findings.all(), count)


def _entries(
    book: RuleBook, covering: Covering, charges: list[ChargeFacts], digest: Digest, findings: Findings
) -> tuple[list[Entry], list[tuple[Entry, list[Entry]]], list[tuple[Entry, Version]]]:
    """What is billed, as it is or in shares; the whole of what was split, with its shares; what goes to a pool."""
    costing, splitting = Costing(book, covering, findings), Splitting(book, covering, digest)
    entries: list[Entry] = []
    split: list[tuple[Entry, list[Entry]]] = []
    pooled: list[tuple[Entry, Version]] = []
    charges.sort(key=lambda one: one.order, reverse=True)  # by the moment of use; see ChargeFacts
    while charges:  # what has become an entry is needed no more
        entry = costing.entry(charges.pop())
        pool = pool_of(book, covering, entry)
        if pool is not None:
            pooled.append((entry, pool))
        elif shares := splitting.shares(entry):
            split.append((entry, shares))
            entries += shares
        else:
            entries.append(entry)
    return entries, split, pooled


def _reversals(inputs: Inputs) -> tuple[list[ChargeFacts], list[Line], int]:
    """The charges that rules work on, and the lines of reversals: those of what they reverse with the opposite sign, so
    that everybody gets back exactly what was paid. And how many charges there are in all."""
    charges, lines, count = [], [], 0
    for one in inputs.charges:
        count += 1
        corrected = inputs.corrected.get(one.corrects or 0) if one.kind == Kind.REVERSAL else None
        if not corrected:
            charges.append(one)
            continue
        note = f"reverses charge {one.corrects}"
        lines += [line._replace(charge_id=one.id, amount=EXACT.minus(line.amount), note=note) for line in corrected]
    return charges, lines, count

"""Pools: what nobody's tag covers is taken off its charges and shared by those who are to bear it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from clearfacts_assets.chargeback.model import Attribution
from clearfacts_assets.chargeback.rates.apportioning import shared
from clearfacts_assets.chargeback.rates.book import RuleBook, Version
from clearfacts_assets.chargeback.rates.costing import Digest
from clearfacts_assets.chargeback.rates.definitions import Method, Pool, Recipient, RuleKind
from clearfacts_assets.chargeback.rates.entries import Entry, of_bill
from clearfacts_assets.chargeback.rates.model import LineKind, RuleStep
from clearfacts_assets.chargeback.rates.rule_matching import Covering

_Key = tuple[str, str, str, str]  # person, project, fund, account


@dataclass(slots=True)
class PoolTotal:
    """What a pool took, gave on, and what is left on it, in cents."""

    version: Version
    currency: str
    taken: int = 0
    given: int = 0

    @property
    def left(self) -> int:
        return self.taken - self.given


def pool_of(book: RuleBook, covering: Covering, entry: Entry) -> Version | None:
    """The first pool, by name, that takes the entry."""
    for version in book.on(RuleKind.POOL, entry.day):
        rule = version.definition
        if isinstance(rule, Pool) and covering.covers(version, entry):
            return version
    return None


def payer_name(version: Version) -> str:
    return f"pool {version.name}"


def distribute(
    pooled: Sequence[tuple[Entry, Version]], others: Sequence[Entry], day: str, digest: Digest
) -> tuple[list[Entry], list[PoolTotal]]:
    """Take everything off the pooled entries and give it to the recipients, as entries of their bills. All entries are
    in whole cents."""
    totals: dict[tuple[int, str], PoolTotal] = {}
    for entry, version in pooled:
        total = totals.setdefault((version.rule_id, entry.currency), PoolTotal(version, entry.currency))
        total.taken += entry.rest
        entry.take(entry.rest, RuleStep.POOL, LineKind.POOL, version, payer_name(version))
    given: list[Entry] = []
    for total in sorted(totals.values(), key=lambda one: (one.version.name, one.currency)):
        weights = _weights(total, others)
        if not total.taken or not any(weights.values()):
            continue
        keys = sorted(weights)
        parts = shared(total.taken, [weights[key] for key in keys])
        for key, cents in zip(keys, parts, strict=True):
            if key == _NOBODY or not cents:
                continue
            to = Attribution(key[0], key[1], key[2], account_code=key[3], origin="rule")
            entry = of_bill(to, digest(to), payer_name(total.version), total.currency, day, len(given) + 1, 0)
            entry.take(-cents, RuleStep.POOL, LineKind.POOL, total.version, "", f"from {payer_name(total.version)}")
            given.append(entry)
            total.given += cents
    return given, list(totals.values())


_NOBODY: _Key = ("", "", "", "")


def _weights(total: PoolTotal, others: Sequence[Entry]) -> dict[_Key, Fraction]:
    """Who bears how much of the pool, relative to each other."""
    pool = total.version.definition
    assert isinstance(pool, Pool)  # noqa: S101 - by its kind
    if pool.method is Method.FIXED:
        fixed = {_key_of(one): one.part for one in pool.recipients}
        left = 1 - sum(fixed.values(), Fraction(0))
        return fixed | ({_NOBODY: left} if left else {})
    costs: dict[_Key, int] = defaultdict(int)
    named = {_key_of(one) for one in pool.recipients}
    for one in others:
        key = (one.to.pi_email, one.to.project_id, one.to.fund_org, one.to.account_code)
        if one.currency != total.currency or not one.to.pi_email or (named and key not in named):
            continue
        if pool.base.covers(one.to, one.use):
            costs[key] += one.cents
    if pool.method is Method.EVEN:
        return {key: Fraction(1) for key in (named or costs)}
    return {key: Fraction(cost) for key, cost in costs.items() if cost > 0}


def _key_of(one: Recipient) -> _Key:
    return (one.pi_email, one.project_id, one.fund_org, one.account_code)

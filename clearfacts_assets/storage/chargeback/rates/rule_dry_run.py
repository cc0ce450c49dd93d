"""A rule tried before it is kept: a month computed twice, without it and with it, and nothing written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from clearfacts_assets.chargeback.ingest.payers import attribution_digest
from clearfacts_assets.chargeback.lifecycle import State
from clearfacts_assets.chargeback.model import Attribution, ChargebackError, period_of
from clearfacts_assets.chargeback.rates.book import RuleBook, Version, version_of
from clearfacts_assets.chargeback.rates.computing import Computed, compute
from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.money import EXACT
from clearfacts_assets.storage.chargeback.ledger import state_of
from clearfacts_assets.storage.chargeback.rates.inputs import InputReader
from clearfacts_assets.storage.chargeback.rates.rule_runs import NothingToRun
from clearfacts_assets.storage.chargeback.rates.rules import load_book
from clearfacts_assets.storage.chargeback.rates.tables import BillingRule, RuleVersion
from clearfacts_assets.storage.database import reading

_NOT_KEPT = 0  # the id of a version that is nowhere yet, and of a rule that is new


@dataclass(frozen=True, slots=True)
class Wished:
    """What a rule's next version shall say, and from when to when (days as YYYY-MM-DD, empty for open)."""

    kind: RuleKind
    name: str
    definition: Mapping[str, Any]
    valid_from: str = ""
    valid_to: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """What one investigator owes in one currency without the new version and with it."""

    pi_email: str
    currency: str
    before: Decimal
    after: Decimal

    @property
    def difference(self) -> Decimal:
        return EXACT.subtract(self.after, self.before)


@dataclass(frozen=True, slots=True)
class Tried:
    """What a month would come to. ``moved`` are those who would owe something else, the most moved first; ``totals``
    are (before, after) of everybody, by currency."""

    period: str
    charges: int
    moved: Sequence[Moved]
    totals: Mapping[str, tuple[Decimal, Decimal]]
    findings: Sequence[dict[str, object]]


def try_rule(engine: Engine, period: str, wished: Wished) -> Tried:
    """The month as the rules that count make it, against the same with the next version of this one. The ledger is only
    read, and nobody is kept from writing to it. Raises BadRule, BadPeriod, NothingToRun, ChargebackError for a
    finalized month."""
    with reading(engine) as connection:
        state = state_of(connection, period_of(period))
        if state is None:
            raise NothingToRun("nothing is known of {period}", period=period)
        if state is State.FINALIZED:
            raise ChargebackError("{period} is finalized: no rule changes it any more", period=period)
        book = load_book(connection)
        new = RuleBook([*book.versions, _version(connection, wished)])
        # Charges are read while they are computed: the connection has to be open until then.
        now, then = InputReader(connection, period), InputReader(connection, period, new)
        named: dict[bytes, Attribution] = {}

        def digest(to: Attribution) -> bytes:
            found = attribution_digest(to)
            named[found] = to
            return found

        before, after = compute(now.read(), digest), compute(then.read(), digest)
    payers = {key: to.pi_email for key, to in (now.payers | then.payers | named).items()}
    sums = _sums(before, payers), _sums(after, payers)
    moved = [
        Moved(email, currency, sums[0].get((email, currency), Decimal(0)), sums[1].get((email, currency), Decimal(0)))
        for email, currency in sorted({*sums[0], *sums[1]})
    ]
    totals = {
        currency: (_total(sums[0], currency), _total(sums[1], currency))
        for currency in sorted({one.currency for one in moved})
    }
    changed = sorted((one for one in moved if one.difference), key=lambda one: -abs(one.difference))
    return Tried(period, after.charges, changed, totals, [one.as_result() for one in after.findings])


def _version(connection: Connection, wished: Wished) -> Version:
    """The next version of its rule, as it would be kept. Raises BadRule."""
    rule = select(BillingRule.id).where(BillingRule.kind == wished.kind.value, BillingRule.name == wished.name)
    rule_id = connection.execute(rule).scalar_one_or_none()
    number = select(func.max(RuleVersion.number)).where(RuleVersion.rule_id == rule_id)
    newest = connection.execute(number).scalar_one_or_none() if rule_id is not None else None
    return version_of(
        {
            "id": _NOT_KEPT,
            "rule_id": rule_id if rule_id is not None else _NOT_KEPT,
            "kind": wished.kind.value,
            "name": wished.name,
            "number": (newest or 0) + 1,
            "valid_from": wished.valid_from,
            "valid_to": wished.valid_to,
            "definition": dict(wished.definition),
        }
    )


def _sums(computed: Computed, payers: Mapping[bytes, str]) -> dict[tuple[str, str], Decimal]:
    """By investigator and currency: every line, which is what is due."""
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in computed.lines:
        key = (payers.get(line.attribution, ""), line.currency)
        found[key] = EXACT.add(found[key], line.amount)
    return found


def _total(sums: Mapping[tuple[str, str], Decimal], currency: str) -> Decimal:
    total = Decimal(0)
    for (_, of), amount in sums.items():
        if of == currency:
            total = EXACT.add(total, amount)
    return total

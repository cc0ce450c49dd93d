"""Bills that are too small: carried forward until they are worth a bill."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from clearfacts_assets.chargeback.model import Attribution
from clearfacts_assets.chargeback.rates.apportioning import in_cents
from clearfacts_assets.chargeback.rates.book import RuleBook, Version
from clearfacts_assets.chargeback.rates.definitions import MinimumBill, RuleKind
from clearfacts_assets.chargeback.rates.entries import Entry, grouped, of_bill
from clearfacts_assets.chargeback.rates.model import LineKind, RuleStep
from clearfacts_assets.money import plain

_SERVICE = "carried forward"


@dataclass(frozen=True, slots=True)
class Carried:
    """What earlier periods have carried forward and nobody was billed for yet."""

    to: Attribution
    digest: bytes
    currency: str
    amount: Decimal


def brought(carried: Iterable[Carried], day: str, first_share: int) -> list[Entry]:
    """What comes from earlier periods, as entries of their bills."""
    found: list[Entry] = []
    for one in sorted(carried, key=lambda each: (each.to.fields(), each.currency)):
        entry = of_bill(one.to, one.digest, _SERVICE, one.currency, day, first_share + len(found), 0)
        cents = int(in_cents(one.amount, one.currency))
        entry.take(-cents, RuleStep.CARRY, LineKind.CARRIED, None, "", "from earlier months")
        found.append(entry)
    return found


def carry(book: RuleBook, entries: Sequence[Entry], day: str, first_share: int) -> list[Entry]:
    """What goes on to later periods: all that is left of each bill that is above zero and below the minimum."""
    minimum: dict[str, tuple[Version, Decimal]] = {}
    for version in book.on(RuleKind.MINIMUM_BILL, day):
        rule = version.definition
        if isinstance(rule, MinimumBill):
            minimum.setdefault(rule.currency, (version, rule.amount))
    if not minimum:
        return []
    found: list[Entry] = []
    bills = grouped(entries, lambda one: one.bill)
    for _, bill in sorted(bills.items(), key=lambda one: str(one[0])):
        currency, due = bill[0].currency, sum(one.rest for one in bill)
        if currency not in minimum:
            continue
        applied, least = minimum[currency]
        if not 0 < due < in_cents(least, currency):
            continue
        note = f"below {plain(least)} {currency}"
        for some in grouped(sorted(bill, key=lambda one: one.digest), lambda one: one.digest).values():
            cents = sum(one.rest for one in some)
            if cents:
                entry = of_bill(some[0].to, some[0].digest, _SERVICE, currency, day, first_share + len(found), 0)
                entry.take(cents, RuleStep.CARRY, LineKind.CARRIED, applied, "", note)
                found.append(entry)
    return found

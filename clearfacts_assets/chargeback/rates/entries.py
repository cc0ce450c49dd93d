"""What rules work on: a share of a charge with its price, in whole cents once its bill is rounded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from clearfacts_assets.chargeback.model import Attribution
from clearfacts_assets.chargeback.rates.apportioning import apportion, half_up, in_cents
from clearfacts_assets.chargeback.rates.book import Version
from clearfacts_assets.chargeback.rates.model import NO_CHARGE, ZERO, LineKind, RuleStep
from clearfacts_assets.chargeback.rates.scope import Use
from clearfacts_assets.money import EXACT

OrderKey = tuple[str, int, bytes, int, int]


class ChargeFacts(NamedTuple):
    """What the rules ask of a charge that is due. ``order`` is by the moment of use, then by the row's place in its
    file and what the row says, so that it does not depend on which file was imported first; within a file that is the
    order of the charges' ids."""

    id: int
    kind: str
    corrects: int | None
    to: Attribution
    digest: bytes
    use: Use
    day: str
    currency: str
    listed: Decimal
    amount: Decimal
    quantity: str
    unit: str
    issuer: str
    order: OrderKey


@dataclass(slots=True)
class Effect:
    """What one rule did to an entry, in whole cents: ``payer`` bears so many of them."""

    step: RuleStep
    kind: LineKind
    version: Version | None
    payer: str
    cents: int
    note: str = ""


@dataclass(slots=True, eq=False)
class Entry:
    """One share. Its cost is exact until its bill is rounded; ``cents`` is what it costs then, ``rest`` what nobody
    else has taken over yet."""

    charge_id: int
    share: int
    to: Attribution
    digest: bytes
    use: Use
    day: str
    currency: str
    listed: Decimal
    discount: Decimal = ZERO
    markup: Decimal = ZERO
    quantity: Decimal = ZERO
    unit: str = ""
    price: Version | None = None
    marked_up: Version | None = None
    split: Version | None = None
    note: str = ""
    cents: int = 0
    rest: int = 0
    effects: list[Effect] = field(default_factory=list)
    bill: tuple[str, str, str] = field(init=False)  # the investigator's, for the project, in the currency

    def __post_init__(self) -> None:
        self.bill = (self.to.pi_email, self.to.project_id, self.currency)

    @property
    def cost(self) -> Decimal:
        found = EXACT.add(self.listed, self.discount) if self.discount else self.listed
        return EXACT.add(found, self.markup) if self.markup else found

    def take(
        self, cents: int, step: RuleStep, kind: LineKind, version: Version | None, payer: str, note: str = ""
    ) -> None:
        """Somebody else bears so many cents of it."""
        if cents:
            self.rest -= cents
            self.effects.append(Effect(step, kind, version, payer, cents, note))


def grouped(entries: Iterable[Entry], key: Callable[[Entry], Hashable]) -> dict[Hashable, list[Entry]]:
    """In the order in which the keys come first."""
    groups: dict[Hashable, list[Entry]] = defaultdict(list)
    for one in entries:
        groups[key(one)].append(one)
    return groups


_LEVELS: Sequence[Callable[[Entry], Hashable]] = (
    lambda one: (one.to.fund_org, one.to.account_code),
    lambda one: one.use.service,
)


def spread(total: int, entries: Sequence[Entry], exact: Sequence[Decimal], level: int = 0) -> list[int]:
    """Whole cents over the entries of one bill: first over its funds, then over their services, then over the charges,
    so that no fund and no service is off by more than a cent."""
    if level == len(_LEVELS) or len(entries) == 1:
        return apportion(total, exact)
    places: dict[Hashable, list[int]] = defaultdict(list)
    for place, one in enumerate(entries):
        places[_LEVELS[level](one)].append(place)
    if len(places) == 1:
        return spread(total, entries, exact, level + 1)
    groups = list(places.values())
    sums = [_sum(exact[place] for place in group) for group in groups]
    parts = [0] * len(entries)
    for group, part in zip(groups, apportion(total, sums), strict=True):
        found = spread(part, [entries[place] for place in group], [exact[place] for place in group], level + 1)
        for place, cents in zip(group, found, strict=True):
            parts[place] = cents
    return parts


def round_bills(entries: Iterable[Entry], key: Callable[[Entry], Hashable]) -> None:
    """Every bill to whole cents: its total half away from zero, its charges so that they add up to it."""
    for bill in grouped(entries, key).values():
        exact = [in_cents(one.cost, one.currency) for one in bill]
        for one, cents in zip(bill, spread(half_up(_sum(exact)), bill, exact), strict=True):
            one.cents = one.rest = cents


def of_bill(to: Attribution, digest: bytes, service: str, currency: str, day: str, share: int, cents: int) -> Entry:
    """An entry that belongs to a bill and to no charge, in whole cents already."""
    use = Use(service, "", "", "", "", "")
    entry = Entry(NO_CHARGE, share, to, digest, use, day, currency, ZERO)
    entry.cents = entry.rest = cents
    return entry


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total

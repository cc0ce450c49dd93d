"""What rules did, in words: on the lines of a statement, in a table of their own, and in the attached file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from clearfacts_assets.chargeback.rates.model import LineKind
from clearfacts_assets.chargeback.statements.formatting import breakable, harmless
from clearfacts_assets.chargeback.statements.framing import Shown
from clearfacts_assets.chargeback.statements.grouping import PrintedLine
from clearfacts_assets.chargeback.statements.model import DueCharge, Relief
from clearfacts_assets.money import EXACT, plain

SHARED_COST = "Shared cost"
CARRIED_FORWARD = "Carried forward"
_BY_KIND = {
    LineKind.POOL: "Shared through a pool",
    LineKind.CARRIED: "Carried to a later month",
    LineKind.LIST: "Price",
}


def named_effect(kind: LineKind, rule: str, note: str, payer: str) -> str:
    """``Subsidy start-up, version 1 (30 %), paid by Provost``. ``rule`` is its kind, name and version, as ledger lines
    are explained: ``subsidy start-up v1``; without one the kind of the line says what it is."""
    what, _, named = rule.partition(" ")
    name, _, number = named.rpartition(" v")
    label = f"{what.replace('_', ' ').capitalize()} {name}, version {number}" if name else _kind(kind)
    if kind is LineKind.CARRIED:
        label = f"{_kind(kind)} ({label})" if name else _kind(kind)
    label += f" ({note})" if note else ""
    return label + (f", paid by {payer}" if payer else "")


def _kind(kind: LineKind) -> str:
    return _BY_KIND.get(kind, kind.value.capitalize())


def notes_of(line: PrintedLine, shown: Shown) -> list[str]:
    """For a printed line: ``Subsidy start-up -7.20``; a rule on its price without an amount. Versions and payers are in
    the table of rules."""
    prices = dict.fromkeys(_short(one) for charge in line.charges for one in charge.effects)
    paid: dict[str, Decimal] = {}
    for one in (each for charge in line.charges for each in (*charge.subsidies, *charge.credits)):
        paid[_short(one)] = EXACT.add(paid.get(_short(one), Decimal(0)), one.amount)
    return [*prices, *(f"{name} {shown(amount)}" for name, amount in paid.items())]


def _short(one: Relief) -> str:
    """Without version, percentage and payer: ``Subsidy start-up``."""
    return harmless(one.label.partition(", version ")[0] if one.rule else one.label)


def rule_rows(lines: Sequence[PrintedLine], shown: Shown) -> list[list[str]]:
    """Each rule that counted: its name and version, how many charges it met, what it took off; then those that made
    the price, whose amounts are in the list price or discount already."""
    met: dict[tuple[bool, str], set[tuple[int, int]]] = defaultdict(set)
    sums: dict[tuple[bool, str], Decimal] = defaultdict(Decimal)
    for charge in (one for line in lines for one in line.charges):
        known = (charge.charge_id, 0 if charge.charge_id else charge.share)  # two shares are one charge
        for within, effects in ((False, (*charge.subsidies, *charge.credits)), (True, charge.effects)):
            for one in effects:
                met[within, one.label].add(known)
                sums[within, one.label] = EXACT.add(sums[within, one.label], one.amount)
    order = sorted(met, key=lambda key: (key[0], sums[key], key[1]))
    return [
        [breakable(harmless(key[1])), f"{len(met[key]):,}", "in the price" if key[0] else shown(sums[key])]
        for key in order
    ]


def traced(charge: DueCharge) -> str:
    """For the attached file: every rule with its version and exact amount, in the order of the ledger's lines."""
    effects = (*charge.effects, *charge.subsidies, *charge.credits)
    return "; ".join(f"{one.rule or one.label} {plain(one.amount)}" for one in effects)

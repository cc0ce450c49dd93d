"""What rules did, in words: on the lines of a statement, in a table of their own, and in the attached file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from clearfacts_assets.chargeback.rates.model import LineKind
from clearfacts_assets.chargeback.statements.framing import Shown
from clearfacts_assets.chargeback.statements.grouping import PrintedLine
from clearfacts_assets.chargeback.statements.model import DueCharge, Relief
from clearfacts_assets.chargeback.statements.words import breakable, harmless
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


def reliefs_of(line: PrintedLine) -> dict[str, Decimal]:
    """What others pay of a printed line, by name."""
    return _summed(one for charge in line.charges for one in (*charge.subsidies, *charge.credits))


def prices_of(line: PrintedLine) -> list[str]:
    """Rules that made the price of a printed line, by name."""
    return list(dict.fromkeys(one.label for charge in line.charges for one in charge.effects))


def _summed(effects: Iterable[Relief]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for one in effects:
        found[one.label] = EXACT.add(found.get(one.label, Decimal(0)), one.amount)
    return found


def rule_rows(lines: Sequence[PrintedLine], shown: Shown) -> list[list[str]]:
    """Each rule that counted: its name and version, how many charges it met, what it took off; then those that made
    the price, whose amounts are in the list price or discount already."""
    met: dict[str, tuple[int, Decimal, bool]] = {}
    for charge in (one for line in lines for one in line.charges):
        for within, effects in ((False, (*charge.subsidies, *charge.credits)), (True, charge.effects)):
            for label, amount in _summed(effects).items():
                count, before, _ = met.get(label, (0, Decimal(0), within))
                met[label] = count + 1, EXACT.add(before, amount), within
    order = sorted(met.items(), key=lambda one: (one[1][2], one[1][1], one[0]))
    return [
        [breakable(harmless(label)), f"{count:,}", "in the price" if within else shown(amount)]
        for label, (count, amount, within) in order
    ]


def traced(charge: DueCharge) -> str:
    """For the attached file: every rule with its version and exact amount, in the order of the ledger's lines."""
    effects = (*charge.effects, *charge.subsidies, *charge.credits)
    return "; ".join(f"{one.rule or one.label} {plain(one.amount)}" for one in effects)

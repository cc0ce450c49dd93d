"""The words of the rules: steps, ledger lines, and what is due of a charge when all of its lines are added up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from clearfacts_assets.chargeback.model import Attribution
from clearfacts_assets.money import EXACT, exponent, plain

ZERO = Decimal(0)
NO_CHARGE = 0  # the charge of lines that belong to a bill and to no charge: from a pool, or carried forward


class RuleStep(StrEnum):
    """The one order in which rules work. Each line says in which step it was written."""

    PRICE = "price"
    MARKUP = "markup"
    SPLIT = "split"
    POOL = "pool"
    ALLOWANCE = "allowance"
    SUBSIDY = "subsidy"
    CREDIT = "credit"
    PREPAYMENT = "prepayment"
    ROUNDING = "rounding"
    CARRY = "carry"


STEPS = tuple(RuleStep)


class LineKind(StrEnum):
    """What the money of a line is. Those of COST make the price; those of OTHERS are paid by somebody else."""

    LIST = "list"
    DISCOUNT = "discount"
    MARKUP = "markup"
    POOL = "pool"
    ALLOWANCE = "allowance"
    SUBSIDY = "subsidy"
    CREDIT = "credit"
    PREPAYMENT = "prepayment"
    ROUNDING = "rounding"
    CARRIED = "carried"


COST = (LineKind.LIST, LineKind.DISCOUNT, LineKind.MARKUP, LineKind.ROUNDING)
OTHERS = (LineKind.POOL, LineKind.ALLOWANCE, LineKind.SUBSIDY, LineKind.CREDIT, LineKind.PREPAYMENT)


class Line(NamedTuple):
    """One effect of one rule on one share of one charge.

    ``amount`` is what it adds to what is due (negative: takes from it). ``payer`` is empty where the attribution's own
    fund bears it, else who pays it instead. ``position`` orders the lines of a share from list to due. Share 0 is the
    charge as a whole; where it was split, its shares are 1, 2, ... and share 0 comes to nothing.
    """

    charge_id: int
    share: int
    position: int
    step: RuleStep
    kind: LineKind
    rule_version: int | None
    payer: str
    attribution: bytes
    currency: str
    amount: Decimal
    note: str = ""


@dataclass(slots=True)
class Due:
    """What is due of one share of one charge: list + discount + markup + rounding is its cost, what others pay is
    negative, and all of it together is ``due``, in whole cents (the currency's smallest unit)."""

    period: str
    charge_id: int
    share: int
    currency: str
    attribution_digest: bytes
    to: Attribution
    amounts: dict[LineKind, Decimal] = field(default_factory=dict)
    payers: dict[str, Decimal] = field(default_factory=dict)  # who else pays, and how much, as positive amounts

    def of(self, kind: LineKind) -> Decimal:
        return self.amounts.get(kind, ZERO)

    @property
    def due(self) -> Decimal:
        return in_places(_total(self.amounts.values()), self.currency)

    @property
    def cost(self) -> Decimal:
        """Before anybody else pays anything of it; in whole cents."""
        return in_places(_total(self.of(kind) for kind in COST), self.currency)

    def as_result(self) -> dict[str, object]:
        """As JSON shows it."""
        told: dict[str, object] = {kind.value: plain(self.of(kind)) for kind in LineKind}
        told |= {"cost": plain(self.cost), "due": plain(self.due)}
        payers = {name: plain(amount) for name, amount in sorted(self.payers.items())}
        keys = {"period": self.period, "charge_id": self.charge_id, "share": self.share, "currency": self.currency}
        who = {name: getattr(self.to, name) for name in ("pi_email", "project_id", "fund_org", "account_code")}
        return {**keys, **who, **told, "payers": payers}


def in_places(amount: Decimal, currency: str) -> Decimal:
    """Whole cents with the currency's places. Raises decimal.Inexact for what is no whole cents."""
    return amount.quantize(Decimal(1).scaleb(-exponent(currency)), context=EXACT)


def _total(amounts: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def dues(period: str, lines: Iterable[tuple[Line, Attribution]]) -> Iterator[Due]:
    """The lines, which come in the order of charge and share, added up. A share of which nothing is left and nothing
    was ever is left out: that is share 0 of a charge that was split."""
    for (charge_id, share), group in groupby(lines, key=lambda one: (one[0].charge_id, one[0].share)):
        found: Due | None = None
        for line, to in group:
            if found is None:
                found = Due(period, charge_id, share, line.currency, line.attribution, to)
            found.amounts[line.kind] = EXACT.add(found.of(line.kind), line.amount)
            if line.payer:
                before = found.payers.get(line.payer, ZERO)
                found.payers[line.payer] = EXACT.subtract(before, line.amount)
        if found is not None and any(found.amounts.values()):
            yield found

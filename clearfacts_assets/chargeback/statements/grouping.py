"""Which charges are one printed line: what one resource cost, of one service and fund, in one month of use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from clearfacts_assets.chargeback.model import Kind
from clearfacts_assets.chargeback.statements.model import Cents, DueCharge
from clearfacts_assets.chargeback.statements.rounding import charge_cents, line_cents
from clearfacts_assets.money import EXACT, exact_sum

LineKey = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PrintedLine:
    """One line of a statement: its charges, what is printed for it, and the cents of each charge."""

    number: int
    key: LineKey
    charges: tuple[DueCharge, ...]
    cents: Cents
    of_each: tuple[Decimal, ...]

    @property
    def fund(self) -> str:
        return self.charges[0].fund

    @property
    def service(self) -> str:
        return self.charges[0].service

    @property
    def quantity(self) -> Decimal | None:
        """In all; None where a charge says none."""
        try:
            return exact_sum(Decimal(one.quantity) for one in self.charges)
        except InvalidOperation:
            return None

    @property
    def first_day(self) -> str:
        return min(one.start[:10] for one in self.charges)

    @property
    def last_day(self) -> str:
        """The last one on which it was used: ends are exclusive."""
        return max(_day_before(one.end, one.start) for one in self.charges)


def _day_before(end: str, start: str) -> str:
    if not end or end <= start:
        return start[:10]
    moment = datetime.fromisoformat(end.replace("Z", "+00:00")) - timedelta(seconds=1)
    return moment.date().isoformat()


def _key(one: DueCharge, each_charge: bool) -> LineKey:
    alone = (str(one.charge_id), str(one.share)) if each_charge or one.kind == Kind.REVERSAL else ()
    about = (one.fund, one.service, one.kind, one.origin_period, one.category)
    return (*about, one.resource_id, one.resource_name, one.unit, *alone)


def printed_lines(
    charges: Sequence[DueCharge],
    currency: str,
    *,
    each_charge: bool = False,
    printed_before: dict[tuple[int, int], Decimal] | None = None,
) -> list[PrintedLine]:
    """The lines in the order in which they are printed: by fund, then service, the dearest first.

    ``printed_before``: due cents of charges (id, share) on issued statements. What reverses one of them gets their
    exact negative. The same charges give the same lines, in whatever order they come.
    """
    groups: dict[LineKey, list[DueCharge]] = {}
    for one in sorted(charges, key=lambda charge: (charge.charge_id, charge.share)):
        groups.setdefault(_key(one, each_charge), []).append(one)
    copied = _copied(groups, printed_before or {})
    cents = line_cents(groups, copied, currency)
    sums: dict[tuple[str, str], Decimal] = {}
    for key, printed in cents.items():
        of_service = (key[0], key[1])
        sums[of_service] = EXACT.add(sums.get(of_service, Decimal(0)), printed.due)
    order = sorted(groups, key=lambda key: (key[0], -sums[key[0], key[1]], key[1], -cents[key].due, key))
    return [
        PrintedLine(
            number, key, tuple(groups[key]), cents[key], tuple(charge_cents(groups[key], cents[key].due, currency))
        )
        for number, key in enumerate(order, start=1)
    ]


def _copied(
    groups: dict[LineKey, list[DueCharge]], printed_before: dict[tuple[int, int], Decimal]
) -> dict[LineKey, Decimal]:
    found: dict[LineKey, Decimal] = {}
    for key, group in groups.items():
        only = group[0]
        if only.kind != Kind.REVERSAL or only.corrects is None:
            continue
        before = printed_before.get((only.corrects, only.share))
        if before is not None:
            found[key] = EXACT.minus(before)
    return found

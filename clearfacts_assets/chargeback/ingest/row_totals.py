"""What the rows of a file add up to, counted while they are read.

The ledger keeps totals of its charges by group. Where every row becomes a charge as it was read, as in nearly each
first delivery of a month, these are its totals, and nobody need read the new charges again. What the file says was
invoiced is in them too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any

from clearfacts_assets.chargeback.ingest.rows import STAGED
from clearfacts_assets.money import EXACT, plain

TIE_OUT = ("period", "account", "invoice_id", "issuer", "currency")
GROUPED = (*TIE_OUT, "service", "service_category", "attribution", "status", "flags")
SUMMED = ("billed", "effective", "contracted", "list", "listed", "amount")
MOST_GROUPS = 50_000  # that are held in memory, some 40 MB
_GROUP = itemgetter(*map(STAGED.index, GROUPED))
_AMOUNTS = itemgetter(*map(STAGED.index, SUMMED))
_NOTHING = (0, *[Decimal(0)] * len(SUMMED))

Group = tuple[Any, ...]  # in the order of GROUPED
Sums = tuple[Any, ...]  # how many rows, and in the order of SUMMED what they add up to


class RowTotals:
    """Rows and exact sums by group; beyond ``most`` groups only by what the file is tied out by."""

    def __init__(self, most: int = MOST_GROUPS) -> None:
        self._most = most
        self._groups: dict[Group, Sums] = {}
        self._folded: dict[Group, Sums] = {}
        self.whole = True  # whether no group was given up

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Rows as STAGED has them."""
        groups, add, number = self._groups, EXACT.add, Decimal
        for row in rows:
            key = _GROUP(row)
            count, billed, effective, contracted, listing, listed, amount = groups.get(key, _NOTHING)
            said = _AMOUNTS(row)
            groups[key] = (
                count + 1,
                add(billed, number(said[0] or 0)),
                add(effective, number(said[1] or 0)),
                add(contracted, number(said[2] or 0)),
                add(listing, number(said[3] or 0)),
                add(listed, number(said[4] or 0)),
                add(amount, number(said[5] or 0)),
            )
        if len(groups) > self._most:
            self.whole = False
            self._folded = self._tied_out()
            groups.clear()

    def by_currency(self, period: str) -> dict[str, tuple[int, Decimal]]:
        """Rows and amounts of a period."""
        found: dict[str, tuple[int, Decimal]] = {}
        for (of_period, *_, currency), (rows, *_, amount) in self._tied_out().items():
            if of_period == period:
                count, total = found.get(currency, (0, Decimal(0)))
                found[currency] = (count + rows, EXACT.add(total, amount))
        return found

    def groups(self, period: str) -> Iterator[tuple[Group, Sums]]:
        """Each group of the period with what it adds up to. Only while ``whole``."""
        return ((group, sums) for group, sums in self._groups.items() if group[0] == period)

    def tie_out(self) -> list[dict[str, Any]]:
        """What was invoiced (BilledCost as text) by each key of TIE_OUT, in their order."""
        return [
            {**dict(zip(TIE_OUT, key, strict=True)), "rows": sums[0], "billed": plain(sums[1])}
            for key, sums in sorted(self._tied_out().items())
        ]

    def _tied_out(self) -> dict[Group, Sums]:
        found = dict(self._folded)
        for group, sums in self._groups.items():
            key = group[: len(TIE_OUT)]
            before = found.get(key, _NOTHING)
            found[key] = (before[0] + sums[0], *map(EXACT.add, before[1:], sums[1:]))
        return found

"""What the rows of a delivery add up to, counted while they are read.

The ledger keeps totals of its charges by group. Where every row of a period becomes a charge as it was read, as in
nearly each first delivery of a month, these are its totals, and the database need not read the new charges again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any

from clearfacts_assets.chargeback.ingest.rows import STAGED
from clearfacts_assets.money import EXACT

GROUPED = ("period", "currency", "service", "account", "invoice_id", "issuer", "attribution", "status", "flags")
SUMMED = ("billed", "effective", "contracted", "list", "listed", "amount")
MOST_GROUPS = 50_000  # that are held in memory, some 40 MB
_GROUP = itemgetter(*map(STAGED.index, GROUPED))
_AMOUNTS = itemgetter(*map(STAGED.index, SUMMED))
_NOTHING = (0, *[Decimal(0)] * len(SUMMED))

Group = tuple[Any, ...]  # in the order of GROUPED
Sums = dict[str, tuple[int, Decimal]]  # by currency: rows, and what they add up to


class StagedTotals:
    """Rows and exact sums by group; beyond ``most`` groups only what each period adds up to, by currency."""

    def __init__(self, most: int = MOST_GROUPS) -> None:
        self._most = most
        self._groups: dict[Group, tuple[Any, ...]] = {}
        self._folded: dict[str, Sums] = defaultdict(dict)
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
            self._fold(self._folded)
            groups.clear()

    def by_currency(self, period: str) -> Sums:
        """Rows and amounts of a period."""
        found: dict[str, Sums] = {name: dict(sums) for name, sums in self._folded.items()}
        self._fold(found)
        return found.get(period, {})

    def groups(self, period: str) -> Iterator[tuple[Group, tuple[Any, ...]]]:
        """Each group of the period with its rows and, in the order of SUMMED, its sums. Only while ``whole``."""
        return ((group, sums) for group, sums in self._groups.items() if group[0] == period)

    def _fold(self, into: dict[str, Sums]) -> None:
        for (period, currency, *_), (rows, *_, amount) in self._groups.items():
            sums = into.setdefault(period, {})
            count, total = sums.get(currency, (0, Decimal(0)))
            sums[currency] = (count + rows, EXACT.add(total, amount))

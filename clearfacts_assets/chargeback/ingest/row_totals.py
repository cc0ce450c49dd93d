"""What the rows of a file add up to, counted while they are read.

The ledger keeps totals of its charges by group. Where every row becomes a charge as it was read, as in nearly each
first delivery of a month, these are its totals, and nobody need read the new charges again. What the file says was
invoiced is in them too.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, localcontext
from itertools import repeat
from operator import itemgetter
from typing import Any

from clearfacts_assets.chargeback.ingest.rows import STAGED
from clearfacts_assets.chargeback.ports import ByColumn
from clearfacts_assets.money import EXACT, plain

TIE_OUT = ("period", "account", "invoice_id", "issuer", "currency")
GROUPED = (*TIE_OUT, "service", "service_category", "attribution", "status", "flags")
SUMMED = ("billed", "effective", "contracted", "list", "listed", "amount")
MOST_GROUPS = 50_000  # that are held in memory, some 40 MB
_GROUP = tuple(map(STAGED.index, GROUPED))
_AMOUNTS = tuple(map(STAGED.index, SUMMED))

Group = tuple[Any, ...]  # in the order of GROUPED
Sums = tuple[Any, ...]  # how many rows, and in the order of SUMMED what they add up to


class RowTotals:
    """Rows and exact sums by group; beyond ``most`` groups only by what the file is tied out by."""

    def __init__(self, most: int = MOST_GROUPS) -> None:
        self._most = most
        # By which of a batch's costs are one and the same: nobody adds a number twice.
        self._shapes: dict[tuple[int, ...], dict[Group, Sums]] = {}
        self._folded: dict[Group, Sums] = {}
        self._tied: dict[Group, Sums] | None = None  # what is asked for twice at the end
        self.whole = True  # whether no group was given up

    def add(self, rows: ByColumn) -> None:
        """Rows as STAGED has them."""
        self._tied = None
        numbers: list[Sequence[str | None]] = []
        shape = []
        for place in _AMOUNTS:
            said = rows.columns[place]
            if said not in numbers:
                numbers.append(said)
            shape.append(numbers.index(said))
        groups = self._shapes.setdefault(tuple(shape), {})
        keys = zip(*(rows.columns[place] for place in _GROUP), strict=True)
        amounts = (map(Decimal, [one or "0" for one in said]) for said in numbers)
        counted: Iterable[Sums] = zip(repeat(1, len(rows)), *amounts, strict=True)
        with localcontext(EXACT):
            for key, row in zip(keys, counted, strict=True):
                before = groups.get(key)
                groups[key] = row if before is None else tuple(map(operator.add, before, row))
        if sum(map(len, self._shapes.values())) > self._most:
            self.whole = False
            self._folded = self._tied_out()
            self._shapes.clear()

    def periods(self) -> set[str]:
        """Of all rows."""
        return {period for period, *_ in self._tied_out()}

    def by_currency(self, period: str) -> dict[str, tuple[int, Decimal]]:
        """Rows and amounts of a period."""
        found: dict[str, tuple[int, Decimal]] = {}
        for (of_period, *_, currency), (rows, *_, amount) in self._tied_out().items():
            if of_period == period:
                count, total = found.get(currency, (0, Decimal(0)))
                found[currency] = (count + rows, EXACT.add(total, amount))
        return found

    def groups(self, period: str) -> Iterator[tuple[Group, Sums]]:
        """Each group of the period with what it adds up to, amounts as plain texts. Only while ``whole``."""
        shapes = self._shapes
        if len(shapes) > 1:
            merged: dict[Group, Sums] = {}
            for group, sums in self._counted():
                _add(merged, group, sums)
            shapes = {tuple(range(len(SUMMED))): merged}
        for shape, groups in shapes.items():
            spread = itemgetter(*shape)
            for group, (rows, *amounts) in groups.items():
                if group[0] == period:
                    yield group, (rows, *spread(list(map(plain, amounts))))

    def _counted(self) -> Iterator[tuple[Group, Sums]]:
        """Groups with rows and sums in the order of SUMMED; some of them more than once."""
        for shape, groups in self._shapes.items():
            spread = itemgetter(0, *(place + 1 for place in shape))
            yield from ((group, spread(sums)) for group, sums in groups.items())

    def tie_out(self) -> list[dict[str, Any]]:
        """What was invoiced (BilledCost as text) by each key of TIE_OUT, in their order."""
        return [
            {**dict(zip(TIE_OUT, key, strict=True)), "rows": sums[0], "billed": plain(sums[1])}
            for key, sums in sorted(self._tied_out().items())
        ]

    def _tied_out(self) -> dict[Group, Sums]:
        if self._tied is None:
            self._tied = dict(self._folded)
            for group, sums in self._counted():
                _add(self._tied, group[: len(TIE_OUT)], sums)
        return self._tied


def _add(to: dict[Group, Sums], key: Group, sums: Sums) -> None:
    before = to.get(key)
    to[key] = sums if before is None else (before[0] + sums[0], *map(EXACT.add, before[1:], sums[1:]))

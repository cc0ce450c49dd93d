"""What a run changes: the lines that were computed against those that stand, both by charge, a charge at a time.

What is to be written waits in a file: a run is recorded with its counts before its lines, and lines take more room than
all else that a run holds.
"""

from __future__ import annotations

import marshal
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import IO, Any

from sqlalchemy import Connection

from clearfacts_assets.chargeback.rates.model import Line, LineKind, RuleStep
from clearfacts_assets.money import plain
from clearfacts_assets.storage.chargeback.rates.lines import LINE
from clearfacts_assets.storage.chargeback.sql_text import sql

BATCH = 5000  # lines held at once
_QUICKEST = 2  # marshal's newest version that looks for nothing that it has written before
Row = tuple[Any, ...]  # the columns of LINE
WORDS: Mapping[str, str] = {one: one.value for one in (*RuleStep, *LineKind)}


class Differing:
    """Use it with ``with``: its file goes when it is left."""

    def __init__(self, connection: Connection, period: str) -> None:
        self._connection, self._period = connection, period
        self.added = 0
        self.gone: list[int] = []  # ids of lines that no longer hold

    def __enter__(self) -> Differing:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="clearfacts-lines-")
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def compare(self, lines: Iterable[Line]) -> None:
        """The lines come by charge."""
        standing = self._standing()
        there = next(standing, None)
        waiting: list[Row] = []
        for charge, group in groupby(lines, key=itemgetter(0)):
            while there is not None and there[0] < charge:
                self.gone.extend(there[1].values())
                there = next(standing, None)
            if there is None or there[0] != charge:
                waiting.extend(map(_row, group))
            else:
                waiting += self._changed(map(_row, group), there[1])
                there = next(standing, None)
            if len(waiting) >= BATCH:
                self._put(waiting)
                waiting = []
        self._put(waiting)
        while there is not None:
            self.gone.extend(there[1].values())
            there = next(standing, None)

    def rows(self) -> Iterator[Row]:
        """What is to be written."""
        self._file.seek(0)
        left = self.added
        while left:
            batch = marshal.load(self._file)  # noqa: S302 - it was written above, into a file without a name
            left -= len(batch)
            yield from batch

    def _changed(self, rows: Iterable[Row], standing: dict[Row, int]) -> list[Row]:
        new = [row for row in rows if standing.pop(row, None) is None]
        self.gone.extend(standing.values())
        return new

    def _put(self, rows: list[Row]) -> None:
        if rows:
            marshal.dump(rows, self._file, _QUICKEST)
            self.added += len(rows)

    def _standing(self) -> Iterator[tuple[int, dict[Row, int]]]:
        """By charge: the lines that stand, with their ids."""
        query = sql(
            f"SELECT id, {', '.join(LINE)} FROM ledger_lines WHERE period = :period AND withdrawn_run IS NULL "  # noqa: S608
            "ORDER BY charge_id, share, position"
        ).execution_options(yield_per=BATCH)
        found = self._connection.execute(query, {"period": self._period})
        for charge, rows in groupby(found, key=itemgetter(1)):
            yield charge, {_stored(row): row[0] for row in rows}


def _stored(row: Any) -> Row:
    _, charge, share, position, step, kind, rule, payer, attribution, currency, amount, note = row
    text = amount if isinstance(amount, str) else plain(Decimal(amount))
    return (charge, share, position, step, kind, rule, payer, bytes(attribution), currency, text, note)


def _row(line: Line) -> Row:
    charge, share, position, step, kind, rule, payer, attribution, currency, amount, note = line
    said = (charge, share, position, WORDS[step], WORDS[kind])
    return (*said, rule, payer, attribution, currency, plain(amount), note)

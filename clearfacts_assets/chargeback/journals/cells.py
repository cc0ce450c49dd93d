"""Cells of the files that a general ledger or a spreadsheet reads: text that cannot become a formula, exact amounts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from clearfacts_assets.money import plain
from clearfacts_assets.spreadsheet import neutralised

ROWS_AT_ONCE = 1000
LINE_END = "\r\n"  # RFC 4180; with it the writer quotes a cell for either character

Cell = str | int | Decimal | None


def amount(value: Decimal | None) -> str:
    """An exact amount: digits, one point, and a minus where it is below zero; nothing where there is none."""
    return "" if value is None else plain(value)


def rows_as_csv(rows: Iterable[Sequence[Cell]], *, neutralise: bool) -> Iterator[str]:
    """The rows as CSV, some at a time. Numbers are never touched; text is made harmless where that is asked for."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator=LINE_END)
    for number, row in enumerate(rows, start=1):
        # The writer knows texts and whole numbers; a Decimal is written without exponent.
        writer.writerow(
            [
                (neutralised(cell) if neutralise else cell)
                if type(cell) is str
                else amount(cell)
                if type(cell) is Decimal
                else cell
                for cell in row
            ]
        )
        if number % ROWS_AT_ONCE == 0:
            yield file.getvalue()
            file.seek(0)
            file.truncate()
    yield file.getvalue()

"""A row's normal form, and its identity in it.

Two rows that say the same in other spellings (``1.50`` and ``1.5``, NULL and nothing, keys of tags in another order,
columns in another order, empty columns more or less) have one fingerprint: BLAKE2b with 16 bytes over all cells that
say something, each with its column's name, in the order of the names.

Rows are read a batch at a time and column by column, because most of what stands in a column of an export repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import repeat

from clearfacts_assets.chargeback.attribution.tags import read_tags
from clearfacts_assets.chargeback.cells import BadCell, moment_of, period_start_of, text_of
from clearfacts_assets.chargeback.focus import MOMENTS, NUMBERS, TAGS
from clearfacts_assets.chargeback.ports import ByColumn
from clearfacts_assets.money import BadAmount, are_plain, is_plain, parse_amount

DIGEST = 16  # bytes
REMEMBERED = 4096  # readings that one column keeps
LONGEST_TEXT = 1000  # characters of a text that a charge keeps whole; the file's record keeps all of it
# Columns that an exported refusal has more than its file: a mended row is what it would have been.
SAID_OF_REFUSALS = ("refused_line", "refused_column", "refused_code", "refused_reason")
NO_MOMENT = "?"  # before what stands where a moment should
_UNIT, RECORD = "\x1f", "\x1e"


def digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()


def shortened(value: str) -> str:
    """A text that a charge keeps whole, or its beginning and its digest."""
    return value if len(value) <= LONGEST_TEXT else f"{value[: LONGEST_TEXT - 50]}…{digest(value).hex()}"


class _Values(dict[str, str]):
    """Cell -> its normal form."""

    def __init__(self, name: str, read: Callable[[str], str]) -> None:
        super().__init__()
        self._name, self._read = name, read

    def __missing__(self, cell: str) -> str:
        try:
            value = self._read(cell)
        except (BadCell, BadAmount) as error:
            raise BadCell(error.code, str(error), self._name) from None
        value = shortened(value)
        if len(self) >= REMEMBERED:
            self.clear()
        self[cell] = value
        return value


class Column:
    """One column: the normal forms of its cells, and how they stand in what is hashed."""

    def __init__(self, name: str, *, decimal_comma: bool) -> None:
        self.name, self.prefix = name, f"{name}{_UNIT}"
        self._number, self._comma = name in NUMBERS, decimal_comma
        read = self._amount if self._number else _reader_of(name)
        self._free = read is text_of
        self._values = _Values(name, read)

    def values(self, cells: Sequence[str]) -> list[str]:
        """Raises BadCell. Amounts keep all their digits."""
        values = self._values
        # What stands in nearly every row but once, like the resource, is read quicker than it is remembered.
        if self._free and len(set(cells)) > len(cells) // 2:
            return [shortened(text_of(cell)) for cell in cells]
        if self._number and not self._comma:
            if are_plain(cells):
                return list(cells)
            return [cell if is_plain(cell) else values[cell] for cell in cells]
        return list(map(values.__getitem__, cells))

    def normal(self, values: list[str]) -> list[str]:
        """Without zeros that say nothing."""
        if not self._number:
            return values
        if "".join(values).count(".") == len(values):  # each number has one
            return list(map(str.rstrip, map(str.rstrip, values, repeat("0")), repeat(".")))
        return [one.rstrip("0").rstrip(".") if one[-1:] == "0" and "." in one else one for one in values]

    def tagged(self, values: Sequence[str]) -> list[str]:
        """Name, unit separator, value, record separator; empty where a cell says nothing."""
        prefix = self.prefix
        return [f"{prefix}{one}{RECORD}" if one else "" for one in values]

    def _amount(self, cell: str) -> str:
        text = text_of(cell)
        return parse_amount(text, decimal_comma=self._comma) if text else ""


def _reader_of(column: str) -> Callable[[str], str]:
    if column == "BillingPeriodStart":
        return period_start_of
    if column in MOMENTS:
        return _moment_or_not
    if column in TAGS:
        return lambda cell: read_tags(cell).canonical
    if column in ("BillingCurrency", "PricingCurrency"):
        return lambda cell: text_of(cell).upper()
    return text_of


def _moment_or_not(cell: str) -> str:
    """Only the billing period's start decides where a charge belongs: another date that is none is kept and marked."""
    try:
        return moment_of(cell)
    except BadCell:
        return f"{NO_MOMENT}{text_of(cell)}"


@dataclass(frozen=True, slots=True)
class Table:
    """The normal forms of a batch of rows. ``values`` has a list for every column that was wanted, empty texts for
    those that the header lacks."""

    fingerprints: list[bytes]
    values: dict[str, list[str]]


class Canonical:
    """Reads the rows under one header."""

    def __init__(
        self, columns: Sequence[str], wanted: Sequence[str], *, decimal_comma: bool = False, besides: str = ""
    ) -> None:
        """``besides`` is what decides about the rows beside the file, and is part of their identity."""
        self._besides = besides
        kept = [index for index, name in enumerate(columns) if name not in SAID_OF_REFUSALS]
        self._order = sorted(kept, key=lambda index: columns[index])
        self._columns = [Column(columns[index], decimal_comma=decimal_comma) for index in self._order]
        self._wanted = wanted
        self._missing = [name for name in wanted if name not in columns]

    def read(self, rows: ByColumn) -> Table:
        """Raises BadCell for the first cell of the first bad column; the other rows have to be read without it."""
        hashed = _Hashed(len(rows), self._besides)
        values: dict[str, list[str]] = {name: [""] * len(rows) for name in self._missing}
        cells = rows.columns
        for index, column in zip(self._order, self._columns, strict=True):
            of_rows, same = self._of_column(column, cells[index])
            if column.name in self._wanted:
                values[column.name] = of_rows
            hashed.add(column, of_rows, same=same)
        return Table(hashed.digests(), values)

    def _of_column(self, column: Column, cells: Sequence[str]) -> tuple[list[str], bool]:
        """The normal forms, and whether it is one and the same in all rows."""
        first = cells[0]
        # Most columns that are not the same all over are told by their second cell.
        if first == cells[len(cells) > 1] and cells.count(first) == len(cells):  # quicker than reading them
            return column.values((first,)) * len(cells), True
        return column.values(cells), False


class _Hashed:
    """What is hashed of each row: column by column, the name, a separator, the value and another separator, nothing for
    cells that say nothing. What is the same in all rows is put together once."""

    def __init__(self, rows: int, besides: str) -> None:
        self._rows, self._constant = rows, besides
        self._parts: list[Iterable[str]] = []

    def add(self, column: Column, values: list[str], *, same: bool) -> None:
        """Each value is that of a row; ``same`` says that they are all one."""
        if same:
            self._constant += column.tagged(column.normal(values[:1]))[0]
        elif "" in values:
            self._parts += [repeat(self._constant, self._rows), column.tagged(column.normal(values))]
            self._constant = ""
        else:
            self._parts += [repeat(f"{self._constant}{column.prefix}", self._rows), column.normal(values)]
            self._constant = RECORD

    def digests(self) -> list[bytes]:
        join = "".join
        return [
            blake2b(join(row).encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()
            for row in zip(*self._parts, repeat(self._constant, self._rows), strict=True)
        ]

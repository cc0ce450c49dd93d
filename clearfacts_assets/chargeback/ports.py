"""What chargeback needs from outside: cost exports that are read in batches. Each kind is one file in cost_sources/."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Protocol, overload

from clearfacts_assets.chargeback.focus import Dataset
from clearfacts_assets.chargeback.model import Difference, Mode, Refusal

ROWS_OF_A_BATCH = 200  # few enough to stay in the processor's cache from one step to the next: 2,000 take a fifth more


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost us. Beyond it the row, or the file, is refused."""

    cell_characters: int = 10 * 2**20
    lines_of_a_record: int = 1000
    unpacked_bytes: int = 16 * 2**30
    packing: int = 200  # unpacked bytes for each packed one, once SMALL_BYTES are exceeded


SMALL_BYTES = 64 * 2**20


class ByColumn(Sequence[tuple[str, ...]]):
    """Rows that were read column by column, and are put together only for those who ask for one."""

    def __init__(self, columns: Sequence[Sequence[str]]) -> None:
        """At least one column; all have a cell for each row."""
        self.columns = columns

    @staticmethod
    def of(rows: Sequence[Sequence[str]]) -> ByColumn:
        """The same rows, at least one, of equal widths; those that were read so are not turned over and back."""
        return rows if isinstance(rows, ByColumn) else ByColumn(list(zip(*rows, strict=True)))

    def __len__(self) -> int:
        return len(self.columns[0])

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return zip(*self.columns, strict=True)

    @overload
    def __getitem__(self, place: int) -> tuple[str, ...]: ...

    @overload
    def __getitem__(self, place: slice) -> list[tuple[str, ...]]: ...

    def __getitem__(self, place: int | slice) -> tuple[str, ...] | list[tuple[str, ...]]:
        if isinstance(place, slice):
            return list(zip(*(column[place] for column in self.columns), strict=True))
        return tuple(column[place] for column in self.columns)


@dataclass(slots=True)
class Batch:
    """Up to ROWS_OF_A_BATCH records in the file's order. ``rows`` have as many cells as the header; ``texts`` are the
    records as they stand in the file; ``lines`` says on which physical line each begins (rows of Parquet: which row).
    """

    first_row: int
    lines: list[int] = field(default_factory=list)
    rows: Sequence[Sequence[str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def add(self, row: Sequence[str], line: int, text: str) -> None:
        """One more record, where they are read one by one."""
        self.rows += (row,)  # type: ignore[operator]  # a list, as long as nobody has put ByColumn there
        self.lines.append(line)
        self.texts.append(text)


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known of an export before its rows are read."""

    path: Path
    name: str
    sha256: str
    size: int
    dialect: str  # in words, for people: csv ; utf-16-le gzip
    written: tuple[str, ...]  # the header as it stands in the file
    columns: tuple[str, ...]  # the same in FOCUS' spelling
    dataset: Dataset
    version: str


class Export(Protocol):
    """One opened file."""

    opened: Opened

    def batches(self) -> Iterator[Batch]:
        """All records, once. Raises FileRefused where the file turns out to be broken, or changed meanwhile."""
        ...


class CostSource(Protocol):
    """One kind of cost export."""

    def recognises(self, path: Path, head: bytes) -> bool:
        """Whether the file, of which the first bytes are given, is of this kind."""
        ...

    def open(self, path: Path, limits: Limits) -> Export:
        """Look at the file. Raises FileRefused."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """What somebody asks for: files imported as one, atomically."""

    source: str
    mode: Mode
    period: str | None
    actor: str
    at: datetime
    dry_run: bool = False
    strict: bool = False  # nothing is imported where a row is refused
    confirmed: bool = False  # however much it withdraws
    threshold: Decimal = Decimal(10)  # percent of a scope's rows or money that may go without being confirmed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a delivery. ``import_id`` is None where nothing was applied, and ``why`` says why not."""

    import_id: int | None
    applied: bool
    rows: int
    refused: int
    differences: tuple[Difference, ...]
    refusals: tuple[Refusal, ...] = ()  # the first ones
    why: str = ""
    unchanged: bool = False  # the very files that were imported last
    notes: tuple[str, ...] = ()

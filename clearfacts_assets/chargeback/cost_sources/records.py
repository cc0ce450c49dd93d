"""Records of delimited text: each with the line where it begins, none swallowed by a quote that never ends."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from clearfacts_assets.chargeback.cost_sources.opening import Survey, head_of
from clearfacts_assets.chargeback.model import Refusal
from clearfacts_assets.chargeback.ports import ROWS_OF_A_BATCH, Batch, ByColumn, Limits

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
DELIMITER_OF = {name: sign for sign, name in DELIMITERS.items()}
LINES_AT_ONCE, MOST_AHEAD = 200, 2**25  # lines, characters: what is read ahead
LONGEST_KEPT_RECORD = 2**16  # characters of a refused record that are kept, to be mended


class _RecordTooLong(Exception):
    """One record takes more lines, or one line more characters, than the limits allow."""


class _Lines:
    """The text's lines for csv.reader, with those that the record under way has taken, and a way to give some back."""

    def __init__(self, stream: io.TextIOBase, limits: Limits) -> None:
        self._read, self._limit = stream.readline, limits.cell_characters + 2**16
        self._most = limits.lines_of_a_record
        self.taken: list[str] = []
        self._returned: deque[str] = deque()
        self.number = 1  # of the line at which the record under way begins

    def ahead(self, count: int) -> list[str]:
        """Up to ``count`` of the next lines, all at once; none of them is taken yet."""
        returned = self._returned
        characters = sum(map(len, returned))
        while len(returned) < count and characters < MOST_AHEAD:
            lines = list(islice(iter(partial(self._read, self._limit), ""), LINES_AT_ONCE))
            if not lines:
                break
            returned.extend(lines)
            characters += sum(map(len, lines))
        return list(returned) if len(returned) <= count else list(islice(returned, count))

    def take(self, count: int) -> None:
        """So many lines are done with."""
        if count == len(self._returned):
            self._returned.clear()
        else:
            for _ in range(count):
                self._returned.popleft()
        self.number += count

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._piece()
        if not line:
            raise StopIteration
        self.taken.append(line)
        if len(line) >= self._limit and line[-1] not in "\r\n":
            self._skip_the_rest()
            raise _RecordTooLong("a line is longer than the limit")
        if len(self.taken) > self._most:
            raise _RecordTooLong(f"a record of more than {self._most} lines: a quote may never end")
        return line

    def next_record(self) -> None:
        """What was taken is done with."""
        self.number += len(self.taken)
        self.taken = []

    def give_back(self) -> None:
        """Only the first line of what was taken is done with; those after it may be records of their own."""
        self._returned.extendleft(reversed(self.taken[1:]))
        self.number += 1
        self.taken = []

    def _skip_the_rest(self) -> None:
        while (more := self._piece()) and more[-1] not in "\r\n":
            pass

    def _piece(self) -> str:
        """The next line, or as much of it as the limit lets through."""
        return self._returned.popleft() if self._returned else self._read(self._limit)


def header_of(stream: io.TextIOBase, delimiter: str, limits: Limits) -> tuple[list[str], int]:
    """The first record that is not blank, and the line after it. Empty where there is none. Raises csv.Error."""
    lines = _Lines(stream, limits)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    for row in reader:
        if any(cell.strip() for cell in row):
            lines.next_record()
            return row, lines.number
        lines.next_record()
    return [], 1


def headers_of(path: Path, seen: Survey, limits: Limits) -> Iterator[tuple[str, list[str]]]:
    """The header as each of DELIMITERS would have it; a delimiter under which it cannot be read is left out."""
    for delimiter in DELIMITERS:
        with head_of(path, seen) as stream:
            try:
                row, _ = header_of(stream, delimiter, limits)
            except csv.Error:
                continue
        yield delimiter, row


class Records:
    """The records behind the header, in batches."""

    def __init__(
        self, stream: io.TextIOBase, delimiter: str, file: str, header: tuple[str, ...], limits: Limits
    ) -> None:
        self._lines = _Lines(stream, limits)
        self._reader = csv.reader(self._lines, delimiter=delimiter, strict=True)
        self._delimiter = delimiter
        self._file, self._header, self._width = file, [name.strip().lower() for name in header], len(header)
        csv.field_size_limit(limits.cell_characters)

    def batches(self) -> Iterator[Batch]:
        """Every record is in one batch: as a row, or as a refusal. Blank lines are nothing."""
        row_number, more = 0, self._skip_header()
        while more:
            batch = Batch(row_number + 1)
            more = self._fill(batch)
            row_number += len(batch.rows)
            if batch.rows or batch.refusals:
                yield batch

    def _skip_header(self) -> bool:
        for row in self._reader:
            self._lines.next_record()
            if any(cell.strip() for cell in row):
                return True
        return False

    def _fill(self, batch: Batch) -> bool:
        """Whether more may follow."""
        return True if self._fill_at_once(batch) else self._fill_one_by_one(batch)

    def _fill_at_once(self, batch: Batch) -> bool:
        """Whether the next lines are one sound record each, as nearly all are; only then are they taken."""
        texts = self._lines.ahead(ROWS_OF_A_BATCH)
        rows = self._at_once(texts)
        if rows is None:
            return False
        if self._header[0] in {cell.strip().lower() for cell in set(rows.columns[0])}:
            return False
        first = self._lines.number
        batch.rows, batch.texts, batch.lines = rows, texts, list(range(first, first + len(texts)))
        self._lines.take(len(texts))
        return True

    def _at_once(self, texts: list[str]) -> ByColumn | None:
        """A row for each text; None where they are not as many sound records."""
        try:
            rows = list(csv.reader(texts, delimiter=self._delimiter, strict=True))
        except csv.Error:
            return None
        # Every record has at least one line of its own: as many records as lines, and none has two.
        if not rows or len(rows) != len(texts) or set(map(len, rows)) != {self._width} or self._width == 1:
            return None
        return ByColumn.of(rows)

    def _fill_one_by_one(self, batch: Batch) -> bool:
        lines, reader, width = self._lines, self._reader, self._width
        while len(batch.rows) < ROWS_OF_A_BATCH and len(batch.refusals) < ROWS_OF_A_BATCH:
            try:
                row = next(reader)
            except StopIteration:
                return False
            except (csv.Error, _RecordTooLong) as error:
                self._refuse(batch, *_why(error))
                continue
            if len(row) == width and (width > 1 or row[0].strip()):
                if row[0].lower() == self._header[0] and [cell.strip().lower() for cell in row] == self._header:
                    self._refuse(batch, "repeated_header", "the header again: files were put one behind the other")
                    continue
                taken = lines.taken
                batch.add(row, lines.number, taken[0] if len(taken) == 1 else "".join(taken))
                lines.next_record()
            elif any(cell.strip() for cell in row):
                self._refuse(batch, "wrong_cell_count", f"{len(row)} cells where the header has {width}")
            else:
                lines.next_record()
        return True

    def _refuse(self, batch: Batch, code: str, message: str) -> None:
        text = "".join(self._lines.taken)
        batch.refusals.append(
            Refusal(self._file, self._lines.number, 0, "", text[:80], code, message, text[:LONGEST_KEPT_RECORD])
        )
        self._lines.give_back()


def _why(error: Exception) -> tuple[str, str]:
    told = str(error)
    if "unexpected end of data" in told:
        return "unterminated_quote", "a quote that never ends"
    if "field larger" in told or isinstance(error, _RecordTooLong):
        return "record_too_long", told
    return "bad_quotes", f"quotes that do not fit: {told}"

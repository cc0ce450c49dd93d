"""Where the rows of a delivery wait until they are compared with the ledger: temporary tables of one connection.

Nothing of a delivery that is not applied stays anywhere: a process that is killed leaves no trace, since the tables end
with its connection. On SQLite nobody has to wait for an import while its files are read.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from isal import isal_zlib
from sqlalchemy import Connection, text

from clearfacts_assets.chargeback.ingest.row_totals import RowTotals
from clearfacts_assets.chargeback.ingest.rows import STAGED, Taken
from clearfacts_assets.chargeback.model import ATTRIBUTION_FIELDS, Refusal
from clearfacts_assets.chargeback.ports import Batch, ByColumn, Opened
from clearfacts_assets.storage.bulk import insert_many
from clearfacts_assets.storage.types import storable

PAGE_BYTES = 32 * 1024  # of the temporary tables, which are read and written in their order
CACHE_KIB = {"main": 64 * 1024, "temp": 16 * 1024}
QUICKEST = 1  # ISA-L's level: a seventh of the size, in a quarter of the time that zlib takes
_AMOUNTS = frozenset(["billed", "effective", "contracted", "list", "listed", "amount"])
_DIGESTS = frozenset(["fingerprint", "tag_set", "read_attribution", "attribution"])
_NUMBERS = frozenset({"row", "line"})
_OFTEN_ALIKE = _AMOUNTS | _DIGESTS
ROWS_OF_A_CHUNK = 2000  # original records that are compressed together


@dataclass(slots=True)
class StagedFile:
    """One file of the delivery, and what it came to."""

    number: int
    opened: Opened
    rows: int = 0
    refused: int = 0
    tie_out: list[dict[str, Any]] = field(default_factory=list)
    totals: RowTotals = field(default_factory=RowTotals)
    chunk: Chunk = field(default_factory=lambda: Chunk(1))  # of original records, under way


class Staging:
    """The temporary tables, and the quickest way into them on either database."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.files: list[StagedFile] = []
        self.corrections = False
        self.refusals: list[Refusal] = []  # the first ones, to be shown
        self._copying = connection.dialect.name == "postgresql"
        if not self._copying:
            connection.execute(text(f"PRAGMA temp.page_size = {PAGE_BYTES}"))
            # Indexes of digests are written all over: with SQLite's 2 MiB each page would be read and written often.
            for schema, kib in CACHE_KIB.items():
                connection.execute(text(f"PRAGMA {schema}.cache_size = -{kib}"))
            connection.execute(text("PRAGMA temp.journal_mode = OFF"))  # it is thrown away, whatever happens
        for statement in _tables(connection.dialect.name):
            connection.execute(text(statement))
        connection.commit()

    def begin(self, opened: Opened) -> StagedFile:
        """A file's rows follow."""
        file = StagedFile(len(self.files) + 1, opened)
        self.files.append(file)
        return file

    def add(self, file: StagedFile, batch: Batch, taken: Taken) -> None:
        """What became of a batch, and its original records."""
        number = file.number
        file.refused += len(taken.refusals)
        self.corrections |= taken.corrections
        if taken.rows is not None:
            file.rows += len(taken.rows)
            file.totals.add(taken.rows)
            self._insert_rows(taken.rows, number)
        file.chunk.add(batch.texts)
        if len(file.chunk) >= ROWS_OF_A_CHUNK:
            self.end(file)
        self._insert("staged_tags", ("digest", "tags"), taken.seen.tag_sets.items())
        attributions = [(key, *one.fields()) for key, one in taken.seen.attributions.items()]
        self._insert("staged_attributions", ("digest", *ATTRIBUTION_FIELDS), attributions)
        if taken.refusals:
            self.refusals += taken.refusals[: SHOWN - len(self.refusals)] if len(self.refusals) < SHOWN else []
            self._insert("staged_refusals", _REFUSAL, [(number, *_refused(one)) for one in taken.refusals])
        if self._copying:
            self.connection.commit()

    def end(self, file: StagedFile) -> None:
        """Keep the original records of the chunk that is under way."""
        chunk = file.chunk
        if len(chunk):
            self._insert("staged_chunks", _CHUNK, [(file.number, chunk.first_row, len(chunk), chunk.packed())])
            file.chunk = Chunk(chunk.first_row + len(chunk))

    def _insert_rows(self, rows: ByColumn, file: int) -> None:
        """Rows for ``staged``. SQLite is given once what all of them say, or what two columns say alike: to hand over a
        value costs as much there as to store it."""
        columns: list[Sequence[Any]] = [*rows.columns, [file] * len(rows)]
        named = (*STAGED, "file")
        if self._copying:
            insert_many(self.connection, "staged", named, zip(*columns, strict=True))
            return
        given: list[Sequence[Any]] = []
        marks = []
        for name, column in zip(named, columns, strict=True):
            # Each row has a number of its own; with nothing else to give there would be no row.
            if name != "row" and (first := column[0]) == column[-1] and column.count(first) == len(column):
                marks.append(_literal(first))
                continue
            if name not in _OFTEN_ALIKE or column not in given:
                given.append(column)
            marks.append(f"?{given.index(column) + 1 if name in _OFTEN_ALIKE else len(given)}")
        insert_many(self.connection, "staged", named, zip(*given, strict=True), marks=", ".join(marks))

    def _insert(self, table: str, columns: Sequence[str], rows: Collection[Sequence[Any]]) -> None:
        if rows:
            insert_many(self.connection, table, columns, rows)


SHOWN = 100  # refusals that are kept in memory to be shown; all are in the table
_CHUNK = ("file", "first_row", "rows", "data")
_REFUSAL = ("file", "line", "column", "value", "code", "message", "record")


class Chunk:
    """Original records, compressed as they come: their lengths as JSON, and behind them one after the other."""

    def __init__(self, first_row: int) -> None:
        self.first_row = first_row
        self._lengths: list[int] = []
        self._stream, self._data = isal_zlib.compressobj(QUICKEST), list[bytes]()

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, texts: Sequence[str]) -> None:
        self._lengths += map(len, texts)
        self._data.append(self._stream.compress("".join(texts).encode("utf-8", "surrogatepass")))

    def packed(self) -> bytes:
        """All of them. No more can be added."""
        lengths = f"{json.dumps(self._lengths, separators=(',', ':'))}\n"
        return b"".join([isal_zlib.compress(lengths.encode(), QUICKEST), *self._data, self._stream.flush()])


def unpacked(data: bytes) -> list[str]:
    """The records again; also of chunks in which lengths and records were compressed as one."""
    text = b""
    while data:
        stream = isal_zlib.decompressobj()
        text += stream.decompress(data)
        data = stream.unused_data
    lengths, _, texts = text.decode("utf-8", "surrogatepass").partition("\n")
    records, at = [], 0
    for length in json.loads(lengths):
        records.append(texts[at : at + length])
        at += length
    return records


def _literal(value: str | bytes | int | None) -> str:
    """The value as SQLite's SQL writes it."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    return "NULL" if value is None else str(value)


def _refused(one: Refusal) -> tuple[Any, ...]:
    said = (one.column, one.value, one.code, one.message, one.record)
    return (one.line, *(storable(text) for text in said))


def _tables(dialect: str) -> list[str]:
    postgresql = dialect == "postgresql"
    blob, number = ("bytea", "bigint") if postgresql else ("BLOB", "INTEGER")
    amount = "numeric" if postgresql else "TEXT"
    seq = "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY" if postgresql else "INTEGER PRIMARY KEY"
    kinds = {
        **dict.fromkeys(_AMOUNTS, amount),
        **dict.fromkeys(_DIGESTS, blob),
        **dict.fromkeys(_NUMBERS, number),
    }
    columns = ", ".join(f'"{name}" {kinds.get(name, "text")}' for name in STAGED)
    attributions = ", ".join(f"{name} text" for name in ATTRIBUTION_FIELDS)
    return [
        f"CREATE TEMPORARY TABLE staged (seq {seq}, file {number}, {columns}, occurrence {number} DEFAULT 0, "
        f"charge_id {number}, corrects {number})",
        f"CREATE TEMPORARY TABLE staged_chunks (file {number}, first_row {number}, rows {number}, data {blob})",
        f"CREATE TEMPORARY TABLE staged_tags (digest {blob}, tags text)",
        f"CREATE TEMPORARY TABLE staged_attributions (digest {blob}, {attributions})",
        f'CREATE TEMPORARY TABLE staged_refusals (file {number}, line {number}, "column" text, value text, code text, '
        "message text, record text)",
        f"CREATE TEMPORARY TABLE present (id {number} PRIMARY KEY, fingerprint {blob}, occurrence {number}, "
        f"read_attribution {blob}, frozen {number}, matched {number} DEFAULT 0)",
        "CREATE TEMPORARY TABLE staged_accounts (period text, account text)",
        f"CREATE TEMPORARY TABLE mends (seq {number} PRIMARY KEY, record {blob}, occurrence {number}, "
        f"refusal_id {number}, charge_id {number})",
        f"CREATE TEMPORARY TABLE pairs (seq {number} PRIMARY KEY, old_id {number}, same_money {number})",
    ]

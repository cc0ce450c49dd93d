"""Rows that nobody could read, and that a person mended: they stand as long as a delivery still holds the same
unreadable record.

A mended file has the original columns and those that say what was wrong: by these a row finds the refusal that it
mends, and the digest of the refused record is kept with the charge that it became. A later snapshot that holds that
record again, character for character, leaves the charge as it is. Another record in its place asks again: the charge is
withdrawn, and the difference says so.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from clearfacts_assets.chargeback.cost_sources.records import DELIMITER_OF
from clearfacts_assets.chargeback.ingest.canonical import SAID_OF_REFUSALS, digest
from clearfacts_assets.chargeback.ingest.rows import LONGEST_KEPT_RECORD
from clearfacts_assets.storage.chargeback.by_hand import MendedCharge
from clearfacts_assets.storage.chargeback.staging import StagedFile, unpacked
from clearfacts_assets.storage.chargeback.statements import sql
from clearfacts_assets.storage.database import insert_into

MENDED = 2  # in place of 1 in ``present.matched``: not in the delivery itself, and as good as
_Key = tuple[str, str, str, str]  # line, column, code and reason of a refusal


def cells_of(record: str, dialect: str) -> list[str]:
    """The cells of an original record."""
    delimiter = DELIMITER_OF.get(dialect.split()[1] if " " in dialect else "", ",")
    rows = list(csv.reader(io.StringIO(record), delimiter=delimiter))
    return rows[0] if rows else []


def match_mended(connection: Connection) -> None:
    """Of the charges that the delivery lacks, those stand whose unreadable record it still holds, each record once."""
    found = connection.execute(
        sql(
            "SELECT p.id, m.record FROM present p JOIN mended_charges m ON m.charge_id = p.id WHERE p.matched = 0 "
            "ORDER BY p.id"
        )
    ).all()
    if not found:
        return
    held = _held(connection, {bytes(row.record) for row in found})
    stand = []
    for row in found:
        if held[bytes(row.record)] > 0:
            held[bytes(row.record)] -= 1
            stand.append({"id": row.id, "mended": MENDED})
    if stand:
        connection.execute(sql("UPDATE present SET matched = :mended WHERE id = :id"), stand)


def _digest(record: str) -> bytes:
    """Of the record without its line's end, which an editor or the end of a file changes."""
    return digest(record.rstrip("\r\n"))


def _held(connection: Connection, wanted: set[bytes]) -> Counter[bytes]:
    """How often the delivery holds each of these records. One that was too long to be kept whole is never the same."""
    records = connection.execute(sql("SELECT record FROM staged_refusals WHERE record <> ''")).scalars()
    digests = (_digest(one) for one in records if len(one) < LONGEST_KEPT_RECORD)
    return Counter(one for one in digests if one in wanted)


def remember_mended(
    connection: Connection, files: Iterable[StagedFile], source: str, import_id: int, before: int
) -> None:
    """After the charges of the delivery were inserted: which of them mend which refused record. ``before`` is the
    highest id of a charge before this import."""
    said = {
        (file.number, row): reason
        for file in files
        if set(SAID_OF_REFUSALS) <= set(file.opened.written)
        for row, reason in _reasons(connection, file).items()
    }
    if not said:
        return
    refused = _refusals(connection, {key for key, _ in said.values()}, source, import_id)
    values = []
    for row in connection.execute(_POSTED, {"import": import_id, "before": before}):
        key, cells = said.get((row.file, row.row), (None, []))
        candidates = refused.get(key, ()) if key else ()
        if candidates and row.charge is not None:
            chosen = max(candidates, key=lambda one: (_alike(cells, one), one.id))
            told = {"record": _digest(chosen.record), "refusal_id": chosen.id, "import_id": import_id}
            values.append({"charge_id": row.charge, **told})
    if values:
        statement = insert_into(connection, MendedCharge.__table__).values(values)
        newest = {name: statement.excluded[name] for name in ("record", "refusal_id", "import_id")}
        connection.execute(statement.on_conflict_do_update(index_elements=["charge_id"], set_=newest))


_POSTED = sql(
    "SELECT s.file, s.row, COALESCE(s.charge_id, c.id) AS charge FROM staged s "
    "JOIN staged_files f ON f.number = s.file LEFT JOIN charges c "
    "ON c.id > :before AND c.import_id = :import AND c.import_file = f.id AND c.row = s.row"
)


def _reasons(connection: Connection, file: StagedFile) -> Mapping[int, tuple[_Key, list[str]]]:
    """Row -> what it says of the refusal that it mends, and its cells."""
    header, found = file.opened.written, dict[int, tuple[_Key, list[str]]]()
    places = [header.index(name) for name in SAID_OF_REFUSALS]
    chunks = connection.execute(
        sql("SELECT first_row, data FROM staged_chunks WHERE file = :file ORDER BY first_row"), {"file": file.number}
    )
    for first, data in chunks.all():
        for row, record in enumerate(unpacked(bytes(data)), start=first):
            cells = cells_of(record, file.opened.dialect)
            if len(cells) == len(header) and cells[places[0]]:
                line, column, code, reason = (cells[place] for place in places)
                found[row] = (line, column, code, reason), cells
    return found


def _refusals(connection: Connection, wanted: set[_Key], source: str, import_id: int) -> Mapping[_Key, Sequence[Any]]:
    found: dict[_Key, list[Any]] = {}
    rows = connection.execute(
        sql(
            'SELECT r.id, r.line, r."column", r.code, r.message, r.record, f.dialect FROM cost_refusals r '
            "JOIN cost_import_files f ON f.id = r.import_file JOIN cost_imports i ON i.id = f.import_id "
            "WHERE i.source = :source AND i.id < :import AND i.withdrawn_at IS NULL AND r.record <> ''"
        ),
        {"source": source, "import": import_id},
    )
    for row in rows:
        key = (str(row.line), row[2], row.code, row.message)
        if key in wanted and len(row.record) < LONGEST_KEPT_RECORD:
            found.setdefault(key, []).append(row)
    return found


def _alike(cells: list[str], refused: Any) -> int:
    """How many cells of the mended row are as they were in the refused record."""
    return sum(one == other for one, other in zip(cells, cells_of(refused.record, refused.dialect), strict=False))

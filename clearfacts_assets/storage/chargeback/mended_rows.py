"""Which row of a mended file mends which refused record, and what stands for that record already.

A mended file has the original columns and those that say what was wrong: by these, and by what its other cells say, a
row finds the refused record of an earlier delivery that it mends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from clearfacts_assets.chargeback.cost_sources.opening import refused
from clearfacts_assets.chargeback.ingest.canonical import SAID_OF_REFUSALS
from clearfacts_assets.messages import Message
from clearfacts_assets.storage.chargeback.import_tables import CostImport
from clearfacts_assets.storage.chargeback.refused_records import Known, Numbering, cells_of, standing
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.chargeback.staging import StagedFile, unpacked

MENDED_TWICE, REPLACED_SINCE = "mended_twice", "replaced_since"
_Key = tuple[str, str, str, str]  # line, column, code and reason of a refusal


@dataclass(frozen=True, slots=True)
class _Refused:
    """A refused record of an earlier delivery."""

    id: int
    import_id: int
    known: Known
    cells: list[str]


def says_what_it_mends(file: StagedFile) -> bool:
    """Whether the file has the columns by which a row finds a refused record."""
    return set(SAID_OF_REFUSALS) <= set(file.opened.written)


def bind_mended(connection: Connection, files: Iterable[StagedFile], source: str, import_id: int) -> bool:
    """Fill ``mends``. A staged row that says what stands for its record is that charge; any other is a row of its own,
    whatever else there is that says the same. Returns whether any row mends something.

    Raises FileRefused for two rows that mend one record, and for a record that the provider has replaced since.
    """
    mended = [file for file in files if says_what_it_mends(file)]
    said = {file.number: (file.opened.path, _reasons(connection, file)) for file in mended}
    wanted = {key for _, reasons in said.values() for key, _ in reasons.values()}
    if not wanted:
        return False
    binding = _Binding(connection, source, _refusals(connection, wanted, source, import_id))
    query = "SELECT seq, file, row, line, period, account, fingerprint, read_attribution FROM staged ORDER BY seq"
    values = []
    for row in connection.execute(sql(query)).all():
        path, reasons = said.get(row.file, (Path(), {}))
        if row.row in reasons and (bound := binding.bind(row, path, *reasons[row.row])):
            values.append(bound)
    if values:
        for statement in _BIND:
            connection.execute(sql(statement), values)
    return bool(values)


_BIND = (
    "INSERT INTO mends (seq, record, occurrence, refusal_id, charge_id) "
    "VALUES (:seq, :record, :place, :refusal, :charge)",
    "UPDATE staged SET charge_id = :same, occurrence = COALESCE(:free, occurrence) WHERE seq = :seq",
)


_Earlier = tuple[Mapping[_Key, Sequence[_Refused]], Mapping[Known, int]]


class _Binding:
    """Finds a row's refused record, each record for one row."""

    def __init__(self, connection: Connection, source: str, refused_records: _Earlier) -> None:
        self._connection, self._source = connection, source
        self._refused, self._last_held = refused_records
        self._stands = standing(connection, source)
        self._taken: dict[Known, int] = {}
        self._free: dict[tuple[str, bytes], int] = {}

    def bind(self, row: Any, path: Path, key: _Key, cells: list[str]) -> dict[str, Any] | None:
        """What ``_BIND`` wants to know; None where no refusal says what the row says."""
        found = self._refused.get(key, ())
        if not found:
            return None
        ranked = {one.id: sum(map(str.__eq__, cells, one.cells)) for one in found}
        alike = [one for one in found if ranked[one.id] == max(ranked.values())]
        free = [one for one in alike if one.known not in self._taken]
        if not free:
            line = self._taken[alike[-1].known]
            text = "line {line}: it mends the same refused row as line {other}: keep one of the two"
            raise refused(path, MENDED_TWICE, Message(text, {"line": row.line, "other": line}), line=row.line)
        chosen = max(free, key=lambda one: one.id)
        self._taken[chosen.known] = row.line
        charge = self._stands.get(chosen.known)
        same = charge if charge is not None and self._says(charge, row) else None
        if same is None and (later := self._replaced(chosen, row)):
            text = (
                "line {line}: import {later} has delivered anew what row {row} of import {first} could not say: it is "
                "billed, or refused, by what stands there; see refusals export {later}"
            )
            values = {"line": row.line, "later": later, "row": key[0], "first": chosen.import_id}
            raise refused(path, REPLACED_SINCE, Message(text, values), line=row.line)
        told = {"seq": row.seq, "record": chosen.known.record, "place": chosen.known.occurrence}
        place = self._place(row) if same is None else None
        return {**told, "refusal": chosen.id, "charge": charge, "same": same, "free": place}

    def _says(self, charge: int, row: Any) -> bool:
        """Whether the charge is what the row says. What is finalized is read as it was read then."""
        query = (
            "SELECT c.fingerprint, c.read_attribution, c.origin_period, p.state FROM charges c "
            "JOIN billing_periods p ON p.name = c.period WHERE c.id = :id"
        )
        stands = self._connection.execute(sql(query), {"id": charge}).one()
        read_alike = stands.state == "finalized" or stands.read_attribution == row.read_attribution
        return bool(stands.fingerprint == row.fingerprint and stands.origin_period == row.period and read_alike)

    def _replaced(self, chosen: _Refused, row: Any) -> int | None:
        """The snapshot of the row's month and account that came after the last delivery that held the record."""
        table = CostImport.__table__.c
        query = (
            CostImport.__table__.select()
            .with_only_columns(table.id, table.scopes)
            .where(table.source == self._source, table.id > self._last_held[chosen.known], table.mode == "snapshot")
            .where(table.withdrawn_at.is_(None))
            .order_by(table.id)
        )
        later = [one.id for one in self._connection.execute(query) if [row.period, row.account] in one.scopes]
        return later[-1] if later else None

    def _place(self, row: Any) -> int:
        """An occurrence that no equal row has: neither in the ledger nor in the delivery."""
        key = (row.period, bytes(row.fingerprint))
        if key not in self._free:
            query = (
                "SELECT COALESCE(max(occurrence), -1) FROM charges WHERE period IN (SELECT name FROM billing_periods) "
                "AND fingerprint = :digest AND source = :source AND origin_period = :period AND withdrawn_by IS NULL"
            )
            values = {"digest": row.fingerprint, "source": self._source, "period": row.period}
            self._free[key] = self._connection.execute(sql(query), values).scalar_one()
        self._free[key] += 1
        return self._free[key]


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


def _refusals(connection: Connection, wanted: set[_Key], source: str, import_id: int) -> _Earlier:
    """Those of earlier deliveries that stand and of records that were kept whole: by what mended rows say of them; and
    by which import each record was held last."""
    found, numbering = defaultdict[_Key, list[_Refused]](list), defaultdict[int, Numbering](Numbering)
    last = dict[Known, int]()
    rows = connection.execute(
        sql(
            'SELECT r.id, r.line, r."column", r.code, r.message, r.record, f.dialect, f.import_id '
            "FROM cost_refusals r JOIN cost_import_files f ON f.id = r.import_file "
            "JOIN cost_imports i ON i.id = f.import_id WHERE i.source = :source AND i.id < :import "
            "AND i.withdrawn_at IS NULL ORDER BY r.id"
        ),
        {"source": source, "import": import_id},
    )
    for row in rows:
        known = numbering[row.import_id].next(row.record)
        key = (str(row.line), row[2], row.code, row.message)
        if known:
            last[known] = row.import_id
            if key in wanted:
                found[key].append(_Refused(row.id, row.import_id, known, cells_of(row.record, row.dialect)))
    return found, last

"""Imports: how a delivery gets into the ledger, what was imported, and how one is taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from clearfacts_assets.chargeback.lifecycle import Action, State, require
from clearfacts_assets.chargeback.model import CHANGES, Change, ChargebackError, Difference, Refusal
from clearfacts_assets.chargeback.ports import Delivery, Outcome
from clearfacts_assets.storage.accounts.audit import Actor, named, record
from clearfacts_assets.storage.chargeback.applying import Identity, apply
from clearfacts_assets.storage.chargeback.idempotency import Wish, keep, kept
from clearfacts_assets.storage.chargeback.import_tables import CostImport, CostImportFile, CostRefusal, RowChunk
from clearfacts_assets.storage.chargeback.ledger import count_out, only_writer, put_together
from clearfacts_assets.storage.chargeback.refused_records import Numbering, standing
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.chargeback.staging import Staging, unpacked
from clearfacts_assets.storage.database import apart, reading


class NoSuchImport(ChargebackError):
    """There is no import with this number."""


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """One import as it is listed."""

    id: int
    source: str
    mode: str
    period: str | None
    actor: str
    at: datetime
    rows: int
    refused: int
    difference: dict[str, Any]
    withdrawn_at: datetime | None
    files: tuple[dict[str, Any], ...] = ()


class ImportRepository:
    """The ledger as an import sees it; implements ``ingest.delivery.Ledger``."""

    def __init__(self, engine: Engine, by: Actor | None = None, *, anomaly_factor: float | None = None) -> None:
        """``by``: who imports, where more is known than the name that the delivery has. ``anomaly_factor``: how many
        times the usual amount is flagged with the import; None: nothing is."""
        self._engine, self._by, self._anomaly_factor = engine, by, anomaly_factor

    @contextmanager
    def staging(self) -> Iterator[Staging]:
        with apart(self._engine) as connection:
            yield Staging(connection)

    def apply(self, staging: Staging, delivery: Delivery, content: str, rules: str) -> Outcome:
        return apply(staging, delivery, Identity(content, rules), self._by, self._anomaly_factor)

    def stopped(self, staging: Staging, why: str) -> Outcome:
        rows, refused = sum(one.rows for one in staging.files), sum(one.refused for one in staging.files)
        return Outcome(None, False, rows, refused, (), tuple(staging.refusals), why)

    def unchanged(self, delivery: Delivery, content: str, rules: str) -> Outcome | None:
        """Only where no other import of the source came after: a file may bring back what another one replaced."""
        with reading(self._engine) as connection:
            last = connection.execute(
                select(CostImport.__table__)
                .where(CostImport.source == delivery.source, CostImport.withdrawn_at.is_(None))
                .where(CostImport.content_digest == content, CostImport.rules_digest == rules)
                .where(CostImport.mode == delivery.mode.value)
                .order_by(CostImport.id.desc())
                .limit(1)
            ).one_or_none()
            if last is None or self._overlaid(connection, last):
                return None
            differences = tuple(_nothing(period, told) for period, told in sorted(last.difference.items()))
        return Outcome(last.id, True, last.rows, last.refused, differences, unchanged=True)

    def _overlaid(self, connection: Connection, last: Any) -> bool:
        later = connection.execute(
            select(CostImport.scopes).where(CostImport.source == last.source, CostImport.id > last.id)
        ).scalars()
        scopes = {tuple(one) for one in last.scopes}
        return any(scopes & {tuple(one) for one in others} for others in later)

    def _later(self, connection: Connection, row: Any) -> int | None:
        """An import of the same scope that came after and stands: its equal rows are those that this one brought."""
        scopes = {tuple(one) for one in row["scopes"]}
        query = select(CostImport.id, CostImport.scopes).where(
            CostImport.source == row["source"], CostImport.id > row["id"], CostImport.withdrawn_at.is_(None)
        )
        found = connection.execute(query.order_by(CostImport.id.desc())).all()
        return next((one.id for one in found if scopes & {tuple(scope) for scope in one.scopes}), None)

    def after(self, import_id: int, *, limit: int) -> Sequence[ImportRecord]:
        """Those that came after this one, oldest first."""
        query = select(CostImport.__table__).where(CostImport.id > import_id).order_by(CostImport.id).limit(limit)
        with reading(self._engine) as connection:
            return [_record(row) for row in connection.execute(query).mappings()]

    def list(
        self, *, period: str | None = None, source: str | None = None, limit: int = 50, before: int | None = None
    ) -> list[ImportRecord]:
        """Newest first; only those before this number, where one is given."""
        query = select(CostImport.__table__).order_by(CostImport.id.desc())
        if before is not None:
            query = query.where(CostImport.id < before)
        if period is None:
            query = query.limit(limit)
        if source is not None:
            query = query.where(CostImport.source == source)
        with reading(self._engine) as connection:
            found = connection.execute(query).mappings()
            records = [_record(row) for row in found if period is None or period in row["difference"]]
        return records[:limit]

    def show(self, import_id: int) -> ImportRecord:
        """Raises NoSuchImport."""
        with reading(self._engine) as connection:
            row = _import(connection, import_id)
            files = connection.execute(
                select(CostImportFile.__table__)
                .where(CostImportFile.import_id == import_id)
                .order_by(CostImportFile.number)
            ).mappings()
            return _record(row, tuple(dict(one) for one in files))

    def refusals(self, import_id: int, *, mended: bool = True) -> Iterator[tuple[Refusal, Sequence[str], str]]:
        """Each with the header of its file and the file's dialect; without ``mended`` only those for which no charge
        stands. Raises NoSuchImport."""
        with reading(self._engine) as connection:
            source = _import(connection, import_id)["source"]
            stands, numbering = {} if mended else standing(connection, source), Numbering()
            query = (
                select(CostRefusal.__table__, CostImportFile.name, CostImportFile.header, CostImportFile.dialect)
                .join(CostImportFile, CostImportFile.id == CostRefusal.import_file)
                .where(CostImportFile.import_id == import_id)
                .order_by(CostRefusal.id)
            )
            for row in connection.execute(query).mappings():
                if stands and numbering.next(row["record"]) in stands:
                    continue
                said = (row["line"], 0, row["column"], row["value"], row["code"], row["message"], row["record"])
                yield Refusal(row["name"], *said), row["header"], row["dialect"]

    def original(self, import_file: int, row: int) -> tuple[Sequence[str], str]:
        """The header and the original record of one row."""
        query = (
            select(RowChunk.first_row, RowChunk.data)
            .where(RowChunk.import_file == import_file, RowChunk.first_row <= row)
            .order_by(RowChunk.first_row.desc())
            .limit(1)
        )
        with reading(self._engine) as connection:
            header = connection.execute(
                select(CostImportFile.header).where(CostImportFile.id == import_file)
            ).scalar_one()
            first, data = connection.execute(query).one()
        return header, unpacked(data)[row - first]

    def withdraw(
        self, import_id: int, *, reason: str, actor: str | Actor, now: datetime, wish: Wish | None = None
    ) -> int:
        """Take back what the import brought and still stands; what it replaced does not come back by itself. Returns
        the count of charges. The same wish a second time changes nothing. Raises NoSuchImport, NotAllowed."""
        with self._engine.begin() as connection:
            only_writer(connection)
            if (before := kept(connection, wish)) is not None:
                return int(before["charges"])
            row = _import(connection, import_id)
            if row["withdrawn_at"] is not None:
                raise ChargebackError("import {import_id} was withdrawn already", import_id=import_id)
            mine = "import_id = :id AND withdrawn_by IS NULL"
            if (later := self._later(connection, row)) is not None:
                raise ChargebackError(
                    "import {later} came after import {import_id}: take that one back first",
                    later=later,
                    import_id=import_id,
                )
            found = connection.execute(
                sql(
                    f"SELECT c.period, p.state FROM charges c JOIN billing_periods p ON p.name = c.period "  # noqa: S608
                    f"WHERE {mine} GROUP BY c.period, p.state"
                ),
                {"id": import_id},
            ).all()
            for period, state in found:
                require(period, State(state), Action.IMPORT)
            count_out(connection, mine, id=import_id)
            gone = connection.execute(
                sql(f"UPDATE charges SET withdrawn_by = :id WHERE {mine}"),  # noqa: S608
                {"id": import_id},
            ).rowcount
            for period, _ in found:
                put_together(connection, period)
            connection.execute(
                update(CostImport).where(CostImport.id == import_id).values(withdrawn_at=now, withdrawn_reason=reason)
            )
            record(
                connection,
                actor=named(actor),
                action="cost_import.withdrawn",
                resource_type="cost_import",
                resource_id=str(import_id),
                now=now,
                reason=reason,
                after={"charges": gone},
            )
            keep(connection, wish, {"charges": gone}, now)
            return gone


def _import(connection: Connection, import_id: int) -> Any:
    row = connection.execute(select(CostImport.__table__).where(CostImport.id == import_id)).mappings().one_or_none()
    if row is None:
        raise NoSuchImport(
            "there is no import {import_id}: `clearfacts chargeback imports list` shows them", import_id=import_id
        )
    return row


def _record(row: Any, files: tuple[dict[str, Any], ...] = ()) -> ImportRecord:
    names = [name for name in ImportRecord.__dataclass_fields__ if name != "files"]
    return ImportRecord(**{name: row[name] for name in names}, files=files)


def _nothing(period: str, told: dict[str, Any]) -> Difference:
    """All that the import left standing is equal now."""
    gone = ("withdrawn", "unmended")
    rows = sum(told[kind]["rows"] for kind in CHANGES if kind not in gone and kind in told)
    changes = {kind: Change(rows if kind == "equal" else 0) for kind in CHANGES}
    return Difference(period, told["posted"], changes)

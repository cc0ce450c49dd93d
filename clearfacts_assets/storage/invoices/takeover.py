"""Rows that change hands: what earlier runs of a day left, a later job takes on as its own.

Documents are not copied: they are found by their hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, exists, func, or_, select, update

from clearfacts_assets.invoices.lifecycle import Event, before
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.storage.database import insert_into, reading, write
from clearfacts_assets.storage.invoices.invoice_rows import copy_of, row_of_version
from clearfacts_assets.storage.invoices.jobs import FINISHED, whole_day_came_again
from clearfacts_assets.storage.invoices.tables import SHOWN_NOW, Delivery, InvoiceRow, Job, SourceVersion

ROWS_AT_ONCE = 200

_rows = cast(Table, InvoiceRow.__table__)
_deliveries = cast(Table, Delivery.__table__)
_shown = cast(Table, SourceVersion.__table__)


class Takeover:
    """What a job takes on of a day, beside or instead of what the source gives it."""

    def __init__(self, engine: Engine, destination: str = "clearfacts") -> None:
        self._engine, self._destination = engine, destination

    def day(self, job_id: UUID, partition_key: str, *, now: datetime, validated: bool = False) -> int:
        """Copy the partition's newest rows of earlier jobs into a job that retrieves nothing itself.

        With ``validated``, decisions and reports come along; otherwise the rows wait for validation. Rows that were
        sent are pending again, and the ledger knows them. What the ERP withdrew stays behind.
        Returns the number of rows copied.
        """
        self.close_left(job_id, partition_key, now=now)
        met = and_(_rows.c.delivery_id.is_not(None), ~_is_withdrawn())
        never_met = and_(_rows.c.delivery_id.is_(None), ~whole_day_came_again())
        newest = self._newest_of(job_id, partition_key, or_(met, never_met))
        return self._take(job_id, partition_key, newest, now, validated=validated)

    def job(self, job_id: UUID, partition_key: str, earlier: UUID, *, now: datetime, validated: bool = False) -> int:
        """The same with the rows of one earlier job of the day. Returns the number of rows copied."""
        newest = self._newest_of(job_id, partition_key, and_(Job.id == earlier, ~_is_withdrawn()))
        return self._take(job_id, partition_key, newest, now, validated=validated)

    def unfinished(self, job_id: UUID, partition_key: str, *, now: datetime) -> int:
        """Take over what runs of the day that are over left before the ledger met it. Returns the number of rows."""
        self.close_left(job_id, partition_key, now=now)
        left = and_(_rows.c.status == InvoiceStatus.PENDING, _rows.c.delivery_id.is_(None), Job.status.in_(FINISHED))
        newest = self._newest_of(job_id, partition_key, left)
        return self._take(job_id, partition_key, newest, now, validated=True)

    def due(self, job_id: UUID, partition_key: str, *, now: datetime) -> int:
        """Rows for the versions of the day that are due in the ledger and in no row of the job. Returns how many."""

        def work(connection: Connection) -> int:
            mine = _rows.alias()
            due = select(_deliveries.c.id, _deliveries.c.revision).where(
                _deliveries.c.day == partition_key,
                _deliveries.c.destination == self._destination,
                _deliveries.c.state.in_(before(Event.CLAIMED)),
                or_(_deliveries.c.not_before.is_(None), _deliveries.c.not_before <= now),
                # Rows that the job has not registered yet are known by their content.
                ~exists().where(mine.c.job_id == job_id, mine.c.delivery_id == _deliveries.c.id),
                ~exists().where(mine.c.job_id == job_id, mine.c.content_sha256 == _deliveries.c.content_sha256),
                exists().where(mine.c.delivery_id == _deliveries.c.id, mine.c.number.is_not(None)),
            )
            revisions = dict(connection.execute(due.limit(ROWS_AT_ONCE)).tuples().all())
            if not revisions:
                return 0
            made = _rows_of_versions(connection, job_id, revisions, now)
            connection.execute(insert_into(connection, _rows).on_conflict_do_nothing(), made)
            return len(made)

        total = 0
        while taken := write(self._engine, work, repeatable=True):
            total += taken
        return total

    def close_left(self, job_id: UUID, partition_key: str, *, now: datetime) -> None:
        """Settle rows of the day that runs which are over left before the ledger met them.

        What this job has taken on is its own now; what the ERP did not give again with the whole day, it withdrew.
        """
        mine = _rows.alias()
        left = (
            select(_rows.c.id)
            .join(Job, Job.id == _rows.c.job_id)
            .where(
                _rows.c.status == InvoiceStatus.PENDING,
                _rows.c.delivery_id.is_(None),
                Job.partition_key == partition_key,
                Job.id != job_id,
                Job.status.in_(FINISHED),
            )
        )
        taken_on = left.where(exists().where(mine.c.job_id == job_id, mine.c.invoice_id == _rows.c.invoice_id))
        gone = left.where(whole_day_came_again())
        closed = {"processed_at": now, "updated_at": now}

        def work(connection: Connection) -> None:
            for which, status, why in (
                (taken_on, InvoiceStatus.DUPLICATE, f"job {job_id} went on with it"),
                (gone, InvoiceStatus.FAILED, "the ERP withdrew it before it was processed"),
            ):
                ids = list(connection.scalars(which))
                for start in range(0, len(ids), ROWS_AT_ONCE):
                    some = _rows.c.id.in_(ids[start : start + ROWS_AT_ONCE])
                    connection.execute(update(_rows).where(some).values(status=status, error_message=why, **closed))

        write(self._engine, work, repeatable=True)

    def _newest_of(self, job_id: UUID, partition_key: str, which: ColumnElement[bool]) -> Sequence[UUID]:
        """The newest row of each invoice among those of the day's other jobs."""
        ranked = (
            select(
                _rows.c.id,
                _rows.c.invoice_id,
                func.row_number()
                .over(
                    partition_by=_rows.c.invoice_id,
                    order_by=[
                        func.coalesce(_rows.c.source_updated_at, _rows.c.created_at).desc(),
                        _rows.c.created_at.desc(),
                    ],
                )
                .label("place"),
            )
            .join(Job, Job.id == _rows.c.job_id)
            .where(Job.partition_key == partition_key, Job.id != job_id, which)
            .subquery()
        )
        with reading(self._engine) as connection:
            return list(connection.execute(select(ranked.c.id).where(ranked.c.place == 1)).scalars())

    def _take(self, job_id: UUID, partition_key: str, newest: Sequence[UUID], now: datetime, *, validated: bool) -> int:
        for start in range(0, len(newest), ROWS_AT_ONCE):
            self._copy(job_id, newest[start : start + ROWS_AT_ONCE], now, validated=validated)
        if newest:
            self.close_left(job_id, partition_key, now=now)
        return len(newest)

    def _copy(self, job_id: UUID, row_ids: Sequence[UUID], now: datetime, *, validated: bool) -> None:
        def work(connection: Connection) -> None:
            rows = connection.execute(select(_rows).where(_rows.c.id.in_(row_ids))).mappings()
            copies = [copy_of(dict(row), job_id, now, validated=validated) for row in rows]
            if copies:
                connection.execute(insert_into(connection, _rows).on_conflict_do_nothing(), copies)

        write(self._engine, work, repeatable=True)


def _is_withdrawn() -> ColumnElement[bool]:
    """Whether the source does not have the row's id any more."""
    return exists().where(_shown.c.source_id == _rows.c.invoice_id, SHOWN_NOW, _shown.c.withdrawn_at.is_not(None))


def _rows_of_versions(
    connection: Connection, job_id: UUID, revisions: Mapping[UUID, int], now: datetime
) -> list[dict[str, Any]]:
    """A row of the job for each of these versions, as its newest row has it; ``revisions`` are not empty."""
    rows = select(_rows).where(_rows.c.delivery_id.in_(revisions), _rows.c.number.is_not(None))
    found = connection.execute(rows.order_by(_rows.c.created_at, _rows.c.id)).mappings()
    newest = {row["delivery_id"]: dict(row) for row in found}
    ids = {row["invoice_id"] for row in newest.values()}
    mine = select(_rows.c.invoice_id).where(_rows.c.job_id == job_id, _rows.c.invoice_id.in_(ids))
    taken = set(connection.scalars(mine))
    made = []
    for delivery_id, row in newest.items():
        made.append(row_of_version(row, job_id, revisions[delivery_id], taken, now))
        taken.add(made[-1]["invoice_id"])
    return made

"""Rows that change hands: what earlier runs of a day left, a later job takes on as its own.

Documents are not copied: they are found by their hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    and_,
    exists,
    func,
    or_,
    select,
    true,
    update,
)

from clearfacts_assets.invoices.lifecycle import Event, before
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.storage.database import insert_into, read, reading, write
from clearfacts_assets.storage.invoices.invoice_rows import copy_of, row_of_version
from clearfacts_assets.storage.invoices.jobs import FINISHED, whole_day_came_again
from clearfacts_assets.storage.invoices.kept_documents import relying
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

    def unvalidated(self, job_id: UUID, partition_key: str, *, now: datetime) -> int:
        """Take over what runs of the day that are over left before it was validated. Returns the number of rows."""
        self.close_left(job_id, partition_key, now=now)
        newest = self._newest_of(job_id, partition_key, _is_left(), _rows.c.decision.is_(None))
        return self._take(job_id, partition_key, newest, now, validated=True)

    def unfinished(self, job_id: UUID, partition_key: str, *, now: datetime) -> Iterator[list[UUID]]:
        """Take over, a piece at a time, what runs of the day that are over had validated and the ledger never met.

        Yields the rows of each piece before the next one is taken: a run that ends early has no more of them than it
        has worked on, and the others stay where they are.
        """
        self.close_left(job_id, partition_key, now=now)
        newest = self._newest_of(job_id, partition_key, _is_left(), _rows.c.decision.is_not(None))
        for start in range(0, len(newest), ROWS_AT_ONCE):
            yield self._adopt(job_id, partition_key, newest[start : start + ROWS_AT_ONCE], now)

    def due(self, job_id: UUID, partition_key: str, *, now: datetime) -> Iterator[list[UUID]]:
        """Rows for the versions of the day that are due in the ledger and in no row of the job, a piece at a time."""
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
        piece = due.limit(ROWS_AT_ONCE)
        while revisions := dict(read(self._engine, lambda connection: connection.execute(piece).tuples().all())):
            ids = {delivery_id: uuid4() for delivery_id in revisions}  # the same ones where it is done again

            def work(
                connection: Connection, revisions: Mapping[UUID, int] = revisions, ids: Mapping[UUID, UUID] = ids
            ) -> list[UUID]:
                made = _rows_of_versions(connection, job_id, revisions, now)
                for one in made:
                    one["id"] = ids[one["delivery_id"]]
                connection.execute(insert_into(connection, _rows).on_conflict_do_nothing(), made)
                return _of(connection, job_id, ids.values())

            yield write(self._engine, work, repeatable=True)

    def close_left(self, job_id: UUID, partition_key: str, *, now: datetime) -> None:
        """Settle rows of the day that runs which are over left before the ledger met them.

        What this job has taken on is its own now; what the ERP did not give again with the whole day, it withdrew.
        """
        mine = _rows.alias()
        left = _left_of(job_id, partition_key)
        taken_on = left.where(exists().where(mine.c.job_id == job_id, mine.c.invoice_id == _rows.c.invoice_id))
        gone = left.where(whole_day_came_again())

        def work(connection: Connection) -> None:
            _close(connection, list(connection.scalars(taken_on)), InvoiceStatus.DUPLICATE, _went_on(job_id), now)
            gone_ids = list(connection.scalars(gone))
            _close(connection, gone_ids, InvoiceStatus.FAILED, "the ERP withdrew it before it was processed", now)

        write(self._engine, work, repeatable=True)

    def _newest_of(
        self, job_id: UUID, partition_key: str, which: ColumnElement[bool], *also: ColumnElement[bool]
    ) -> Sequence[UUID]:
        """The newest row of each invoice among those of the day's other jobs, where it is ``also`` so."""
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
                (and_(*also) if also else true()).label("wanted"),
            )
            .join(Job, Job.id == _rows.c.job_id)
            .where(Job.partition_key == partition_key, Job.id != job_id, which)
            .subquery()
        )
        with reading(self._engine) as connection:
            return list(connection.execute(select(ranked.c.id).where(ranked.c.place == 1, ranked.c.wanted)).scalars())

    def _take(self, job_id: UUID, partition_key: str, newest: Sequence[UUID], now: datetime, *, validated: bool) -> int:
        for start in range(0, len(newest), ROWS_AT_ONCE):
            self._copy(job_id, newest[start : start + ROWS_AT_ONCE], now, validated=validated)
        if newest:
            self.close_left(job_id, partition_key, now=now)
        return len(newest)

    def _adopt(self, job_id: UUID, partition_key: str, row_ids: Sequence[UUID], now: datetime) -> list[UUID]:
        """Copy these rows, and close those of their invoices that earlier jobs left. Returns the copies."""
        ids = {row_id: uuid4() for row_id in row_ids}  # the same ones where it is done again

        def work(connection: Connection) -> list[UUID]:
            relying(connection)
            rows = connection.execute(select(_rows).where(_rows.c.id.in_(row_ids))).mappings().all()
            copies = [copy_of(dict(row), job_id, now, validated=True) | {"id": ids[row["id"]]} for row in rows]
            connection.execute(insert_into(connection, _rows).on_conflict_do_nothing(), copies)
            same = _left_of(job_id, partition_key).where(_rows.c.invoice_id.in_([row["invoice_id"] for row in rows]))
            _close(connection, list(connection.scalars(same)), InvoiceStatus.DUPLICATE, _went_on(job_id), now)
            return _of(connection, job_id, ids.values())

        return write(self._engine, work, repeatable=True)

    def _copy(self, job_id: UUID, row_ids: Sequence[UUID], now: datetime, *, validated: bool) -> None:
        def work(connection: Connection) -> None:
            relying(connection)
            rows = connection.execute(select(_rows).where(_rows.c.id.in_(row_ids))).mappings()
            copies = [copy_of(dict(row), job_id, now, validated=validated) for row in rows]
            if copies:
                connection.execute(insert_into(connection, _rows).on_conflict_do_nothing(), copies)

        write(self._engine, work, repeatable=True)


def _is_left() -> ColumnElement[bool]:
    """Whether a run that is over left the row before the ledger met it."""
    return and_(_rows.c.status == InvoiceStatus.PENDING, _rows.c.delivery_id.is_(None), Job.status.in_(FINISHED))


def _left_of(job_id: UUID, partition_key: str) -> Select[tuple[UUID]]:
    """The rows of the day that other jobs left so."""
    of_the_day = and_(Job.partition_key == partition_key, Job.id != job_id)
    return select(_rows.c.id).join(Job, Job.id == _rows.c.job_id).where(_is_left(), of_the_day)


def _went_on(job_id: UUID) -> str:
    return f"job {job_id} went on with it"


def _close(connection: Connection, ids: Sequence[UUID], status: InvoiceStatus, why: str, now: datetime) -> None:
    closed = {"status": status, "error_message": why, "processed_at": now, "updated_at": now}
    for start in range(0, len(ids), ROWS_AT_ONCE):
        some = _rows.c.id.in_(ids[start : start + ROWS_AT_ONCE])
        connection.execute(update(_rows).where(some).values(**closed))


def _of(connection: Connection, job_id: UUID, ids: Iterable[UUID]) -> list[UUID]:
    """Those of the rows that the job has."""
    return list(connection.scalars(select(_rows.c.id).where(_rows.c.job_id == job_id, _rows.c.id.in_(list(ids)))))


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

"""Jobs: one row a run of the invoice assets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, bindparam, exists, select, update
from sqlalchemy.orm import aliased

from clearfacts_assets.storage.database import insert_into, reading, write
from clearfacts_assets.storage.invoices.job_notes import JobNotes, as_columns, merged
from clearfacts_assets.storage.invoices.job_views import FILTERS, JobViews, seconds_between
from clearfacts_assets.storage.invoices.tables import InvoiceRow, Job
from clearfacts_assets.storage.paging import NEWEST_FIRST, Listing, Page, Span, page_of, page_size

_jobs, _rows = cast(Table, Job.__table__), cast(Table, InvoiceRow.__table__)
UNFINISHED = ("pending", "running")
FINISHED = ("completed", "failed")


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as it stands. Times are UTC; ``details`` is the row's metadata."""

    id: UUID
    job_type: str
    status: str
    triggered_by: UUID | None
    started_at: datetime | None
    completed_at: datetime | None
    error_message: str | None
    details: JobNotes
    created_at: datetime
    updated_at: datetime
    partition_key: str | None
    correlation_id: str | None
    whole_day: bool  # the source gave all of the day
    part: str | None = None  # ... or all of this part of it

    @property
    def duration_seconds(self) -> float | None:
        return seconds_between(self.started_at, self.completed_at)


class JobRepository(JobViews):
    """The ``jobs`` table, for who writes it."""

    def begin(
        self,
        job_id: UUID,
        *,
        job_type: str,
        partition_key: str | None,
        correlation_id: str | None,
        details: JobNotes,
        now: datetime,
        triggered_by: UUID | None = None,
    ) -> JobRecord:
        """Make the job run, creating it if need be; its details are added to. A finished job stays as it is."""

        def work(connection: Connection) -> JobRecord:
            connection.execute(
                insert_into(connection, _jobs)
                .values(
                    id=job_id,
                    job_type=job_type,
                    status="running",
                    triggered_by=triggered_by,
                    started_at=now,
                    metadata={},
                    created_at=now,
                    updated_at=now,
                    partition_key=partition_key,
                    correlation_id=correlation_id,
                )
                .on_conflict_do_nothing(index_elements=[_jobs.c.id])
            )
            known = _locked(connection, job_id)
            if known is None:
                raise LookupError(f"job {job_id} was removed while it began")
            if known.status in UNFINISHED:
                _set(
                    connection,
                    job_id,
                    now,
                    status="running",
                    started_at=known.started_at or now,
                    **as_columns(merged(known.details, details)),
                )
            return read_job(connection, job_id) or known

        return write(self._engine, work, repeatable=True)

    def finish(
        self,
        job_id: UUID,
        status: str,
        *,
        error_message: str | None,
        now: datetime,
        details_update: JobNotes | None = None,
    ) -> bool:
        """Close the job as completed or failed. False, and nothing changed, where it was closed before."""
        if status not in FINISHED:
            raise ValueError(f"a job ends as {' or '.join(FINISHED)}, not as {status!r}")

        def work(connection: Connection) -> bool:
            known = _locked(connection, job_id)
            if known is None or known.status in FINISHED:
                return False
            noted = as_columns(merged(known.details, details_update or {}))
            _set(connection, job_id, now, status=status, completed_at=now, error_message=error_message, **noted)
            return True

        return write(self._engine, work, repeatable=True)

    def update_details(self, job_id: UUID, details: JobNotes, *, now: datetime) -> None:
        """Add to what is noted with the job; a name noted before gets its new value."""

        def work(connection: Connection) -> None:
            known = _locked(connection, job_id)
            if known is not None:
                _set(connection, job_id, now, **as_columns(merged(known.details, details)))

        write(self._engine, work, repeatable=True)

    def get(self, job_id: UUID) -> JobRecord | None:
        with reading(self._engine) as connection:
            return read_job(connection, job_id)

    def list(
        self,
        *,
        status: str | None = None,
        job_type: str | None = None,
        partition_key: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        span: Span = NEWEST_FIRST,
    ) -> Page[JobRecord]:
        """Jobs, newest first unless the span says otherwise. Raises BadCursor."""
        limit = page_size(limit)
        wanted = {"status": status, "job_type": job_type, "partition_key": partition_key}
        with reading(self._engine) as connection:
            found = [_record(row) for row in _RECORDS.rows(connection, span, cursor, limit, wanted)]
        return page_of(found, limit, attrgetter("created_at"), attrgetter("id"))

    def unfinished(self) -> Sequence[JobRecord]:
        """Jobs that are pending or running as far as we know, oldest first."""
        query = _select_jobs().where(_jobs.c.status.in_(UNFINISHED)).order_by(_jobs.c.created_at)
        with reading(self._engine) as connection:
            return [_record(row) for row in connection.execute(query)]

    def ended_since(self, moment: datetime, *, limit: int) -> Sequence[UUID]:
        """Jobs that ended since then, newest first."""
        query = (
            select(_jobs.c.id)
            .where(_jobs.c.status.in_(FINISHED), _jobs.c.completed_at >= moment)
            .order_by(_jobs.c.completed_at.desc())
            .limit(limit)
        )
        with reading(self._engine) as connection:
            return list(connection.scalars(query))

    def newest_with_invoices(self, partition_key: str) -> UUID | None:
        """The day's newest job that saw any invoice; None if none did."""
        query = (
            select(_jobs.c.id)
            .where(_jobs.c.partition_key == partition_key, exists().where(InvoiceRow.job_id == _jobs.c.id))
            .order_by(_jobs.c.created_at.desc(), _jobs.c.id.desc())
            .limit(1)
        )
        with reading(self._engine) as connection:
            job_id: UUID | None = connection.scalar(query)
        return job_id


def whole_day_came_again() -> ColumnElement[bool]:
    """Whether the ERP gave the whole day once more after the job of the enclosing question.

    What that job knew, no later one met and the ERP did not give again, was withdrawn or is another day's.
    """
    later = aliased(Job)
    return exists().where(
        later.partition_key == Job.partition_key,
        later.created_at > Job.created_at,
        later.whole_day,
    )


_RECORDS = Listing(select(*_jobs.c), _jobs.c.created_at, _jobs.c.id, FILTERS)
_ONE = select(*_jobs.c).where(_jobs.c.id == bindparam("job_id"))


def _select_jobs() -> Select[Any]:
    # The column is called metadata in the database and details here.
    return select(*(column for column in _jobs.c))


def _record(row: Row[Any]) -> JobRecord:
    return JobRecord(*row)  # whose fields stand in the order of the columns


def read_job(connection: Connection, job_id: UUID) -> JobRecord | None:
    """The job with this id, as it stands."""
    row = connection.execute(_ONE, {"job_id": job_id}).one_or_none()
    return None if row is None else _record(row)


def _locked(connection: Connection, job_id: UUID) -> JobRecord | None:
    row = connection.execute(_select_jobs().where(_jobs.c.id == job_id).with_for_update()).one_or_none()
    return None if row is None else _record(row)


def _set(connection: Connection, job_id: UUID, now: datetime, **values: Any) -> None:
    connection.execute(update(Job).where(Job.id == job_id).values(updated_at=now, **values))

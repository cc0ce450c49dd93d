"""Jobs: one row a run of the invoice assets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, Table, bindparam, exists, func, select, update
from sqlalchemy.orm import aliased

from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.storage.database import insert_into, reading, write
from clearfacts_assets.storage.invoices.tables import InvoiceRow, Job
from clearfacts_assets.storage.paging import NEWEST_FIRST, Filter, Listing, Page, Span, page_of, page_size

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
    details: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    partition_key: str | None
    correlation_id: str | None

    @property
    def duration_seconds(self) -> float | None:
        return seconds_between(self.started_at, self.completed_at)


class JobCounts(NamedTuple):
    """How many invoices of a job ended where."""

    sent: int = 0
    failed: int = 0
    duplicates: int = 0
    pending: int = 0

    @property
    def total(self) -> int:
        return sum(self)


@dataclass(frozen=True, slots=True)
class JobError:
    """Why one invoice of a job is not delivered."""

    invoice_id: str
    status: str
    error: str
    timestamp: datetime


@dataclass(slots=True)
class JobResult:
    """What a job came to, as of one moment."""

    id: UUID
    status: str
    started_at: datetime | None
    completed_at: datetime | None
    counts: JobCounts
    errors: Sequence[JobError]


class JobLine(NamedTuple):
    """A job in a list; ``triggered_by`` is a name, not a user's id."""

    id: UUID
    job_type: str
    status: str
    started_at: datetime | None
    completed_at: datetime | None
    error_message: str | None
    created_at: datetime
    partition_key: str | None
    correlation_id: str | None
    triggered_by: str | None
    sent: int
    failed: int
    duplicates: int
    pending: int

    @property
    def counts(self) -> JobCounts:
        return JobCounts(self.sent, self.failed, self.duplicates, self.pending)


class JobRepository:
    """The ``jobs`` table."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(
        self,
        job_id: UUID,
        *,
        job_type: str,
        partition_key: str | None,
        correlation_id: str | None,
        details: Mapping[str, Any],
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
                    details={**known.details, **details},
                )
            return _read(connection, job_id) or known

        return write(self._engine, work, repeatable=True)

    def finish(
        self,
        job_id: UUID,
        status: str,
        *,
        error_message: str | None,
        now: datetime,
        details_update: Mapping[str, Any] | None = None,
    ) -> bool:
        """Close the job as completed or failed. False, and nothing changed, where it was closed before."""
        if status not in FINISHED:
            raise ValueError(f"a job ends as {' or '.join(FINISHED)}, not as {status!r}")

        def work(connection: Connection) -> bool:
            known = _locked(connection, job_id)
            if known is None or known.status in FINISHED:
                return False
            details = {**known.details, **(details_update or {})}
            _set(connection, job_id, now, status=status, completed_at=now, error_message=error_message, details=details)
            return True

        return write(self._engine, work, repeatable=True)

    def update_details(self, job_id: UUID, details: Mapping[str, Any], *, now: datetime) -> None:
        """Add to what is noted with the job; a name noted before gets its new value."""

        def work(connection: Connection) -> None:
            known = _locked(connection, job_id)
            if known is not None:
                _set(connection, job_id, now, details={**known.details, **details})

        write(self._engine, work, repeatable=True)

    def get(self, job_id: UUID) -> JobRecord | None:
        with reading(self._engine) as connection:
            return _read(connection, job_id)

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

    def lines(
        self, *, limit: int, cursor: str | None = None, span: Span = NEWEST_FIRST, **wanted: str | None
    ) -> Page[JobLine]:
        """The same jobs in short, with their counts, in one snapshot. Raises BadCursor."""
        limit = page_size(limit)
        with reading(self._engine) as connection:
            rows = _LINES.rows(connection, span, cursor, limit, wanted)
        return page_of([JobLine(*row) for row in rows], limit, attrgetter("created_at"), attrgetter("id"))

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

    def result(self, job_id: UUID, most_errors: int) -> JobResult | None:
        """The job, its counts and why invoices failed, in one snapshot."""
        with reading(self._engine) as connection:
            row = connection.execute(_RESULT, {"job_id": job_id}).one_or_none()
            if row is None:
                return None
            _, status, started_at, completed_at, *numbers = row
            counts = JobCounts(*numbers)
            errors = _errors(connection, job_id, most_errors, [InvoiceStatus.FAILED]) if counts.failed else []
            return JobResult(job_id, status, started_at, completed_at, counts, errors)

    def counts(self, job_id: UUID) -> JobCounts:
        """What became of the job's invoices, counted in one snapshot."""
        with reading(self._engine) as connection:
            return JobCounts(*connection.execute(_OF_JOB, {"job_id": job_id}).one())

    def rows(self, job_id: UUID) -> int:
        """How many rows the job has, whatever stands in them."""
        with reading(self._engine) as connection:
            return connection.scalar(select(func.count()).select_from(_rows).where(_rows.c.job_id == job_id)) or 0

    def errors(
        self, job_id: UUID, limit: int = 100, statuses: Sequence[str] = (InvoiceStatus.FAILED,)
    ) -> Sequence[JobError]:
        """Why invoices of the job are not delivered, in the order of their ids: the failed ones, or as asked."""
        with reading(self._engine) as connection:
            return _errors(connection, job_id, limit, statuses)


def _count(job_id: ColumnElement[Any], status: InvoiceStatus) -> ColumnElement[int]:
    # Of columns that stand in one index: the rows, with their documents, are not looked at.
    of_job = select(func.count()).select_from(_rows).where(_rows.c.job_id == job_id, _rows.c.status == status)
    return of_job.scalar_subquery()


def _counts(job_id: ColumnElement[Any]) -> list[ColumnElement[int]]:
    return [_count(job_id, status) for status in _COUNTED]


def _with_counts(page: Select[Any], oldest_first: bool) -> Select[Any]:
    # Only the page's jobs are counted, however the page was found.
    lines = page.subquery()
    order = (lines.c.created_at, lines.c.id) if oldest_first else (lines.c.created_at.desc(), lines.c.id.desc())
    return select(*lines.c, *_counts(lines.c.id)).order_by(*order)


_COUNTED = (InvoiceStatus.SENT, InvoiceStatus.FAILED, InvoiceStatus.DUPLICATE, InvoiceStatus.PENDING)
_FILTERS: dict[str, Filter] = {name: _jobs.c[name].__eq__ for name in ("status", "job_type", "partition_key")}
_RECORDS = Listing(select(*_jobs.c), _jobs.c.created_at, _jobs.c.id, _FILTERS)
_LINES = Listing(
    # Not all metadata: it grows with the invoices that a job was asked for.
    select(
        *(_jobs.c[name] for name in JobLine._fields[: JobLine._fields.index("triggered_by")]),
        _jobs.c["metadata"]["triggered_by"].as_string().label("triggered_by"),
    ),
    _jobs.c.created_at,
    _jobs.c.id,
    _FILTERS,
    around=_with_counts,
)
# Built once: a statement that is built anew for every read costs more than running it.
_ERRORS = (
    select(_rows.c.invoice_id, _rows.c.status, _rows.c.error_message, _rows.c.updated_at)
    .where(_rows.c.job_id == bindparam("job_id"), _rows.c.status.in_(bindparam("statuses", expanding=True)))
    .order_by(_rows.c.invoice_id)
    .limit(bindparam("most"))
)
_RESULT = select(_jobs.c.id, _jobs.c.status, _jobs.c.started_at, _jobs.c.completed_at, *_counts(_jobs.c.id)).where(
    _jobs.c.id == bindparam("job_id")
)
_OF_JOB = select(*_counts(bindparam("job_id", type_=_jobs.c.id.type)))
_ONE = select(*_jobs.c).where(_jobs.c.id == bindparam("job_id"))


def whole_day_came_again() -> ColumnElement[bool]:
    """Whether the ERP gave the whole day once more after the job of the enclosing question.

    What that job knew, no later one met and the ERP did not give again, was withdrawn or is another day's.
    """
    later = aliased(Job)
    return exists().where(
        later.partition_key == Job.partition_key,
        later.created_at > Job.created_at,
        later.details["whole_day"].as_boolean(),
    )


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()


def _errors(connection: Connection, job_id: UUID, limit: int, statuses: Sequence[str]) -> Sequence[JobError]:
    found = connection.execute(_ERRORS, {"job_id": job_id, "statuses": [str(one) for one in statuses], "most": limit})
    return [JobError(row.invoice_id, row.status, row.error_message or "", row.updated_at) for row in found]


def _select_jobs() -> Select[Any]:
    # The column is called metadata in the database and details here.
    return select(*(column for column in _jobs.c))


def _record(row: Row[Any]) -> JobRecord:
    return JobRecord(*row)  # whose fields stand in the order of the columns


def _read(connection: Connection, job_id: UUID) -> JobRecord | None:
    row = connection.execute(_ONE, {"job_id": job_id}).one_or_none()
    return None if row is None else _record(row)


def _locked(connection: Connection, job_id: UUID) -> JobRecord | None:
    row = connection.execute(_select_jobs().where(_jobs.c.id == job_id).with_for_update()).one_or_none()
    return None if row is None else _record(row)


def _set(connection: Connection, job_id: UUID, now: datetime, **values: Any) -> None:
    connection.execute(update(Job).where(Job.id == job_id).values(updated_at=now, **values))

"""Jobs: one row a run of the invoice assets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, Select, Table, bindparam, case, exists, func, select, update

from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.storage.database import insert_into, reading, write
from clearfacts_assets.storage.paging import NEWEST_FIRST, Page, Span, page_of, page_size
from clearfacts_assets.storage.tables import InvoiceRow, Job

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
        if self.started_at is None or self.completed_at is None:
            return None
        return (self.completed_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class JobCounts:
    """How many invoices of a job ended where: total = sent + failed + duplicates + pending."""

    total: int = 0
    sent: int = 0
    failed: int = 0
    duplicates: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True)
class JobError:
    """Why one invoice of a job is not delivered."""

    invoice_id: str
    status: str
    error: str
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class JobResult:
    """A job with what it came to, as of one moment."""

    record: JobRecord
    counts: JobCounts
    errors: Sequence[JobError]


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
        query = span.of(_select_jobs(), _jobs.c.created_at, _jobs.c.id, cursor, limit)
        for column, value in (("status", status), ("job_type", job_type), ("partition_key", partition_key)):
            if value is not None:
                query = query.where(_jobs.c[column] == value)
        with reading(self._engine) as connection:
            found = [_record(row) for row in connection.execute(query)]
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

    def completed_at(self, partition_key: str) -> datetime | None:
        """When a job of this day was completed last; None if none was."""
        query = select(func.max(_jobs.c.completed_at)).where(
            _jobs.c.partition_key == partition_key, _jobs.c.status == "completed"
        )
        with reading(self._engine) as connection:
            moment: datetime | None = connection.scalar(query)
        return moment

    def first_created_at(self) -> datetime | None:
        """When this installation ran its first job; None if it has not run any."""
        with reading(self._engine) as connection:
            moment: datetime | None = connection.scalar(select(func.min(_jobs.c.created_at)))
        return moment

    def result(self, job_id: UUID, most_errors: int) -> JobResult | None:
        """The job, its counts and why invoices failed, in one snapshot."""
        with reading(self._engine) as connection:
            record = _read(connection, job_id)
            if record is None:
                return None
            counts = _counts_of(connection, [job_id])[job_id]
            errors = _errors(connection, job_id, most_errors, [InvoiceStatus.FAILED]) if counts.failed else []
            return JobResult(record, counts, errors)

    def counts(self, job_id: UUID) -> JobCounts:
        """What became of the job's invoices, counted in one snapshot."""
        return self.counts_of([job_id])[job_id]

    def counts_of(self, job_ids: Sequence[UUID]) -> dict[UUID, JobCounts]:
        """The same for several jobs at once."""
        with reading(self._engine) as connection:
            return _counts_of(connection, job_ids)

    def errors(
        self, job_id: UUID, limit: int = 100, statuses: Sequence[str] = (InvoiceStatus.FAILED,)
    ) -> Sequence[JobError]:
        """Why invoices of the job are not delivered, in the order of their ids: the failed ones, or as asked."""
        with reading(self._engine) as connection:
            return _errors(connection, job_id, limit, statuses)


# Built once: a statement that is built anew for every read costs more than running it.
_ERRORS = (
    select(_rows.c.invoice_id, _rows.c.status, _rows.c.error_message, _rows.c.updated_at)
    .where(_rows.c.job_id == bindparam("job_id"), _rows.c.status.in_(bindparam("statuses", expanding=True)))
    .order_by(_rows.c.invoice_id)
    .limit(bindparam("most"))
)
_COUNTED = (InvoiceStatus.SENT, InvoiceStatus.FAILED, InvoiceStatus.DUPLICATE, InvoiceStatus.PENDING)
_COUNTS = (
    select(
        _rows.c.job_id,
        func.count(),
        *(func.sum(case((_rows.c.status == status, 1), else_=0)) for status in _COUNTED),
    )
    .where(_rows.c.job_id.in_(bindparam("job_ids", expanding=True)))
    .group_by(_rows.c.job_id)
)
_ONE = select(*_jobs.c).where(_jobs.c.id == bindparam("job_id"))


def _errors(connection: Connection, job_id: UUID, limit: int, statuses: Sequence[str]) -> Sequence[JobError]:
    found = connection.execute(_ERRORS, {"job_id": job_id, "statuses": [str(one) for one in statuses], "most": limit})
    return [JobError(row.invoice_id, row.status, row.error_message or "", row.updated_at) for row in found]


def _counts_of(connection: Connection, job_ids: Sequence[UUID]) -> dict[UUID, JobCounts]:
    found = dict.fromkeys(job_ids, JobCounts())
    for job_id, *numbers in connection.execute(_COUNTS, {"job_ids": list(job_ids)}):
        found[job_id] = JobCounts(*(int(number) for number in numbers))
    return found


def _select_jobs() -> Select[Any]:
    # The column is called metadata in the database and details here.
    return select(*(column for column in _jobs.c))


def _record(row: Row[Any]) -> JobRecord:
    values = dict(row._mapping)
    values["details"] = values.pop("metadata")
    return JobRecord(**values)


def _read(connection: Connection, job_id: UUID) -> JobRecord | None:
    row = connection.execute(_ONE, {"job_id": job_id}).one_or_none()
    return None if row is None else _record(row)


def _locked(connection: Connection, job_id: UUID) -> JobRecord | None:
    row = connection.execute(_select_jobs().where(_jobs.c.id == job_id).with_for_update()).one_or_none()
    return None if row is None else _record(row)


def _set(connection: Connection, job_id: UUID, now: datetime, **values: Any) -> None:
    connection.execute(update(Job).where(Job.id == job_id).values(updated_at=now, **values))

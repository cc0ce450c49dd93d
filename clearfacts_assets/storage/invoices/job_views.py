"""Jobs as people look at them: what each came to, in lists and alone, and in one form of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, Table, bindparam, func, select

from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.tables import InvoiceRow, Job
from clearfacts_assets.storage.paging import NEWEST_FIRST, Filter, Listing, Page, Span, page_of, page_size

_jobs, _rows = cast(Table, Job.__table__), cast(Table, InvoiceRow.__table__)


class JobCounts(NamedTuple):
    """How many invoices of a job ended where."""

    sent: int = 0
    failed: int = 0
    duplicates: int = 0
    pending: int = 0

    @property
    def total(self) -> int:
        return sum(self)

    def as_result(self) -> dict[str, int]:
        return {
            "total_invoices": self.total,
            "processed": self.sent,
            "failed": self.failed,
            "duplicates": self.duplicates,
            "pending": self.pending,
        }


@dataclass(frozen=True, slots=True)
class JobError:
    """Why one invoice of a job is not delivered."""

    invoice_id: str
    status: str
    error: str
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class JobView:
    """A job and what it came to, as of one moment; ``triggered_by`` is a name, not a user's id."""

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
    counts: JobCounts
    errors: Sequence[JobError] = ()

    @property
    def duration_seconds(self) -> float | None:
        return seconds_between(self.started_at, self.completed_at)

    def as_result(self) -> dict[str, Any]:
        """As JSON shows it, in the API's words (docs/api.md), everywhere."""
        return {
            "job_id": self.id,
            "job_type": self.job_type,
            "partition": self.partition_key,
            "status": self.status,
            "started_at": self.started_at,
            "completed_at": self.completed_at,
            "duration_seconds": self.duration_seconds,
            "results": self.counts.as_result(),
            "error_message": self.error_message,
            "correlation_id": self.correlation_id,
        }

    def errors_as_result(self) -> list[dict[str, Any]]:
        return [{"invoice_id": one.invoice_id, "error": one.error, "timestamp": one.timestamp} for one in self.errors]


class JobViews:
    """The ``jobs`` table, for who only reads it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def views(
        self, *, limit: int, cursor: str | None = None, span: Span = NEWEST_FIRST, **wanted: str | None
    ) -> Page[JobView]:
        """Jobs with their counts, in one snapshot. Raises BadCursor."""
        limit = page_size(limit)
        with reading(self._engine) as connection:
            rows = _VIEWS.rows(connection, span, cursor, limit, wanted)
        return page_of([_view(row) for row in rows], limit, attrgetter("created_at"), attrgetter("id"))

    def view(self, job_id: UUID, most_errors: int) -> JobView | None:
        """The job, its counts and why invoices failed, in one snapshot."""
        with reading(self._engine) as connection:
            row = connection.execute(_ONE_VIEW, {"job_id": job_id}).one_or_none()
            if row is None:
                return None
            failed = JobCounts(*row[-len(_COUNTED) :]).failed
            errors = _errors(connection, job_id, most_errors, [InvoiceStatus.FAILED]) if failed else []
            return _view(row, errors)

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
FILTERS: dict[str, Filter] = {name: _jobs.c[name].__eq__ for name in ("status", "job_type", "partition_key")}
# Not all metadata: it grows with the invoices that a job was asked for.
_SHOWN = (
    *("id", "job_type", "status", "started_at", "completed_at", "error_message", "created_at", "partition_key"),
    "correlation_id",
)
_COLUMNS = (
    *(_jobs.c[name] for name in _SHOWN),
    _jobs.c["metadata"]["triggered_by"].as_string().label("triggered_by"),
)
_VIEWS = Listing(select(*_COLUMNS), _jobs.c.created_at, _jobs.c.id, FILTERS, around=_with_counts)
# Built once: a statement that is built anew for every read costs more than running it.
_ERRORS = (
    select(_rows.c.invoice_id, _rows.c.status, _rows.c.error_message, _rows.c.updated_at)
    .where(_rows.c.job_id == bindparam("job_id"), _rows.c.status.in_(bindparam("statuses", expanding=True)))
    .order_by(_rows.c.invoice_id)
    .limit(bindparam("most"))
)
_ONE_VIEW = select(*_COLUMNS, *_counts(_jobs.c.id)).where(_jobs.c.id == bindparam("job_id"))
_OF_JOB = select(*_counts(bindparam("job_id", type_=_jobs.c.id.type)))


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()


def _view(row: Row[Any], errors: Sequence[JobError] = ()) -> JobView:
    told: list[Any] = list(row)
    counts = JobCounts(*told[-len(_COUNTED) :])
    shown: dict[str, Any] = dict(zip((*_SHOWN, "triggered_by"), told, strict=False))
    return JobView(**shown, counts=counts, errors=errors)


def _errors(connection: Connection, job_id: UUID, limit: int, statuses: Sequence[str]) -> Sequence[JobError]:
    found = connection.execute(_ERRORS, {"job_id": job_id, "statuses": [str(one) for one in statuses], "most": limit})
    return [JobError(row.invoice_id, row.status, row.error_message or "", row.updated_at) for row in found]

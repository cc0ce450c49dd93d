"""Jobs that somebody asks for: their row stands before their run does, one at a time for each day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Engine, Table, func, insert, select

from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.database import reading, write
from clearfacts_assets.storage.invoices.job_notes import JobNotes, as_columns
from clearfacts_assets.storage.invoices.jobs import UNFINISHED, JobRecord, read_job
from clearfacts_assets.storage.invoices.tables import Job

JOBS_COMPARED = 20  # completed jobs that tell how long the next one will take

_jobs = cast(Table, Job.__table__)


class DayBusy(Exception):
    """A job of this day is waiting or running."""

    def __init__(self, job_id: UUID, partition_key: str) -> None:
        super().__init__(f"job {job_id} of {partition_key} is waiting or running")
        self.job_id = job_id


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job as it is asked for; its id will be its run's."""

    id: UUID
    partition_key: str
    details: JobNotes


class JobRequests:
    """The ``jobs`` table, for whoever starts runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def known(self, job_id: UUID) -> JobRecord | None:
        """The job with this id, if it was asked for before."""
        with reading(self._engine) as connection:
            return read_job(connection, job_id)

    def reserve(self, request: JobRequest, actor: Actor, *, now: datetime) -> JobRecord | None:
        """Write the row as pending, with its audit entry; returns None.

        Where this id was asked for before, nothing changes and that job is returned. Raises DayBusy while another job
        of the day is pending or running.
        """
        written = False

        def work(connection: Connection) -> JobRecord | None:
            nonlocal written
            if connection.dialect.name == "postgresql":
                # One request under an id at a time, for whatever day, and one for a day; SQLite has one writer anyway.
                for what in (request.id, request.partition_key):
                    connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"job {what}"))))
            known = read_job(connection, request.id)
            if known is not None:
                # By this very call, whose commit nobody heard of, where it is as that wrote it.
                return None if written and known.created_at == now else known
            busy = connection.scalar(
                select(_jobs.c.id)
                .where(_jobs.c.partition_key == request.partition_key, _jobs.c.status.in_(UNFINISHED))
                .limit(1)
            )
            if busy is not None:
                raise DayBusy(busy, request.partition_key)
            connection.execute(insert(Job).values(_values(request, actor, now)))
            record(
                connection,
                actor=actor,
                action="job.requested",
                resource_type="job",
                resource_id=str(request.id),
                now=now,
                after={"partition_key": request.partition_key, **request.details},
            )
            written = True
            return None

        return write(self._engine, work, repeatable=True)

    def usual_seconds(self) -> float | None:
        """How long jobs took that were completed lately, in the median; None without any."""
        query = (
            select(_jobs.c.started_at, _jobs.c.completed_at)
            .where(_jobs.c.status == "completed", _jobs.c.started_at.is_not(None))
            .order_by(_jobs.c.created_at.desc())
            .limit(JOBS_COMPARED)
        )
        with reading(self._engine) as connection:
            lengths = [(row.completed_at - row.started_at).total_seconds() for row in connection.execute(query)]
        return median(lengths) if lengths else None


def _values(request: JobRequest, actor: Actor, now: datetime) -> dict[str, Any]:
    return {
        "id": request.id,
        "job_type": "manual",
        "status": "pending",
        "triggered_by": actor.user_id,
        **as_columns(request.details),
        "partition_key": request.partition_key,
        "correlation_id": actor.correlation_id,
        "created_at": now,
        "updated_at": now,
    }

"""What is known of each day: since when days are owed, which were processed, and what the last try came to."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import cast
from uuid import UUID

from sqlalchemy import Connection, Engine, Table, func, select

from clearfacts_assets.invoices.days import ZONE, are_a_whole
from clearfacts_assets.invoices.missing_days import last_day_owed, missing_days
from clearfacts_assets.storage.database import WRITE_PATIENCE_SECONDS, read, reading
from clearfacts_assets.storage.invoices.tables import Job
from clearfacts_assets.storage.memo import Memo

AT_ONCE = 500  # days named in one statement
_jobs = cast(Table, Job.__table__)


@dataclass(frozen=True, slots=True)
class MissingDay:
    """A day that nobody has processed as a whole, and its newest job, if there was any."""

    day: str
    job_id: UUID | None = None
    status: str | None = None  # of that job
    reason: str | None = None  # why it failed

    @property
    def in_words(self) -> str:
        if self.status is None:
            return "was never run"
        if self.status == "completed":
            return "was run in part only: some invoices, or before the day was over"
        return self.reason or f"its last job is {self.status}"


def missing_now(
    engine: Engine, now: datetime, first_partition: str = "", *, patience: float = WRITE_PATIENCE_SECONDS
) -> list[MissingDay]:
    """Each day that was not processed, oldest first, from the first one that this installation knew to the last owed.

    The first one is that of the first job ever, or the first that the schedule ran. Jobs that began after ``now`` were
    begun under a wrong clock, and prove nothing. A day before ``first_partition`` is none. A database that is away is
    waited for, for ``patience`` seconds.
    """

    def work(connection: Connection) -> list[MissingDay]:
        first_job: datetime | None = connection.scalar(select(func.min(_jobs.c.created_at)))
        scheduled: str | None = connection.scalar(
            select(func.min(_jobs.c.partition_key)).where(_jobs.c.job_type == "scheduled")
        )
        began = func.max(_jobs.c.started_at)
        whole = select(_jobs.c.partition_key, began).where(
            _jobs.c.status == "completed",
            _jobs.c.whole_day,
            _jobs.c.started_at <= now,
        )
        processed = dict(connection.execute(whole.group_by(_jobs.c.partition_key)).tuples().all())
        for day, since in _in_parts(connection, now):
            processed[day] = max(processed[day], since) if day in processed else since
        known = [first_job.astimezone(ZONE).date().isoformat()] if first_job else []
        first = min([*known, scheduled] if scheduled else known, default=None)
        if first is not None:
            first = max(first, first_partition)
        days = missing_days(first, last_day_owed(now), processed)
        newest = _newest(connection, days)
        return [newest.get(day, MissingDay(day)) for day in days]

    return read(engine, work, patience=patience)


_MISSING: Memo[Engine, int] = Memo()


def number_missing(engine: Engine, now: datetime) -> int:
    """How many :func:`missing_now` finds. Looked for anew each hour, and when any job has changed."""
    with reading(engine) as connection:
        state = now.replace(minute=0, second=0, microsecond=0), last_day_owed(now), state_of_jobs(connection)
    return _MISSING.get(engine, state, lambda: len(missing_now(engine, now, patience=0)))


def state_of_jobs(connection: Connection) -> Hashable:
    """Another one as soon as a job has begun, changed or ended."""
    found = select(_jobs.c.status, func.count(), func.max(_jobs.c.updated_at)).group_by(_jobs.c.status)
    return frozenset(connection.execute(found).tuples())


def _in_parts(connection: Connection, now: datetime) -> Iterator[tuple[str, datetime]]:
    """Days of which every part was processed, and when the first of those jobs began that were the newest of a part."""
    began = func.max(_jobs.c.started_at)
    done = (
        select(_jobs.c.partition_key, _jobs.c.part, began)
        .where(_jobs.c.part.is_not(None), _jobs.c.status == "completed", _jobs.c.started_at <= now)
        .group_by(_jobs.c.partition_key, _jobs.c.part)
        .order_by(_jobs.c.partition_key)
    )
    for day, found in groupby(connection.execute(done).tuples(), key=lambda row: row[0]):
        parts = {part: since for _, part, since in found}
        if are_a_whole(parts):
            yield day, min(parts.values())


def _newest(connection: Connection, days: Sequence[str]) -> dict[str, MissingDay]:
    found: dict[str, MissingDay] = {}
    for start in range(0, len(days), AT_ONCE):
        query = (
            select(_jobs.c.partition_key, _jobs.c.id, _jobs.c.status, _jobs.c.error_message)
            .where(_jobs.c.partition_key.in_(days[start : start + AT_ONCE]))
            .order_by(_jobs.c.created_at, _jobs.c.id)
        )
        found.update({row[0]: MissingDay(*row) for row in connection.execute(query)})
    return found

"""What an installation need not keep any longer: found, told, and deleted unless a hold covers it.

Documents and the audit log are kept for whole years after the end of their own; Dagster's runs, logs and logins for
days. Nothing that waits for a run, a time or a person is touched. Whatever is deleted leaves an entry in the audit log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import UUID

import dagster as dg
from sqlalchemy import Engine, Table, delete, func, select

from clearfacts_assets.installation.places import COMPUTE_LOGS, LOGS, Places
from clearfacts_assets.orchestration.dagster_internals import forget_run
from clearfacts_assets.retention_settings import RetentionSettings
from clearfacts_assets.storage.accounts import audit
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets.storage.accounts.holds import Kept, all_held, in_force
from clearfacts_assets.storage.accounts.tables import AuditLog, Session
from clearfacts_assets.storage.database import reading, write
from clearfacts_assets.storage.invoices import expiry
from clearfacts_assets.storage.invoices.tables import Job

PARTITION = "dagster/partition"
RUNS_AT_ONCE = 200
_OVER = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dataclass(frozen=True, slots=True)
class Expired:
    """One kind: what is older than it has to be. ``bytes`` is None where nobody can tell cheaply."""

    kind: Kept
    before: datetime
    found: int = 0  # that may go
    held: int = 0  # that would, but for a hold; of other kinds than documents a hold keeps all
    deleted: int = 0
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """What decides and what is looked at."""

    engine: Engine
    instance: dg.DagsterInstance
    places: Places
    said: RetentionSettings
    actor: Actor

    def apply(self, *, dry_run: bool, now: datetime) -> list[Expired]:
        """Delete what is too old; in a dry run, count it."""
        ways: dict[Kept, Callable[[bool, datetime], Expired]] = {
            Kept.DOCUMENTS: self._documents,
            Kept.RUNS: self._runs,
            Kept.LOGS: self._logs,
            Kept.SESSIONS: self._sessions,
            Kept.AUDIT: self._audit,  # last: it keeps what the others tell
        }
        return [way(dry_run, now) for way in ways.values()]

    def _is_held(self, kind: Kept) -> bool:
        with reading(self.engine) as connection:
            return all_held(in_force(connection), kind)

    def _documents(self, dry_run: bool, now: datetime) -> Expired:
        before = years_before(now, self.said.documents_years)
        told = expiry.expire(self.engine, before, dry_run=dry_run, actor=self.actor, now=now)
        return Expired(Kept.DOCUMENTS, before, told.found, told.held, told.deleted, told.bytes)

    def _runs(self, dry_run: bool, now: datetime) -> Expired:
        """Runs that are over, of which our own database does not wait for anything."""
        before = now - timedelta(days=self.said.runs_days)
        others_before = now - timedelta(days=self.said.other_runs_days)
        going = [
            record.dagster_run
            for record in _runs_over(self.instance, max(before, others_before))
            if record.update_timestamp < (before if PARTITION in record.dagster_run.tags else others_before)
        ]
        waiting = self._unfinished([UUID(run.run_id) for run in going])
        going = [run for run in going if UUID(run.run_id) not in waiting]
        if self._is_held(Kept.RUNS):
            return Expired(Kept.RUNS, before, 0, len(going))
        if dry_run:
            return Expired(Kept.RUNS, before, len(going))
        for start in range(0, len(going), RUNS_AT_ONCE):
            some = going[start : start + RUNS_AT_ONCE]
            self._tell("runs.deleted", {"each": [[run.run_id, run.job_name] for run in some]}, len(some), before, now)
            for run in some:
                forget_run(self.instance, run.run_id)
        return Expired(Kept.RUNS, before, len(going), 0, len(going))

    def _unfinished(self, runs: Sequence[UUID]) -> set[UUID]:
        jobs = cast(Table, Job.__table__)
        with reading(self.engine) as connection:
            found = connection.scalars(select(jobs.c.id).where(jobs.c.status.in_(("pending", "running"))))
            return set(found) & set(runs)

    def _logs(self, dry_run: bool, now: datetime) -> Expired:
        before = now - timedelta(days=self.said.logs_days)
        old = [(path, path.stat().st_size) for path in _log_files(self.places) if _touched(path) < before]
        size = sum(length for _, length in old)
        if self._is_held(Kept.LOGS):
            return Expired(Kept.LOGS, before, 0, len(old), 0, size)
        if dry_run or not old:
            return Expired(Kept.LOGS, before, len(old), 0, 0, size)
        self._tell("logs.deleted", {"bytes": size}, len(old), before, now)
        for path, _ in old:
            path.unlink(missing_ok=True)
        return Expired(Kept.LOGS, before, len(old), 0, len(old), size)

    def _sessions(self, dry_run: bool, now: datetime) -> Expired:
        before = now - timedelta(days=self.said.sessions_days)
        sessions = cast(Table, Session.__table__)
        over = sessions.c.expires_at < before
        with reading(self.engine) as connection:
            found = connection.scalar(select(func.count()).select_from(sessions).where(over)) or 0
        if self._is_held(Kept.SESSIONS):
            return Expired(Kept.SESSIONS, before, 0, found)
        if dry_run or not found:
            return Expired(Kept.SESSIONS, before, found)
        gone = write(self.engine, lambda connection: connection.execute(delete(sessions).where(over)).rowcount)
        self._tell("sessions.deleted", {}, gone, before, now)
        return Expired(Kept.SESSIONS, before, found, 0, gone)

    def _audit(self, dry_run: bool, now: datetime) -> Expired:
        before = years_before(now, self.said.audit_years)
        log = cast(Table, AuditLog.__table__)
        with reading(self.engine) as connection:
            end = audit.end_of_what_is_older(connection, before)
            found = connection.scalar(select(func.count()).select_from(log).where(log.c.position <= end)) or 0
        if self._is_held(Kept.AUDIT):
            return Expired(Kept.AUDIT, before, 0, found)
        if dry_run or not found:
            return Expired(Kept.AUDIT, before, found)
        gone = write(self.engine, lambda connection: audit.cut(connection, before=before, actor=self.actor, now=now))
        return Expired(Kept.AUDIT, before, found, 0, gone)

    def _tell(self, action: str, after: dict[str, object], number: int, before: datetime, now: datetime) -> None:
        write(
            self.engine,
            lambda connection: audit.record(
                connection,
                actor=self.actor,
                action=action,
                resource_type="retention",
                resource_id=None,
                after={"number": number, "before": before.isoformat(), **after},
                now=now,
            ),
        )


def years_before(now: datetime, years: int) -> datetime:
    """What is dated before may go: whole years after the end of its own year have passed. In UTC."""
    return datetime(now.astimezone(UTC).year - years, 1, 1, tzinfo=UTC)


def _runs_over(instance: dg.DagsterInstance, before: datetime) -> Iterator[dg.RunRecord]:
    wanted = dg.RunsFilter(statuses=_OVER, updated_before=before)
    cursor: str | None = None
    while records := instance.get_run_records(wanted, limit=RUNS_AT_ONCE, cursor=cursor):
        yield from records
        cursor = records[-1].dagster_run.run_id


def _log_files(places: Places) -> list[Path]:
    folders = [places.home / LOGS, *places.dagster_home.rglob(COMPUTE_LOGS)]
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _touched(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)

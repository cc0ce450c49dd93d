"""Every private name of Dagster that this product uses, and why no public one serves. Nobody else imports one.

Dagster may change these without a word, which is why `pyproject.toml` pins one version of it. A test holds each name
and signature against that version: when the pin moves and the test fails, this is the one file to mend.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import dagster as dg

# Whether a person switched a schedule off. `dg` offers what a schedule is by default, not what it is now.
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus

# What a check said last, and when it last said yes. `dg` can read events by asset, but not by check: one would have to
# walk through the history of all checks of an asset to find one.
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

# Dagster's webserver inside our process, behind our login: publicly it is only a command that serves to everybody.
# The request's context is the one place where a caller's rights can be told to it.
from dagster._core.workspace.context import (
    IWorkspaceProcessContext,
    WorkspaceProcessContext,
    WorkspaceRequestContext,
)
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._core.workspace.permissions import PermissionResult

# Told to stop (SIGTERM, Ctrl-C, *Terminate*), a delivery ends what is under way and writes it down. The public
# `dg.raise_execution_interrupts` does the opposite: it raises at any line, also between a send and its record.
from dagster._utils.interrupts import capture_interrupts, check_captured_interrupt
from sqlalchemy import Connection, Table, select

__all__ = [
    "AssetCheckExecutionRecord",
    "AssetCheckExecutionRecordStatus",
    "IWorkspaceProcessContext",
    "InstigatorStatus",
    "InstigatorType",
    "PermissionResult",
    "RunOrder",
    "SqlTable",
    "WorkspaceFileTarget",
    "WorkspaceProcessContext",
    "WorkspaceRequestContext",
    "capture_interrupts",
    "check_captured_interrupt",
    "console_logger_made_by",
    "events_table",
    "forget_run",
    "last_ticks",
    "postgres_url",
    "runs_table",
    "submit_run",
]
_CONSOLE: dict[str, Callable[[Any], logging.Logger]] = {}  # Dagster's own, before it was replaced
_NAMES: dict[str, str] = {}  # of schedules and sensors, by Dagster's selector
REPOSITORY = "__repository__"  # Dagster's name for the one repository of a code location


@dataclass(frozen=True, slots=True)
class SqlTable:
    """A table of Dagster's, and how to reach its database."""

    table: Table
    connect: Callable[[], AbstractContextManager[Connection]]


def runs_table(instance: dg.DagsterInstance) -> SqlTable:
    """Dagster's runs.

    Counted in SQL for each scrape of /metrics: the public `get_runs` brings every run with its configuration, which
    takes minutes after a year of nights.
    """
    from dagster._core.storage.runs.schema import RunsTable
    from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

    storage = instance.run_storage
    assert isinstance(storage, SqlRunStorage)  # noqa: S101 - every storage of the open-source edition is one
    return SqlTable(RunsTable, storage.connect)


def events_table(instance: dg.DagsterInstance) -> SqlTable:
    """Dagster's events, counted in SQL for the same reason. On SQLite it holds those of assets only."""
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

    log = instance.event_log_storage
    assert isinstance(log, SqlEventLogStorage)  # noqa: S101 - as above
    return SqlTable(SqlEventLogStorageTable, log.index_connection)


def last_ticks(instance: dg.DagsterInstance) -> Iterator[tuple[str, str, float]]:
    """The last tick of each schedule and sensor: its name, how it ended, and when it was, in seconds since 1970.

    One statement, which finds each by the index. The public `get_ticks` is one for each of them, and reads whole ticks.
    """
    from dagster._core.storage.schedules.schema import InstigatorsTable, JobTickTable
    from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage

    storage = instance.schedule_storage
    assert isinstance(storage, SqlScheduleStorage)  # noqa: S101 - as above
    known, ticks, others = InstigatorsTable, JobTickTable, JobTickTable.alias()
    newest = select(others.c.id).where(others.c.selector_id == known.c.selector_id)
    newest = newest.order_by(others.c.timestamp.desc()).limit(1).correlate(known)
    query = select(known.c.selector_id, ticks.c.status, ticks.c.timestamp).join_from(
        known, ticks, ticks.c.id == newest.scalar_subquery()
    )
    with storage.connect() as connection:
        found = connection.execute(query).tuples().all()
    if not _NAMES.keys() >= {selector for selector, _, _ in found}:  # a selector is of one name for ever
        _NAMES.update({one.selector_id: one.instigator_name for one in instance.all_instigator_state()})
    for selector, status, at in found:
        yield _NAMES[selector], status, at.replace(tzinfo=at.tzinfo or UTC).timestamp()


def postgres_url(instance: dg.DagsterInstance) -> str | None:
    """Where Dagster's PostgreSQL is; None where it keeps SQLite files.

    A backup copies that database too. Publicly only dagster.yaml says it, in several spellings, with variables.
    """
    found: str | None = getattr(instance.run_storage, "postgres_url", None)
    return found


def forget_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete a run with its events, and on SQLite the file of its own that they were in.

    The public `delete_run` empties that file and leaves it: a night of health checks leaves 144 of them.
    """
    from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

    instance.delete_run(run_id)
    log = instance.event_log_storage
    if isinstance(log, SqliteEventLogStorage):
        file = Path(log.path_for_shard(run_id))
        for one in (file, *(file.with_name(file.name + suffix) for suffix in ("-wal", "-shm"))):
            one.unlink(missing_ok=True)


def console_logger_made_by(make: Callable[[dg.InitLoggerContext], logging.Logger | None]) -> None:
    """Let runs of this process write to the console by this logger; where it makes none, by Dagster's own.

    Publicly a job names its loggers, and each run its choice of them in its configuration: a run that says nothing,
    and all of the UI's "Materialize", gets Dagster's default, which this is.
    """
    console = dg.colored_console_logger
    own = _CONSOLE.setdefault("own", console.logger_fn)
    console._logger_fn = lambda context: make(context) or own(context)


@dataclass(frozen=True, slots=True)
class RunOrder:
    """A run that is to be made: of which job, under which id."""

    run_id: str
    location: str
    job: str
    run_config: Mapping[str, Any]
    tags: Mapping[str, str]


def submit_run(context: WorkspaceRequestContext, order: RunOrder) -> None:
    """Make the run and put it into Dagster's queue.

    The public GraphQL client chooses the run's id itself. Here our row is written first, under the id that the run
    will have, so that no run is ever unknown; these are the functions that stand behind that GraphQL.
    """
    from dagster._core.definitions.selector import JobSubsetSelector
    from dagster_graphql.implementation.execution.run_lifecycle import create_valid_pipeline_run
    from dagster_graphql.implementation.utils import ExecutionMetadata, ExecutionParams

    job = context.get_code_location(order.location).get_repository(REPOSITORY).get_full_job(order.job)
    parameters = ExecutionParams(
        selector=JobSubsetSelector(
            location_name=order.location, repository_name=REPOSITORY, job_name=order.job, op_selection=None
        ),
        run_config=order.run_config,
        mode=None,
        execution_metadata=ExecutionMetadata(run_id=order.run_id, tags=dict(order.tags)),
        step_keys=None,
    )
    create_valid_pipeline_run(context, job, parameters)
    context.instance.submit_run(order.run_id, workspace=context)

"""Can this process do its work now? Our database, Dagster's storage, the code location, and the daemon's heartbeat."""

from __future__ import annotations

import time
from collections.abc import Collection
from enum import StrEnum
from typing import Any

import dagster as dg
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError, ProgrammingError

from clearfacts_assets.health.probes import Health, ask
from clearfacts_assets.health.systems import database_answers
from clearfacts_assets.orchestration.dagster_internals import IWorkspaceProcessContext

HEARTBEAT_SECONDS = 90.0  # by which a living daemon has spoken


class NotReady(Exception):
    """Something that we need does not work."""


class Need(StrEnum):
    """What this process needs for all of its work, each with a name that can be asked for."""

    DATABASE = "database"
    DAGSTER = "dagster"
    DAEMON = "daemon"


# What to do where it is lacking, said to anybody who asks: it names no system and no address.
WHAT_TO_DO = {
    Need.DATABASE: "the database does not answer or has no tables: clearfacts db upgrade",
    Need.DAGSTER: "Dagster's code could not be loaded: its UI says why",
    Need.DAEMON: f"no sign of life for {HEARTBEAT_SECONDS:.0f} s: start clearfacts daemon, one for all replicas. "
    "Requests are answered without it: a load balancer asks /readyz?only=database",
}


def asked(
    engine: Engine, workspace: IWorkspaceProcessContext[Any], only: Collection[Need] = tuple(Need)
) -> list[Health]:
    """One verdict for each need in ``only``, in the order of their names above."""
    questions = {
        Need.DATABASE: lambda: database_answers(engine),
        Need.DAGSTER: lambda: _code_is_loaded(workspace),
        Need.DAEMON: lambda: _daemon_lives(workspace.instance),
    }
    return [ask(need, questions[need]) for need in Need if need in only]


def _code_is_loaded(workspace: IWorkspaceProcessContext[Any]) -> str:
    broken = [
        entry.origin.location_name
        for entry in workspace.create_request_context().get_code_location_entries().values()
        if entry.load_error is not None
    ]
    if broken:
        raise NotReady(f"Dagster could not load {', '.join(broken)}: its UI says why")
    return "the code is loaded"


def _daemon_lives(instance: dg.DagsterInstance) -> str:
    try:
        beats = instance.get_daemon_heartbeats()
    except (OperationalError, ProgrammingError) as error:
        raise NotReady(f"Dagster's database does not answer: {error.orig}") from error  # without the statement
    since = time.time() - HEARTBEAT_SECONDS
    required = instance.get_required_daemon_types()
    silent = sorted(name for name in required if name not in beats or beats[name].timestamp < since)
    if silent:
        raise NotReady(f"no heartbeat for {HEARTBEAT_SECONDS:.0f} s from {', '.join(silent)}: is the daemon running?")
    return "every part of the daemon has spoken lately"

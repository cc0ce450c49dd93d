"""Signs of life of runs, and of the watch that looks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Engine, Table, delete, select, update

from clearfacts_assets.storage.database import database_now, insert_into, write
from clearfacts_assets.storage.operations.tables import RunHeartbeat

KEPT = timedelta(days=1)  # after which a row that nobody touches is of no use to anybody
WATCH = UUID(int=0)  # the row of the watch itself

_beats = cast(Table, RunHeartbeat.__table__)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last sign of life of one run."""

    process: dict[str, Any]  # see orchestration/process.py
    number: int  # how many there were
    lost: bool  # taken for dead


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """All signs of life at one moment."""

    watched_since: datetime  # when somebody looked for the first time
    runs: Mapping[UUID, Heartbeat]


def beat(engine: Engine, run_id: UUID, process: Mapping[str, Any], number: int) -> bool:
    """Write down that the run lives. False where it has been taken for dead. Idempotent."""
    return write(engine, lambda connection: _beat(connection, run_id, process, number), repeatable=True, patience=1.0)


def end(engine: Engine, run_id: UUID) -> None:
    """The run is over: its row is of no use any more, unless it says that the run was taken for dead."""
    over = delete(_beats).where(_beats.c.run_id == run_id, _beats.c.lost_at.is_(None))
    write(engine, lambda connection: connection.execute(over), repeatable=True, patience=1.0)


def look(engine: Engine, process: Mapping[str, Any]) -> Heartbeats:
    """All rows, after a sign of life of the watch itself.

    So a database that takes no writes ends the look: what nobody can write, nobody misses.
    """

    def work(connection: Connection) -> Heartbeats:
        now = database_now(connection)
        connection.execute(delete(_beats).where(_beats.c.beat_at < now - KEPT, _beats.c.run_id != WATCH))
        _beat(connection, WATCH, process, 0)
        rows = {row.run_id: row for row in connection.execute(select(_beats))}
        return Heartbeats(
            rows.pop(WATCH).began_at,
            {run_id: Heartbeat(row.process, row.number, row.lost_at is not None) for run_id, row in rows.items()},
        )

    return write(engine, work, repeatable=True)


def declare_lost(engine: Engine, run_id: UUID, number: int | None) -> bool:
    """Note that the run is taken for dead; False where it has given a sign since this one (None: never gave any)."""

    def work(connection: Connection) -> bool:
        now = database_now(connection)
        if number is None:
            values = {"process": {}, "number": 0, "began_at": now, "beat_at": now, "lost_at": now}
            statement = (
                insert_into(connection, _beats)
                .values(run_id=run_id, **values)
                .on_conflict_do_nothing(index_elements=[_beats.c.run_id])
            )
        else:
            statement = (
                update(_beats)
                .where(_beats.c.run_id == run_id, _beats.c.number == number, _beats.c.lost_at.is_(None))
                .values(lost_at=now)
            )
        return connection.execute(statement.returning(_beats.c.run_id)).one_or_none() is not None

    return write(engine, work)


def _beat(connection: Connection, run_id: UUID, process: Mapping[str, Any], number: int) -> bool:
    now = database_now(connection)
    values = {"process": dict(process), "number": number, "beat_at": now}
    statement = (
        insert_into(connection, _beats)
        .values(run_id=run_id, began_at=now, **values)
        .on_conflict_do_update(index_elements=[_beats.c.run_id], set_=values, where=_beats.c.lost_at.is_(None))
        .returning(_beats.c.run_id)
    )
    return connection.execute(statement).one_or_none() is not None

"""Leases: one process at a time does a named thing, and a dead one is in nobody's way for long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import cast
from uuid import uuid4

from sqlalchemy import Connection, Engine, Table, delete
from sqlalchemy.exc import DBAPIError

from clearfacts_assets.storage.database import database_now, insert_into, write
from clearfacts_assets.storage.operations.tables import Lease

_leases = cast(Table, Lease.__table__)


@contextmanager
def leased(engine: Engine, name: str, seconds: float) -> Iterator[bool]:
    """Whether the named thing is ours to do, for so many seconds by the database's clock; given back at the end."""
    holder = uuid4()

    def take(connection: Connection) -> bool:
        now = database_now(connection)
        values = {"holder": holder, "until": now + timedelta(seconds=seconds)}
        statement = (
            insert_into(connection, _leases)
            .values(name=name, **values)
            .on_conflict_do_update(index_elements=[_leases.c.name], set_=values, where=_leases.c.until < now)
            .returning(_leases.c.name)
        )
        return connection.execute(statement).one_or_none() is not None

    def give_back(connection: Connection) -> None:
        connection.execute(delete(_leases).where(_leases.c.name == name, _leases.c.holder == holder))

    ours = write(engine, take)
    try:
        yield ours
    finally:
        if ours:
            with suppress(DBAPIError):  # it ends by itself
                write(engine, give_back, repeatable=True, patience=1.0)

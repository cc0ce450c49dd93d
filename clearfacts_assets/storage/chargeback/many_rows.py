"""Many rows into a table: by COPY on PostgreSQL, by one prepared statement on SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def insert_many(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    marks: str | None = None,
) -> None:
    """In the connection's transaction, which begins where there is none. Values go to the driver as they are: amounts
    as texts. ``marks`` says on SQLite what stands in the columns where that is not a row's values in their order.

    Raises DBAPIError.
    """
    rows = rows if isinstance(rows, list) else list(rows)
    if not rows:
        return
    if not connection.in_transaction():
        connection.begin()
    named = ", ".join(f'"{name}"' for name in columns)
    statement = f"COPY {table} ({named}) FROM STDIN"
    if connection.dialect.name != "postgresql":
        statement = f"INSERT INTO {table} ({named}) VALUES ({marks or ', '.join('?' * len(columns))})"  # noqa: S608
    dbapi: Any = connection.dialect.loaded_dbapi
    raw: Any = connection.connection.dbapi_connection
    try:
        with closing(raw.cursor()) as cursor:
            _send(cursor, statement, rows)
    except dbapi.Error as error:
        # As SQLAlchemy says it, which is passed by here: a full disk is told in words.
        raise DBAPIError.instance(statement, None, error, dbapi.Error, dialect=connection.dialect) from error


def _send(cursor: Any, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    if not statement.startswith("COPY"):
        cursor.executemany(statement, rows)
        return
    with cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)

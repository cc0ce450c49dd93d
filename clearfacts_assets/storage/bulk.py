"""Many rows by one statement, past SQLAlchemy's work on each row, which costs more than SQLite's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.exc import DBAPIError

Row = Mapping[str, Any]
Bind = tuple[str, Any, Callable[[Any], Any] | None]  # name, value where rows have none, what makes it the database's


def insert_many(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    marks: str | None = None,
) -> None:
    """The quickest way for new rows, however many: by COPY on PostgreSQL, by one prepared statement on SQLite.

    In the connection's transaction, which begins where there is none. Values go to the driver as they are: amounts as
    texts. ``marks`` says on SQLite what stands in the columns where that is not a row's values in their order.

    Raises DBAPIError.
    """
    if not connection.in_transaction():
        connection.begin()
    named = ", ".join(f'"{name}"' for name in columns)
    copying = connection.dialect.name == "postgresql"
    statement = f"INSERT INTO {table} ({named}) VALUES ({marks or ', '.join('?' * len(columns))})"  # noqa: S608
    if copying:
        statement = f"COPY {table} ({named}) FROM STDIN"
    dbapi: Any = connection.dialect.loaded_dbapi
    raw: Any = connection.connection.dbapi_connection
    try:
        with closing(raw.cursor()) as cursor:
            if copying:
                with cursor.copy(statement) as copy:
                    for row in rows:
                        copy.write_row(row)
            else:
                cursor.executemany(statement, rows)
    except dbapi.Error as error:
        # As SQLAlchemy says it, which is passed by here: a full disk is told in words.
        raise DBAPIError.instance(statement, None, error, dbapi.Error, dialect=connection.dialect) from error


def execute_many(connection: Connection, statement: Executable, rows: Sequence[Row]) -> int:
    """Execute it for rows that all have the same names. Returns how many rows of the database were written.

    An INSERT is counted on SQLite only without RETURNING, on PostgreSQL only with it. Columns get no defaults of
    SQLAlchemy's.
    """
    if not rows:
        return 0
    if not connection.dialect.positional:
        done = connection.execute(statement, rows)
        return len(done.all()) if done.returns_rows else done.rowcount
    text, binds = _prepared(connection.dialect, statement, tuple(rows[0]))
    columns = []
    for name, value, process in binds:
        column = [row[name] for row in rows] if name in rows[0] else [value] * len(rows)
        columns.append(column if process is None else [process(one) for one in column])
    return connection.exec_driver_sql(text, list(zip(*columns, strict=True))).rowcount


@lru_cache(maxsize=256)  # by the statement's identity: each is written once
def _prepared(dialect: Dialect, statement: Any, names: tuple[str, ...]) -> tuple[str, list[Bind]]:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    binds = []
    for name in compiled.positiontup:
        bind = compiled.binds[name]
        binds.append((name, bind.value, bind.type.dialect_impl(dialect).bind_processor(dialect)))
    return str(compiled), binds

"""Copies of a PostgreSQL database without foreign programs: every table by COPY, in one snapshot.

``pg_dump`` is not needed: it may be absent, or older than the server, and then it refuses. The tables themselves are
made by our migrations (or by Dagster) when they are restored, so a copy holds rows and sequences and no definitions.
It is for restoring this system; a PostgreSQL's own tools (pg_basebackup, archives of its log) go back to any moment.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from clearfacts_assets.installation.archive import ArchiveReader, ArchiveWriter, BackupProblem

VERSION_TABLE = "alembic_version"  # ours and Dagster's are both kept by Alembic
_SEQUENCES = "sequences.json"
_TABLES = """
SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum) FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace GROUP BY c.relname ORDER BY c.relname
"""
_REFERENCES = """
SELECT DISTINCT r.relname, c.relname FROM pg_constraint k JOIN pg_class r ON r.oid = k.conrelid
JOIN pg_class c ON c.oid = k.confrelid
WHERE k.contype = 'f' AND k.conrelid <> k.confrelid AND r.relnamespace = current_schema()::regnamespace
"""
_TRIGGERS = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'D'"
_Connection = psycopg.Connection[Any]


def connect(url: str) -> _Connection:
    """A connection to the database of a SQLAlchemy URL of whatever driver. Raises psycopg.OperationalError."""
    parsed = make_url(url).set(drivername="postgresql")
    return psycopg.connect(parsed.render_as_string(hide_password=False))


def copy_into(archive: ArchiveWriter, folder: str, connection: _Connection) -> dict[str, int]:
    """Put every table's rows and every sequence into the archive. Returns the rows by table.

    The connection's transaction is the snapshot: :func:`snapshot` begins it.
    """
    rows = dict[str, int]()
    for table, columns in _tables(connection).items():
        with archive.member(f"{folder}{table}.copy") as member, connection.cursor() as cursor:
            with cursor.copy(_copy(table, columns, "TO STDOUT")) as source:
                for chunk in source:
                    member.write(chunk)
            member.rows = rows[table] = cursor.rowcount
        with archive.member(f"{folder}{table}.columns.json") as member:
            member.write(json.dumps(columns).encode())
    with archive.member(f"{folder}{_SEQUENCES}") as member:
        member.write(json.dumps(_sequences(connection)).encode())
    return rows


def snapshot(connection: _Connection) -> None:
    """All that this connection reads from now on is of one moment. Nobody waits for it."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    connection.execute("SELECT 1")


def fill(archive: ArchiveReader, folder: str, connection: _Connection) -> dict[str, int]:
    """Put the rows of the archive in the place of all that the tables hold, in the connection's transaction.

    Triggers that keep books from being changed rest while the books are put back, and watch again afterwards. Raises
    BackupProblem where the tables are not those of the archive.
    """
    tables, references = _tables(connection), _references(connection)
    wanted = _tables_of(archive, folder)
    if missing := sorted(set(wanted) - set(tables)):
        raise BackupProblem(f"the database has no table {', '.join(missing)}: was the backup made by another version?")
    order = _parents_first(sorted(tables), references)
    asleep = connection.execute(_TRIGGERS).fetchone()
    for table in order:
        connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(sql.Identifier(table)))
    for table in reversed(order):
        connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
    rows = {table: _fill_table(archive, folder, table, connection) for table in order if table in wanted}
    for name, (value, called) in json.loads(archive.text(f"{folder}{_SEQUENCES}")).items():
        connection.execute("SELECT setval(format('%%I', %s::text), %s, %s)", (name, value, called))
    for table in order:
        connection.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(sql.Identifier(table)))
    if connection.execute(_TRIGGERS).fetchone() != asleep:
        raise BackupProblem("a trigger was not switched on again: nothing was restored")
    return rows


def is_empty(connection: _Connection, only: Sequence[str] | None = None) -> bool:
    """Whether no table, or none of these, has a row; the one that tells the version does not count."""
    return not any(
        connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table))).fetchone()
        for table in _tables(connection)
        if table != VERSION_TABLE and (only is None or table in only)
    )


def _fill_table(archive: ArchiveReader, folder: str, table: str, connection: _Connection) -> int:
    columns, name = json.loads(archive.text(f"{folder}{table}.columns.json")), f"{folder}{table}.copy"
    with connection.cursor() as cursor:
        with cursor.copy(_copy(table, columns, "FROM STDIN")) as target:
            for chunk in archive.chunks(name):
                target.write(chunk)
        if cursor.rowcount != archive.rows(name):
            raise BackupProblem(f"{table} took {cursor.rowcount} of {archive.rows(name)} rows: nothing was restored")
        return cursor.rowcount


def _copy(table: str, columns: Sequence[str], direction: str) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("COPY {} ({}) {}").format(sql.Identifier(table), names, sql.SQL(direction))


def _tables(connection: _Connection) -> dict[str, list[str]]:
    """The columns of every table in the schema."""
    return {name: list(columns) for name, columns in connection.execute(_TABLES)}


def _tables_of(archive: ArchiveReader, folder: str) -> list[str]:
    return [name[len(folder) : -len(".copy")] for name in archive.names(folder) if name.endswith(".copy")]


def _references(connection: _Connection) -> set[tuple[str, str]]:
    return {(child, parent) for child, parent in connection.execute(_REFERENCES)}


def _sequences(connection: _Connection) -> dict[str, tuple[int, bool]]:
    names = [
        name
        for (name,) in connection.execute("SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema()")
    ]
    found = dict[str, tuple[int, bool]]()
    for name in names:
        row = connection.execute(
            sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(name))
        ).fetchone()
        assert row is not None  # noqa: S101 - a sequence has one row
        found[name] = (row[0], row[1])
    return found


def _parents_first(tables: Sequence[str], references: set[tuple[str, str]]) -> list[str]:
    """The tables in an order in which each comes after those that it refers to. Raises BackupProblem for a circle."""
    order, left = list[str](), list(tables)
    while left:
        free = [one for one in left if not any(child == one and parent in left for child, parent in references)]
        if not free:
            raise BackupProblem(f"the tables {', '.join(left)} refer to each other in a circle: no order restores them")
        order += free
        left = [one for one in left if one not in free]
    return order

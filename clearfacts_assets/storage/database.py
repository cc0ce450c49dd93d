"""One engine per process, for SQLite or PostgreSQL; reads that lock nothing, writes that survive a collision."""

from __future__ import annotations

import atexit
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DataError, DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.pool import ConnectionPoolEntry

from clearfacts_assets import tracing
from clearfacts_assets.backoff import Backoff
from clearfacts_assets.storage import decimal_sums
from clearfacts_assets.storage.tracing import told_by, traced

T = TypeVar("T")

SQLITE_BUSY_SECONDS = 30
WRITE_PATIENCE_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.01
PAUSES = Backoff(FIRST_PAUSE_SECONDS, longest=1.0)
COLLISIONS = frozenset({"40001", "40P01", "55P03"})  # SQLSTATE: serialization failure, deadlock, lock not available
REFUSING = ("22", "54")  # SQLSTATE classes: data exception (too long, out of range, characters), limit exceeded
SQLITE_BUSY = frozenset({5, 6})  # SQLITE_BUSY, SQLITE_LOCKED; the low byte of the extended codes

_READS_ONLY = "clearfacts_reads_only"
_opened: WeakSet[Engine] = WeakSet()


def open_engine(url: str) -> Engine:
    """An engine with pooled connections. SQLite gets WAL, foreign keys and patience with other writers.

    A transaction of ``engine.begin()`` may write: on SQLite it takes the write lock at its start, because a read that
    turns into a write later fails at once instead of waiting. Use :func:`reading` for what only reads.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        engine = create_engine(parsed, pool_pre_ping=True)
    else:
        engine = create_engine(parsed, connect_args={"timeout": SQLITE_BUSY_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    _opened.add(engine)
    return traced(engine)


@atexit.register
def _hang_up() -> None:
    """At the process's end no connection stays open: SQLite takes its log away when a file's last one is closed."""
    for engine in list(_opened):
        engine.dispose()


def _prepare_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # BEGIN is ours, see _begin_sqlite
    decimal_sums.teach(connection)  # type: ignore[arg-type]
    cursor = connection.cursor()
    _use_write_ahead_log(cursor)
    # A claim that a power cut takes back would let its invoice leave twice: every commit reaches the disk.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _use_write_ahead_log(cursor: DBAPICursor) -> None:
    # Only a file's first connection has to change the mode. SQLite then wants the file for itself and, unlike
    # elsewhere, does not wait for it.
    deadline = time.monotonic() + SQLITE_BUSY_SECONDS
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] not in ("wal", "memory"):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(FIRST_PAUSE_SECONDS)


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get(_READS_ONLY, False):
        # Past SQLAlchemy, for which this is as much work as a statement; it cannot fail.
        connection.connection.dbapi_connection.execute("BEGIN")  # type: ignore[union-attr]
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def apart(engine: Engine) -> Iterator[Connection]:
    """A connection of its own, closed for good at the end with the temporary tables that were made on it.

    On SQLite its transactions take no write lock until :func:`now_writing` is called.
    """
    with engine.connect() as connection:
        connection.detach()
        connection.execution_options(**{_READS_ONLY: True})
        yield connection


def now_writing(connection: Connection) -> None:
    """From its next transaction on, a connection that was made by :func:`apart` writes to the database itself."""
    connection.execution_options(**{_READS_ONLY: False})


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads, and on SQLite waits for no writer. PostgreSQL refuses a write in it."""
    # It is nobody's parent: who reads row by row may go on in another thread.
    begun = tracing.begin("read", {"db.system.name": engine.name}, kind="CLIENT")
    try:
        with (
            engine.connect().execution_options(**{_READS_ONLY: True, "postgresql_readonly": True}) as connection,
            told_by(begun, connection),
        ):
            yield connection
    except BaseException as error:
        begun.failed(type(error).__name__)
        raise
    finally:
        begun.end()


def write(
    engine: Engine,
    work: Callable[[Connection], T],
    *,
    repeatable: bool = False,
    patience: float = WRITE_PATIENCE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Do the work in one transaction, again when it collided with another one, for up to ``patience`` seconds.

    A collision (serialization failure, deadlock, busy SQLite file) has changed nothing, nor has a connection that is
    lost before the commit. One that is lost at the commit may hide that it happened: only work that is
    ``repeatable``, harmless when done twice, is done again after that.
    """
    committing = False

    def attempt() -> T:
        nonlocal committing
        committing = False
        with (
            tracing.span("write", {"db.system.name": engine.name}, kind="CLIENT") as span,
            engine.begin() as connection,
            told_by(span, connection),
        ):
            result = work(connection)
            committing = True
        return result

    return _persistently(attempt, lambda: repeatable or not committing, patience, sleep)


def read(
    engine: Engine,
    work: Callable[[Connection], T],
    *,
    patience: float = WRITE_PATIENCE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Do what only reads in one transaction, again when the connection was lost, for up to ``patience`` seconds.

    For runs, which a short cut must not end. Who answers a person at once uses :func:`reading`.
    """

    def attempt() -> T:
        with reading(engine) as connection:
            return work(connection)

    return _persistently(attempt, lambda: True, patience, sleep)


def _persistently(
    attempt: Callable[[], T], repeatable: Callable[[], bool], patience: float, sleep: Callable[[float], None]
) -> T:
    started = time.monotonic()
    for failures in count(1):
        pause = PAUSES.after(failures)
        try:
            return attempt()
        except DBAPIError as error:
            passing = collided(error) or (repeatable() and was_lost(error))
            if not passing or time.monotonic() - started + pause > patience:
                raise
        sleep(pause)
    raise AssertionError("unreachable")


def collided(error: DBAPIError) -> bool:
    """Whether the database refused the transaction only because of another one."""
    code: int | None = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in SQLITE_BUSY
    return getattr(error.orig, "sqlstate", None) in COLLISIONS


def was_lost(error: DBAPIError) -> bool:
    """Whether the connection was lost, or could not be made: a commit under way may have happened or not."""
    return error.connection_invalidated or _unreachable(error)


def _unreachable(error: DBAPIError) -> bool:
    """Whether PostgreSQL could not be reached, or is starting or stopping (SQLSTATE classes 08 and 57P)."""
    state: str | None = getattr(error.orig, "sqlstate", None)
    if state is None:
        return type(error.orig).__module__.startswith("psycopg") and type(error.orig).__name__ == "OperationalError"
    return state.startswith(("08", "57P"))


def refuses_a_row(error: DBAPIError) -> bool:
    """Whether the database cannot hold a value; not that it cannot be reached, or that another transaction won."""
    state: str | None = getattr(error.orig, "sqlstate", None)
    code: int | None = getattr(error.orig, "sqlite_errorcode", None)
    return isinstance(error, DataError) or (state or "").startswith(REFUSING) or code == sqlite3.SQLITE_TOOBIG


def disk_is_full(error: DBAPIError) -> bool:
    """Whether there is no room to write; then nothing was written. SQLite says so, PostgreSQL by SQLSTATE 53100."""
    code: int | None = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF == sqlite3.SQLITE_FULL
    return getattr(error.orig, "sqlstate", None) == "53100"


def in_words(error: OperationalError | ProgrammingError) -> str:
    """What is the matter with the database and what to do, without the statement and its values."""
    told = " ".join(str(error.orig).split())
    if disk_is_full(error):
        return f"the disk of the database is full: {told}. Nothing of this was kept: make room, then do it again."
    if refuses_a_row(error):
        return f"the database refuses a value: {told}. It is too long or out of range; the database itself is well."
    if re.search(r'database ".*" does not exist', told):
        return f"the database server answers, but: {told}. Check the name in CLEARFACTS_DATABASE_URL, or create it."
    if "no such table" in told or "does not exist" in told:
        return "the database has no tables yet, or older ones: run `clearfacts db upgrade` first"
    return f"the database does not answer: {told}. Check CLEARFACTS_DATABASE_URL."


def database_now(connection: Connection) -> datetime:
    """The time by which leases are kept: PostgreSQL's own, since machines disagree; on SQLite this machine's."""
    if connection.dialect.name != "postgresql":
        return datetime.now(UTC)
    now: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    return now.astimezone(UTC)


def commit_to_disk(connection: Connection) -> None:
    """Let this transaction be on disk when its commit returns, even where PostgreSQL is told not to wait for that."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL synchronous_commit = on")


def insert_into(connection: Connection, table: Any) -> Any:
    """The dialect's INSERT, which knows ON CONFLICT; both dialects spell it alike."""
    return insert_by(connection.dialect.name, table)


def insert_by(dialect: str, table: Any) -> Any:
    """The same, for statements that are written once."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)

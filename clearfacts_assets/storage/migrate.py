"""Bring a database to a version of our tables. Needs no alembic.ini and works from an installed wheel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, event, make_url, text

from clearfacts_assets.storage.database import open_engine, reading

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x636C6661  # "clfa": one migration at a time on PostgreSQL; SQLite's write lock does the same there


def upgrade(url: str, revision: str = "head", *, alert_channel: str = "") -> str | None:
    """Bring the database up to the revision, in one transaction. Returns the revision it is at then.

    Creates the folder of a SQLite file. Several processes may call it at once: one migrates, the others wait. What a
    migration has to tell people is put into the outbox, for ``alert_channel``.
    """
    file = make_url(url).database
    if url.startswith("sqlite") and file:
        Path(file).parent.mkdir(parents=True, exist_ok=True)

    def step(config: Config) -> None:
        config.attributes["alert_channel"] = alert_channel
        command.upgrade(config, revision)

    return _migrate(url, step)


def downgrade(url: str, revision: str) -> str | None:
    """Take the database back to the revision; ``base`` removes all our tables with what is in them."""
    return _migrate(url, lambda config: command.downgrade(config, revision))


def current(url: str) -> str | None:
    """The revision the database is at; None where our tables are not."""
    engine = open_engine(url)
    try:
        with reading(engine) as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration, for its commands on our scripts."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _migrate(url: str, step: Callable[[Config], None]) -> str | None:
    engine = open_engine(url)
    if engine.dialect.name == "sqlite":
        # A table that is built anew is dropped first: what refers to it must not be deleted with it.
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = OFF"))
    try:
        with engine.begin() as connection:
            _lock(connection, engine)
            step(configuration(connection))
            _check_references(connection)
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def _check_references(connection: Connection) -> None:
    """Raises RuntimeError, and nothing is changed, where a row of SQLite refers to one that is not there any more."""
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise RuntimeError(f"the migration would leave table {broken[0]} with a reference to nothing: not migrated")


def _lock(connection: Connection, engine: Engine) -> None:
    if engine.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})

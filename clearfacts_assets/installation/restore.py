"""Restoring an installation from a backup: into an empty one, or, on a person's word, in the place of what is there.

Files that were there are put aside, not deleted. On PostgreSQL each database is filled in one transaction. The version
of the archive's tables is restored first and then upgraded to this program's.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from clearfacts_assets.installation.archive import ArchiveReader, BackupProblem
from clearfacts_assets.installation.backup import BUSINESS_FILE, BUSINESS_TABLES, DAGSTER_TABLES
from clearfacts_assets.installation.places import ASIDE, Places
from clearfacts_assets.installation.sqlite_copies import SUFFIXES, is_database
from clearfacts_assets.storage import migrate
from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.database import database_now, open_engine, reading, write
from clearfacts_assets.storage.operations.tables import RunHeartbeat

RUNS = ("runs", "event_logs")  # tables of Dagster's that are empty before its first run
ALIVE = timedelta(minutes=1)  # a sign of life that is younger is of something that still runs


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done."""

    made_at: str  # of the backup: what happened later is not known here any more
    archived_revision: str
    revision: str
    files: int
    aside: Path | None  # where the files that were there lie now


def restore(
    file: Path, places: Places, dagster_url: str | None, *, replace: bool, actor: Actor, now: datetime
) -> Restored:
    """Restore the backup. ``replace`` is a person's word that what is here may go.

    Raises BackupProblem: for a damaged archive or one of a newer program, for an installation that is not empty or that
    is running, for another kind of database. Nothing has been changed then.
    """
    with ArchiveReader(file) as archive:
        _refuse_what_does_not_fit(archive, places, dagster_url)
        archive.check()
        found = _refuse_to_overwrite(places, dagster_url, replace)
        aside = _put_aside(places, now)
        if aside is not None and not found:
            shutil.rmtree(aside)  # databases without a row, which every start makes
            aside = None
        files = _unpack(archive, places)
        if dagster_url is not None:
            _fill(archive, DAGSTER_TABLES, dagster_url)
        if places.database_file is None:
            _fill_ours(archive, places.database_url, archive.manifest.revision)
        revision = migrate.upgrade(places.database_url) or ""
        manifest = archive.manifest
        _audit(places.database_url, file, manifest.made_at, actor, now)
        return Restored(manifest.made_at, manifest.revision, revision, files, aside)


def _refuse_what_does_not_fit(archive: ArchiveReader, places: Places, dagster_url: str | None) -> None:
    told, file = archive.manifest, archive.file
    known = {script.revision for script in ScriptDirectory.from_config(migrate.configuration()).walk_revisions()}
    if told.revision not in known:
        raise BackupProblem(
            f"{file} holds a database of version {told.revision}, which this program does not know "
            f"({version('clearfacts-assets')}): restore it with clearfacts {told.program} or newer"
        )
    if told.kind != places.kind:
        raise BackupProblem(
            f"{file} holds a {told.kind} database, and CLEARFACTS_DATABASE_URL names a {places.kind} one: a backup is "
            "restored into the kind that it was made of"
        )
    here = migrate.current(places.database_url) if places.database_file is None else None
    if here is not None and here not in known:
        raise BackupProblem(
            f"the database here is of version {here}, which this program does not know: restore into an empty one, or "
            "with the program that it belongs to"
        )
    _refuse_another_dagster(archive, "postgresql" if dagster_url else "sqlite")


def _refuse_another_dagster(archive: ArchiveReader, here: str) -> None:
    told, ours = archive.manifest.dagster, version("dagster")
    if told["database"] != here:
        raise BackupProblem(
            f"in {archive.file} Dagster's database is {told['database']}, and here it is {here}: set the storage in "
            "dagster.yaml (DAGSTER_HOME) as it was"
        )
    if here == "postgresql" and told["version"] != ours:
        raise BackupProblem(
            f"{archive.file} holds a database of Dagster {told['version']}, and this is Dagster {ours}: restore it "
            "with that version, then upgrade (`dagster instance migrate`)"
        )


def _refuse_to_overwrite(places: Places, dagster_url: str | None, replace: bool) -> list[str]:
    found = _what_is_here(places, dagster_url)
    if found and not replace:
        raise BackupProblem(
            f"this installation is not empty ({', '.join(found)}). Restore into an empty one, or say --yes: its files "
            f"are then put aside in {places.home}/{ASIDE}..., and what a PostgreSQL database holds is gone for good"
        )
    seen = _since_a_sign_of_life(places.database_url) if found else None
    if seen is not None and seen < ALIVE:
        raise BackupProblem(
            f"this installation is running: its daemon or a run gave a sign of life {seen.total_seconds():.0f} s ago. "
            f"Stop everything, wait {ALIVE.total_seconds():.0f} s, then do it again"
        )
    return found


def _what_is_here(places: Places, dagster_url: str | None) -> list[str]:
    """In words, what would be lost; empty where there is only what every start makes."""
    found = []
    if others := [path for _, path in places.files() if not is_database(path)]:
        found.append(f"{len(others)} files, such as {others[0]}")
    if places.database_file is None:
        found += [] if _is_empty(places.database_url) else ["rows in our database"]
    elif places.database_file.is_file() and _has_rows(places.database_file):
        found.append(f"rows in {places.database_file}")
    if dagster_url is not None:
        found += [] if _is_empty(dagster_url, RUNS) else ["runs in Dagster's database"]
    if any(_has_rows(path, RUNS) for _, path in places.files() if is_database(path)):
        found.append(f"Dagster's runs in {places.dagster_home}")
    return found


def _is_empty(url: str, only: tuple[str, ...] | None = None) -> bool:
    from clearfacts_assets.installation import postgres_copies

    with postgres_copies.connect(url) as connection:
        return postgres_copies.is_empty(connection, only)


def _has_rows(database: Path, only: tuple[str, ...] | None = None) -> bool:
    """Whether a table, or one of these, has a row. What cannot be read has some, perhaps."""
    with closing(sqlite3.connect(database)) as connection:
        try:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            counting = [name for name in tables if name != "alembic_version" and not name.startswith("sqlite_")]
            return any(
                connection.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone()  # noqa: S608 - the file's own names
                for name in counting
                if only is None or name in only
            )
        except sqlite3.DatabaseError:
            return True


def _since_a_sign_of_life(url: str) -> timedelta | None:
    """None where nothing ever gave one, or the tables are older than signs of life, or cannot be read."""
    engine = open_engine(url)
    try:
        with reading(engine) as connection:
            newest = connection.scalar(select(func.max(RunHeartbeat.beat_at)))
            return None if newest is None else database_now(connection) - newest
    except DBAPIError:
        return None
    finally:
        engine.dispose()


def _put_aside(places: Places, now: datetime) -> Path | None:
    """Move all files of the installation into a folder of their own; None where there were none."""
    aside = places.home / f"{ASIDE}{now:%Y%m%dT%H%M%SZ}"
    moving = list(places.files(sidecars=True))
    if (ours := places.database_file) is not None:
        beside = [ours, *(ours.with_name(ours.name + suffix) for suffix in SUFFIXES)]
        moving += [(f"database/{path.name}", path) for path in beside if path.exists()]
    for name, path in moving:
        target = aside / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.replace(target)
    return aside if moving else None


def _unpack(archive: ArchiveReader, places: Places) -> int:
    files = 0
    for folder in ("home/", "dagster/", "invoices/"):
        for name in archive.names(folder):
            archive.unpack(name, places.target(name))
            files += 1
    if places.database_file is not None:
        archive.unpack(BUSINESS_FILE, places.database_file)
    return files


def _fill_ours(archive: ArchiveReader, url: str, revision: str) -> None:
    """Tables as the archive's program had them, then its rows."""
    if migrate.current(url) not in (None, revision):
        migrate.downgrade(url, "base")
    migrate.upgrade(url, revision)
    _fill(archive, BUSINESS_TABLES, url)


def _fill(archive: ArchiveReader, folder: str, url: str) -> None:
    from clearfacts_assets.installation import postgres_copies

    with postgres_copies.connect(url) as connection:
        postgres_copies.fill(archive, folder, connection)


def _audit(url: str, file: Path, made_at: str, actor: Actor, now: datetime) -> None:
    engine = open_engine(url)
    try:
        write(
            engine,
            lambda connection: record(
                connection,
                actor=actor,
                action="installation.restored",
                resource_type="installation",
                resource_id=None,
                after={"backup": file.name, "made_at": made_at},
                now=now,
            ),
        )
    finally:
        engine.dispose()

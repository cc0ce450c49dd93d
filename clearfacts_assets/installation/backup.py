"""Backups of a system that goes on working: one archive with both databases, documents and keys.

Each database is copied as of one moment. Dagster's comes first: what it does not know of a run yet is harmless, since
our ledger decides what may be sent, and the ledger is the younger one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from clearfacts_assets.installation.archive import ArchiveReader, ArchiveWriter, BackupProblem, Manifest
from clearfacts_assets.installation.places import Places
from clearfacts_assets.installation.sqlite_copies import copy_into, is_database
from clearfacts_assets.storage import migrate

BUSINESS_FILE = "business.db"
BUSINESS_TABLES, DAGSTER_TABLES = "business/", "dagster_database/"
_TRIES = 3  # when keys are replaced meanwhile


@dataclass(frozen=True, slots=True)
class Backup:
    """What was made, or found when it was looked at."""

    file: Path
    size: int
    manifest: Manifest

    @property
    def summary(self) -> Mapping[str, Any]:
        """For people and programs."""
        told = self.manifest
        return {
            "file": str(self.file),
            "bytes": self.size,
            "made_at": told.made_at,
            "program": told.program,
            "database": told.kind,
            "revision": told.revision,
            "dagster": told.dagster,
            "members": len(told.members),
            **told.has,
        }


def back_up(places: Places, dagster_url: str | None, target: Path, *, now: datetime) -> Backup:
    """Write a backup into ``target``, a folder or the name of a file. ``dagster_url`` is that of Dagster's PostgreSQL.

    Raises BackupProblem; nothing is left behind then.
    """
    revision = migrate.current(places.database_url)
    if revision is None:
        raise BackupProblem(
            "the database has no tables yet: there is nothing to back up. `clearfacts db upgrade` makes them"
        )
    file = target / f"clearfacts-{now:%Y%m%dT%H%M%SZ}.zip" if target.is_dir() else target
    for tries_left in reversed(range(_TRIES)):
        before = _contents(places)
        manifest = Manifest(
            made_at=now.astimezone(UTC).isoformat(timespec="seconds"),
            program=version("clearfacts-assets"),
            kind=places.kind,
            revision=revision,
            dagster={"version": version("dagster"), "database": "postgresql" if dagster_url else "sqlite"},
            has={},
        )
        try:
            with ArchiveWriter(file.absolute(), manifest) as archive:
                _write(archive, places, dagster_url)
                if _contents(places) != before:
                    raise _KeysChanged
        except _KeysChanged:
            if tries_left:
                continue
            raise BackupProblem("keys were replaced while the backup was made: make it again") from None
        break
    return Backup(file.absolute(), file.stat().st_size, manifest)


def look_at(file: Path) -> Backup:
    """Read a backup whole and compare every byte with what was written. Raises BackupProblem."""
    with ArchiveReader(file) as archive:
        archive.check()
        return Backup(file.absolute(), file.stat().st_size, archive.manifest)


class _KeysChanged(Exception):
    """What the database was encrypted with may not be what is in the archive."""


def _contents(places: Places) -> list[tuple[Path, bytes]]:
    return [(path, path.read_bytes()) for path in places.keys]


def _write(archive: ArchiveWriter, places: Places, dagster_url: str | None) -> None:
    has: dict[str, Any] = {"keys": len(places.keys)}
    if dagster_url is not None:
        has["dagster_rows"] = sum(_tables(archive, DAGSTER_TABLES, dagster_url).values())
    files = databases = 0
    later = list[tuple[str, Path]]()
    for name, path in places.files():
        if is_database(path):
            databases += copy_into(archive, name, path)
        else:
            later.append((name, path))
    if (ours := places.database_file) is None:
        has["rows"] = sum(_tables(archive, BUSINESS_TABLES, places.database_url).values())
    elif not copy_into(archive, BUSINESS_FILE, ours):
        raise BackupProblem(f"{ours} is gone")
    for name, path in later:  # after the database: a file that a row tells of is there
        files += archive.add(name, path)
    archive.manifest.has = {**has, "files": files, "dagster_files": databases}


def _tables(archive: ArchiveWriter, folder: str, url: str) -> dict[str, int]:
    from clearfacts_assets.installation import postgres_copies

    with postgres_copies.connect(url) as connection:
        postgres_copies.snapshot(connection)
        return postgres_copies.copy_into(archive, folder, connection)

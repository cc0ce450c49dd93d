"""Copies of SQLite files that other processes write to: by SQLite's own backup, which sees one moment of the file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from clearfacts_assets.installation.archive import ArchiveWriter, BackupProblem

SUFFIXES = ("-wal", "-shm", "-journal")  # of files that belong to a database and are inside its copy
BUSY_SECONDS = 60


def copy_into(archive: ArchiveWriter, name: str, database: Path) -> bool:
    """Put a copy of the database into the archive; False where the file is gone.

    Writers go on meanwhile. The copy lies beside the archive for a moment, and is checked before it goes in.
    """
    if not database.is_file():
        return False
    with TemporaryDirectory(dir=archive.folder, prefix=".clearfacts-backup-") as folder:
        copy = Path(folder) / "copy.db"
        # Opened for writing, since a reader of a write-ahead log has to write into its index.
        with (
            closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            (verdict,) = target.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise BackupProblem(
                    f"{database} is damaged ({verdict}): no backup was made. Restore the last good one, or save what "
                    "can be read with SQLite's .recover"
                )
        archive.add(name, copy)
    return True


def is_database(file: Path) -> bool:
    return file.suffix == ".db"


def belongs_to_a_database(file: Path) -> bool:
    return file.name.endswith(tuple(f".db{suffix}" for suffix in SUFFIXES))

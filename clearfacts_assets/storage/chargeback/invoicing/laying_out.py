"""Documents as files of a folder, from what the database keeps of them: any machine has all of them.

A file's time is that at which its document was made, whichever machine writes it, and whenever.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, LargeBinary, column, select, table

from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.types import UtcDateTime

# By its columns' names alone: the pipeline asks for this, which knows no class of chargeback's.
_documents = table(
    "statement_invoices",
    column("id"),
    column("period"),
    column("file_name"),
    column("document", LargeBinary),
    column("created_at", UtcDateTime()),
)
_EPOCH = datetime.fromtimestamp(0, tz=UTC)


def lay_out(engine: Engine, folder: Path, period: str | None = None) -> int:
    """Write each document of the month, else of all months, that is not in its place; returns how many those were.

    Another machine made it, or a crash came between the commit and the file. Raises OSError.
    """
    query = select(_documents.c.id, _documents.c.period, _documents.c.file_name, _documents.c.created_at).order_by(
        _documents.c.id
    )
    if period is not None:
        query = query.where(_documents.c.period == period)
    written = 0
    with reading(engine) as connection:
        for row in connection.execute(query).all():
            place = folder / row.period / row.file_name
            if place.exists():
                continue
            document = connection.execute(select(_documents.c.document).where(_documents.c.id == row.id)).scalar_one()
            _put(place, zlib.decompress(document), row.created_at)
            written += 1
    return written


def _put(place: Path, content: bytes, made: datetime) -> None:
    """Whole or not at all; hidden until then. It reaches the disk before it has its name."""
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        stamp(temporary, made)
        temporary.replace(place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def stamp(file: Path, made: datetime) -> None:
    """Give the file the time at which its document was made."""
    nanoseconds = (made - _EPOCH) // timedelta(microseconds=1) * 1000
    os.utime(file, ns=(nanoseconds, nanoseconds))

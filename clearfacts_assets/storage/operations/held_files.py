"""Files that were uploaded and looked at, and wait for a person to say yes, whichever replica hears it.

They lie in the database, in compressed pieces; whoever asks gets them as files of a folder of its own. What nobody asks
for is gone after a day. Error: FilesGone.
"""

from __future__ import annotations

import secrets
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from sqlalchemy import Connection, Engine, Table, delete, insert, select

from clearfacts_assets.storage.database import reading, write
from clearfacts_assets.storage.operations.tables import HeldPiece

KEPT = timedelta(days=1)
PIECE_BYTES = 2**20  # of a file, before they are compressed: what is held in memory

_pieces = cast(Table, HeldPiece.__table__)


class FilesGone(Exception):
    """There are no such files, or they are somebody else's."""


def hold(engine: Engine, files: Sequence[Path], owner: str, now: datetime) -> str:
    """Keep copies of the files, each by its name; they are found again by what this returns, and by their owner.

    A piece a transaction, so that nobody who writes waits for all of a large file.
    """
    token = secrets.token_hex(16)
    write(engine, lambda connection: _forget_old(connection, now))
    for number, file in enumerate(files):
        for piece, content in enumerate(_cut(file)):
            values = {"token": token, "number": number, "piece": piece, "owner": owner, "name": file.name}
            _keep(engine, values | {"content": zlib.compress(content, 1), "held_at": now})
    return token


@contextmanager
def held(engine: Engine, token: str, owner: str) -> Iterator[list[Path]]:
    """The files in their order, for as long as the block lasts. Raises FilesGone."""
    with tempfile.TemporaryDirectory(prefix="clearfacts-held-") as folder:
        yield _laid_out(engine, token, owner, Path(folder))


def release(engine: Engine, token: str, owner: str) -> None:
    """They are imported, or were not wanted."""
    theirs = (_pieces.c.token == token, _pieces.c.owner == owner)
    write(engine, lambda connection: connection.execute(delete(_pieces).where(*theirs)), repeatable=True)


def _laid_out(engine: Engine, token: str, owner: str, folder: Path) -> list[Path]:
    found: list[Path] = []
    query = (
        select(_pieces.c.number, _pieces.c.piece, _pieces.c.name)
        .where(_pieces.c.token == token, _pieces.c.owner == owner)
        .order_by(_pieces.c.number, _pieces.c.piece)
    )
    with reading(engine) as connection:
        for number, piece, name in connection.execute(query).all():
            file = folder / f"{number:03}" / name
            if piece == 0:
                file.parent.mkdir()
                found.append(file)
            this = (_pieces.c.token == token, _pieces.c.number == number, _pieces.c.piece == piece)
            content = connection.execute(select(_pieces.c.content).where(*this)).scalar_one()
            with file.open("ab") as stream:
                stream.write(zlib.decompress(content))
    if not found:
        raise FilesGone
    return found


def _cut(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        yield stream.read(PIECE_BYTES)  # an empty file has a piece too
        while content := stream.read(PIECE_BYTES):
            yield content


def _keep(engine: Engine, values: dict[str, object]) -> None:
    write(engine, lambda connection: connection.execute(insert(_pieces).values(values)))


def _forget_old(connection: Connection, now: datetime) -> None:
    connection.execute(delete(_pieces).where(_pieces.c.held_at < now - KEPT))

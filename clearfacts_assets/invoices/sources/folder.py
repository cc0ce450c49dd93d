"""A folder into which UBL files are dropped. A file's id is its path inside the folder; its time is when it changed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from clearfacts_assets.invoices.model import SourceDocument, Window
from clearfacts_assets.invoices.ports import InvoiceNotFound, SourceDenied, SourceUnavailable
from clearfacts_assets.invoices.sources import ID_CHARACTERS, is_fit_for_id

SETTLE_SECONDS = 2.0  # a file that changed more recently may still be written to
SUFFIX = ".xml"  # in any case

_EPOCH = datetime.fromtimestamp(0, tz=UTC)


class Folder:
    """An InvoiceSource. Hidden files and folders are not looked at; links count only inside the folder."""

    name = "folder"

    def __init__(
        self,
        folder: str | Path,
        *,
        page_size: int = 100,
        document_bytes: int = 20 * 2**20,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._root = Path(folder).absolute()
        self._page_size, self._document_bytes, self._now = page_size, document_bytes, now

    def pages(self, window: Window) -> Iterator[list[SourceDocument]]:
        """The files that changed in the window, oldest first. Raises SourceError.

        Where a part of the folder cannot be listed, the rest is given first and the error comes at the end.
        """
        self.check()
        unlisted: list[OSError] = []
        found = sorted(
            (changed, path)
            for path in self._paths(unlisted.append)
            if (changed := self._changed(path)) and window.start <= changed < window.end
        )
        for first in range(0, len(found), self._page_size):
            yield [self._read(path, changed) for changed, path in found[first : first + self._page_size]]
        if unlisted:
            raise SourceDenied(f"{unlisted[0].filename} cannot be listed ({unlisted[0].strerror}): allow us to read it")

    def one(self, invoice_id: str) -> SourceDocument:
        """One file by its path inside the folder, whenever it changed. Raises InvoiceNotFound, also for path tricks."""
        path = PurePosixPath(invoice_id)
        plain = "\0" not in invoice_id and path.parts and str(path) == invoice_id and not path.is_absolute()
        if not plain or any(part.startswith(".") for part in path.parts) or path.suffix.lower() != SUFFIX:
            raise InvoiceNotFound(f"{invoice_id[:ID_CHARACTERS]!r} is not the path of an .xml file inside the folder")
        inside = self._root / path
        changed = self._changed(inside)
        if changed is None:
            raise InvoiceNotFound(f"there is no file {invoice_id!r} in {self._root}")
        return self._read(inside, changed)

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

    def _paths(self, unlisted: Callable[[OSError], None]) -> Iterator[Path]:
        for folder, subfolders, names in os.walk(self._root, onerror=unlisted, followlinks=False):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for name in names:
                if name.lower().endswith(SUFFIX) and not name.startswith("."):
                    yield Path(folder, name)

    def _changed(self, path: Path) -> datetime | None:
        """When the file, or what a link inside the folder points to, changed; None if it is gone."""
        try:
            return _time(path.stat() if self._stays_inside(path) else path.lstat())
        except OSError:
            return None

    def _stays_inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._root.resolve())

    def _read(self, path: Path, changed: datetime) -> SourceDocument:
        invoice_id, is_whole = _id(path.relative_to(self._root).as_posix())
        if not is_whole:
            return SourceDocument(invoice_id, changed, b"", "the file's name cannot be kept as an id: rename the file")
        try:
            content, problem = self._content(path)
        except OSError as error:
            content, problem = b"", f"the file cannot be read: {error.strerror}"
        return SourceDocument(invoice_id, changed, content, problem)

    def _content(self, path: Path) -> tuple[bytes, str]:
        """The bytes, or why there are none. Raises OSError."""
        if not self._stays_inside(path):
            return b"", "the file is a link out of the folder: put the file itself there"
        # Not blocking, so that a named pipe cannot hold us; not following, so that nobody swaps in a link.
        descriptor = os.open(path.resolve(), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                return b"", "this is not a regular file"
            if before.st_size > self._document_bytes:
                allowed = f"source.document_bytes allows {self._document_bytes:,} bytes"
                return b"", f"the file has {before.st_size:,} bytes; {allowed}"
            content = file.read(self._document_bytes + 1)
            after = os.fstat(descriptor)
        if len(content) != before.st_size or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            return b"", "the file changed while it was read: run again when it is complete"
        if timedelta(0) <= self._now() - _time(after) < timedelta(seconds=SETTLE_SECONDS):
            return b"", f"the file changed less than {SETTLE_SECONDS:g} s ago: run again when it is complete"
        return content, ""


def _time(status: os.stat_result) -> datetime:
    return _EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)


def _id(path: str) -> tuple[str, bool]:
    """The path as an id, and whether it could be kept as it is."""
    if is_fit_for_id(path):
        return path, True
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    shown = os.fsencode(path).decode("utf-8", "backslashreplace").encode("unicode_escape").decode()
    return f"{shown[:200]}-{digest}", False

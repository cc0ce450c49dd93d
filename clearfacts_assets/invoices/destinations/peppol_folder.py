"""A folder from which a Peppol access point takes what it sends: one file a document, in its business envelope.

Beside the files that wait there is a hidden folder of ours, on the same file system. ``staging`` holds what is being
written, ``receipts`` one empty file for each idempotency key whose file was whole. A document was handed over exactly
if it has a receipt and nothing staged: a rename is done or not done, and a receipt comes before it. So it can be told
for certain after any crash, also when the access point has taken the file away meanwhile.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from clearfacts_assets.invoices.destinations import DestinationOptions
from clearfacts_assets.invoices.destinations.peppol_envelope import NotAddressed, addressed, enveloped
from clearfacts_assets.invoices.ports import (
    Absent,
    Accepted,
    Denied,
    DestinationDenied,
    DestinationError,
    LookUp,
    NotSent,
    Outcome,
    Refused,
    Submission,
    Unknown,
)

OURS = ".clearfacts"  # the hidden folder; access points look at files, and not at hidden ones
SUFFIX = ".xml"
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class PeppolFolder:
    """A Destination. The same document again is the same file, named by the SHA-256 of its content."""

    name, transport = "peppol", "peppol_folder"
    honours_idempotency_key = True
    can_look_up = True
    longest_number = 255

    def __init__(self, folder: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Raises ValueError where no folder is named."""
        if not folder:
            raise ValueError("destination.folder (the folder that the access point watches) is missing: set it")
        self._folder, self._now = Path(folder), now
        self._staging, self._receipts = self._folder / OURS / "staging", self._folder / OURS / "receipts"

    def send(self, submission: Submission) -> Outcome:
        """Refused: no access point could address it. NotSent and Denied: nothing appeared. Unknown: it may have."""
        try:
            envelope = enveloped(addressed(submission.content), _instance(submission), self._now())
        except NotAddressed as error:
            return Refused(error.code, str(error))
        staged, receipt, file = self._places(submission)
        try:
            if not _is_handed_over(staged, receipt):
                self._prepare(receipt)
                if not _is_there(file):
                    _put(staged, envelope)
                _put(receipt, b"")
        except OSError as error:
            return self._not_sent(error)
        try:
            if _is_there(staged):
                staged.rename(file)
                _synced(self._folder)
                _synced(staged.parent)
        except OSError as error:
            return Unknown(f"{file} may be there or not ({error.strerror}): it is looked up")
        return self._accepted(submission)

    def look_up(self, submission: Submission) -> LookUp:
        """By what is staged and the receipt: also what the access point has taken is found."""
        staged, receipt, _ = self._places(submission)
        try:
            self.check()
            return self._accepted(submission) if _is_handed_over(staged, receipt) else Absent()
        except (OSError, DestinationError) as error:
            return Unknown(f"the look-up failed: {error}")

    def check(self) -> str:
        """Whether the folder is there and may be written to. Raises DestinationError."""
        if not self._folder.is_dir():
            raise DestinationError(f"{self._folder} is no folder, or its disk is away: check destination.folder")
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise DestinationDenied(f"{self._folder} may not be written to: allow us to")
        return f"{self._folder} can be written to"

    def close(self) -> None:
        """Nothing is kept open."""

    def _places(self, submission: Submission) -> tuple[Path, Path, Path]:
        """What is staged, the receipt, and the file for the access point."""
        key = f"{_instance(submission)}{SUFFIX}"
        return self._staging / key, self._receipts / key[:2] / key, self._folder / _file_name(submission)

    def _prepare(self, receipt: Path) -> None:
        """Make our hidden folders. The folder itself is never made: a disk that is away must not be mistaken for it."""
        for folder in (self._folder / OURS, self._staging, self._receipts, receipt.parent):
            if not _is_there(folder):
                folder.mkdir(mode=0o700, exist_ok=True)
                _synced(folder.parent)

    def _accepted(self, submission: Submission) -> Accepted:
        instance = _instance(submission)
        return Accepted(instance, {"file": _file_name(submission), "instance_identifier": instance})

    def _not_sent(self, error: OSError) -> NotSent | Denied:
        if error.errno in _FORBIDDEN:
            return Denied(f"{self._folder} may not be written to ({error.strerror}): allow us to")
        return NotSent(f"nothing was put into {self._folder} ({error.strerror}): check destination.folder and its disk")


def _instance(submission: Submission) -> str:
    """The envelope's own id: the same for each try, another one only after a person's decision to send again."""
    return str(uuid5(NAMESPACE_URL, f"{submission.idempotency_key}:{submission.content_sha256}"))


def _file_name(submission: Submission) -> str:
    return f"{submission.content_sha256}{SUFFIX}"


def _is_handed_over(staged: Path, receipt: Path) -> bool:
    return _is_there(receipt) and not _is_there(staged)


def _is_there(path: Path) -> bool:
    """Raises OSError where that cannot be told."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _put(path: Path, content: bytes) -> None:
    """Once it has its name, the file is whole and on the disk. Raises OSError."""
    part = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    _synced(path.parent)


def _synced(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def opened(options: DestinationOptions) -> PeppolFolder:
    return PeppolFolder(options.folder)

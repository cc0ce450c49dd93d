"""A watched folder of whatever senders send: UBL files, ZIP archives, PDFs with XML inside, and mails with those.

Mails are ``.eml`` files, or those of a Maildir, into which fetchmail, getmail or mbsync put them from a mailbox. What
is refused is handed over too, with its reason: it fails in the day's job, where people see it. A document's id is the
path of its file and its way inside: ``2026/november.zip/F-17.xml``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath

from clearfacts_assets.invoices.model import SourceDocument
from clearfacts_assets.invoices.ports import InvoiceNotFound
from clearfacts_assets.invoices.sources import ID_CHARACTERS, SourceOptions
from clearfacts_assets.invoices.sources.folder import SUFFIX, File, Folder, id_of_path, versions_of, whole
from clearfacts_assets.invoices.sources.unpacking import Bounds, Found, unpacked

MAIL, ARCHIVE, PDF = ".eml", ".zip", ".pdf"
UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")  # names of files that are still on their way
_MAILDIR = ("new", "cur")


class Inbox(Folder):
    """An InvoiceSource. What is finished is known by its name, size and times, and not opened again."""

    name = "inbox"

    def one(self, invoice_id: str) -> SourceDocument:
        """One document by its id, whenever its file changed. Raises InvoiceNotFound, also for path tricks."""
        path = PurePosixPath(invoice_id)
        plain = "\0" not in invoice_id and path.parts and ".." not in path.parts and not path.is_absolute()
        for steps in range(1, len(path.parts) + 1) if plain else ():
            place = self._root.joinpath(*path.parts[:steps])
            if place.name.startswith("."):
                break
            if not place.is_file() or not self._looks_at(str(place.parent), place.name):
                continue
            if (file := self._file(place)) is not None:
                for document in self._documents(file):
                    if document.invoice_id == invoice_id:
                        return document
        raise InvoiceNotFound(f"there is no document {invoice_id[:ID_CHARACTERS]!r} in {self._root}")

    def _looks_at(self, folder: str, name: str) -> bool:
        if _is_maildir(Path(folder)):
            return Path(folder).name != "tmp"
        return not name.lower().endswith(UNFINISHED)

    def _documents(self, file: File) -> list[SourceDocument]:
        own, is_whole = self._id_of(file)
        kind = MAIL if _is_maildir(file.path.parent) else file.path.suffix.lower()
        if kind == SUFFIX or not is_whole:
            return [self._read(file)]
        if kind not in (MAIL, ARCHIVE, PDF):
            return [SourceDocument(own, file.changed, b"", _not_taken(file.path))]
        try:
            content, problem = self._content(file.path, self._page_bytes, "source.page_bytes")
        except OSError as error:
            content, problem = b"", f"the file cannot be read: {error.strerror}"
        if problem:
            return [SourceDocument(own, file.changed, b"", problem)]
        bounds = Bounds(self._document_bytes, self._page_bytes)
        return [
            SourceDocument(one_id, file.changed, found.content, found.problem)
            for one_id, found in _with_ids(own, unpacked(kind, content, bounds))
        ]

    def _ids(self, file: File) -> list[str]:
        return [document.invoice_id for document in self._documents(file)]

    def _never_taken(self, files: Sequence[File]) -> list[File]:
        """As in any folder; but to know what is inside, a file has to be opened: once, after all of it was settled."""
        marks = {file: self._mark(file) for file in files}
        finished = self._memory.finished(marks.values()) if files else set()
        ids = {file: self._ids(file) for file in files if marks[file] not in finished}
        if not ids:
            return []
        versions = versions_of(ids)
        taken, settled = self._memory.taken(versions), self._memory.settled(versions)
        self._memory.finish([marks[file] for file in ids if whole(file, ids, settled)])
        return [file for file in ids if not whole(file, ids, taken)]

    def _mark(self, file: File) -> str:
        """Another one for whatever else is put in the file's place: nobody but the system sets the time of arrival."""
        told = (file.path.relative_to(self._root).as_posix(), file.size, file.time, file.arrival)
        return sha256(os.fsencode(repr(told))).hexdigest()


def _is_maildir(folder: Path) -> bool:
    """Whether mails lie in it as a Maildir has them: ``new``, ``cur`` and ``tmp`` stand side by side."""
    if folder.name not in (*_MAILDIR, "tmp"):
        return False
    return all((folder.parent / name).is_dir() for name in (*_MAILDIR, "tmp"))


def _not_taken(path: Path) -> str:
    kind = f"{path.suffix} files are" if path.suffix else "a file without a suffix is"
    return f"{kind} not taken: drop {SUFFIX}, {ARCHIVE}, {PDF} or {MAIL}"


def _with_ids(own: str, found: list[Found]) -> Iterator[tuple[str, Found]]:
    """Each with an id of its own, the same whenever the file is opened."""
    given: dict[str, int] = {}
    for one in found:
        path = f"{own}/{one.name}" if one.name else own
        given[path] = given.get(path, 0) + 1
        yield id_of_path(path if given[path] == 1 else f"{path}#{given[path]}")[0], one


def opened(options: SourceOptions) -> Inbox:
    return Inbox(
        options.place,
        document_bytes=options.document_bytes,
        page_size=options.page_size,
        page_bytes=options.page_bytes,
        memory=options.memory,
    )

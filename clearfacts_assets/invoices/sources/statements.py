"""Invoices that chargeback makes of statements: a folder of whole files, a month's in a subfolder each.

They are put there in one step, so that none is ever half written and none has to settle. Any machine may have written
a file, also long after its document was made: its time is the document's on all of them, and when it came says nothing.
What else a folder does (which day a file belongs to, what came late) is the same.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from clearfacts_assets.invoices.ports import SourceDenied
from clearfacts_assets.invoices.sources import SourceOptions
from clearfacts_assets.invoices.sources.folder import File, Folder


class Statements(Folder):
    """An InvoiceSource."""

    name = "statements"
    settle_seconds = 0.0

    def waiting(self) -> list[str]:
        """Ids of all that no run has taken yet, of whatever day, in the order of their changes. Raises SourceError."""
        self.check()
        unlisted: list[OSError] = []
        files = sorted(self._files(unlisted.append))
        if unlisted:
            raise SourceDenied(f"{unlisted[0].filename} cannot be listed ({unlisted[0].strerror}): allow us to read it")
        return [one for file in self._never_taken(files) for one in self._ids(file)]

    def _file(self, path: Path, folders: tuple[datetime, ...] = ()) -> File | None:
        found = super()._file(path)
        return found and replace(found, changed=found.time, arrival=found.time)


def opened(options: SourceOptions) -> Statements:
    """With every invoice of a statement in the folder. Raises SourceDenied."""
    _fill(options)
    return Statements(
        options.place,
        document_bytes=options.document_bytes,
        page_size=options.page_size,
        memory=options.memory,
    )


def _fill(options: SourceOptions) -> None:
    if options.fill_folder is None:
        return
    try:
        options.fill_folder(Path(options.place))
    except OSError as error:
        raise SourceDenied(
            f"invoices of statements cannot be put into {options.place} ({error.strerror}): make room there, and allow "
            "us to write, or set source.folder to another place"
        ) from error

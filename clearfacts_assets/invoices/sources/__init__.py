"""Where invoices come from, one file each: the file's name is the kind, and its ``opened(options)`` makes a client.

A line in SOURCES registers it. A source gives every document an id that is fit for our database.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from clearfacts_assets.outgoing.network import DIRECT, Network

if TYPE_CHECKING:  # the settings look here for names alone, and need no client for that
    from clearfacts_assets.invoices.ports import InvoiceSource

ID_CHARACTERS = 255  # what the column invoices.invoice_id holds

Version = tuple[str, datetime]  # a file's id, and a time by which it may have been taken


class Memory(Protocol):
    """What this installation has taken before, in a run of whatever day."""

    def since(self) -> datetime | None:
        """When it began to take anything; None if it never did."""
        ...

    def taken(self, versions: Sequence[Version]) -> set[Version]:
        """Those of the versions that it has taken, and that no run has to take again."""
        ...

    def settled(self, versions: Sequence[Version]) -> set[Version]:
        """Those of them that wait for nothing any more: neither for a run, nor for a time, nor for a person."""
        ...

    def finished(self, marks: Collection[str]) -> set[str]:
        """Those of the marks that :meth:`finish` was told."""
        ...

    def finish(self, marks: Collection[str]) -> None:
        """Keep the marks of files that nobody has to open again."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a kind of source is found: the setting of ``source`` that says it, and what that means to people."""

    setting: str
    meaning: str


SOURCES: dict[str, Place] = {
    "java_backend": Place("base_url", "the Java backend's address, without /invoices"),
    "folder": Place("folder", "the folder of dropped UBL files"),
    "inbox": Place("folder", "the folder of dropped mails, ZIP archives, PDFs and UBL files"),
    "statements": Place("folder", "the folder of invoices that chargeback makes of statements"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What a source is given, each takes what it needs. Times in seconds."""

    place: str  # what the setting of its Place says
    token: str = field(default="", repr=False)
    page_size: int = 100
    connect_timeout: float = 5
    deadline: float = 60
    attempts: int = 4
    longest_wait: float = 30
    page_bytes: int = 64 * 2**20
    document_bytes: int = 20 * 2**20
    correlation_id: str = ""
    network: Network = DIRECT
    memory: Memory | None = None
    # Puts what our database keeps for the folder into it; raises OSError. For a source whose files are our own.
    fill_folder: Callable[[Path], object] | None = None


def place_of(kind: str) -> Place:
    """Raises LookupError where there is no such source."""
    if kind not in SOURCES:
        raise LookupError(f"there is no source {kind!r}; there are {', '.join(SOURCES)}")
    return SOURCES[kind]


def open_source(kind: str, options: SourceOptions) -> InvoiceSource:
    """A client, to be closed. Raises LookupError for an unknown kind, ValueError for options that cannot be used,
    SourceError where its place cannot be made ready."""
    place_of(kind)
    source: InvoiceSource = importlib.import_module(f"{__name__}.{kind}").opened(options)
    return source


def is_fit_for_id(text: str) -> bool:
    """Whether a text can be an invoice's id: one line, printable, not too long."""
    return 1 <= len(text) <= ID_CHARACTERS and text.isprintable()

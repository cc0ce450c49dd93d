"""Source -> rows: take over what the source has, page by page, so that a fault on page 7 costs only what follows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from clearfacts_assets.invoices.model import SourceDocument, Window
from clearfacts_assets.invoices.ports import InvoiceNotFound, InvoiceSource, SourceError

NEVER = datetime.fromtimestamp(0, tz=UTC)  # an invoice that the source does not have was never changed


@dataclass(frozen=True, slots=True)
class Stored:
    """What storing one page came to, in rows."""

    new: int = 0
    repeated: int = 0  # the same row again
    replaced: int = 0  # the same row again with other content, changed later: that one counts
    unusable: int = 0  # recorded as failed; also counted as new or replaced
    delivered_before: int = 0  # recorded as duplicate: this content; also counted as new or replaced


Store = Callable[[Sequence[SourceDocument]], Stored]


@dataclass(slots=True)
class Retrieval:
    """What came in. ``rows`` counts what the source handed over; the others say what it was."""

    pages: int = 0
    rows: int = 0
    invoices: int = 0  # different ones among the rows: so many have to be in the job at its end
    bytes: int = 0
    new: int = 0
    repeated: int = 0  # the same row again, on another page
    replaced: int = 0  # the same row again, changed in between: the later one counts
    unusable: int = 0  # rows without a usable document; recorded as failed
    delivered_before: int = 0  # this content; recorded as duplicate
    stopped: str = ""  # why the retrieval ended early; empty when it is complete
    missing: list[str] = field(default_factory=list)  # asked for by id, unknown to the source

    def add(self, page: Sequence[SourceDocument], stored: Stored) -> None:
        self.pages += 1
        self.rows += len(page)
        self.bytes += sum(len(document.content) for document in page)
        self.new += stored.new
        self.repeated += stored.repeated
        self.replaced += stored.replaced
        self.unusable += stored.unusable
        self.delivered_before += stored.delivered_before


def retrieve_window(
    source: InvoiceSource, window: Window, store: Store, progress: Callable[[Retrieval], None]
) -> Retrieval:
    """Everything of the window. A source that fails after some pages gives what it gave, and ``stopped`` says why.

    Raises SourceError when not even the first page could be had: then there is nothing to go on with.
    """
    return _take(source.pages(window), store, progress)


def retrieve_chosen(
    source: InvoiceSource, invoice_ids: Iterable[str], store: Store, progress: Callable[[Retrieval], None]
) -> Retrieval:
    """The named invoices, whenever they were changed. Unknown ids are recorded as failed rows and listed as missing."""
    missing: list[str] = []

    def pages() -> Iterator[list[SourceDocument]]:
        for invoice_id in invoice_ids:
            try:
                yield [source.one(invoice_id)]
            except InvoiceNotFound as error:
                missing.append(invoice_id)
                yield [SourceDocument(invoice_id, NEVER, b"", problem=str(error))]

    retrieval = _take(pages(), store, progress)
    retrieval.missing = missing
    return retrieval


def _take(pages: Iterator[list[SourceDocument]], store: Store, progress: Callable[[Retrieval], None]) -> Retrieval:
    retrieval, seen = Retrieval(), set[str]()
    while True:
        try:
            page = next(pages, None)
        except SourceError as error:
            if retrieval.pages == 0:
                raise
            retrieval.stopped = str(error)
            return retrieval
        if page is None:
            return retrieval
        retrieval.add(page, store(page))
        # Counted apart from the store, whose own count a commit of which nobody hears would make wrong.
        seen.update(document.invoice_id for document in page)
        retrieval.invoices = len(seen)
        progress(retrieval)

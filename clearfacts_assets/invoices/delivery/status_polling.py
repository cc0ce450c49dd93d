"""What became of delivered documents: the destination is asked, some at a time, and says so or does not.

A question changes nothing there, so one without an answer is simply asked again another day.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from clearfacts_assets.invoices.ports import DestinationError, FiledDocument, ReportsDocumentStatus

logger = logging.getLogger(__name__)

FINAL_PAYMENT_STATES = frozenset({"PAID"})  # nothing more will be heard of such a document


class DocumentStatus(StrEnum):
    """Whether the destination still knows a document."""

    FOUND = "found"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class DocumentState:
    """What the destination said last of a document; ``status`` is None where it never said anything."""

    document_id: str
    status: DocumentStatus | None
    document_type: str | None
    document_date: str | None  # as it was told
    payment_state: str | None
    asked_at: datetime
    answered_at: datetime | None
    changed_at: datetime | None  # when an answer last differed from the one before

    @property
    def in_words(self) -> str:
        """``UNPAID``, ``found``, ``missing`` or ``not answered yet``."""
        if self.status is DocumentStatus.FOUND:
            return self.payment_state or self.status
        return self.status or "not answered yet"


@dataclass(frozen=True, slots=True)
class DueDocument:
    """A delivered document that is to be asked about."""

    delivery_id: UUID
    document_id: str
    number: str
    supplier: str
    known: DocumentState | None  # None before the first question about this document


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, or ``problem`` that says why there is none."""

    document: DueDocument
    filed: FiledDocument | None = None  # None in an answer: the destination has no such document
    problem: str = ""

    @property
    def is_first(self) -> bool:
        """Whether this document was never answered before."""
        known = self.document.known
        return not self.problem and (known is None or known.status is None)

    @property
    def changed(self) -> bool:
        """Whether this is another answer than the one before."""
        known = self.document.known
        return not (self.problem or self.is_first) and known is not None and self.facts != _facts_of(known)

    @property
    def facts(self) -> tuple[DocumentStatus, str | None, str | None, str | None]:
        """Status, type, date and payment state."""
        if self.filed is None:
            return DocumentStatus.MISSING, None, None, None
        return DocumentStatus.FOUND, self.filed.type, self.filed.date, self.filed.payment_state

    @property
    def before(self) -> str:
        return self.document.known.in_words if self.document.known else "not answered yet"

    @property
    def after(self) -> str:
        status, _, _, payment_state = self.facts
        return payment_state or status


def _facts_of(known: DocumentState) -> tuple[DocumentStatus | None, str | None, str | None, str | None]:
    return known.status, known.document_type, known.document_date, known.payment_state


def poll(
    batches: Iterable[Sequence[DueDocument]],
    destination: ReportsDocumentStatus,
    *,
    concurrency: int,
    give_up_after: int,
    over: threading.Event,
) -> Iterator[list[Reply]]:
    """Ask about all documents, ``concurrency`` at once; yields the replies of one batch after the other.

    After ``give_up_after`` questions in a row without an answer nothing more is asked: the rest stays as it is, and is
    not among the replies. ``over`` is set as soon as no answer is wanted any more, however it ends: a destination that
    waits to ask again should stop then, for its threads are waited for.
    """
    inquiry = _Inquiry(destination, give_up_after, over)
    with ThreadPoolExecutor(concurrency, thread_name_prefix="inquiry") as pool:
        try:
            for batch in batches:
                yield [reply for reply in pool.map(inquiry.ask, batch) if reply is not None]
                if inquiry.given_up:
                    return
        finally:
            over.set()


@dataclass(slots=True)
class _Inquiry:
    destination: ReportsDocumentStatus
    give_up_after: int
    over: threading.Event
    unanswered: int = 0  # in a row
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def given_up(self) -> bool:
        return self.unanswered >= self.give_up_after

    def ask(self, document: DueDocument) -> Reply | None:
        if self.given_up or self.over.is_set():
            return None
        try:
            reply = Reply(document, self.destination.document(document.document_id))
        except DestinationError as error:
            reply = Reply(document, problem=str(error))
        except Exception as error:
            logger.exception("the destination's client failed on a question about delivery %s", document.delivery_id)
            reply = Reply(document, problem=f"the client failed ({type(error).__name__})")
        with self.lock:
            if not self.given_up:  # what was under way by then changes nothing any more
                self.unanswered = self.unanswered + 1 if reply.problem else 0
        return reply

"""What the core needs from outside, said by the core: a source, rule sets, a destination, a ledger.

Adapters under ``sources/``, ``rules/`` and ``destinations/`` and the repositories under ``storage/`` fill these.

Errors that an adapter may raise::

    SourceError                 the source could not be read; what was read before stays valid
      SourceUnavailable         unreachable, overloaded or failing, after bounded retries
      SourceDenied              it refuses our credentials (401, 403)
      SourceProtocolError       it answered something that its contract does not allow
      InvoiceNotFound           no invoice with this id
    DestinationError            only from questions: sending never raises for what the other side did
      DestinationDenied         it refuses our credentials (401, 403), or they lack a right
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable
from uuid import UUID

from lxml import etree

from clearfacts_assets.invoices.ledger.model import Candidate, Claim, DeliveryRecord, Force, Registration, Settlement
from clearfacts_assets.invoices.model import Finding, InvoiceKey, SourceDocument, Window
from clearfacts_assets.outcome_kinds import OutcomeKind


class SourceError(Exception):
    """The source could not be read. The message says what, where and what to do."""


class SourceUnavailable(SourceError):
    """The source is unreachable, overloaded or failing, after bounded retries."""


class SourceDenied(SourceError):
    """The source refuses our credentials."""


class SourceProtocolError(SourceError):
    """The source answered something that its contract does not allow."""


class InvoiceNotFound(SourceError):
    """The source knows no invoice with this id."""


class DestinationError(Exception):
    """The destination cannot be used now. The message says what, where and what to do."""


class DestinationDenied(DestinationError):
    """The destination refuses our credentials, or they do not allow this question."""


class InvoiceSource(Protocol):
    """Where invoices come from."""

    name: str

    def pages(self, window: Window) -> Iterator[list[SourceDocument]]:
        """What was created or changed in the window, lazily, a page at a time, in the source's order.

        Raises SourceError when the next page cannot be had; the pages before it stay valid.
        """
        ...

    def one(self, invoice_id: str) -> SourceDocument:
        """One invoice by the source's id, whenever it was changed. Raises SourceError."""
        ...

    def check(self) -> str:
        """Ask for as little as proves that the source answers us. Returns what it said; raises SourceError."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A document that has passed safe parsing: what every rule set is given. Its bytes are not needed any more."""

    root: etree._Element
    size: int  # bytes
    shared: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)  # read by one layer, used by others


class RuleSet(Protocol):
    """One layer of validation. Adding one is adding a file under ``rules/``."""

    layer: str
    version: str  # read from the artefact, never typed in

    def check(self, document: ParsedDocument) -> list[Finding]:
        """Everything this layer finds. A document that breaks the engine is a finding too, never an exception."""
        ...


class TwoSteps(RuleSet, Protocol):
    """A rule set that can look at a document now and think about it when the document's memory is free again."""

    def begin(self, document: ParsedDocument) -> Callable[[], list[Finding]]:
        """What ``check`` finds, for later: it holds nothing of the document, and its findings have their lines."""
        ...


@dataclass(frozen=True, slots=True)
class Submission:
    """One document on its way out."""

    key: InvoiceKey
    content: bytes
    content_sha256: str
    file_name: str  # carries a digest of the key, so that a person can find the document at the destination
    administration: str  # VAT number of the Clearfacts file (company) that it belongs to
    invoice_type: str  # PURCHASE or SALE, as Clearfacts' InvoiceTypeArgument has it
    idempotency_key: str  # the same for every automatic attempt; another one only after a person's decision
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The destination has it, and says under which id."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.ACCEPTED
    document_id: str
    response: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """The destination has looked at it and will never take it as it is."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.REFUSED
    code: str
    message: str
    response: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may or may not have been accepted: nobody sends it again without proof or a person's decision."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.UNKNOWN
    reason: str
    response: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotSent:
    """Provably not accepted, and worth another try: no connection was made, or the destination said 429."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.NOT_SENT
    reason: str
    retry_after: float | None = None  # seconds, as the destination asked, already capped
    response: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Denied:
    """Our credentials are refused (401, 403): nothing was accepted and nothing else will be. Pause the destination."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.DENIED
    reason: str
    response: dict[str, Any] = field(default_factory=dict)


Outcome = Accepted | Refused | Unknown | NotSent | Denied


@dataclass(frozen=True, slots=True)
class Absent:
    """The destination was asked, and provably does not have it."""


LookUp = Accepted | Absent | Unknown  # what the destination says when it is asked for a submission


class Destination(Protocol):
    """Where invoices go. Implementations are safe to call from several threads."""

    name: str  # part of the business key: clearfacts
    transport: str  # by which it is spoken to; what was sent by another one, it cannot be asked about
    honours_idempotency_key: bool  # the same key sent twice is accepted once
    can_look_up: bool
    longest_number: int  # characters of an invoice's number that it takes

    def send(self, submission: Submission) -> Outcome:
        """Send once, within one total deadline, without retries. Never raises for what the other side does."""
        ...

    def look_up(self, submission: Submission) -> LookUp:
        """Whether it has this submission: Accepted, Absent for provably not, Unknown where it cannot be told."""
        ...

    def check(self) -> str:
        """Ask for as little as proves that our credentials work. Returns what it said; raises DestinationError."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Administration:
    """A company's file at the destination that our token may see."""

    name: str
    company_number: str  # ten digits, without BE


@runtime_checkable
class ListsAdministrations(Protocol):
    """A destination that says whose documents it takes."""

    def administrations(self) -> list[Administration]:
        """All of them. Raises DestinationError."""
        ...


@dataclass(frozen=True, slots=True)
class FiledDocument:
    """What became of a delivered document; None where the destination does not say."""

    document_id: str
    date: str | None
    type: str | None
    payment_state: str | None


@runtime_checkable
class ReportsDocumentStatus(Protocol):
    """A destination that can be asked what became of a document."""

    def document(self, document_id: str) -> FiledDocument | None:
        """None where it has none with this id. Raises DestinationError where it does not say."""
        ...


class DeliveryLedger(Protocol):
    """The one truth of what has been delivered. Every change goes along an edge of the life cycle, in a transaction."""

    def register(
        self, run_id: UUID, destination: str, candidates: Sequence[Candidate], force: Force | None = None
    ) -> list[Registration]:
        """Find or make the delivery of each candidate, one answer each, in their order.

        Notes that the source shows it under the candidate's id, and no longer what it showed there before. Where it
        stands then follows from all versions of the invoice (decisions.py).
        """
        ...

    def hold(self, reasons: Mapping[UUID, str]) -> dict[UUID, DeliveryRecord]:
        """Make HELD, for its receiver, what may be claimed; each with its reason. Returns all as they are then."""
        ...

    def release(self, delivery_ids: Sequence[UUID]) -> dict[UUID, DeliveryRecord]:
        """Make READY again what is held for its receiver, and nothing else. Returns all as they are then."""
        ...

    def claim(
        self, run_id: UUID, delivery_ids: Sequence[UUID], lease: float, transport: str, correlation_id: str = ""
    ) -> list[DeliveryRecord]:
        """Take those that are due and free, for ``lease`` seconds, each with a recorded attempt; then committed.

        What may have been accepted by another transport is not free.
        """
        ...

    def settle(self, settlements: Sequence[Settlement]) -> dict[UUID, DeliveryRecord]:
        """Write what happened. Returns the deliveries as they are then.

        A settlement whose claim is not the last one any more changes nothing. But an acceptance is always taken as
        proof, however late it comes.
        """
        ...

    def exchange(
        self, settlements: Sequence[Settlement], claim: Claim | None
    ) -> tuple[dict[UUID, DeliveryRecord], list[DeliveryRecord]]:
        """Settle, then claim, in one transaction."""
        ...

    def withdraw(self, run_id: UUID, day: str) -> int:
        """The source has given the whole day to this run: what it showed there before and did not give now, it does
        not have any more, since the run began; what it showed to another run after that is not meant. Returns how
        many ids those are."""
        ...

    def expire(self, dead_run_ids: Collection[UUID] = ()) -> int:
        """Make UNKNOWN what is SENDING under an expired lease or for a run known to be dead. Returns how many."""
        ...

    def park_foreign(self, destination: str, transport: str) -> int:
        """Make PARKED what may have been accepted by another transport. Returns how many.

        Neither does this one's look-up prove anything about it, nor does the other one's idempotency key protect it.
        """
        ...

    def unknown(self, destination: str, limit: int, transport: str | None = None) -> list[DeliveryRecord]:
        """Deliveries that may have been accepted, oldest first; with ``transport`` those that it can be asked about."""
        ...

    def states(self, delivery_ids: Sequence[UUID]) -> dict[UUID, DeliveryRecord]:
        """The deliveries as they are now."""
        ...

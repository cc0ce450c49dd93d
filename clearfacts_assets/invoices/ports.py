"""What the core needs from outside, said by the core: a source, rule sets, a destination, a ledger.

Adapters under ``sources/``, ``rules/`` and ``destinations/`` and the repositories under ``storage/`` fill these.

Errors that an adapter may raise::

    SourceError                 the source could not be read; what was read before stays valid
      SourceUnavailable         unreachable, overloaded or failing, after bounded retries
      SourceDenied              it refuses our credentials (401, 403)
      SourceProtocolError       it answered something that its contract does not allow
      InvoiceNotFound           no invoice with this id
    DestinationError            only from ``check``: sending never raises for what the other side did
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from lxml import etree

from clearfacts_assets.invoices.model import Finding, InvoiceKey, SourceDocument, Window


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
    """A document that has passed safe parsing: what every rule set is given."""

    root: etree._Element
    content: bytes


class RuleSet(Protocol):
    """One layer of validation. Adding one is adding a file under ``rules/``."""

    layer: str
    version: str  # read from the artefact, never typed in

    def check(self, document: ParsedDocument) -> list[Finding]:
        """Everything this layer finds. A document that breaks the engine is a finding too, never an exception."""
        ...


@dataclass(frozen=True, slots=True)
class Parcel:
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

    document_id: str
    response: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """The destination has looked at it and will never take it as it is."""

    code: str
    message: str
    response: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may or may not have been accepted: nobody sends it again without proof or a person's decision."""

    reason: str
    response: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotSent:
    """Provably not accepted, and worth another try: no connection was made, or the destination said 429."""

    reason: str
    retry_after: float | None = None  # seconds, as the destination asked, already capped
    response: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Denied:
    """Our credentials are refused (401, 403): nothing was accepted and nothing else will be. Pause the destination."""

    reason: str
    response: dict[str, Any] = field(default_factory=dict)


Outcome = Accepted | Refused | Unknown | NotSent | Denied


class Destination(Protocol):
    """Where invoices go. Implementations are safe to call from several threads."""

    name: str  # part of the business key: clearfacts
    honours_idempotency_key: bool  # the same key sent twice is accepted once
    can_look_up: bool

    def send(self, parcel: Parcel) -> Outcome:
        """Send once, within one total deadline, without retries. Never raises for what the other side does."""
        ...

    def look_up(self, parcel: Parcel) -> Accepted | Unknown | None:
        """Whether it has this parcel: Accepted, None for provably not, Unknown where it cannot be told."""
        ...

    def check(self) -> str:
        """Ask for as little as proves that our credentials work. Returns what it said; raises DestinationError."""
        ...

    def close(self) -> None: ...

"""What the trade talks about: an invoice, its parties, what was found in it and what was decided.

Everything here is frozen and knows nothing of Dagster, HTTP, SQL or settings. Names in brackets are the
business terms (BT) of the European norm EN 16931-1.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum


class DocumentType(StrEnum):
    """The two UBL 2.1 documents that EN 16931 binds to."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class InvoiceStatus(StrEnum):
    """What became of one invoice in one job; the delivery's finer state stands behind it."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    DUPLICATE = "duplicate"


class Severity(StrEnum):
    """How much a finding weighs, lightest first. Only the policy says which of them is fatal."""

    INFORMATION = "information"
    WARNING = "warning"
    ERROR = "error"


class Decision(StrEnum):
    """What may happen to a document. It follows from the findings by policy, and is kept apart from them."""

    ACCEPT = "accept"
    HOLD = "hold"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount and its ISO 4217 currency. Never built from a float."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            raise TypeError(f"an amount of money is a Decimal, not a {type(self.amount).__name__}")

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


@dataclass(frozen=True, slots=True)
class Party:
    """A supplier (BG-4) or a customer (BG-7).

    ``vat_id`` is BT-31 / BT-48, ``legal_id`` is BT-30 / BT-47, ``endpoint`` is BT-34 / BT-49 with its scheme in
    front (``0208:0123456749``); any of them may be missing in a document that is not a Peppol one.
    """

    name: str
    vat_id: str | None = None
    legal_id: str | None = None
    endpoint: str | None = None

    @property
    def identifier(self) -> str:
        """The most telling identifier there is: VAT number, else legal number, else endpoint, else the name."""
        return self.vat_id or self.legal_id or self.endpoint or self.name


@dataclass(frozen=True, slots=True)
class Invoice:
    """The few facts of a UBL document by which it is recognised, addressed and shown."""

    document_type: DocumentType
    number: str  # BT-1
    issue_date: date  # BT-2
    type_code: str | None  # BT-3, UNCL 1001
    payable: Money  # BT-115 in BT-5
    supplier: Party
    customer: Party
    customization_id: str | None  # BT-24
    profile_id: str | None  # BT-23


@dataclass(frozen=True, slots=True)
class InvoiceKey:
    """By what an invoice is the same invoice, whoever sends it and however often.

    A number is unique per supplier and year by law (VAT directive 2006/112/EC, article 226 (2)); the destination and
    the receiver belong to the key because the same document may rightly go to two of them.
    """

    destination: str
    receiver: str
    supplier: str
    document_type: DocumentType
    number: str
    issue_year: int

    @classmethod
    def of(cls, invoice: Invoice, destination: str) -> InvoiceKey:
        return cls(
            destination=destination,
            receiver=_compact(invoice.customer.identifier),
            supplier=_compact(invoice.supplier.identifier),
            document_type=invoice.document_type,
            number=invoice.number.strip(),
            issue_year=invoice.issue_date.year,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the key, 64 hexadecimal digits: file names and idempotency keys are made of it."""
        parts = (
            self.destination,
            self.receiver,
            self.supplier,
            self.document_type.value,
            self.number,
            str(self.issue_year),
        )
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def _compact(identifier: str) -> str:
    """``BE 0123.456.749`` and ``be0123456749`` are one party: upper case, without blanks and punctuation."""
    return "".join(character for character in identifier.upper() if character.isalnum() or character == ":")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule set has to say of a document. Bad data is a finding; a bad program is an exception."""

    rule: str  # the rule's published id: BR-CO-10, PEPPOL-EN16931-R003, XSD, ...
    layer: str  # the rule set that found it: ubl_xsd, en16931, peppol_bis3, belgium, ...
    severity: Severity
    message: str
    location: str = ""  # XPath
    line: int | None = None
    hint: str = ""  # the same in business words, where we have them


@dataclass(frozen=True, slots=True)
class Report:
    """All that validation has to say of one document; the same content always gets the same report."""

    sha256: str  # of the bytes as they were received
    size: int  # bytes
    profile: str  # how the document was routed: peppol_bis3, self_billing, en16931, ubl_be, e_fff, unknown
    invoice: Invoice | None  # None where not even the head could be read
    decision: Decision
    findings: tuple[Finding, ...]
    versions: tuple[tuple[str, str], ...]  # (layer, version of its artefact), of the layers that ran
    duration: float  # seconds

    @property
    def reason(self) -> str:
        """In one line, why the document was not accepted; empty if it was."""
        if self.decision is Decision.ACCEPT:
            return ""
        decisive = [finding for finding in self.findings if finding.severity is Severity.ERROR] or list(self.findings)
        if not decisive:
            return f"{self.decision.value}: no rule set applies to profile {self.profile}"
        first, others = decisive[0], len(decisive) - 1
        where = f" (line {first.line})" if first.line else ""
        more = f" and {others} more" if others else ""
        return f"{first.rule}: {first.hint or first.message}{where}{more}"


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open stretch of time, ``start <= t < end``, both in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for moment in (self.start, self.end):
            if moment.utcoffset() is None:
                raise ValueError("a window is made of times with a zone")


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """One document as a source hands it over, before anybody has looked inside."""

    invoice_id: str  # the source's own id: the ERP's, or a file's path
    updated_at: datetime  # UTC
    content: bytes  # the XML; empty where there is a problem
    problem: str = ""  # why this record cannot be used, in words for a person; it then fails, the others go on

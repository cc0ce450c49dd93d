"""What the trade talks about: an invoice, its parties, what was found in it and what was decided.

Everything here is frozen and knows nothing of Dagster, HTTP, SQL or settings. Names in brackets are the
business terms (BT) of the European norm EN 16931-1.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from clearfacts_assets.invoices.parties import Party as Party
from clearfacts_assets.invoices.parties import normal_form
from clearfacts_assets.money import Money

# UNCL 1001 as EN 16931 divides it: what BT-3 says of a credit note. Any other code is some kind of invoice.
CREDIT_NOTE_CODES = frozenset(["81", "83", "261", "262", "296", "308", "381", "396", "420", "458", "532"])


class DocumentType(StrEnum):
    """Whether a document charges or credits; UBL 2.1 has a document for each, and ``kind_of`` says which one it is."""

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


@dataclass(frozen=True, slots=True, eq=False)
class InvoiceKey:
    """By what an invoice is the same invoice, whoever sends it and however often. Equal keys have one digest.

    A number is unique per supplier and year by law (VAT directive 2006/112/EC, article 226 (2)); the destination and
    the receiver belong to the key because the same document may rightly go to two of them. ``docs/delivery.md`` says
    what is one invoice and what is two.
    """

    destination: str
    receiver: str  # a party's normal form, as the supplier is
    supplier: str
    document_type: DocumentType
    number: str  # as it is written, for people
    issue_year: int
    _digest: str = field(default="", init=False, repr=False)  # once it was asked for

    @classmethod
    def of(cls, invoice: Invoice, destination: str) -> InvoiceKey:
        return cls(
            destination=destination,
            receiver=normal_form(invoice.customer),
            supplier=normal_form(invoice.supplier),
            document_type=kind_of(invoice.document_type, invoice.type_code),
            number=invoice.number.strip(),
            issue_year=invoice.issue_date.year,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the key, 64 hexadecimal digits: file names and idempotency keys are made of it."""
        if not self._digest:
            object.__setattr__(self, "_digest", self._digested())
        return self._digest

    def _digested(self) -> str:
        parts = (
            self.destination,
            self.receiver,
            self.supplier,
            self.document_type.value,
            number_form(self.number),
            str(self.issue_year),
        )
        return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, InvoiceKey) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)


def number_form(number: str) -> str:
    """The number as it is compared: no blanks, upper case, one kind of hyphen; zeros and all other marks stay.

    ``2026/7`` and ``2026-7`` are two, for in one series 1/11 and 11/1 would else be one.
    """
    if number.isascii():
        return "".join(number.upper().split()) or number
    ordinary = unicodedata.normalize("NFKC", number).upper()
    form = "".join(
        "-" if unicodedata.category(character) == "Pd" else character
        for character in ordinary
        if not character.isspace() and unicodedata.category(character) != "Cf"
    )
    return form or number


def kind_of(document_type: DocumentType, type_code: str | None) -> DocumentType:
    """A credit note is one by its root element or by its code: some systems write it as an Invoice of type 381."""
    return DocumentType.CREDIT_NOTE if type_code in CREDIT_NOTE_CODES else document_type


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

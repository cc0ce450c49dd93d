"""The words of invoices that are made of statements: parties, VAT, lines, documents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.money import EXACT, exact_sum, exponent, rounded

MOST_PLACES = 2  # of an amount in a Peppol invoice


class DocumentKind(StrEnum):
    """What a document is."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"

    @property
    def other(self) -> DocumentKind:
        return DocumentKind.CREDIT_NOTE if self is DocumentKind.INVOICE else DocumentKind.INVOICE


class CannotInvoice(ChargebackError):
    """A statement of which no invoice can be made; its text says what is missing."""


@dataclass(frozen=True, slots=True)
class Party:
    """Who sends or gets an invoice, as Peppol wants to know it. ``endpoint`` is scheme and number: 0208:0203201340."""

    name: str
    vat: str
    endpoint: str
    street: str
    city: str
    postal_code: str
    country: str
    company_number: str = ""
    contact: str = ""
    email: str = ""
    iban: str = ""
    bic: str = ""
    buyer_reference: str = ""
    vat_category: str = "S"
    vat_percent: Decimal = Decimal(21)
    vat_reason: str = ""  # a code of VATEX, where the category is an exemption


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """What is asked for a service on a fund. Below zero it is given back."""

    name: str
    note: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Document:
    """One invoice or credit note. Its total is that of the lines, to the cent; VAT is rounded once."""

    kind: DocumentKind
    number: str
    statement: str
    version: int
    period: str
    currency: str
    issued: date
    due_by: date
    customer: str  # the institution, as the registry names it
    lines: tuple[InvoiceLine, ...]
    vat_category: str
    vat_percent: Decimal
    vat_reason: str = ""
    names: str = ""  # the document that it takes back, by number
    names_issued: date | None = None

    @property
    def net(self) -> Decimal:
        return exact_sum(one.amount for one in self.lines)

    @property
    def vat(self) -> Decimal:
        return rounded(EXACT.multiply(self.net, self.vat_percent) / 100, self.currency)

    @property
    def gross(self) -> Decimal:
        return EXACT.add(self.net, self.vat)

    def taken_back(self, number: str, today: date) -> Document:
        """The document that takes this one back as a whole, naming it: the same lines, the other kind."""
        return replace(
            self, kind=self.kind.other, number=number, issued=today, due_by=today, names=self.number,
            names_issued=self.issued,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """What a version of a statement asks for."""

    number: str
    version: int
    period: str
    currency: str
    lines: tuple[InvoiceLine, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """Who is asked, from when on, until when it is paid."""

    customer: str  # the institution, as the registry names it
    party: Party
    issued: date
    due_by: date


def document_of(asked: Asked, terms: Terms) -> Document:
    """The document of a statement: an invoice, or where money is given back a credit note. Raises CannotInvoice."""
    if exponent(asked.currency) > MOST_PLACES:
        raise CannotInvoice(
            "{number}: Peppol knows no amounts of {places} places ({currency})",
            number=asked.number,
            places=exponent(asked.currency),
            currency=asked.currency,
        )
    invoiced = exact_sum(one.amount for one in asked.lines) >= 0
    lines = asked.lines if invoiced else tuple(replace(one, amount=EXACT.minus(one.amount)) for one in asked.lines)
    return Document(
        DocumentKind.INVOICE if invoiced else DocumentKind.CREDIT_NOTE,
        f"{asked.number}-{asked.version}",
        asked.number,
        asked.version,
        asked.period,
        asked.currency,
        terms.issued,
        terms.due_by if invoiced else terms.issued,
        terms.customer,
        lines,
        terms.party.vat_category,
        terms.party.vat_percent,
        terms.party.vat_reason,
    )

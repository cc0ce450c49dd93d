"""The words of invoices that are made of statements: parties, VAT, lines, documents."""

from __future__ import annotations

from collections.abc import Sequence
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


def document_of(
    number: str,
    version: int,
    period: str,
    currency: str,
    lines: Sequence[InvoiceLine],
    customer: str,
    party: Party,
    issued: date,
    due_by: date,
) -> Document:
    """The document of a statement: an invoice, or where money is given back a credit note. Raises CannotInvoice."""
    if exponent(currency) > MOST_PLACES:
        raise CannotInvoice(f"{number}: Peppol knows no amounts of {exponent(currency)} places ({currency})")
    total = exact_sum(one.amount for one in lines)
    kind = DocumentKind.INVOICE if total >= 0 else DocumentKind.CREDIT_NOTE
    if kind is DocumentKind.CREDIT_NOTE:
        lines = [replace(one, amount=EXACT.minus(one.amount)) for one in lines]
    return Document(
        kind,
        f"{number}-{version}",
        number,
        version,
        period,
        currency,
        issued,
        due_by if kind is DocumentKind.INVOICE else issued,
        customer,
        tuple(lines),
        party.vat_category,
        party.vat_percent,
        party.vat_reason,
    )

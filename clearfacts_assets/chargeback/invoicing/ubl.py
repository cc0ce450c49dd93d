"""A document as UBL 2.1 in the profile Peppol BIS Billing 3.0, with the statement's PDF embedded."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from lxml import etree

from clearfacts_assets.chargeback.invoicing.model import Document, DocumentKind, InvoiceLine, Party
from clearfacts_assets.money import EXACT, plain

CUSTOMIZATION = "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
PROFILE = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"
_UBL = "urn:oasis:names:specification:ubl:schema:xsd:"
CAC, CBC = f"{_UBL}CommonAggregateComponents-2", f"{_UBL}CommonBasicComponents-2"
_NAMES = {DocumentKind.INVOICE: "Invoice", DocumentKind.CREDIT_NOTE: "CreditNote"}
_CODES = {DocumentKind.INVOICE: "380", DocumentKind.CREDIT_NOTE: "381"}
PIECE = "C62"  # one, as UN/ECE Rec 20 counts pieces
_LONGEST_NAME = 200  # characters of a line's name
Element = etree._Element


@dataclass(frozen=True, slots=True)
class Attachment:
    """The statement itself."""

    file_name: str
    pdf: bytes


def written(document: Document, supplier: Party, customer: Party, attachment: Attachment) -> bytes:
    """The XML, as UTF-8. The same document gives the same bytes."""
    return _Writer(document, supplier, customer, attachment).bytes()


class _Writer:
    """Elements in the order that the schema wants."""

    def __init__(self, document: Document, supplier: Party, customer: Party, attachment: Attachment) -> None:
        self.document, self.supplier, self.customer, self.attachment = document, supplier, customer, attachment
        self.name = _NAMES[document.kind]
        namespaces = {None: f"{_UBL}{self.name}-2", "cac": CAC, "cbc": CBC}
        self.root = etree.Element(f"{{{_UBL}{self.name}-2}}{self.name}", nsmap=namespaces)  # type: ignore[arg-type]

    def bytes(self) -> bytes:
        self._head()
        self._references()
        self._party("AccountingSupplierParty", self.supplier)
        self._party("AccountingCustomerParty", self.customer)
        self._payment()
        self._tax()
        self._totals()
        for position, line in enumerate(self.document.lines, start=1):
            self._line(position, line)
        return etree.tostring(self.root, xml_declaration=True, encoding="UTF-8")

    def _head(self) -> None:
        said, root = self.document, self.root
        _text(root, "CustomizationID", CUSTOMIZATION)
        _text(root, "ProfileID", PROFILE)
        _text(root, "ID", said.number)
        _text(root, "IssueDate", said.issued.isoformat())
        if said.kind is DocumentKind.INVOICE:
            _text(root, "DueDate", said.due_by.isoformat())
        _text(root, f"{self.name}TypeCode", _CODES[said.kind])
        why = f", taking back {said.names}" if said.names else ""
        _text(root, "Note", f"Statement {said.statement}, version {said.version}, of {said.period}{why}")
        _text(root, "DocumentCurrencyCode", said.currency)
        _text(root, "BuyerReference", self.customer.buyer_reference or said.statement)

    def _references(self) -> None:
        said = self.document
        if said.names:
            reference = _node(_node(self.root, "BillingReference"), "InvoiceDocumentReference")
            _text(reference, "ID", said.names)
            if said.names_issued:
                _text(reference, "IssueDate", said.names_issued.isoformat())
        reference = _node(self.root, "AdditionalDocumentReference")
        _text(reference, "ID", said.statement)
        _text(reference, "DocumentDescription", f"Statement of charges of {said.period}")
        content = base64.b64encode(self.attachment.pdf).decode()
        embedded = _text(_node(reference, "Attachment"), "EmbeddedDocumentBinaryObject", content)
        embedded.set("mimeCode", "application/pdf")
        embedded.set("filename", self.attachment.file_name)

    def _party(self, role: str, party: Party) -> None:
        node = _node(_node(self.root, role), "Party")
        scheme, _, endpoint = party.endpoint.partition(":")
        _text(node, "EndpointID", endpoint).set("schemeID", scheme)
        _text(_node(node, "PartyName"), "Name", party.name)
        address = _node(node, "PostalAddress")
        for name, value in (("StreetName", party.street), ("CityName", party.city), ("PostalZone", party.postal_code)):
            if value:
                _text(address, name, value)
        _text(_node(address, "Country"), "IdentificationCode", party.country)
        if party.vat and self.document.vat_category != "O":
            tax = _node(node, "PartyTaxScheme")
            _text(tax, "CompanyID", party.vat)
            _text(_node(tax, "TaxScheme"), "ID", "VAT")
        entity = _node(node, "PartyLegalEntity")
        _text(entity, "RegistrationName", party.name)
        if party.company_number:
            _text(entity, "CompanyID", party.company_number)
        if party.contact or party.email:
            contact = _node(node, "Contact")
            for name, value in (("Name", party.contact), ("ElectronicMail", party.email)):
                if value:
                    _text(contact, name, value)

    def _payment(self) -> None:
        said = self.document
        if self.supplier.iban:
            means = _node(self.root, "PaymentMeans")
            _text(means, "PaymentMeansCode", "30").set("name", "Credit transfer")
            _text(means, "PaymentID", said.number)
            account = _node(means, "PayeeFinancialAccount")
            _text(account, "ID", self.supplier.iban.replace(" ", ""))
            _text(account, "Name", self.supplier.name)
            if self.supplier.bic:
                _text(_node(account, "FinancialInstitutionBranch"), "ID", self.supplier.bic)
        if said.kind is DocumentKind.INVOICE:
            days = (said.due_by - said.issued).days
            _text(_node(self.root, "PaymentTerms"), "Note", f"Payable within {days} days")

    def _tax(self) -> None:
        said, total = self.document, _node(self.root, "TaxTotal")
        self._amount(total, "TaxAmount", said.vat)
        part = _node(total, "TaxSubtotal")
        self._amount(part, "TaxableAmount", said.net)
        self._amount(part, "TaxAmount", said.vat)
        self._category(part, "TaxCategory", with_reason=True)

    def _totals(self) -> None:
        said, total = self.document, _node(self.root, "LegalMonetaryTotal")
        for name, amount in (
            ("LineExtensionAmount", said.net),
            ("TaxExclusiveAmount", said.net),
            ("TaxInclusiveAmount", said.gross),
            ("PayableAmount", said.gross),
        ):
            self._amount(total, name, amount)

    def _line(self, position: int, line: InvoiceLine) -> None:
        node = _node(self.root, f"{self.name}Line")
        _text(node, "ID", str(position))
        if line.note:
            _text(node, "Note", line.note)
        counted = "InvoicedQuantity" if self.document.kind is DocumentKind.INVOICE else "CreditedQuantity"
        # A price is never below zero: what is given back is a piece less.
        _text(node, counted, "-1" if line.amount < 0 else "1").set("unitCode", PIECE)
        self._amount(node, "LineExtensionAmount", line.amount)
        item = _node(node, "Item")
        _text(item, "Name", line.name[:_LONGEST_NAME])
        self._category(item, "ClassifiedTaxCategory")
        price = EXACT.minus(line.amount) if line.amount < 0 else line.amount
        self._amount(_node(node, "Price"), "PriceAmount", price)

    def _category(self, parent: Element, name: str, *, with_reason: bool = False) -> None:
        said, node = self.document, _node(parent, name)
        _text(node, "ID", said.vat_category)
        if said.vat_category != "O":
            _text(node, "Percent", plain(said.vat_percent))
        if with_reason and said.vat_reason:
            _text(node, "TaxExemptionReasonCode", said.vat_reason)
        _text(_node(node, "TaxScheme"), "ID", "VAT")

    def _amount(self, parent: Element, name: str, amount: Decimal) -> None:
        _text(parent, name, plain(amount)).set("currencyID", self.document.currency)


def _node(parent: Element, name: str) -> Element:
    return etree.SubElement(parent, f"{{{CAC}}}{name}")


def _text(parent: Element, name: str, text: str) -> Element:
    node = etree.SubElement(parent, f"{{{CBC}}}{name}")
    node.text = "".join(_clean(text))
    return node


def _clean(text: str) -> Iterator[str]:
    """What XML can hold, on one line."""
    for one in text:
        yield one if one.isprintable() else " "

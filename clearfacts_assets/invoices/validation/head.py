"""The head of a document: the number, day, amount and parties that name it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal

from lxml import etree

from clearfacts_assets.invoices.model import DocumentType, Invoice, Party, kind_of
from clearfacts_assets.invoices.validation.ubl import (
    CAC,
    CBC,
    CUSTOMIZATION_ID,
    PROFILE_ID,
    ROOTS,
    Unreadable,
    value_of,
)
from clearfacts_assets.money import Money
from clearfacts_assets.xpath_compiler.elements import Element

_ID, _ISSUE_DATE, _CURRENCY = f"{{{CBC}}}ID", f"{{{CBC}}}IssueDate", f"{{{CBC}}}DocumentCurrencyCode"
_TYPE_CODES = {
    DocumentType.INVOICE: f"{{{CBC}}}InvoiceTypeCode",
    DocumentType.CREDIT_NOTE: f"{{{CBC}}}CreditNoteTypeCode",
}
_MONETARY_TOTAL, _PAYABLE = f"{{{CAC}}}LegalMonetaryTotal", f"{{{CBC}}}PayableAmount"
_SUPPLIER, _CUSTOMER = f"{{{CAC}}}AccountingSupplierParty", f"{{{CAC}}}AccountingCustomerParty"
_PARTY, _PARTY_NAME, _NAME = f"{{{CAC}}}Party", f"{{{CAC}}}PartyName", f"{{{CBC}}}Name"
_LEGAL_ENTITY, _REGISTRATION_NAME = f"{{{CAC}}}PartyLegalEntity", f"{{{CBC}}}RegistrationName"
_PARTY_TAX_SCHEME, _TAX_SCHEME = f"{{{CAC}}}PartyTaxScheme", f"{{{CAC}}}TaxScheme"
_COMPANY_ID, _ENDPOINT = f"{{{CBC}}}CompanyID", f"{{{CBC}}}EndpointID"
_PARTY_IDENTIFICATION, _ADDRESS = f"{{{CAC}}}PartyIdentification", f"{{{CAC}}}PostalAddress"
_COUNTRY, _COUNTRY_CODE = f"{{{CAC}}}Country", f"{{{CBC}}}IdentificationCode"

Node = etree._Element | Element  # as lxml has it, or as an index of elements does

_DECIMAL = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)")
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:Z|[+-]\d{2}:\d{2})?")


def read_invoice(root: Node) -> Invoice:
    """The head of a document, by its root. Raises Unreadable (DOC-HEAD) where one of the first four is missing.

    Reads BT-1, BT-2, BT-5, BT-115; BT-3, BT-23, BT-24; and of both parties name, country and all identifiers.
    """
    type_code = _said(root, _TYPE_CODES[ROOTS[root.tag]])
    payable = _first(root, _MONETARY_TOTAL, _PAYABLE)
    currency = _said(root, _CURRENCY) or (payable is not None and _attribute(payable, "currencyID"))
    return Invoice(
        document_type=kind_of(ROOTS[root.tag], type_code),
        number=_needed(_said(root, _ID), "number (BT-1, cbc:ID)"),
        issue_date=_date(_said(root, _ISSUE_DATE)),
        type_code=type_code,
        payable=Money(_amount(payable), _needed(currency or None, "currency (BT-5, cbc:DocumentCurrencyCode)").upper()),
        supplier=_party(_first(root, _SUPPLIER, _PARTY)),
        customer=_party(_first(root, _CUSTOMER, _PARTY)),
        customization_id=_said(root, CUSTOMIZATION_ID),
        profile_id=_said(root, PROFILE_ID),
    )


def _party(party: Node | None) -> Party:
    if party is None:
        return Party(name="")
    vat, *more_vat = [*_vat_ids(party), (None, None)]
    legal_id, legal_scheme = _identifier(_first(party, _LEGAL_ENTITY), _COMPANY_ID)
    others = [
        _with_scheme(_identifier(identification, _ID)) for identification in _children(party, _PARTY_IDENTIFICATION)
    ]
    others += [f"VAT:{number}" for number, _ in more_vat if number]
    return Party(
        name=_said(party, _LEGAL_ENTITY, _REGISTRATION_NAME) or _said(party, _PARTY_NAME, _NAME) or "",
        vat_id=vat[0],
        legal_id=legal_id,
        endpoint=_with_scheme(_identifier(party, _ENDPOINT)),
        legal_scheme=legal_scheme,
        vat_scheme=vat[1],
        other_ids=tuple(other for other in others if other),
        country=_said(party, _ADDRESS, _COUNTRY, _COUNTRY_CODE),
    )


def _vat_ids(party: Node) -> Iterator[tuple[str, str | None]]:
    """BT-31 / BT-48: tax numbers under the scheme VAT, not other tax registrations (BT-32); each with its scheme."""
    for scheme in _children(party, _PARTY_TAX_SCHEME):
        if (_said(scheme, _TAX_SCHEME, _ID) or "").upper() == "VAT":
            number, said_by = _identifier(scheme, _COMPANY_ID)
            if number:
                yield number, said_by


def _identifier(parent: Node | None, tag: str) -> tuple[str | None, str | None]:
    """That child's text and its schemeID; None for what is not there."""
    found = _first(parent, tag) if parent is not None else None
    if parent is None or found is None:
        return None, None
    return " ".join(_value(found).split()) or None, _attribute(found, "schemeID").strip() or None


def _with_scheme(identifier: tuple[str | None, str | None]) -> str | None:
    number, scheme = identifier
    return f"{scheme}:{number}" if number and scheme else number


def _children(node: Node, tag: str) -> Iterable[Node]:
    return node.by.get(tag, ()) if isinstance(node, Element) else node.iterchildren(tag)


def _first(node: Node, *tags: str) -> Node | None:
    """The first child of the first child ... of those names."""
    found: Node | None = node
    for tag in tags:
        if found is None:
            return None
        found = next(iter(_children(found, tag)), None)
    return found


def _said(node: Node, *tags: str) -> str | None:
    """The value of that child, blanks made one; None where there is none."""
    found = _first(node, *tags)
    return (" ".join(_value(found).split()) or None) if found is not None else None


def _value(node: Node) -> str:
    return node.value if isinstance(node, Element) else value_of(node)


def _attribute(node: Node, name: str) -> str:
    return node.attributes.get(name, "") if isinstance(node, Element) else node.get(name, "")


def _needed(value: str | None, what: str) -> str:
    if not value:
        raise Unreadable("DOC-HEAD", f"the document has no {what}")
    return value


def _date(text: str | None) -> date:
    """An xs:date; a time zone says nothing about the day that is printed on the invoice."""
    match = _DATE.fullmatch(_needed(text, "issue date (BT-2, cbc:IssueDate)"))
    try:
        return date.fromisoformat(match.group(1) if match else "")
    except ValueError:
        raise Unreadable("DOC-HEAD", f"the issue date (BT-2, cbc:IssueDate) {text!r} is not a date") from None


def _amount(payable: Node | None) -> Decimal:
    """An xs:decimal: digits and a point, never an exponent, NaN or a grouping mark."""
    text = _needed(_value(payable).strip() if payable is not None else None, "amount due (BT-115)")
    if not _DECIMAL.fullmatch(text):
        raise Unreadable("DOC-HEAD", f"the amount due (BT-115, cbc:PayableAmount) {text!r} is not an amount")
    return Decimal(text)

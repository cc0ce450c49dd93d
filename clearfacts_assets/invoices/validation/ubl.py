"""From bytes to a UBL document that is safe to look at, and to the head that names it.

Documents come from outside. Nothing here reads a file, opens a connection or expands an entity, whatever a document
asks for, and the work that one document can cause is bounded (``Limits``).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any

from lxml import etree

from clearfacts_assets.invoices.model import DocumentType, Invoice, Money, Party, kind_of
from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.xpath_compiler.elements import value_of as value_of

CAC = "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
CBC = "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"
EXT = "urn:oasis:names:specification:ubl:schema:xsd:CommonExtensionComponents-2"
INVOICE = "urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
CREDIT_NOTE = "urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2"
PREFIXES = {"cac": CAC, "cbc": CBC, "ext": EXT, "inv": INVOICE, "cn": CREDIT_NOTE}

ROOTS = {f"{{{INVOICE}}}Invoice": DocumentType.INVOICE, f"{{{CREDIT_NOTE}}}CreditNote": DocumentType.CREDIT_NOTE}

CUSTOMIZATION_ID, PROFILE_ID = f"{{{CBC}}}CustomizationID", f"{{{CBC}}}ProfileID"
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

_XML_DECLARATION = re.compile(r"^\ufeff?\s*(<\?xml\b[^>]*?)\s+encoding\s*=\s*(?:\"[^\"]*\"|'[^']*')")
EMBEDDED_DOCUMENT = f"{{{CBC}}}EmbeddedDocumentBinaryObject"
LONGEST_NUMBER = 100_000  # characters
MOST_ATTRIBUTES = 5_000  # of one element
_LONG_NUMBER = re.compile(r"[\s\d.+-]*")
_FIXED = "; this limit is fixed"
_DECIMAL = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)")
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:Z|[+-]\d{2}:\d{2})?")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may cost. The depth stays below 100, where Saxon stops reading."""

    document_bytes: int = 20 * 2**20
    elements: int = 1_000_000
    depth: int = 90  # elements inside one another, the root counted


DEFAULT_LIMITS = Limits()


class Unreadable(Exception):
    """This is not a UBL document that may be looked at. ``rule`` says which promise it breaks.

    DOC-SIZE, DOC-SYNTAX, DOC-DOCTYPE, DOC-ROOT, DOC-DEPTH, DOC-ELEMENTS, DOC-ATTRIBUTES, DOC-NUMBER; DOC-HEAD
    where the head lacks what every invoice has.
    """

    def __init__(self, rule: str, message: str, line: int | None = None, location: str = "") -> None:
        super().__init__(message)
        self.rule, self.message, self.line, self.location = rule, message, line, location


def _parser(**options: Any) -> etree.XMLParser:
    """Comments and processing instructions are no content. They are left out here, so that all who read the tree
    (schema, Saxon, proofs, rules, we) see the same values; what is delivered are the original bytes."""
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        remove_comments=True,
        remove_pis=True,
        **options,
    )


class _Parsers(threading.local):
    """Two parsers a thread: making one costs more than reading a small invoice's head."""

    def __init__(self) -> None:
        self.ordinary, self.long = _parser(huge_tree=False), _parser(huge_tree=True)


class _PrologueRead(Exception):
    """The root element begins: nothing after it can declare anything."""


class _Prologue:
    """Looks at what stands before the root and stops there. A DOCTYPE stops it before its first declaration is read."""

    def doctype(self, *declared: str | None) -> None:
        raise Unreadable("DOC-DOCTYPE", _NO_DOCTYPE)

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        raise _PrologueRead

    def close(self) -> None:
        return None


_parsers = _Parsers()
_ORDINARY_DEPTH = 20
# libxml2 ends at texts of 10 million characters, unless it is told to let go of its limits. It counts UTF-8; a byte
# of another encoding becomes three of these at most.
_LONG_BYTES = 3_000_000
_NO_DOCTYPE = "the document declares a DOCTYPE; an invoice needs none and none is read"


def parse(content: bytes, *, limits: Limits = DEFAULT_LIMITS) -> ParsedDocument:
    """Read one Invoice or CreditNote of UBL 2.1 in any encoding that XML allows. Raises Unreadable.

    Its depth is bounded by libxml2 alone; before rule sets look at it, ask :func:`refuse_depth`.
    """
    _check_size(content, limits)
    try:
        if len(content) > _LONG_BYTES:
            _refuse_doctype(content)
            root = etree.fromstring(content, _parsers.long)
        else:
            root = etree.fromstring(content, _parsers.ordinary)
    except etree.XMLSyntaxError as error:
        raise _not_xml(error) from None
    except ValueError as error:  # lxml on bytes that no XML parser takes
        raise Unreadable("DOC-SYNTAX", f"this is not XML: {error}") from None
    if root.getroottree().docinfo.doctype:  # type: ignore[union-attr]
        raise Unreadable("DOC-DOCTYPE", _NO_DOCTYPE)
    if root.tag not in ROOTS:
        raise Unreadable("DOC-ROOT", f"the document is a {_shown(root.tag)}, not a UBL 2.1 Invoice or CreditNote", 1)
    # No element has less than four bytes.
    if len(content) > 4 * limits.elements and _more_elements(limits.elements)(root):
        raise Unreadable("DOC-ELEMENTS", f"the document has more than {limits.elements:,} elements{_FIXED}")
    return ParsedDocument(root, content)


def _refuse_doctype(content: bytes) -> None:
    """Raises Unreadable (DOC-DOCTYPE), and XMLSyntaxError where no root element comes.

    Without its limits libxml2 expands entities as often as a document likes; where none can be declared, it has none
    to expand.
    """
    with suppress(_PrologueRead):
        etree.fromstring(content, _parser(target=_Prologue(), huge_tree=True))


def refuse_depth(root: etree._Element, limits: Limits = DEFAULT_LIMITS) -> None:
    """Raises Unreadable (DOC-DEPTH) where elements stand deeper in one another than Saxon reads.

    libxml2 reads no more than 256 levels, or 2,048 of a long document, which no schema minds; so this is asked once,
    before the first rule set.
    """
    # Few documents need the second question, which costs more.
    if _deeper_than(min(_ORDINARY_DEPTH, limits.depth))(root) and _deeper_than(limits.depth)(root):
        raise Unreadable("DOC-DEPTH", f"elements stand more than {limits.depth} deep in one another{_FIXED}")


def refuse_endless_work(document: ParsedDocument) -> None:
    """Raises Unreadable (DOC-ATTRIBUTES, DOC-NUMBER) for what rules would work on for minutes."""
    # An attribute has at least five bytes.
    if len(document.content) > 5 * MOST_ATTRIBUTES and _more_attributes(MOST_ATTRIBUTES)(document.root):
        raise Unreadable("DOC-ATTRIBUTES", f"an element has more than {MOST_ATTRIBUTES:,} attributes{_FIXED}")
    if len(document.content) <= LONGEST_NUMBER:
        return
    elements: list[Any] = _long_values(LONGEST_NUMBER)(document.root)  # type: ignore[assignment]
    for element in elements:
        if element.tag != EMBEDDED_DOCUMENT and _LONG_NUMBER.fullmatch(value_of(element)):
            name, line = etree.QName(element.tag).localname, element.sourceline
            message = f"{name} is a number of more than {LONGEST_NUMBER:,} characters{_FIXED}"
            raise Unreadable("DOC-NUMBER", message, line)


def _check_size(content: bytes, limits: Limits) -> None:
    if len(content) > limits.document_bytes:
        raise Unreadable(
            "DOC-SIZE",
            f"the document has {len(content):,} bytes; validation.document_bytes allows {limits.document_bytes:,}",
        )
    if not content or content.isspace():
        raise Unreadable("DOC-SYNTAX", "the document is empty")
    # Counted before parsing, so that a document of nothing but tags cannot fill the memory. Every element has at
    # most two of these; the rest may be comments.
    if len(content) > 4 * limits.elements and content.count(b"<") > 4 * limits.elements:
        raise Unreadable("DOC-ELEMENTS", f"the document has far more than {limits.elements:,} elements{_FIXED}")


@lru_cache(maxsize=8)
def _more_elements(limit: int) -> etree.XPath:
    return etree.XPath(f"count(//*) > {limit}", regexp=False)


@lru_cache(maxsize=1)
def _more_attributes(limit: int) -> etree.XPath:
    return etree.XPath(f"boolean(//*[@*[{limit + 1}]])", regexp=False)


@lru_cache(maxsize=1)
def _long_values(limit: int) -> etree.XPath:
    return etree.XPath(f"//*[not(*)][string-length() > {limit}]", regexp=False)


@lru_cache(maxsize=8)
def _deeper_than(depth: int) -> etree.XPath:
    return etree.XPath("boolean(" + "/*" * (depth + 1) + ")", regexp=False)


def _not_xml(error: etree.XMLSyntaxError) -> Unreadable:
    message = (error.msg or "no reason given").strip()
    return Unreadable("DOC-SYNTAX", f"this is not XML that can be read: {message}", error.lineno or None)


def _shown(tag: str) -> str:
    name = etree.QName(tag)
    return f"{name.localname} (namespace {name.namespace})" if name.namespace else f"{name.localname} element"


def from_text(text: str) -> bytes:
    """A document that came as text inside JSON, as UTF-8 bytes whose XML declaration names no other encoding.

    Text that no encoding can hold (lone surrogates) becomes bytes that ``parse`` refuses.
    """
    declared = _XML_DECLARATION.match(text)
    if declared:
        text = f'{declared.group(1)} encoding="UTF-8"{text[declared.end() :]}'
    return text.encode("utf-8", "surrogatepass")


def read_invoice(root: etree._Element) -> Invoice:
    """The head of a document. Raises Unreadable (DOC-HEAD) where number, issue date, amount or currency are missing.

    Reads BT-1, BT-2, BT-3, BT-5, BT-23, BT-24, BT-115 and of both parties name, country and all identifiers.
    """
    type_code = said(root, _TYPE_CODES[ROOTS[root.tag]])
    payable = _first(root, _MONETARY_TOTAL, _PAYABLE)
    currency = said(root, _CURRENCY) or (payable is not None and payable.get("currencyID"))
    return Invoice(
        document_type=kind_of(ROOTS[root.tag], type_code),
        number=_needed(said(root, _ID), "number (BT-1, cbc:ID)"),
        issue_date=_date(said(root, _ISSUE_DATE)),
        type_code=type_code,
        payable=Money(_amount(payable), _needed(currency or None, "currency (BT-5, cbc:DocumentCurrencyCode)").upper()),
        supplier=_party(_first(root, _SUPPLIER, _PARTY)),
        customer=_party(_first(root, _CUSTOMER, _PARTY)),
        customization_id=said(root, CUSTOMIZATION_ID),
        profile_id=said(root, PROFILE_ID),
    )


def _party(party: etree._Element | None) -> Party:
    if party is None:
        return Party(name="")
    vat, *more_vat = [*_vat_ids(party), (None, None)]
    legal_id, legal_scheme = _identifier(_first(party, _LEGAL_ENTITY), _COMPANY_ID)
    others = [
        _with_scheme(_identifier(identification, _ID)) for identification in party.iterchildren(_PARTY_IDENTIFICATION)
    ]
    others += [f"VAT:{number}" for number, _ in more_vat if number]
    return Party(
        name=said(party, _LEGAL_ENTITY, _REGISTRATION_NAME) or said(party, _PARTY_NAME, _NAME) or "",
        vat_id=vat[0],
        legal_id=legal_id,
        endpoint=_with_scheme(_identifier(party, _ENDPOINT)),
        legal_scheme=legal_scheme,
        vat_scheme=vat[1],
        other_ids=tuple(other for other in others if other),
        country=said(party, _ADDRESS, _COUNTRY, _COUNTRY_CODE),
    )


def _vat_ids(party: etree._Element) -> Iterator[tuple[str, str | None]]:
    """BT-31 / BT-48: tax numbers under the scheme VAT, not other tax registrations (BT-32); each with its scheme."""
    for scheme in party.iterchildren(_PARTY_TAX_SCHEME):
        if (said(scheme, _TAX_SCHEME, _ID) or "").upper() == "VAT":
            number, said_by = _identifier(scheme, _COMPANY_ID)
            if number:
                yield number, said_by


def _identifier(parent: etree._Element | None, tag: str) -> tuple[str | None, str | None]:
    """That child's text and its schemeID; None for what is not there."""
    found = _first(parent, tag) if parent is not None else None
    if parent is None or found is None:
        return None, None
    return said(parent, tag), found.get("schemeID", "").strip() or None


def _with_scheme(identifier: tuple[str | None, str | None]) -> str | None:
    number, scheme = identifier
    return f"{scheme}:{number}" if number and scheme else number


def _first(element: etree._Element, *tags: str) -> etree._Element | None:
    """The first child of the first child ... of those names."""
    found: etree._Element | None = element
    for tag in tags:
        if found is None:
            return None
        found = next(found.iterchildren(tag), None)
    return found


def said(element: etree._Element, *tags: str) -> str | None:
    """The value of that child, blanks made one; None where there is none."""
    found = _first(element, *tags)
    return (" ".join(value_of(found).split()) or None) if found is not None else None


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


def _amount(payable: etree._Element | None) -> Decimal:
    """An xs:decimal: digits and a point, never an exponent, NaN or a grouping mark."""
    text = _needed(value_of(payable).strip() if payable is not None else None, "amount due (BT-115)")
    if not _DECIMAL.fullmatch(text):
        raise Unreadable("DOC-HEAD", f"the amount due (BT-115, cbc:PayableAmount) {text!r} is not an amount")
    return Decimal(text)

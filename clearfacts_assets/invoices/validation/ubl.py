"""From bytes to a UBL document that is safe to look at, and to the values of its elements.

Documents come from outside. Nothing here reads a file, opens a connection or expands an entity, whatever a document
asks for, and the work that one document can cause is bounded (``Limits``).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lxml import etree

from clearfacts_assets.invoices.model import DocumentType
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
_XML_DECLARATION = re.compile(r"^\ufeff?\s*(<\?xml\b[^>]*?)\s+encoding\s*=\s*(?:\"[^\"]*\"|'[^']*')")
EMBEDDED_DOCUMENT = f"{{{CBC}}}EmbeddedDocumentBinaryObject"
LONGEST_NUMBER = 100_000  # characters
MOST_ATTRIBUTES = 5_000  # of one element
_LONG_NUMBER = re.compile(r"[\s\d.+-]*")
_FIXED = "; this limit is fixed"


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
    return ParsedDocument(root, len(content))


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
    if document.size > 5 * MOST_ATTRIBUTES and _more_attributes(MOST_ATTRIBUTES)(document.root):
        raise Unreadable("DOC-ATTRIBUTES", f"an element has more than {MOST_ATTRIBUTES:,} attributes{_FIXED}")
    if document.size <= LONGEST_NUMBER:
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


def first_of(element: etree._Element, *tags: str) -> etree._Element | None:
    """The first child of the first child ... of those names."""
    found: etree._Element | None = element
    for tag in tags:
        if found is None:
            return None
        found = next(found.iterchildren(tag), None)
    return found


def said(element: etree._Element, *tags: str) -> str | None:
    """The value of that child, blanks made one; None where there is none."""
    found = first_of(element, *tags)
    return (" ".join(value_of(found).split()) or None) if found is not None else None

"""Compiled Schematron (XSLT 2.0 or 3.0) on Saxon, kept away from everything outside.

Saxon would read files and open connections that a document names. So it never sees the bytes that came from outside:
it is given the text of the tree that passed ``ubl.parse``, without attachments, and its protocols are closed.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lxml import etree

from clearfacts_assets.invoices.model import Finding, Severity
from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.validation.elements import let_go_of_element_index, location_of
from clearfacts_assets.invoices.validation.memory import LARGE
from clearfacts_assets.invoices.validation.rules import MOST_OF_A_RULE, bounded
from clearfacts_assets.invoices.validation.ubl import EMBEDDED_DOCUMENT, said, value_of
from clearfacts_assets.xpath_compiler.xpath import NotUnderstood, last_names, parse

SVRL = "http://purl.oclc.org/dsdl/svrl"
_XSL = "http://www.w3.org/1999/XSL/Transform"
_NO_DOCTYPE = "http://saxon.sf.net/feature/parserFeature?uri=http%3A//apache.org/xml/features/disallow-doctype-decl"
_PROTOCOLS = "http://saxon.sf.net/feature/allowedProtocols"
_STUB = "QQ=="
_NUMBERS = "places"
LOCATING = ("schematron-select-full-path", "schematron-get-full-path")
_NODE = "saxon_node"
# As XPath's path() writes it: /Q{urn:...}Invoice[1]/Q{urn:...}ID[1]; or as the ISO skeleton does, in rules of others.
_STEP = re.compile(r"/(?:Q\{([^}]*)\}(\w[\w.-]*)|\*:(\w[\w.-]*)\[namespace-uri\(\)='([^']*)'\])\[(\d+)\]")
_SEVERITIES = {"fatal": Severity.ERROR, "error": Severity.ERROR, "warning": Severity.WARNING}


class _Processors(threading.local):
    """One Saxon a thread."""

    def __init__(self) -> None:
        from saxonche import PySaxonProcessor  # 8 MiB, which most workers never need

        self.processor = PySaxonProcessor(license=False)
        self.processor.set_configuration_property(_NO_DOCTYPE, "true")
        self.processor.set_configuration_property(_PROTOCOLS, "none")


@lru_cache(maxsize=1)
def _processors() -> _Processors:
    return _Processors()  # made when first needed: importing starts nothing


def _processor() -> Any:
    return _processors().processor


@dataclass(frozen=True, slots=True)
class Failed:
    """An assert that a document fails, as the artefact says it."""

    rule: str
    flag: str
    location: str  # as the artefact writes it
    message: str


class CannotRun(Exception):
    """The rules raise an error on this document: what they compute with is not there, or twice."""


class Stylesheet:
    """A Schematron that was compiled to XSLT. Belongs to the thread that made it."""

    def __init__(self, xslt: bytes, only: Collection[str] | None = None) -> None:
        """With ``only`` it says what these rules say, and takes the less memory the fewer they are."""
        root = _stripped(xslt, only)
        # The tags of the elements that locations count; None: all elements are counted.
        self.counted = _number_elements(root, every=only is None)
        text = etree.tostring(root, encoding="unicode")
        self._executable = _processor().new_xslt30_processor().compile_stylesheet(stylesheet_text=text)

    def failed(self, document: ParsedDocument) -> list[Failed]:
        """Every failed assert, in the artefact's order. Raises CannotRun."""
        node = document.shared.get(_NODE)
        if node is None:
            if document.size > LARGE:
                let_go_of_element_index(document)  # Saxon's own tree takes its place; who needs it makes it anew
            node = document.shared[_NODE] = _read(lambda: text_for_saxon(document))
        return self._failed(node)

    def failed_in(self, text: Callable[[], str]) -> list[Failed]:
        """The same of a document that is made for this call, from what passed ``ubl.parse``. Raises CannotRun."""
        return self._failed(_read(text))

    def _failed(self, node: Any) -> list[Failed]:
        with _errors():
            svrl = self._executable.transform_to_string(xdm_node=node)
        return _read_svrl(svrl)


def _read(text: Callable[[], str]) -> Any:
    """Saxon's own tree. Raises CannotRun."""
    with _errors():
        return _processor().parse_xml(xml_text=text())


@contextmanager
def _errors() -> Iterator[None]:
    """Saxon's errors as CannotRun."""
    from saxonche import PySaxonApiError

    try:
        yield
    except PySaxonApiError as error:
        raise CannotRun(str(error).strip().splitlines()[0] if str(error).strip() else "no reason given") from None


def _stripped(xslt: bytes, only: Collection[str] | None = None) -> etree._Element:
    """The stylesheet without what only reports what was *not* wrong: a quarter faster, the same failed asserts.

    Nor does it repeat a rule's test with each assert that fails: a list of codes has eight thousand characters.
    """
    root = etree.fromstring(xslt, etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True))
    for name in ("fired-rule", "active-pattern"):
        for element in list(root.iter(f"{{{SVRL}}}{name}")):
            element.getparent().remove(element)
    for failed in list(root.iter(f"{{{SVRL}}}failed-assert")):
        failed.attrib.pop("test", None)
        if only is not None and _id_of(failed) not in only:
            choice = failed.getparent().getparent()
            choice.getparent().remove(choice)
    if only is not None:
        _leave_out_patterns(root)
    for output in root.iter(f"{{{_XSL}}}output"):
        output.set("indent", "no")
    return root


def _leave_out_patterns(root: etree._Element) -> None:
    """Those of which no assert is left: walking through a document for nothing leaves much behind in memory."""
    left = {template.get("mode") for template in _asserting(root)}
    for call in list(root.iterfind(f"{{{_XSL}}}template[@match='/']//{{{_XSL}}}apply-templates[@mode]")):
        if call.get("mode") not in left and call.get("mode") not in LOCATING:
            call.getparent().remove(call)  # type: ignore[union-attr]


def _asserting(root: etree._Element) -> list[etree._Element]:
    """The templates that say something."""
    return [one for one in root.iterfind(f"{{{_XSL}}}template") if one.find(f".//{{{SVRL}}}failed-assert") is not None]


def _id_of(failed: etree._Element) -> str:
    """The rule's, as the ISO skeleton writes it."""
    return next((value_of(one) for one in failed.iterfind(f"{{{_XSL}}}attribute") if one.get("name") == "id"), "")


def _number_elements(sheet: etree._Element, *, every: bool) -> frozenset[str] | None:
    """Have locations written as ``#n``, the n-th element of the document, or of those of which rules may say something.

    Counting siblings for each location, as the ISO skeleton does, takes a minute for a long document with something
    wrong on every line. Saxon numbers elements all at once, if at all, and remembers 300 bytes of each.
    """
    place = f"concat('#', (ancestor-or-self::*)[last()]/accumulator-before('{_NUMBERS}'))"
    replaced = False
    for attribute in sheet.iter(f"{{{_XSL}}}attribute"):
        call = attribute.find(f"{{{_XSL}}}apply-templates")
        if attribute.get("name") == "location" and call is not None and call.get("mode") in LOCATING:
            attribute.replace(call, etree.Element(f"{{{_XSL}}}value-of", select=place))
            replaced = True
    if not replaced:
        return None
    names = {"*"} if every else _spoken_of(sheet)
    numbers = etree.Element(f"{{{_XSL}}}accumulator", {"name": _NUMBERS, "initial-value": "0"})
    match = "*" if "*" in names else " | ".join(sorted(names))
    etree.SubElement(numbers, f"{{{_XSL}}}accumulator-rule", match=match, select="$value + 1")
    sheet.insert(0, numbers)
    sheet.insert(0, etree.Element(f"{{{_XSL}}}mode", {"use-accumulators": _NUMBERS}))
    if match == "*":
        return None
    parts = (name.rpartition(":") for name in names)
    return frozenset(f"{{{sheet.nsmap[prefix]}}}{local}" if prefix else local for prefix, _, local in parts)


def _spoken_of(sheet: etree._Element) -> set[str]:
    """The names of the elements of which rules may say something, as the sheet writes them; ``*`` where any may."""
    try:
        return {name for one in _asserting(sheet) for name in last_names(parse(one.get("match") or "*"))} or {"*"}
    except NotUnderstood:
        return {"*"}


def text_for_saxon(document: ParsedDocument) -> str:
    """The checked tree as text; attachments, which no rule looks into, are replaced by two characters of base64."""
    with without_attachments(document.root):
        return etree.tostring(document.root, encoding="unicode")


@contextmanager
def without_attachments(root: etree._Element) -> Iterator[None]:
    """For a while their content is two characters of base64."""
    kept = []
    for attachment in root.iter(EMBEDDED_DOCUMENT):
        content = value_of(attachment)
        if not len(attachment) and len(content) > len(_STUB) and not content.isspace():
            kept.append((attachment, content))
            attachment.text = _STUB
    try:
        yield
    finally:
        for attachment, content in kept:
            attachment.text = content


def _read_svrl(svrl: str | None) -> list[Failed]:
    if not svrl or "failed-assert" not in svrl:
        return []
    root = etree.fromstring(svrl.encode(), etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    return [
        Failed(
            rule=element.get("id") or "",
            flag=element.get("flag") or "fatal",
            location=element.get("location") or "",
            message=said(element, f"{{{SVRL}}}text") or "",
        )
        for element in root.iter(f"{{{SVRL}}}failed-assert")
    ]


def findings(stylesheet: Stylesheet, document: ParsedDocument, layer: str) -> list[Finding]:
    """The failed asserts as findings, bounded. Where the rules cannot run on a document, one finding says so."""
    try:
        failed = stylesheet.failed(document)
    except CannotRun as error:
        return [cannot_be_computed(error, layer)]
    elements = _Elements(document.root)

    seen: Counter[str] = Counter()

    def placed(each: Failed) -> Finding:
        seen[each.rule] += 1
        element = elements.at(each.location) if seen[each.rule] <= MOST_OF_A_RULE else None
        if element is None:
            return as_finding(each, layer, each.location, None)
        return as_finding(each, layer, location_of(element), element.sourceline)  # type: ignore[arg-type]

    return bounded(map(placed, failed))


def cannot_be_computed(error: CannotRun, layer: str) -> Finding:
    message = f"the official rules cannot be computed on this document: {error}"
    return Finding("XSLT-ERROR", layer, Severity.ERROR, message)


def as_finding(failed: Failed, layer: str, location: str, line: int | None) -> Finding:
    return Finding(
        rule=failed.rule,
        layer=layer,
        severity=_SEVERITIES.get(failed.flag, Severity.INFORMATION),
        message=failed.message.removeprefix(f"[{failed.rule}]-").removeprefix(f"[{failed.rule}]").strip(),
        location=location,
        line=line,
    )


class _Elements:
    """The elements of a document by the locations that Saxon wrote."""

    def __init__(self, root: etree._Element) -> None:
        self._root = root
        self._numbered: list[etree._Element] = []

    def at(self, location: str) -> etree._Element | None:
        """None where the location names no element (a foreign notation)."""
        if not location.startswith("#"):
            return _element_at(self._root, location)
        if not self._numbered:
            self._numbered = list(self._root.iter(etree.Element))
        return self._numbered[int(location[1:]) - 1]


def _element_at(root: etree._Element, location: str) -> etree._Element | None:
    """The element that the artefact's location names; None where it names none (an attribute, a foreign notation)."""
    current: etree._Element | None = None
    for uri, name, local, namespace, position in _STEP.findall(location):
        tag = f"{{{uri or namespace}}}{name or local}" if uri or namespace else name or local
        if current is None:
            current = root if root.tag == tag else None
        else:
            twins = current.iterchildren(tag)
            current = next((twin for index, twin in enumerate(twins, 1) if index == int(position)), None)
        if current is None:
            return None
    return current

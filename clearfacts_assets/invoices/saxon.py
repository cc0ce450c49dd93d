"""Compiled Schematron (XSLT 2.0 or 3.0) on Saxon, kept away from everything outside.

Saxon would read files and open connections that a document names. So it never sees the bytes that came from outside:
it is given the text of the tree that passed ``ubl.parse``, without attachments, and its protocols are closed.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lxml import etree
from saxonche import PySaxonApiError, PySaxonProcessor

from clearfacts_assets.invoices.model import Finding, Severity
from clearfacts_assets.invoices.outline import location_of
from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.ubl import CBC

SVRL = "http://purl.oclc.org/dsdl/svrl"
_XSL = "http://www.w3.org/1999/XSL/Transform"
_NO_DOCTYPE = "http://saxon.sf.net/feature/parserFeature?uri=http%3A//apache.org/xml/features/disallow-doctype-decl"
_PROTOCOLS = "http://saxon.sf.net/feature/allowedProtocols"
_ATTACHMENT = f"{{{CBC}}}EmbeddedDocumentBinaryObject"
_STUB = "QQ=="
_TEXT = "saxon_text"
_NODE = "saxon_node"
_STEP = re.compile(r"/(?:\*:(\w[\w.-]*)\[namespace-uri\(\)='([^']*)'\]|(\w[\w.-]*))\[(\d+)\]")
_SEVERITIES = {"fatal": Severity.ERROR, "error": Severity.ERROR, "warning": Severity.WARNING}


class _Processors(threading.local):
    """One Saxon a thread."""

    def __init__(self) -> None:
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

    def __init__(self, xslt: bytes) -> None:
        self._executable = _processor().new_xslt30_processor().compile_stylesheet(stylesheet_text=_stripped(xslt))

    def failed(self, document: ParsedDocument) -> list[Failed]:
        """Every failed assert, in the artefact's order. Raises CannotRun."""
        node = document.shared.get(_NODE)
        try:
            if node is None:
                node = document.shared[_NODE] = _processor().parse_xml(xml_text=text_for_saxon(document))
            svrl = self._executable.transform_to_string(xdm_node=node)
        except PySaxonApiError as error:
            raise CannotRun(str(error).strip().splitlines()[0] if str(error).strip() else "no reason given") from None
        return _read_svrl(svrl)


def _stripped(xslt: bytes) -> str:
    """The stylesheet without what only reports what was *not* wrong: a quarter faster, the same failed asserts."""
    root = etree.fromstring(xslt, etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True))
    for name in ("fired-rule", "active-pattern"):
        for element in list(root.iter(f"{{{SVRL}}}{name}")):
            element.getparent().remove(element)
    for output in root.iter(f"{{{_XSL}}}output"):
        output.set("indent", "no")
    return etree.tostring(root, encoding="unicode")


def text_for_saxon(document: ParsedDocument) -> str:
    """The checked tree as text; attachments, which no rule looks into, are replaced by two characters of base64."""
    text: str | None = document.shared.get(_TEXT)
    if text is None:
        kept = []
        for attachment in document.root.iter(_ATTACHMENT):
            content = attachment.text or ""
            if not len(attachment) and len(content) > len(_STUB) and not content.isspace():
                kept.append((attachment, content))
                attachment.text = _STUB
        try:
            text = document.shared[_TEXT] = etree.tostring(document.root, encoding="unicode")
        finally:
            for attachment, content in kept:
                attachment.text = content
    return text


def _read_svrl(svrl: str | None) -> list[Failed]:
    if not svrl or "failed-assert" not in svrl:
        return []
    root = etree.fromstring(svrl.encode(), etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    return [
        Failed(
            rule=element.get("id") or "",
            flag=element.get("flag") or "fatal",
            location=element.get("location") or "",
            message=" ".join((element.findtext(f"{{{SVRL}}}text") or "").split()),
        )
        for element in root.iter(f"{{{SVRL}}}failed-assert")
    ]


def findings(stylesheet: Stylesheet, document: ParsedDocument, layer: str, *, most_of_a_rule: int) -> list[Finding]:
    """The failed asserts as findings. A document on which the rules cannot run gets one finding that says so."""
    try:
        failed = stylesheet.failed(document)
    except CannotRun as error:
        message = f"the official rules cannot be computed on this document: {error}"
        return [Finding("XSLT-ERROR", layer, Severity.ERROR, message)]
    found = []
    seen: dict[str, int] = {}
    for each in failed:
        seen[each.rule] = seen.get(each.rule, 0) + 1
        element = _element_at(document.root, each.location) if seen[each.rule] <= most_of_a_rule else None
        found.append(
            Finding(
                rule=each.rule,
                layer=layer,
                severity=_SEVERITIES.get(each.flag, Severity.INFORMATION),
                message=each.message.removeprefix(f"[{each.rule}]-").removeprefix(f"[{each.rule}]").strip(),
                location=location_of(element) if element is not None else each.location,
                line=element.sourceline if element is not None else None,  # type: ignore[arg-type]
            )
        )
    return found


def _element_at(root: etree._Element, location: str) -> etree._Element | None:
    """The element that the artefact's location names; None where it names none (an attribute, a foreign notation)."""
    current: etree._Element | None = None
    for local, namespace, bare, position in _STEP.findall(location):
        tag = f"{{{namespace}}}{local}" if local else bare
        if current is None:
            current = root if root.tag == tag else None
        else:
            twins = current.iterchildren(tag)
            current = next((twin for index, twin in enumerate(twins, 1) if index == int(position)), None)
        if current is None:
            return None
    return current

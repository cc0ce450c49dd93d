"""An operator's own copy of a rule file: compiled XSLT as it is, or Schematron, which is compiled here.

Some rules (OpenPeppol's, UBL.BE's) may not be passed on with this software. The file is pinned by its SHA-256, so
that nobody changes what is accepted by changing a file.
"""

from __future__ import annotations

import hashlib
import re

from lxml import etree

from clearfacts_assets.invoices.model import Finding
from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.validation.published import SCHEMATRON, comments_of, read_artefact
from clearfacts_assets.invoices.validation.rules import CustomRules
from clearfacts_assets.invoices.validation.saxon import LOCATING, SVRL, Stylesheet, findings
from clearfacts_assets.invoices.validation.ubl import said, value_of

_XSL = "http://www.w3.org/1999/XSL/Transform"
_S, _X = f"{{{SCHEMATRON}}}", f"{{{_XSL}}}"
_VERSION = re.compile(r"\b\d+\.\d+(?:\.\d+)*\b")
_REFUSED = ("include", "extends", "phase", "key")  # parts of Schematron that no published Peppol file uses


class CustomRulesUnusable(Exception):
    """The operator's rule file cannot be used. The message says why and what to do."""


class CustomRuleSet:
    """Rules from a file. Belongs to the thread that made it. Raises CustomRulesUnusable."""

    def __init__(self, layer: str, rules: CustomRules) -> None:
        self.layer = layer
        root, content = _read(rules)
        self.version = _version(root, rules)
        self._stylesheet = Stylesheet(content)

    def check(self, document: ParsedDocument) -> list[Finding]:
        return findings(self._stylesheet, document, self.layer)


def xslt_of(rules: CustomRules) -> bytes:
    """The file as XSLT, compiled here where it is Schematron. Raises CustomRulesUnusable."""
    return _read(rules)[1]


def _read(rules: CustomRules) -> tuple[etree._Element, bytes]:
    content = pinned(rules)
    try:
        root = read_artefact(content)
    except ValueError as error:
        raise CustomRulesUnusable(f"{rules.path} is no file of rules: {error}") from None
    return root, etree.tostring(compiled(root)) if root.tag == f"{_S}schema" else content


def pinned(rules: CustomRules) -> bytes:
    """The content of the file. Raises CustomRulesUnusable where it is not the one that the settings name."""
    try:
        content = rules.path.read_bytes()
    except OSError as error:
        raise CustomRulesUnusable(f"the rule file {rules.path} cannot be read: {error.strerror}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != rules.sha256.lower():
        raise CustomRulesUnusable(
            f"the rule file {rules.path} has SHA-256 {found}, not the {rules.sha256 or '(none)'} of the settings; "
            "check where the file comes from, then write down the new one (docs/rules.md)"
        )
    return content


def _version(root: etree._Element, rules: CustomRules) -> str:
    """What the file says of itself, and the beginning of its SHA-256, which is what counts."""
    title = said(root, f"{_S}title") or rules.path.name
    numbered = next((found.group() for comment in comments_of(root) if (found := _VERSION.search(comment))), "")
    return " ".join(part for part in (title, numbered, f"sha256:{rules.sha256[:12].lower()}") if part)


def compiled(schema: etree._Element) -> etree._Element:
    """ISO Schematron with XPath 2.0 as XSLT 3.0 that writes SVRL: a mode a pattern, a template a rule.

    Knows let, function, rule, assert, report and value-of. Raises CustomRulesUnusable for anything else.
    """
    for name in _REFUSED:
        if schema.find(f".//{_S}{name}") is not None:
            raise CustomRulesUnusable(f"the Schematron uses {name}, which is not supported; compile it to XSLT first")
    prefixes = {each.get("prefix") or "": each.get("uri") or "" for each in schema.iterfind(f"{_S}ns")}
    sheet = etree.Element(f"{_X}stylesheet", nsmap={**prefixes, "xsl": _XSL, "svrl": SVRL}, version="3.0")
    for name in ("let", "pattern/let"):
        for let in schema.iterfind("/".join(f"{_S}{step}" for step in name.split("/"))):
            etree.SubElement(sheet, f"{_X}variable", name=let.get("name") or "", select=let.get("value") or "")
    for function in schema.iterfind(f"{_X}function"):
        sheet.append(function)
    start = etree.SubElement(sheet, f"{_X}template", match="/")
    output = etree.SubElement(start, f"{{{SVRL}}}schematron-output")
    for number, pattern in enumerate(schema.iterfind(f"{_S}pattern")):
        mode = f"M{number}"
        etree.SubElement(output, f"{_X}apply-templates", select="//*|//@*", mode=mode)
        rules = pattern.findall(f"{_S}rule")
        for place, rule in enumerate(rules):
            _rule(sheet, rule, mode, priority=len(rules) - place)
        etree.SubElement(sheet, f"{_X}template", match="*|@*", mode=mode, priority="0")
    return sheet


def _rule(sheet: etree._Element, rule: etree._Element, mode: str, *, priority: int) -> None:
    """The first rule of a pattern whose context fits takes the element: so it has the highest priority."""
    template = etree.SubElement(
        sheet, f"{_X}template", match=rule.get("context") or "", mode=mode, priority=str(priority)
    )
    for let in rule.iterfind(f"{_S}let"):
        etree.SubElement(template, f"{_X}variable", name=let.get("name") or "", select=let.get("value") or "")
    for check in rule.iterfind("*"):
        if check.tag in (f"{_S}assert", f"{_S}report"):
            test = check.get("test") or ""
            wanted = f"not({test})" if check.tag == f"{_S}assert" else test
            _failed(etree.SubElement(template, f"{_X}if", test=wanted), check)


def _failed(place: etree._Element, check: etree._Element) -> None:
    failed = etree.SubElement(place, f"{{{SVRL}}}failed-assert", id=check.get("id") or "")
    failed.set("flag", check.get("flag") or check.get("role") or "fatal")
    location = etree.SubElement(failed, f"{_X}attribute", name="location")
    etree.SubElement(location, f"{_X}apply-templates", mode=LOCATING[0], select=".")  # which Stylesheet replaces
    text = etree.SubElement(failed, f"{{{SVRL}}}text")
    for part in check.xpath("text()|*"):  # type: ignore[union-attr]
        if isinstance(part, etree._Element) and part.tag == f"{_S}value-of":
            etree.SubElement(text, f"{_X}value-of", select=part.get("select") or "")
        else:
            words = value_of(part) if isinstance(part, etree._Element) else str(part)
            etree.SubElement(text, f"{_X}text").text = words

"""What a file of rules says of itself: its rules with their weights and words, its version, its date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from clearfacts_assets.invoices.validation.ubl import said, value_of

SCHEMATRON = "http://purl.oclc.org/dsdl/schematron"
SVRL = "http://purl.oclc.org/dsdl/svrl"
_S, _V = f"{{{SCHEMATRON}}}", f"{{{SVRL}}}"
_ROOTS = (
    f"{_S}schema",
    "{http://www.w3.org/1999/XSL/Transform}stylesheet",
    "{http://www.w3.org/1999/XSL/Transform}transform",
)
_LABEL = re.compile(r"\A\[[^\]]+\]\s*-?\s*")


@dataclass(frozen=True, slots=True)
class PublishedRule:
    """One rule, as its publisher words it."""

    rule: str
    flag: str  # fatal, warning, ...
    text: str  # English; what is computed into it stands as …


def read_artefact(content: bytes) -> etree._Element:
    """The root of a Schematron or XSLT file. Raises ValueError with the reason where it is neither."""
    try:
        root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    except etree.XMLSyntaxError as error:
        raise ValueError(f"it is not XML: {error}") from None
    if root.tag not in _ROOTS:
        raise ValueError(f"it is neither Schematron nor XSLT, but {root.tag}")
    return root


def rules_of(root: etree._Element) -> dict[str, PublishedRule]:
    """The asserts and reports of a file that have an id, in its order."""
    found: dict[str, PublishedRule] = {}
    for rule in _schematron(root) if root.tag == f"{_S}schema" else _compiled(root):
        found.setdefault(rule.rule, rule)
    found.pop("", None)
    return found


def _schematron(root: etree._Element) -> Iterator[PublishedRule]:
    for check in root.iter(f"{_S}assert", f"{_S}report"):
        flag = check.get("flag") or check.get("role") or "fatal"
        yield PublishedRule(check.get("id") or "", flag, _words(check))


def _compiled(root: etree._Element) -> Iterator[PublishedRule]:
    for check in root.iter(f"{_V}failed-assert", f"{_V}successful-report"):
        written = {each.get("name"): value_of(each) for each in check if each.get("name")}
        text = check.find(f"{_V}text")
        rule = written.get("id") or check.get("id") or ""
        flag = written.get("flag") or check.get("flag") or "fatal"
        yield PublishedRule(rule, flag, _words(text) if text is not None else "")


def _words(element: etree._Element) -> str:
    parts = [
        ("…" if part.tag.endswith("value-of") else value_of(part)) if isinstance(part, etree._Element) else str(part)
        for part in element.xpath("text()|*")  # type: ignore[union-attr]
    ]
    return _LABEL.sub("", " ".join("".join(parts).split()))


def title_of(root: etree._Element) -> str:
    """What a Schematron calls itself; empty for compiled rules."""
    return said(root, f"{_S}title") or ""


def comments_of(root: etree._Element) -> list[str]:
    """The comments before the root and right below it: publishers write versions and dates there."""
    return [value_of(node) for node in root.xpath("/comment()|/*/comment()")]  # type: ignore[arg-type, union-attr]

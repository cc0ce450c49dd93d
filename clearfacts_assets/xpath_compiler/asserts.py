"""The rules inside a Schematron that the ISO skeleton compiled to XSLT: contexts, tests, ids."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxml import etree

from clearfacts_assets.xpath_compiler.elements import value_of
from clearfacts_assets.xpath_compiler.xpath import NotUnderstood

_XSL = "{http://www.w3.org/1999/XSL/Transform}"
_SVRL = "{http://purl.oclc.org/dsdl/svrl}"
_MODE = re.compile(r"M\d+")
_EVERYTHING = ("text()", "@*|node()")


@dataclass(frozen=True, slots=True)
class Assert:
    rule: str  # BR-CO-10
    test: str  # XPath
    is_fixed: bool = True  # its words are the same of every element


@dataclass(frozen=True, slots=True)
class Rule:
    """All asserts of one context. Other rules of the same pattern may claim an element first."""

    context: str  # an XSLT pattern
    asserts: tuple[Assert, ...]
    mode: str  # the same for all rules of a pattern; patterns run one after the other


def read_rules(xslt: bytes) -> tuple[list[Rule], dict[str, str]]:
    """Every rule of the artefact and the prefixes it is written with.

    Raises NotUnderstood where the stylesheet holds anything else than rules as the skeleton writes them: then
    nothing may be concluded from what was read.
    """
    root = etree.fromstring(xslt, etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True))
    rules = []
    for template in root.iter(f"{_XSL}template"):
        mode = template.get("mode") or ""
        if _MODE.fullmatch(mode) and template.get("match") not in _EVERYTHING:
            rules.append(_rule(template, mode))
    read = sum(len(rule.asserts) for rule in rules)
    written = sum(1 for _ in root.iter(f"{_SVRL}failed-assert", f"{_SVRL}successful-report"))
    if read != written:
        raise NotUnderstood(f"{read} of {written} asserts")
    if next(root.iter(f"{_XSL}function", f"{_XSL}key", f"{_XSL}import", f"{_XSL}include"), None) is not None:
        raise NotUnderstood("functions, keys or imports")
    return rules, {prefix: uri for prefix, uri in root.nsmap.items() if prefix}


def _rule(template: etree._Element, mode: str) -> Rule:
    asserts = []
    for part in template:
        if part.tag == f"{_SVRL}fired-rule":
            continue
        if part.tag == f"{_XSL}apply-templates" and part.get("mode") == mode and part.get("select") == "@*|*":
            continue
        if part.tag != f"{_XSL}choose":
            raise NotUnderstood(f"{part.tag} in a rule")
        asserts.append(_assert(part))
    return Rule(template.get("match") or "", tuple(asserts), mode)


def _assert(choose: etree._Element) -> Assert:
    when, failed = choose.find(f"{_XSL}when"), choose.find(f"{_XSL}otherwise/{_SVRL}failed-assert")
    if when is None or failed is None or len(choose) != 2 or len(when):
        raise NotUnderstood("an assert in another form")
    rule = next((value_of(each) for each in failed.iterfind(f"{_XSL}attribute") if each.get("name") == "id"), "")
    text = failed.find(f"{_SVRL}text")
    return Assert(rule, when.get("test") or "", text is not None and not len(text))

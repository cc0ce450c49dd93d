"""An invoice as a person reads it, beside its findings, as a piece of HTML: for the HTML report and for the browser.

Whatever a document says is text here: the templates escape all of it, hold no script and no style, and make no link of
an address that a document names. Labels stand in English in the templates; ``words/`` holds them in Dutch and French.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from lxml import etree
from markupsafe import Markup

from clearfacts_assets.invoices.validation.elements import ElementIndex, location_of
from clearfacts_assets.invoices.validation.explanations import plain_words
from clearfacts_assets.invoices.validation.reports.printed import harmless, place_of, printed
from clearfacts_assets.invoices.validation.sum_words import LANGUAGES, sentence
from clearfacts_assets.invoices.validation.sums import wrong_sums

SEVERITIES = ("error", "warning", "information")
MOST_SHOWN = 300  # findings of one document
_SUMS = "amounts"
LONGEST_MESSAGE = 1000


@dataclass(slots=True)
class ShownFinding:
    """One finding for people. ``anchor`` is its id on the page, ``place`` the part of the invoice that it is about."""

    anchor: str
    rule: str
    layer: str
    severity: str
    words: str  # plain words in the reader's language
    message: str  # as its publisher, or the rule set, says it
    line: int | None
    location: str
    place: str
    sum: str = ""  # the amounts put in, in the reader's language


@cache
def environment() -> Environment:
    """The templates; a name that is not given is a fault, not an empty text."""
    return Environment(
        loader=PackageLoader("clearfacts_assets.invoices.validation.reports"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


@cache
def labels(language: str) -> Mapping[str, str]:
    """The texts of the templates by their English; empty for English."""
    if language == "en":
        return {}
    said: dict[str, str] = json.loads((files(__package__) / "words" / f"{language}.json").read_text("utf-8"))
    return said


def styles() -> str:
    """The style sheet of the piece, for who puts it into a page."""
    return (files(__package__) / "templates" / "invoice.css").read_text("utf-8")


def shown_findings(
    findings: Iterable[Mapping[str, Any]], root: etree._Element | None, language: str = "en"
) -> list[ShownFinding]:
    """Findings as a report's JSON has them, worst first; a computed sum stands with the rule that it explains."""
    sums = _sums(root, language)
    rules: list[ShownFinding] = []
    computed: list[ShownFinding] = []
    for number, one in enumerate(list(findings)[:MOST_SHOWN], start=1):
        shown = _shown(number, one, language)
        shown.sum = sums.get((shown.rule, one.get("location") or ""), "") if shown.layer == _SUMS else ""
        (computed if shown.layer == _SUMS and shown.sum else rules).append(shown)
    for one_sum in computed:
        same = next((each for each in rules if each.rule == one_sum.rule and not each.sum), None)
        if same is None:
            rules.append(one_sum)
        else:
            same.sum, same.place = one_sum.sum, one_sum.place
    return sorted(rules, key=lambda each: SEVERITIES.index(each.severity))


def _shown(number: int, one: Mapping[str, Any], language: str) -> ShownFinding:
    severity = str(one.get("severity") or "")
    rule, location = harmless(str(one.get("rule") or "")), str(one.get("location") or "")
    message = harmless(str(one.get("message") or ""), LONGEST_MESSAGE)
    return ShownFinding(
        anchor=f"finding-{number}",
        rule=rule,
        layer=harmless(str(one.get("layer") or "")),
        severity=severity if severity in SEVERITIES else "information",
        words=plain_words(rule, language, message),
        message=message,
        line=one.get("line"),
        location=harmless(location),
        place=place_of(location),
    )


def _sums(root: etree._Element | None, language: str) -> dict[tuple[str, str], str]:
    if root is None:
        return {}
    index = ElementIndex(root)
    try:
        return {(one.rule, location_of(one.element)): sentence(one, language) for one in wrong_sums(index)}
    finally:
        index.let_go()


def invoice_html(root: etree._Element | None, findings: list[ShownFinding], language: str = "en") -> Markup:
    """The invoice on the left, its findings on the right; findings alone where the document cannot be read."""
    if language not in LANGUAGES:
        raise ValueError(f"there are no words in {language!r}; there are {', '.join(LANGUAGES)}")
    known = labels(language)

    def say(text: str, **values: object) -> str:
        said = known.get(text, text)
        return said.format(**values) if values else said

    marks: dict[str, ShownFinding] = {}
    for one in findings:
        marks.setdefault(one.place, one)  # they come worst first
    template = environment().get_template("invoice.html")
    invoice = printed(root) if root is not None else None
    return Markup(template.render(_=say, invoice=invoice, findings=findings, marks=marks))  # noqa: S704 - escaped there

"""Rules in plain words, in English, Dutch and French, and what one of them comes to in one document."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

from clearfacts_assets.invoices.model import Finding
from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.validation.elements import ElementIndex, location_of
from clearfacts_assets.invoices.validation.hints import HINTS
from clearfacts_assets.invoices.validation.published import PublishedRule, read_artefact, rules_of
from clearfacts_assets.invoices.validation.rules import RuleOptions
from clearfacts_assets.invoices.validation.sum_words import LANGUAGES, shown, whole_sentence
from clearfacts_assets.invoices.validation.sums import Sum, all_sums, amount_of

_NO_WORDS = {
    "en": "",
    "nl": "Voor deze regel is er geen uitleg in het Nederlands; de officiële tekst zegt wat hij vraagt.",
    "fr": "Pour cette règle il n'y a pas d'explication en français ; le texte officiel dit ce qu'elle demande.",
}
_CATEGORIES = {
    "S": ("standard rate", "normaal tarief", "taux normal"),
    "Z": ("zero rate", "nultarief", "taux zéro"),
    "E": ("exempt", "vrijgesteld", "exonéré"),
    "AE": ("reverse charge", "btw verlegd", "autoliquidation"),
    "IC": ("supply inside the EU", "levering binnen de EU", "livraison intracommunautaire"),
    "G": ("export outside the EU", "uitvoer buiten de EU", "exportation hors UE"),
    "O": ("outside the scope of VAT", "buiten het toepassingsgebied van de btw", "hors champ de la TVA"),
    "AF": ("IGIC, Canary Islands", "IGIC, Canarische Eilanden", "IGIC, îles Canaries"),
    "AG": ("IPSI, Ceuta and Melilla", "IPSI, Ceuta en Melilla", "IPSI, Ceuta et Melilla"),
}
_COUNTRIES = {
    "DE": ("Germany", "Duitsland", "Allemagne"),
    "DK": ("Denmark", "Denemarken", "Danemark"),
    "GR": ("Greece", "Griekenland", "Grèce"),
    "IS": ("Iceland", "IJsland", "Islande"),
    "IT": ("Italy", "Italië", "Italie"),
    "NL": ("the Netherlands", "Nederland", "les Pays-Bas"),
    "NO": ("Norway", "Noorwegen", "Norvège"),
    "SE": ("Sweden", "Zweden", "Suède"),
}
_TERM = re.compile(r"\bB[TG]-\d+\b")
_OF_DOCUMENT = ("DOC-", "PROFILE-", "XSD", "BE-", "ATTACHMENT-", "XSLT-ERROR", "SELF-BILLING-")
_LAYER_OF = {
    "DOC-": "document",
    "PROFILE-": "document",
    "XSD": "ubl_xsd",
    "BE-": "belgium",
    "ATTACHMENT-": "attachments",
}
_OURS = (
    *(
        f"DOC-{what}"
        for what in ("SIZE", "HEAD", "DEPTH", "ELEMENTS", "ATTRIBUTES", "NUMBER", "CRASH", "TIME", "FAULT")
    ),
    *("XSD", "XSLT-ERROR", "SELF-BILLING-TYPE", "SELF-BILLING-SPECIFICATION", "SELF-BILLING-PROCESS"),
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """One rule in plain words."""

    rule: str
    layer: str
    flag: str  # fatal or warning, as its publisher weighs it; not in force, where the artefact lacks it
    words: Mapping[str, str]  # by language
    official: str  # as published, in English; empty where the rule is ours

    @property
    def terms(self) -> tuple[str, ...]:
        """The norm's names of what it speaks about: BT-112, BG-25."""
        return tuple(dict.fromkeys(_TERM.findall(self.official)))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All rules that a document can break here, by id."""

    rules: Mapping[str, tuple[str, PublishedRule]] = field(default_factory=dict)  # layer and rule

    def find(self, text: str) -> str | None:
        """The id that is meant: in any case, also by its end where only one rule ends so (``R120``)."""
        wanted = text.strip().upper()
        by_upper = {rule.upper(): rule for rule in self.rules}
        if wanted in by_upper:
            return by_upper[wanted]
        ending = [rule for upper, rule in by_upper.items() if upper.endswith(f"-{wanted}")] if wanted else []
        return ending[0] if len(ending) == 1 else None

    def alike(self, text: str) -> list[str]:
        """At most three ids that look like it."""
        return get_close_matches(text.strip().upper(), list(self.rules), n=3)

    def explain(self, rule: str) -> Explanation:
        """Raises KeyError for an id that is not in the catalogue."""
        layer, published = self.rules[rule]
        terms = ", ".join(dict.fromkeys(_TERM.findall(published.text))) or published.text
        words = {language: _words(rule, language, terms) for language in LANGUAGES}
        words["en"] = words["en"] or published.text
        return Explanation(rule, layer, published.flag, words, published.text)


def catalogue(options: RuleOptions, day: date) -> Catalogue:
    """The rules in force on that day, from the artefacts that would run. Raises CustomRulesUnusable."""
    from mockeinvoice.rules import REGISTRY

    from clearfacts_assets.invoices.validation.custom_rules import pinned
    from clearfacts_assets.invoices.validation.rules.ubl_xsd import artefacts

    newer, newer_peppol = (options.release_on(layer, day) for layer in ("en16931", "peppol_bis3"))
    built_in = artefacts() / "EN16931-UBL-validation.xslt"
    norm = rules_of(read_artefact(built_in.read_bytes() if newer is None else pinned(newer.file)))
    own = options.peppol if newer_peppol is None else newer_peppol.file
    if own is not None:
        peppol = rules_of(read_artefact(pinned(own)))
    else:
        peppol = {each.id: PublishedRule(each.id, each.flag, each.about) for each in REGISTRY["peppol"].values()}
    found = {rule: ("en16931", one) for rule, one in norm.items()}
    found |= {rule: ("peppol_bis3", one) for rule, one in peppol.items()}
    for rule in (*(rule for rule in HINTS if rule.startswith(_OF_DOCUMENT)), *_OURS):
        layer = next((layer for start, layer in _LAYER_OF.items() if rule.startswith(start)), "peppol_bis3")
        flag = "warning" if rule.startswith(("BE-", "ATTACHMENT-")) else "fatal"
        found[rule] = (layer, PublishedRule(rule, flag, ""))
    for rule in HINTS:  # rules come and go with releases; older reports name those that went
        found.setdefault(rule, ("en16931", PublishedRule(rule, "not in force", "")))
    return Catalogue(found)


@cache
def _own_words(language: str) -> Mapping[str, str]:
    if language == "en":
        return HINTS
    said: dict[str, str] = json.loads((files(__package__) / "words" / f"{language}.json").read_text("utf-8"))
    return said


@cache
def _families() -> list[tuple[re.Pattern[str], Mapping[str, str]]]:
    """Rules that say the same of different things share their words."""
    written = json.loads((files(__package__) / "words" / "families.json").read_text("utf-8"))
    return [(re.compile(one["rule"]), one) for one in written]


def _words(rule: str, language: str, terms: str) -> str:
    own = _own_words(language).get(rule)
    if own:
        return own
    place = LANGUAGES.index(language)
    for pattern, words in _families():
        match = pattern.fullmatch(rule)
        if match is None:
            continue
        named = match.groupdict()
        category = _CATEGORIES.get(named.get("category") or "", ("",) * 3)[place]
        country = _COUNTRIES.get(named.get("country") or "", ("",) * 3)[place]
        return words[language].format(category=category, country=country, terms=terms)
    return _NO_WORDS[language]


def plain_words(rule: str, language: str, message: str = "") -> str:
    """The rule in plain words, for a finding with this message; empty where there are no words for it."""
    terms = ", ".join(dict.fromkeys(_TERM.findall(message))) or message
    words = _words(rule, language, terms)
    return "" if words == _NO_WORDS[language] else words


@dataclass(frozen=True, slots=True)
class Addend:
    """One amount of a sum, and where the document has it."""

    amount: str
    location: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Computed:
    """One sum that a rule asks for, with this document's amounts put in."""

    words: Mapping[str, str]  # by language
    expected: str
    said: str
    difference: str
    right: bool  # as the official rule sees it
    location: str
    line: int | None
    addends: tuple[Addend, ...]


@dataclass(frozen=True, slots=True)
class InDocument:
    """What a rule comes to in one document."""

    findings: tuple[Finding, ...]  # of this rule; empty where the document keeps it
    computed: tuple[Computed, ...]

    @property
    def broken(self) -> bool:
        return bool(self.findings)


def sums_of(rule: str, document: ParsedDocument) -> tuple[Computed, ...]:
    """The sums of a document that this rule asks for, wrong ones first; none where the rule asks for no sum."""
    index = ElementIndex(document.root)
    try:
        sums = [one for one in all_sums(index) if _asked_by(rule, one)]
        return tuple(_computed(one) for one in sorted(sums, key=lambda one: (not one.minded, not one.difference)))
    finally:
        index.let_go()


def _asked_by(rule: str, one: Sum) -> bool:
    """BR-S-09 and its like ask for what BR-CO-17 asks, of one category."""
    return one.rule == rule or (one.kind == "category" and re.fullmatch(r"BR-(S|AF|AG)-09", rule) is not None)


_ADDEND = {"vat": "TaxAmount", "lines": "LineExtensionAmount"}


def _computed(one: Sum) -> Computed:
    name = _ADDEND.get(one.kind, "Amount")
    source = one.element.source
    addends = [
        Addend(shown(amount), location_of(each), each.source.sourceline)  # type: ignore[arg-type]
        for each in one.addends
        if (amount := amount_of(each, name)) is not None
    ]
    return Computed(
        words={language: whole_sentence(one, language) for language in LANGUAGES},
        expected=format(one.expected, "f"),
        said=format(one.said, "f"),
        difference=format(one.difference, "f"),
        right=not one.minded,
        location=location_of(source),
        line=source.sourceline,  # type: ignore[arg-type]
        addends=tuple(addends),
    )

"""Sums in words, in English, Dutch and French: what was added up, what it comes to, what the document says."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from clearfacts_assets.invoices.validation.sums import Sum

LANGUAGES = ("en", "nl", "fr")
_GROUPS = {"en": (",", "."), "nl": (".", ","), "fr": ("\N{NARROW NO-BREAK SPACE}", ",")}
_PLAIN = frozenset({"percent", "quantity", "price", "base"})  # numbers as they are; all others are amounts

_WHAT: dict[str, dict[str, str]] = {
    "en": {
        "lines": "the net amounts of the lines",
        "allowances": "the allowances",
        "charges": "the charges",
        "without_vat": "lines {net} + charges {charges} - allowances {allowances}",
        "with_vat": "net {without} + VAT {tax}",
        "due": "total {including} - prepaid {prepaid} + rounding {rounding}",
        "vat": "the VAT amounts of the categories",
        "category": "{percent} % of {taxable}",
        "line": "{quantity} at {price}, charges {charges}, allowances {allowances}",
        "line_for_base": "{quantity} at {price} for {base}, charges {charges}, allowances {allowances}",
        "taxable": "lines {net} + charges {charges} - allowances {allowances} of this category",
    },
    "nl": {
        "lines": "de nettobedragen van de lijnen",
        "allowances": "de kortingen",
        "charges": "de toeslagen",
        "without_vat": "lijnen {net} + toeslagen {charges} - kortingen {allowances}",
        "with_vat": "netto {without} + btw {tax}",
        "due": "totaal {including} - al betaald {prepaid} + afronding {rounding}",
        "vat": "de btw-bedragen van de categorieën",
        "category": "{percent} % van {taxable}",
        "line": "{quantity} aan {price}, toeslagen {charges}, kortingen {allowances}",
        "line_for_base": "{quantity} aan {price} per {base}, toeslagen {charges}, kortingen {allowances}",
        "taxable": "lijnen {net} + toeslagen {charges} - kortingen {allowances} van deze categorie",
    },
    "fr": {
        "lines": "les montants nets des lignes",
        "allowances": "les remises",
        "charges": "les frais",
        "without_vat": "lignes {net} + frais {charges} - remises {allowances}",
        "with_vat": "net {without} + TVA {tax}",
        "due": "total {including} - déjà payé {prepaid} + arrondi {rounding}",
        "vat": "les montants de TVA des catégories",
        "category": "{percent} % de {taxable}",
        "line": "{quantity} à {price}, frais {charges}, remises {allowances}",
        "line_for_base": "{quantity} à {price} par {base}, frais {charges}, remises {allowances}",
        "taxable": "lignes {net} + frais {charges} - remises {allowances} de cette catégorie",
    },
}
_WRONG = {
    "en": "{what} come to {expected}; the document says {said}: {difference} {sense}",
    "nl": "{what}: samen {expected}; in het document staat {said}: {difference} {sense}",
    "fr": "{what} : ensemble {expected} ; le document indique {said} : {difference} {sense}",
}
_RIGHT = {
    "en": "{what} come to {expected}, and so says the document",
    "nl": "{what}: samen {expected}, en zo staat het in het document",
    "fr": "{what} : ensemble {expected}, et le document l'indique ainsi",
}
_SENSE = {"en": ("too much", "too little"), "nl": ("te veel", "te weinig"), "fr": ("de trop", "trop peu")}
_LET_BE = {
    "en": "{words}; the rule lets this be, for it minds differences from {allowed} on",
    "nl": "{words}; de regel laat dit toe: hij let pas op een verschil vanaf {allowed}",
    "fr": "{words} ; la règle l'accepte : elle ne relève qu'un écart à partir de {allowed}",
}


def sentence(one: Sum, language: str = "en") -> str:
    """What the amounts come to, and what the document says instead; without the mercy of the official rule."""
    what = _WHAT[language][one.kind].format(**_shown_parts(one.amounts, language))
    expected, said = shown(one.expected, language), shown(one.said, language)
    if not one.difference:
        return _RIGHT[language].format(what=what, expected=expected)
    sense = _SENSE[language][one.difference < 0]
    difference = shown(one.difference.copy_abs(), language)
    return _WRONG[language].format(what=what, expected=expected, said=said, difference=difference, sense=sense)


def whole_sentence(one: Sum, language: str = "en") -> str:
    """The same, and that the rule lets it be where it does."""
    words = sentence(one, language)
    if not one.difference or one.minded:
        return words
    return _LET_BE[language].format(words=words, allowed=shown(one.allowed, language))


def shown(amount: Decimal, language: str = "en") -> str:
    """An amount as people of that language write it, with two decimals or, where it has more, with all of them."""
    exact = f"{amount:,f}"
    two = f"{amount:,.2f}"
    return _in(two if Decimal(two.replace(",", "")) == amount else exact, language)


def number(value: Decimal, language: str = "en") -> str:
    """A quantity, rate or price, without zeros at its end."""
    return f"{value.normalize():f}".replace(".", _GROUPS[language][1])


def _shown_parts(amounts: Mapping[str, Decimal], language: str) -> dict[str, str]:
    return {name: (number if name in _PLAIN else shown)(value, language) for name, value in amounts.items()}


def _in(text: str, language: str) -> str:
    group, point = _GROUPS[language]
    return text.replace(",", "\0").replace(".", point).replace("\0", group)

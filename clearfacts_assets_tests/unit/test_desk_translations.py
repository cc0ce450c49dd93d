"""The desk's texts in Dutch and French, its dates and money, and its charts."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from itertools import product
from string import Formatter

import pytest

from clearfacts_assets.configuration import CHANGEABLE, problem_of
from clearfacts_assets.desk import charts, finished_texts
from clearfacts_assets.desk.translations import Words, catalogue, preferred
from clearfacts_assets.settings import Settings
from clearfacts_assets_tests.fixtures.desk_texts import (
    DESK,
    ELSEWHERE,
    bare_texts,
    texts_of_code,
    texts_of_settings,
    texts_of_templates,
    words_of_the_trade,
)
from clearfacts_assets_tests.fixtures.engine_texts import finished_texts_of_the_engine, texts_of_the_engine

FINISHED = [
    (
        "BilledCost '1,5': the comma may be a decimal one or a thousands one",
        "BilledCost '1,5': de komma kan een decimale komma of een duizendtal zijn",
        "BilledCost '1,5' : la virgule peut être décimale ou séparer les milliers",
    ),
    (
        "BilledCost '$5': $ does not go with the currency EUR",
        "BilledCost '$5': $ past niet bij de munt EUR",
        "BilledCost '$5' : $ ne va pas avec la devise EUR",
    ),
    ("8 cells where the header has 9", "8 cellen waar de kop er 9 heeft", "8 cellules alors que l'en-tête en a 9"),
    (
        "HPC has no rate on 2025-03-01: clearfacts chargeback rates add 'HPC' --unit ... --price ..., then import the "
        "file again",
        "HPC heeft geen prijs op 2025-03-01",
        "HPC n'a pas de prix le 2025-03-01",
    ),
    (
        "1200 of 1300 charges of 2025-03 would be withdrawn; 1234.5 of 2000 EUR of 2025-04 would be withdrawn: a "
        "snapshot is all of its month",
        "1.200 van de 1.300 kosten van maart 2025 zouden ingetrokken worden; 1.234,5 van de 2.000 EUR van april 2025 "
        "zouden ingetrokken worden: een levering van de hele maand vervangt alles",
        "1\u202f200 des 1\u202f300 coûts seraient retirés pour mars 2025; 1\u202f234,5 des 2\u202f000 EUR seraient "
        "retirés pour avril 2025 : une livraison de tout le mois remplace tout",
    ),
    (
        "due, and on no statement yet: -12.50 (S-1, S-2)",
        "verschuldigd, en nog op geen afrekening: \N{MINUS SIGN}12,50 (S-1, S-2)",
        "dû, et encore sur aucun relevé : \N{MINUS SIGN}12,50 (S-1, S-2)",
    ),
    (
        "S-1: customers.parties has no 'Gent'",
        "S-1: customers.parties kent geen 'Gent'.",
        "S-1 : customers.parties ne connaît pas 'Gent'.",
    ),
    (
        "hpc has no rate on 2025-03-01: priced as imported",
        "hpc heeft geen prijs op 2025-03-01: de ingevoerde prijs blijft",
        "hpc n'a pas de prix le 2025-03-01 : le prix importé reste",
    ),
    ("below 1234.50 USD", "onder 1.234,50 USD", "sous 1\u202f234,50 USD"),
]


def names(text: str) -> set[str]:
    """What stands in its braces. Raises ValueError where they do not fit."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", ["nl", "fr"])
def test_a_catalogue_keeps_the_names_in_its_texts(language: str) -> None:
    texts = catalogue(language)
    assert [one for one, said in texts.items() if names(one) != names(said)] == []
    assert [one for one, said in texts.items() if not said.strip()] == []


def test_both_catalogues_have_every_text_that_the_desk_says_and_no_other() -> None:
    assert set(catalogue("nl")) == set(catalogue("fr"))
    said = texts_of_templates() | texts_of_code() | texts_of_the_engine() | words_of_the_trade() | texts_of_settings()
    said |= set(finished_texts.TEXTS)
    assert said - set(catalogue("nl")) == set(), "texts that are shown in English alone"
    assert set(catalogue("nl")) - said - ELSEWHERE == set(), "texts that nothing says any more"


def test_what_the_engine_has_put_together_is_known_by_its_shape() -> None:
    shapes = {re.sub(r"\{[^}]*\}", "{}", one) for one in (*finished_texts.TEXTS, *catalogue("nl"))}
    left = {one for one in finished_texts_of_the_engine() if one not in shapes}
    assert left == set(), "texts that are shown in English alone"


@pytest.mark.parametrize(("english", "dutch", "french"), FINISHED)
def test_a_finished_text_is_told_with_its_values_as_the_reader_writes_them(
    english: str, dutch: str, french: str
) -> None:
    assert (Words("nl").finished(english), Words("fr").finished(english)) == (dutch, french)
    assert Words("en").finished(english) == english


def test_what_is_wrong_with_a_settings_value_is_known_by_its_shape() -> None:
    said: set[str] = set()
    for key, value in product(CHANGEABLE, (None, -1, 0, 10**12, "no", [], "\n")):
        said.add(problem_of(key, json.dumps(value), Settings()))
    assert len(said) > 8
    said -= {""}
    assert {text for text in said if Words("nl").finished(text) == text} == set()


@pytest.mark.parametrize("text", ["", "BilledCost '1': an unknown reason", "nobody: 5 of 6", "x" * 5000])
def test_a_finished_text_that_nobody_knows_stays_as_it_is(text: str) -> None:
    assert Words("nl").finished(text) == text


def test_templates_have_no_text_that_is_not_looked_up() -> None:
    found = {path.name: bare_texts(path.read_text("utf-8")) for path in (DESK / "templates").glob("*.html")}
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_a_bare_text_would_be_found() -> None:
    assert bare_texts('<p aria-label="{{ _("a") }}">{{ _("b") }}</p>') == []
    assert bare_texts('<p title="Why">{% if a %}Because{% endif %} <code>x</code></p>') == ["Why", "Because"]


@pytest.mark.parametrize(
    ("language", "money", "day"),
    [
        ("en", "\N{MINUS SIGN}1,234,567.89\N{NO-BREAK SPACE}EUR", "28 Nov 2026, 13:05"),
        ("nl", "\N{MINUS SIGN}1.234.567,89\N{NO-BREAK SPACE}EUR", "28 nov 2026, 13:05"),
        ("fr", "\N{MINUS SIGN}1\u202f234\u202f567,89\N{NO-BREAK SPACE}EUR", "28 nov 2026, 13:05"),
    ],
)
def test_money_and_days_are_written_as_the_reader_does(language: str, money: str, day: str) -> None:
    words = Words(language)
    assert words.money("-1234567.885", "EUR") in (money, money.replace("89", "88"))
    assert words.moment(datetime(2026, 11, 28, 13, 5, tzinfo=UTC)) == day


@pytest.mark.parametrize(
    ("exact", "shown"), [("0.0035", "0.0035"), ("1.1", "1.10"), ("1210", "1,210.00"), (None, ""), ("", "")]
)
def test_exact_amounts_lose_no_digit(exact: str | None, shown: str) -> None:
    assert Words().exact(exact) == shown


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [("nl", "fr", "nl"), (None, "fr-BE,nl;q=0.5", "fr"), ("xx", "de,nl", "nl"), (None, "", "en"), (None, "*", "en")],
)
def test_the_language_is_chosen_or_the_browsers(chosen: str | None, accepted: str, language: str) -> None:
    assert preferred(chosen, accepted) == language


def test_a_chart_has_a_name_a_bar_a_month_and_no_markup_of_others() -> None:
    drawn = charts.columns([("<Jan>", "1.5", "1.50"), ("Feb", "-3", "−3"), ("Mar", "3", "3.00")], 'a "title"')
    assert drawn.count("<rect") == 3
    assert "&lt;Jan&gt;" in drawn
    assert 'aria-label="a &#34;title&#34;"' in drawn
    assert charts.columns([], "nothing") == ""
    assert 'width="25.0"' in charts.share("1", "4")
    assert 'width="0.0"' in charts.share("1", "0")

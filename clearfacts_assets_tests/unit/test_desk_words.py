"""The desk's texts in Dutch and French, its dates and money, and its charts."""

from __future__ import annotations

from datetime import UTC, datetime
from string import Formatter

import pytest

from clearfacts_assets.desk import charts
from clearfacts_assets.desk.words import Words, catalogue, preferred
from clearfacts_assets_tests.fixtures.desk_texts import (
    DESK,
    ELSEWHERE,
    bare_texts,
    texts_of_code,
    texts_of_settings,
    texts_of_templates,
    words_of_the_trade,
)
from clearfacts_assets_tests.fixtures.engine_texts import texts_of_the_engine


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
    assert said - set(catalogue("nl")) == set(), "texts that are shown in English alone"
    assert set(catalogue("nl")) - said - ELSEWHERE == set(), "texts that nothing says any more"


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

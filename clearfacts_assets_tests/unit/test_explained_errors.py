"""Texts with values in them: as they are told in English, and in another language."""

from __future__ import annotations

from enum import StrEnum

from clearfacts_assets.chargeback.lifecycle import NotAllowed
from clearfacts_assets.desk.translations import Words
from clearfacts_assets.messages import ExplainedError, Message, Messages


class Colour(StrEnum):
    OPEN = "open"


def test_an_error_keeps_its_text_and_its_values_apart() -> None:
    error = NotAllowed("{period} is {state}", period="2025-03", state=Colour.OPEN)
    assert (str(error), error.said.text) == ("2025-03 is open", "{period} is {state}")


def test_braces_of_others_are_no_names() -> None:
    assert str(Message("it says {this}")) == "it says {this}"
    assert str(ExplainedError("{name!r} is not known", name="{0}")) == "'{0}' is not known"


def test_a_sentence_begins_with_a_capital_and_has_one_stop() -> None:
    assert str(Message("there is no {what}", {"what": "row"}).as_sentence()) == "There is no row."
    assert str(Message("Nothing was written.").as_sentence()) == "Nothing was written."


def test_what_is_ours_inside_a_message_is_told_in_the_same_language() -> None:
    inside = Messages([Message("there is no amount"), Message("it is closed already")])
    error = NotAllowed("{period}: {why}; {state}", period="open", why=inside, state=Colour.OPEN)
    said = Words("fr").told(error.said)
    assert said == "open: il n'y a pas de montant; il est d\u00e9j\u00e0 cl\u00f4tur\u00e9; ouvert"


def test_a_text_is_rewritten_with_all_that_stands_in_it() -> None:
    inner = ExplainedError("d{e}: do z", e=1)
    said = ExplainedError("a {b} {c} {d}: do x", b=Message("b: do y"), c=Messages([Message("c: do y")]), d=inner).said
    assert str(said.rewritten(lambda text: text.partition(": do")[0])) == "a b c d1"

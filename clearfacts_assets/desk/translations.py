"""Texts, dates and money in the reader's language. English stands in the templates; ``words/nl.json`` and
``words/fr.json`` hold the same texts in Dutch and French, a text a line. What they lack is shown in English."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cache
from importlib.resources import files

from clearfacts_assets.desk.finished_texts import AMOUNTS, COUNTS, NESTED, fitting
from clearfacts_assets.messages import Message, Messages
from clearfacts_assets.money import exponent, plain, rounded

LANGUAGES = {"en": "English", "nl": "Nederlands", "fr": "Français"}
_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
_SHORT = {
    "en": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "nl": "jan feb mrt apr mei jun jul aug sep okt nov dec",
    "fr": "janv févr mars avr mai juin juil août sept oct nov déc",
}
_THIN = "\N{NARROW NO-BREAK SPACE}"
_GROUPS = {"en": (",", "."), "nl": (".", ","), "fr": (_THIN, ",")}
_MINUS = "\N{MINUS SIGN}"


def mark(text: str) -> str:
    """A text of the program that is translated where it is shown."""
    return text


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """The texts of a language by their English; empty for English."""
    if language == "en":
        return {}
    found: dict[str, str] = json.loads((files(__package__) / "words" / f"{language}.json").read_text("utf-8"))
    return found


@dataclass(frozen=True, slots=True)
class Words:
    """One language."""

    language: str = "en"

    def say(self, text: str, /, **values: object) -> str:
        """The text in this language, with its {values} in it."""
        said = catalogue(self.language).get(text, text)
        return said.format(**values) if values else said

    def told(self, message: Message) -> str:
        """The message in this language, with what of its values is ours to say: messages, states, errors."""
        return self.say(message.text, **{name: self._part(value) for name, value in message.values.items()})

    def _part(self, value: object) -> object:
        if isinstance(value, Message):
            return self.told(value)
        if isinstance(value, Messages):
            return "; ".join(map(self.told, value))
        if isinstance(value, StrEnum):
            return self.say(value.replace("_", " "))
        return self.finished(str(value)) if isinstance(value, Exception) else value

    def finished(self, text: str) -> str:
        """What stands in English with its values in it, in this language; as it stands where nobody knows it."""
        return self._known(text) or text

    def _known(self, text: str) -> str | None:
        texts = catalogue(self.language)
        if text in texts:
            return texts[text]
        for one, values in fitting(text) if texts else ():
            shown = {name: self._shown(name, value) for name, value in values.items()}
            if None not in shown.values():
                return self.say(one, **shown)
        return None

    def _shown(self, name: str, value: str) -> str | None:
        """One of its values as this language writes it; None for what has to be a text of ours and is none."""
        if name in NESTED:
            told = [self._known(one) for one in (value.split(NESTED[name]) if NESTED[name] else [value])]
            return NESTED[name].join(filter(None, told)) if None not in told else None
        if name in AMOUNTS:
            return self._grouped(plain(Decimal(value)), "")
        if name in COUNTS:
            return self.count(int(value))
        return self.month(value) if name == "period" else value

    def month(self, period: str) -> str:
        """``2025-03`` as March 2025; anything else as it is."""
        year, _, number = period.partition("-")
        if not (number.isdecimal() and 1 <= int(number) <= 12):
            return period
        return f"{_MONTHS[self.language].split()[int(number) - 1]} {year}"

    def short(self, period: str) -> str:
        """The same for a chart: Mar 25."""
        return f"{_SHORT[self.language].split()[int(period[5:7]) - 1]} {period[2:4]}"

    def moment(self, at: datetime | None) -> str:
        """Day and time, in UTC."""
        if at is None:
            return ""
        name = _SHORT[self.language].split()[at.month - 1]
        return f"{at.day} {name} {at.year}, {at:%H:%M}"

    def money(self, amount: object, currency: str = "") -> str:
        """Rounded to the currency's cents, for sums at a glance."""
        value = _decimal(amount)
        if value is None:
            return ""
        return self._grouped(f"{rounded(value, currency or 'EUR'):f}", currency)

    def exact(self, amount: object, currency: str = "") -> str:
        """Every digit, and at least the currency's cents."""
        value = _decimal(amount)
        if value is None:
            return ""
        text = plain(value)
        places = exponent(currency or "EUR")
        if len(text.partition(".")[2]) < places:
            text = f"{value:.{places}f}"
        return self._grouped(text, currency)

    def count(self, number: int) -> str:
        """A whole number in groups of three."""
        return self._grouped(str(number), "")

    def _grouped(self, text: str, currency: str) -> str:
        group, point = _GROUPS[self.language]
        sign, digits = (_MINUS, text[1:]) if text.startswith("-") else ("", text)
        whole, _, cents = digits.partition(".")
        whole = f"{int(whole):,}".replace(",", group)
        return f"{sign}{whole}{point + cents if cents else ''}" + (f"\N{NO-BREAK SPACE}{currency}" if currency else "")


def _decimal(amount: object) -> Decimal | None:
    try:
        return None if amount is None or amount == "" else Decimal(str(amount))
    except InvalidOperation:
        return None


def preferred(chosen: str | None, accepted: str) -> str:
    """The language somebody chose, or the first one of ours that the browser asks for (RFC 9110, section 12.5.4)."""
    if chosen in LANGUAGES:
        return chosen
    for one in accepted.split(",")[:20]:
        language = one.partition(";")[0].strip().lower().partition("-")[0]
        if language in LANGUAGES:
            return language
    return "en"

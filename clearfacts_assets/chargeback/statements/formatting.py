"""Amounts, dates and long names as they are printed."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from decimal import Decimal

from clearfacts_assets.money import exponent, normal_text, plain

BREAK = "\u200b"  # a place where a line may end, without width
LONGEST_WHOLE = 18  # characters that may stand together without a place to break them
_MARKS = re.compile(r"([/:._\-@=?&#,;|\\])")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def money(amount: Decimal, currency: str) -> str:
    """``1,234.50``, ``-0.05``, ``1,235`` for yen; never ``-0.00``. A plain minus, so that a copied number is one."""
    text = f"{amount:,.{exponent(currency)}f}"
    return text[1:] if text.startswith("-") and not amount else text


def short_money(amount: Decimal) -> str:
    """For the axis of a chart: ``950``, ``12.5k``, ``3.2M``."""
    for size, unit in ((Decimal(10) ** 9, "G"), (Decimal(10) ** 6, "M"), (Decimal(10) ** 3, "k")):
        if amount >= size:
            return normal_text((amount / size).quantize(Decimal("0.1"))) + unit
    return normal_text(amount.quantize(Decimal(1)))


def quantity(total: Decimal | None, unit: str) -> str:
    """At most four places, with its unit; empty where a row said none."""
    if total is None:
        return ""
    shown = normal_text(total.quantize(Decimal("0.0001"))) if -total.as_tuple().exponent > 4 else plain(total)  # type: ignore[operator]
    whole, point, part = shown.partition(".")
    return f"{int(whole):,}{point}{part.rstrip('0')}".rstrip(".") + (f" {unit}" if unit else "")


def day(text: str) -> str:
    """``14 March 2025`` of an ISO date or moment; the text itself where it is none."""
    try:
        found = date.fromisoformat(text[:10])
    except ValueError:
        return text
    return f"{found.day} {MONTHS[found.month - 1]} {found.year}"


def month(period: str) -> str:
    """``March 2025``."""
    return f"{MONTHS[int(period[5:7]) - 1]} {period[:4]}"


def short_month(period: str) -> str:
    """``Mar`` and for January ``Jan 25``."""
    name = MONTHS[int(period[5:7]) - 1][:3]
    return f"{name} {period[2:4]}" if period.endswith("-01") else name


def span(first: str, last: str) -> str:
    """Such as 1 to 31 March, from the first day to the last one, which is included."""
    if not first:
        return ""
    begin = date.fromisoformat(first[:10])
    end = date.fromisoformat(last[:10]) if last else begin
    name, last_name = MONTHS[begin.month - 1][:3], MONTHS[end.month - 1][:3]
    if begin == end:
        return f"{begin.day} {name}"
    if (begin.year, begin.month) == (end.year, end.month):
        return f"{begin.day}–{end.day} {name}"
    return f"{begin.day} {name}–{end.day} {last_name}"


def shortened(text: str, most: int = 80) -> str:
    """The text, or its beginning; the attachment has all of it."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def breakable(text: str) -> str:
    """The text with places to break it, so that it never runs over what stands beside it."""
    return " ".join(_breakable_word(word) for word in text.split(" "))


def _breakable_word(word: str) -> str:
    if len(word) <= LONGEST_WHOLE:
        return word
    pieces = []
    for piece in _MARKS.sub(r"\1" + BREAK, word).split(BREAK):
        if len(piece) > LONGEST_WHOLE:
            piece = BREAK.join(_clusters(piece))
        pieces.append(piece)
    return BREAK.join(pieces)


def _clusters(text: str) -> list[str]:
    """Characters with the marks that belong to them."""
    found: list[str] = []
    for character in text:
        if found and (unicodedata.combining(character) or character in "\u200d\ufe0f"):
            found[-1] += character
        else:
            found.append(character)
    return found


def harmless(text: str) -> str:
    """One line of text: control characters, also those that turn the direction of writing, become a blank."""
    kept = "".join(
        " " if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") else one for one in text
    )
    return " ".join(kept.split())

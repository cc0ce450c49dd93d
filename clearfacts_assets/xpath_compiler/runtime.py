"""XPath's functions as the written code calls them, for well-behaved values only.

Wherever XPath would raise an error, or where a value is unusual enough that this could differ from Saxon by a hair
(long numbers, blanks around numbers, characters outside ASCII in upper case), Unproved is raised, and Saxon decides.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import Any, TypeVar

from clearfacts_assets.xpath_compiler.elements import Element, ElementIndex

Value = TypeVar("Value", Decimal, date)

NONE: Sequence[Element] = ()
LONGEST_NUMBER = 16  # characters; below that no sum or product of CEN's rules meets Saxon's limits on decimals
MOST_PRECEDING = 50  # elements that are compared with all before them
KEPT = 512  # values of which the result is remembered: codes, countries and amounts come again and again
_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_BLANKS = re.compile(r"[ \t\r\n]+")
_BINARY_TO_THE_CENT = 10**9  # beyond it, a binary number may be off by more than a hair
_HAIR = Decimal("0.000001")
_HALF = Decimal("0.5")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def forget() -> None:
    """Let go of remembered values: those of a long document are many, and may be long."""
    for remembers in (normalize, upper, number):
        remembers.cache_clear()


class Unproved(Exception):
    """This cannot be said for sure here."""


def kids(elements: Sequence[Element], tag: str) -> Sequence[Element]:
    if len(elements) == 1:  # as most are
        return elements[0].by.get(tag, NONE)
    return [kid for element in elements for kid in element.by.get(tag, NONE)]


def attributes(elements: Iterable[Element], name: str) -> list[str]:
    return [element.attributes[name] for element in elements if name in element.attributes]


def parents(elements: Iterable[Element], index: ElementIndex) -> list[Element]:
    found: dict[int, Element] = {}
    for element in elements:
        parent = element.parent if element.parent is not None else index.top
        found[id(parent)] = parent
    return list(found.values())


def ancestors(element: Element, tag: str) -> list[Element]:
    return [each for each in element.ancestors() if each.tag == tag]


def preceding(element: Element, tag: str, index: ElementIndex) -> list[Element]:
    """Those of that name before this one, where this one is of that name too."""
    same = index.all(tag)
    if len(same) > MOST_PRECEDING or element.tag != tag or ancestors(element, tag):
        raise Unproved
    return list(same[: same.index(element)])


def all_attributes(index: ElementIndex, name: str) -> list[str]:
    if name not in index.attribute_names:
        return []
    return [one.attributes[name] for same in index.by_tag.values() for one in same if name in one.attributes]


def grouped(index: ElementIndex, tag: str, name: str) -> dict[str, list[Element]]:
    """All elements of a tag by the normalized text of one child; a tag without that child stands under ``""``."""
    key = (tag, name)
    groups: dict[str, list[Element]] | None = index.made.get(key)
    if groups is None:
        groups = {}
        for element in index.all(tag):
            groups.setdefault(normalize(one(element.by.get(name, NONE))), []).append(element)
        index.made[key] = groups
    return groups


def one(values: Sequence[Element]) -> str:
    """The text of the only one; ``""`` of none."""
    if not values:
        return ""
    if len(values) > 1:
        raise Unproved
    return values[0].value


def one_text(values: Sequence[str]) -> str:
    if not values:
        return ""
    if len(values) > 1:
        raise Unproved
    return values[0]


def values(elements: Iterable[Element]) -> list[str]:
    return [element.value for element in elements]


@lru_cache(maxsize=KEPT)
def normalize(text: str) -> str:
    if text.isascii():  # XML allows no other blank in ASCII than XPath's four
        return " ".join(text.split())
    return _BLANKS.sub(" ", text).strip(" ")


@lru_cache(maxsize=KEPT)
def upper(text: str) -> str:
    if not text.isascii():
        raise Unproved
    return text.upper()


def after(text: str, mark: str) -> str:
    return text.partition(mark)[2]


def before(text: str, mark: str) -> str:
    head, found, _ = text.partition(mark)
    return head if found else ""


@lru_cache(maxsize=KEPT)
def number(text: str) -> Decimal:
    if len(text) > LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        raise Unproved
    return Decimal(text)


def decimal(elements: Sequence[Element]) -> Decimal | None:
    """``xs:decimal``: nothing of nothing."""
    if not elements:
        return None
    if len(elements) > 1:
        raise Unproved
    return number(elements[0].value)


def near(elements: Sequence[Element], change: int) -> list[Decimal]:
    """An untyped value plus a whole number: XPath computes it in binary, this in decimals (see ``apart``)."""
    value = decimal(elements)
    if value is not None and abs(value) > _BINARY_TO_THE_CENT:
        raise Unproved
    return [] if value is None else [value + change]


def apart(left: Decimal, right: Decimal) -> bool:
    """True where binary arithmetic cannot have swapped the two."""
    if abs(left - right) < _HAIR:
        raise Unproved
    return True


def single(numbers: Sequence[Decimal]) -> Decimal | None:
    if len(numbers) > 1:
        raise Unproved
    return numbers[0] if numbers else None


def some(value: Value | None) -> list[Value]:
    return [] if value is None else [value]


def present(values: Iterable[Decimal | None]) -> list[Decimal]:
    return [value for value in values if value is not None]


def _comparison(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Of nothing with anything: false."""
    return lambda left, right: left is not None and right is not None and compare(left, right)


equal, unequal = _comparison(operator.eq), _comparison(operator.ne)
less, at_most = _comparison(operator.lt), _comparison(operator.le)
more, at_least = _comparison(operator.gt), _comparison(operator.ge)


def rounded(value: Decimal | None) -> Decimal | None:
    return None if value is None else (value + _HALF).to_integral_value(ROUND_FLOOR)


def plus(left: Decimal | None, right: Decimal | None) -> Decimal | None:
    return None if left is None or right is None else left + right


def minus(left: Decimal | None, right: Decimal | None) -> Decimal | None:
    return None if left is None or right is None else left - right


def times(left: Decimal | None, right: Decimal | None) -> Decimal | None:
    return None if left is None or right is None else left * right


def divided(left: Decimal | None, right: Decimal | None) -> Decimal | None:
    if left is None or right is None:
        return None
    if right != 100:
        raise Unproved
    return left / right


def absolute(value: Decimal | None) -> Decimal | None:
    return None if value is None else abs(value)


def truth(text: str) -> bool:
    try:
        return _TRUTH[normalize(text)]
    except KeyError:
        raise Unproved from None


def only_truth(truths: Sequence[bool]) -> bool:
    """The effective boolean value of booleans: of more than one there is none."""
    if len(truths) > 1:
        raise Unproved
    return bool(truths) and truths[0]


def day(elements: Sequence[Element]) -> date | None:
    text = one(elements)
    if not elements:
        return None
    try:
        if len(text) != 10:
            raise Unproved
        return date.fromisoformat(text)
    except ValueError:
        raise Unproved from None


def one_name(elements: Sequence[Element]) -> str:
    """The local name of the only one; ``""`` of none."""
    if not elements:
        return ""
    if len(elements) > 1:
        raise Unproved
    return elements[0].tag.rpartition("}")[2]

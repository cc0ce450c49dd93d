"""XPath's functions as Python source, and what written code is known to give.

The kinds of value, which decide how two of them are compared:

    element   one Element              elements  a list of them
    text      one string               texts     a list of strings (typed: a function's results)
    raw       a list of attribute values (untyped, as elements are)
    number    a Decimal or None        numbers   a list of Decimals
    truth     a bool                   truths    a list of bools
    day       a date or None
    nears     a list of Decimals that XPath computes in binary: equal to the last cent, not beyond
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from clearfacts_assets.xpath_compiler.xpath import NotUnderstood

# What is often written, and has a shorter form.
_CHILDREN = re.compile(r"([\w.]+)\.by\.get\((T\d+), NONE\)")
_OF_TAG = re.compile(r"of_tag\((T\d+), NONE\)")
_OWN = re.compile(r"attributes\(\[([\w.]+)\], ('[^']*')\)")
_SEQUENCES = ("elements", "raw", "texts", "numbers")


@dataclass(frozen=True, slots=True)
class Code:
    """A Python expression and the kind of its value."""

    kind: str
    python: str


def listed(code: Code) -> str:
    return f"[{code.python}]" if code.kind == "element" else code.python


def is_there(python: str) -> str:
    """Whether there is any of these: no list that is kept by a tag is empty."""
    if found := _CHILDREN.fullmatch(python):
        return f"({found[2]} in {found[1]}.by)"
    if found := _OF_TAG.fullmatch(python):
        return f"({found[1]} in index.by_tag)"
    if found := _OWN.fullmatch(python):
        return f"({found[2]} in {found[1]}.attributes)"
    return f"bool({python})"


def as_text(code: Code) -> str:
    """As a string argument: of nothing, the empty string."""
    if code.kind == "text":
        return code.python
    if code.kind == "element":
        return f"{code.python}.value"
    if found := _OWN.fullmatch(code.python):
        return f"{found[1]}.attributes.get({found[2]}, '')"
    if code.kind in ("elements", "raw"):
        return f"{'one' if code.kind == 'elements' else 'one_text'}({code.python})"
    raise NotUnderstood(f"{code.kind} as text")


def as_number(code: Code) -> str:
    if code.kind == "number":
        return code.python
    if code.kind == "numbers":
        return f"single({code.python})"
    raise NotUnderstood(f"arithmetic with {code.kind}")  # untyped values would be binary numbers


def _exists(code: Code) -> Code:
    if code.kind in _SEQUENCES or code.kind == "truths":
        return Code("truth", is_there(code.python))
    raise NotUnderstood(f"exists of {code.kind}")


def _count(code: Code) -> Code:
    if code.kind in _SEQUENCES:
        return Code("number", f"len({code.python})")
    raise NotUnderstood(f"count of {code.kind}")


def _sum(code: Code) -> Code:
    if code.kind != "numbers":
        raise NotUnderstood(f"sum of {code.kind}")
    return Code("number", f"sum({code.python})")


def _decimal(code: Code) -> Code:
    if code.kind in ("element", "elements"):
        return Code("number", f"decimal({listed(code)})")
    if code.kind in ("number", "nears"):
        return code
    raise NotUnderstood(f"xs:decimal of {code.kind}")


def _day(code: Code) -> Code:
    if code.kind != "elements":
        raise NotUnderstood(f"xs:date of {code.kind}")
    return Code("day", f"day({code.python})")


def _substring(text: Code, start: Code, length: Code) -> Code:
    if not (start.python.isdigit() and length.python.isdigit()):
        raise NotUnderstood("substring from a computed place")
    first, count = int(start.python), int(length.python)
    return Code("text", f"{as_text(text)}[{first - 1}:{first - 1 + count}]")


def _named(name: str) -> Callable[..., Code]:
    """A function of strings that stands in ``runtime`` under this name."""

    def written(*arguments: Code) -> Code:
        return Code("text", f"{name}({', '.join(map(as_text, arguments))})")

    return written


CALLS: dict[tuple[str, int], Callable[..., Code]] = {
    ("exists", 1): _exists,
    ("count", 1): _count,
    ("sum", 1): _sum,
    ("xs:decimal", 1): _decimal,
    ("xs:date", 1): _day,
    ("round", 1): lambda code: Code("number", f"rounded({as_number(code)})"),
    ("abs", 1): lambda code: Code("number", f"absolute({as_number(code)})"),
    ("normalize-space", 1): _named("normalize"),
    ("upper-case", 1): _named("upper"),
    ("substring-after", 2): _named("after"),
    ("substring-before", 2): _named("before"),
    ("concat", 3): lambda *codes: Code("text", f"({' + '.join(map(as_text, codes))})"),
    ("contains", 2): lambda text, part: Code("truth", f"({as_text(part)} in {as_text(text)})"),
    ("string-length", 1): lambda text: Code("number", f"len({as_text(text)})"),
    ("substring", 3): _substring,
    ("local-name", 1): lambda code: Code("text", f"one_name({listed(code)})"),
}

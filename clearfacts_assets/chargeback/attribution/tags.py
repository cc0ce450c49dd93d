"""Tags as exports write them: JSON, JSON in JSON, lists of pairs, maps of Athena, key=value, Python's and Azure's ways.

What cannot be read is kept as text and flagged; nothing is guessed.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from clearfacts_assets.chargeback.cells import text_of

REMEMBERED = 4096
LONGEST_TAGS = 2**16  # characters; longer ones are not read
_PAIR = re.compile(r"\s*([^=;,{}]+?)\s*=\s*([^;{}]*?)\s*")
_EMPTY = frozenset({"{}", "[]", "{ }"})


@dataclass(frozen=True, slots=True)
class Tags:
    """Key -> value, in the order written. ``problem`` says why the text cannot be read; ``nested`` are the keys whose
    value is no plain text; ``twice`` those that stand there with two values."""

    values: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    nested: frozenset[str] = frozenset()
    twice: frozenset[str] = frozenset()
    text: str = ""
    canonical: str = field(init=False, compare=False)  # asked for each time that the tags are met
    """Equal for texts that say the same; the text itself where it cannot be read. Empty for no tags."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "canonical", self._canonical())

    def _canonical(self) -> str:
        if self.problem or self.twice:
            return writable(self.text)
        return writable(json.dumps(self.values, sort_keys=True, ensure_ascii=False)) if self.values else ""


def writable(text: str) -> str:
    """The text without what no database holds: NUL and halves of characters, which JSON can spell."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


class _Unreadable(ValueError):
    pass


@lru_cache(maxsize=REMEMBERED)
def read_tags(cell: str) -> Tags:
    """What the cell says. Read once for the row's identity and once for who pays, so it is remembered."""
    text = text_of(cell)
    if not text or text in _EMPTY:
        return Tags()
    if len(text) > LONGEST_TAGS:
        return Tags(problem="longer than 64 KiB", text=text)
    try:
        pairs = _pairs(text)
    except (_Unreadable, ValueError, RecursionError, MemoryError, SyntaxError) as error:
        return Tags(problem=str(error) or "not one of the known forms", text=text)
    return _tags(pairs, text)


def _tags(pairs: Iterable[tuple[str, Any]], text: str) -> Tags:
    values: dict[str, str] = {}
    nested, twice = set(), set()
    for written, value in pairs:
        key = str(written).strip()
        plain, simple = _plain(value)
        if not simple:
            nested.add(key)
        if values.get(key, plain) != plain:
            twice.add(key)
        values[key] = plain
    return Tags(values, "", frozenset(nested), frozenset(twice), text)


def _plain(value: Any) -> tuple[str, bool]:
    if isinstance(value, str):
        return value.strip(), True
    if value is None:
        return "", True
    if isinstance(value, bool):
        return str(value).lower(), True
    if isinstance(value, int | float):
        return repr(value), True
    return json.dumps(value, ensure_ascii=False, default=str), False


def _pairs(text: str, depth: int = 0) -> list[tuple[str, Any]]:
    """Raises ValueError and its kin where the text is in none of the forms."""
    if text[0] in '{["':
        try:
            return _pairs_of(_JSON.decode(text), depth)
        except json.JSONDecodeError:
            pass
    if text[0] == '"':
        return _pairs_of(_JSON.decode("{" + text + "}"), depth)
    if text[0] == "{" and "'" in text:
        return _pairs_of(ast.literal_eval(text), depth)
    inner = text[1:-1] if text[0] == "{" and text[-1] == "}" else text
    if "=" in inner and not inner.startswith(("{", '"', "=")):
        return _equations(inner)
    raise _Unreadable("not one of the known forms")


class _Pairs(list[tuple[str, Any]]):
    """A JSON object, with keys that stand there twice."""


_JSON = json.JSONDecoder(object_pairs_hook=_Pairs)  # one for all: json.loads would make one for each text


def _pairs_of(value: Any, depth: int) -> list[tuple[str, Any]]:
    if isinstance(value, _Pairs):
        return [(key, dict(one) if isinstance(one, _Pairs) else one) for key, one in value]
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, str) and depth == 0 and value.strip():
        return _pairs(value.strip(), 1)
    if isinstance(value, list):
        return [_entry(dict(one)) for one in value if isinstance(one, _Pairs | dict)] if value else []
    raise _Unreadable(f"a {type(value).__name__}, where keys and values should be")


def _entry(one: dict[str, Any]) -> tuple[str, Any]:
    lower = {str(key).lower(): value for key, value in one.items()}
    if set(lower) != {"key", "value"}:
        raise _Unreadable("a list of other things than keys and values")
    return str(lower["key"]), lower["value"]


def _equations(text: str) -> list[tuple[str, Any]]:
    """``a=1; b=2`` or ``a=1, b=2``: which of them separates is what stands between every two equations."""
    separator = ";" if ";" in text else ","
    found = []
    for part in text.split(separator):
        if not part.strip():
            continue
        match = _PAIR.fullmatch(part)
        if match is None:
            raise _Unreadable(f"{part.strip()[:40]!r} is no key=value")
        found.append((match[1], match[2]))
    return found

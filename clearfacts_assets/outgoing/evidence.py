"""What may be kept and shown of an answer: without secrets, short, and fit for any database."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from functools import lru_cache, partial
from typing import Any, Protocol
from urllib.parse import quote

import httpx

EXCERPT_CHARACTERS = 2000
_DEPTH = 12  # levels of a JSON answer that are kept
_ITEMS = 50  # items of one list or object that are kept
_NAME_CHARACTERS = 100  # of an object's member
_LEAST_TAIL = 4  # characters of a secret, cut off at the end of a text, that count as the secret
_HIDDEN = "***"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL takes neither NUL nor half a surrogate pair


class Head(Protocol):
    """What stands before the body of an answer; an httpx.Response has it."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> httpx.Headers: ...


class Secrets:
    """Removes our secrets from what others say: a server may well quote the token that it refuses."""

    def __init__(self, *secrets: str) -> None:
        self._secrets = tuple(secret for secret in secrets if secret)
        shapes = {shape for secret in self._secrets for shape in _shapes(secret)}
        self._pattern = re.compile("|".join(map(re.escape, sorted(shapes, key=len, reverse=True)))) if shapes else None
        # What bytes hold that may hold a secret, whole or cut off.
        traces = {re.escape(shape[:_LEAST_TAIL].encode()) for shape in shapes}
        self._trace = re.compile(b"|".join(sorted(traces))) if traces else None
        # Every answer has the same names.
        self._name = lru_cache(maxsize=256)(partial(self.excerpt, characters=_NAME_CHARACTERS))

    def and_also(self, *secrets: str) -> Secrets:
        """These and further ones."""
        return Secrets(*self._secrets, *secrets)

    def remove(self, text: str) -> str:
        """The text without the secrets, also where it is cut off in the middle of one."""
        if self._pattern is None:
            return text
        text = self._pattern.sub(_HIDDEN, text)
        for secret in self._secrets:
            if secret[:_LEAST_TAIL] not in text[-len(secret) :]:
                continue
            for length in range(min(len(secret) - 1, len(text)), _LEAST_TAIL - 1, -1):
                if text.endswith(secret[:length]):
                    return text[:-length] + _HIDDEN
        return text

    def excerpt(self, text: str, characters: int = EXCERPT_CHARACTERS) -> str:
        """The beginning of a text, fit to be kept."""
        text = replaced_unstorable(self.remove(text))
        return text if len(text) <= characters else f"{text[: characters - 1]}…"

    def keep(self, value: Any, depth: int = _DEPTH) -> Any:
        """A JSON value, fit to be kept: every text an excerpt, deep and long ones cut."""
        if isinstance(value, str):
            return self.excerpt(value)
        if isinstance(value, dict):
            items = list(value.items())[:_ITEMS] if depth else []
            return {self._name(str(key)): self.keep(item, depth - 1) for key, item in items}
        if isinstance(value, list):
            return [self.keep(item, depth - 1) for item in value[:_ITEMS]] if depth else []
        return value if value is None or isinstance(value, bool | int) else self.excerpt(str(value), 100)

    def evidence(self, response: Head, body: bytes | bytearray, parsed: Any = None) -> dict[str, Any]:
        """What is kept of an answer: status, the headers that help a support desk, and the body or its beginning.

        ``parsed`` is the body's JSON value, where it is known.
        """
        names = ("Content-Type", "Retry-After", "X-Request-Id", "X-Correlation-Id", "Location")
        came = {name.lower() for name, _ in response.headers.raw}
        found = {name: response.headers[name] for name in names if name.lower().encode() in came}
        return {
            "status": response.status_code,
            "headers": {name: self.excerpt(value, 200) for name, value in found.items()},
            "body": self._beginning(body, parsed),
        }

    def _is_harmless(self, body: bytes | bytearray) -> bool:
        """Whether each text in this JSON is surely fit to be kept as it is; most answers are.

        Without a backslash what a text says is what stands there, and what is nowhere in the whole is in no part. JSON
        in UTF-16 or 32, which is read too, has a NUL beside each letter.
        """
        if not body.isascii() or b"\\" in body or b"\0" in body:
            return False
        return self._trace is None or self._trace.search(body) is None

    def _beginning(self, body: bytes | bytearray, parsed: Any) -> Any:
        if len(body) <= EXCERPT_CHARACTERS:
            whole = parse_json(body) if parsed is None else parsed
            if isinstance(whole, dict) and _is_flat(whole) and self._is_harmless(body):
                return dict(whole)
            if isinstance(whole, dict | list):
                return self.keep(whole)
        return self.excerpt(bytes(body[: 4 * EXCERPT_CHARACTERS]).decode("utf-8", "replace"))


def _is_flat(value: dict[str, Any]) -> bool:
    """Whether it holds only what is kept whole."""
    return (
        len(value) <= _ITEMS
        and all(item is None or isinstance(item, str | bool | int) for item in value.values())
        and max(map(len, value), default=0) <= _NAME_CHARACTERS
    )


def _shapes(secret: str) -> Iterable[str]:
    """A secret as it stands and as JSON, HTML or an address would write it."""
    as_json = json.dumps(secret)[1:-1]
    return (secret, as_json, as_json.replace("/", "\\/"), html.escape(secret), quote(secret), quote(secret, safe=""))


def replaced_unstorable(text: str) -> str:
    """The text without the characters that no database takes."""
    if text.isascii() and "\x00" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def is_storable(text: str) -> bool:
    """Whether every database takes the text as it is."""
    return _UNSTORABLE.search(text) is None


def parse_json(body: bytes | bytearray) -> Any:
    """The JSON value, or None where it is none (or is ``null``). Never raises, however hostile the bytes."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None

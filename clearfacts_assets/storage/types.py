"""Column types that mean the same on PostgreSQL and on SQLite."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, DateTime, Dialect, Numeric, String, Text, Uuid
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

_UNSTORABLE = re.compile(r"\\u0000|\\ud[89a-f]")  # as JSON writes NUL and surrogates, paired ones too

_LENGTH_OF_A_MOMENT = len("2026-11-20 08:12:00.000000")
_STRICT = json.JSONEncoder(allow_nan=False)

IpAddress = String(45).with_variant(INET(), "postgresql")


def storable(text: str) -> str:
    """The text without what PostgreSQL cannot hold: NUL and lone surrogates appear as ``\\x00`` and ``\\ud800``."""
    if "\x00" in text:
        text = text.replace("\x00", "\\x00")
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def bounded(text: str, longest: int) -> str:
    """The storable text; where it is longer, its beginning and a digest of the whole."""
    text = storable(text)
    if len(text) <= longest:
        return text
    digest = sha256(text.encode()).hexdigest()[:16]
    return f"{text[: longest - 17]}~{digest}"


class Words(TypeDecorator[str]):
    """Text that comes from outside: whatever characters it holds, storing it never fails."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:
        return _words  # without SQLAlchemy's own function around it: this is called for every text of every row


def _words(value: str | None) -> str | None:
    return None if value is None else storable(value)


class Identifier(Uuid[UUID]):
    """A UUID, read from SQLite's 32 hexadecimal digits without a look at how else one may be written."""

    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], UUID | None] | None:
        if dialect.name != "sqlite":
            usual: Callable[[Any], UUID | None] | None = super().result_processor(dialect, coltype)  # type: ignore[no-untyped-call]
            return usual
        return _uuid


@lru_cache(maxsize=4096)  # each comes back a few times while its invoice is worked on
def _uuid(digits: str | None) -> UUID | None:
    return None if digits is None else UUID(int=int(digits, 16))


class Json(TypeDecorator[Any]):
    """A JSON value; JSONB on PostgreSQL. Strings are made storable, numbers that JSON does not know become text."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor((JSONB if dialect.name == "postgresql" else JSON)(none_as_null=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return value if value is None or _plain_text(value) is not None else _plain(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        return _as_text if dialect.name == "sqlite" else super().bind_processor(dialect)


def _as_text(value: Any) -> str | None:
    """As SQLite keeps it, written once."""
    return None if value is None else _plain_text(value) or _STRICT.encode(_plain(value))


def _plain_text(value: Any) -> str | None:
    """The value as JSON, if it can be stored as it is. Writing it once costs a quarter of copying it."""
    try:
        text = _STRICT.encode(value)
    except ValueError:
        return None
    return None if _UNSTORABLE.search(text) else text


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


class UtcDateTime(TypeDecorator[datetime]):
    """A moment with its zone: stored in UTC, read back in UTC. A time without a zone is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        return _written if dialect.name == "sqlite" else _in_utc

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        return _from_text if dialect.name == "sqlite" else _in_utc


# One function a value: there are ten moments in the rows of an invoice, and each goes to the database and back; those
# of rows that are written together are the same.
def _in_utc(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is UTC:
        return value
    if value.utcoffset() is None:
        raise ValueError(f"{value!r} has no zone: times are stored in UTC")
    return value.astimezone(UTC)


def _written(value: datetime | None) -> str | None:
    """As SQLAlchemy writes it on SQLite: ``2026-11-20 08:12:00.000000``, without the zone."""
    moment = _in_utc(value)
    return None if moment is None else _text_of(moment)


@lru_cache(maxsize=1024)  # of moments in UTC alone: elsewhere the two hours of a night in October are equal
def _text_of(moment: datetime) -> str:
    return moment.isoformat(" ", "microseconds")[:_LENGTH_OF_A_MOMENT]


@lru_cache(maxsize=1024)
def _from_text(value: str | None) -> datetime | None:
    # SQLite keeps no zone; what stands there was written in UTC.
    return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)


class ExactDecimal(TypeDecorator[Decimal]):
    """An exact amount: NUMERIC on PostgreSQL, text on SQLite, whose NUMERIC is a float."""

    impl = String(40)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Numeric() if dialect.name == "postgresql" else String(40))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not isinstance(value, Decimal):
            raise TypeError(f"an exact amount is a Decimal, not a {type(value).__name__}")
        return value if dialect.name == "postgresql" else format(value, "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)

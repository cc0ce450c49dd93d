"""Units of use: ``core-hour``, ``GiB-month``, ``token``. How much of one is one of another, exactly.

A unit is a measure, a span of time, or both with a hyphen between. Measures of bytes are converted, other measures
(core, gpu, vm, seat, token) only into themselves. A month has as many days as the month of the use.
"""

from __future__ import annotations

from calendar import monthrange
from functools import lru_cache

from clearfacts_assets.chargeback.model import ChargebackError

_BYTES = {"b": 1, "byte": 1} | {
    f"{prefix}{binary}b": (1024 if binary else 1000) ** power
    for power, prefix in enumerate("kmgtpe", start=1)
    for binary in ("", "i")
}
_SECONDS = {"second": 1, "sec": 1, "s": 1, "minute": 60, "min": 60, "hour": 3600, "hr": 3600, "h": 3600, "day": 86400}
_MONTH, _YEAR = frozenset({"month", "mo"}), frozenset({"year", "yr"})


class UnitMismatch(ChargebackError):
    """One of the units cannot be expressed in the other."""


def days_of(month: str) -> int:
    """How many days a month (``2025-03``) has."""
    return monthrange(int(month[:4]), int(month[5:7]))[1]


@lru_cache(maxsize=4096)
def factor(of: str, into: str, month: str) -> tuple[int, int]:
    """One of ``of`` is numerator / denominator of ``into``, for use in that month. Raises UnitMismatch."""
    measure, size = _read(of, month)
    wanted, other = _read(into, month)
    if measure != wanted:
        raise UnitMismatch("{of} cannot be priced by {into}", of=of, into=into)
    return size, other


def _read(unit: str, month: str) -> tuple[tuple[str, bool], int]:
    """What is measured (and whether over time), and the size in bytes, seconds or byte-seconds, or of itself."""
    words = unit.strip().casefold().replace("_", "-").replace(" ", "-").strip("-").split("-")
    size, timed, measures = 1, False, list[str]()
    for index, word in enumerate(words):
        seconds = _time(word, month) if index == len(words) - 1 else None
        if seconds is not None:
            size, timed = size * seconds, True
        elif (plain := _singular(word)) in _BYTES:
            size *= _BYTES[plain]
            measures.append("byte")
        else:
            measures.append(plain)
    return ("-".join(measures), timed), size


def _time(word: str, month: str) -> int | None:
    for one in (word, _singular(word)):
        if one in _SECONDS:
            return _SECONDS[one]
        if one in _MONTH:
            return days_of(month) * 86400
        if one in _YEAR:
            return (366 if days_of(f"{month[:4]}-02") == 29 else 365) * 86400
    return None


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 2 and word.endswith("s") else word

"""What one cell says: nothing, a text, a moment in UTC. Amounts are read by ``clearfacts_assets.money``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

# Lower case. Where a cell holds nothing but one of these, it holds no value.
NULL_WORDS = frozenset({"", "null", "(null)", "<null>", "none", "n/a", "na", "nan", "\\n", "-", "nil"})
FIRST_YEAR, LAST_YEAR = 1990, 2199

_ISO = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)?)?"
    r"\s*(Z|z|UTC|GMT|[+-]\d{2}:?\d{2})?",
    re.ASCII,
)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})", re.ASCII)
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)


class BadCell(ValueError):
    """A cell that cannot be taken. ``code`` says in one word why, ``column`` where, once that is known."""

    def __init__(self, code: str, why: str, column: str = "") -> None:
        super().__init__(why)
        self.code, self.column = code, column


def text_of(cell: str) -> str:
    """The cell without blanks around it; empty where it holds a word for nothing."""
    text = cell.strip()
    if len(text) < 7 and text.lower() in NULL_WORDS:
        return ""
    return text.replace("\x00", "\\x00") if "\x00" in text else text


def moment_of(cell: str) -> str:
    """The moment as ``2025-03-01T00:00:00Z``, empty for none. Raises BadCell.

    ISO 8601 with or without time, zone and fraction (without a zone it is UTC), ``20250301``, ``3/1/2025`` (month
    first, as exports with slashes write it) and ``01.03.2025`` (day first).
    """
    text = text_of(cell)
    if not text:
        return ""
    try:
        moment = _moment(text)
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise BadCell("bad_date", "it is no date: write 2025-03-01T00:00:00Z")
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise BadCell("bad_date", f"its year is not between {FIRST_YEAR} and {LAST_YEAR}")
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def period_start_of(cell: str) -> str:
    """The same for the start of a billing period. With slashes, only the first of a month is clear. Raises BadCell."""
    moment = moment_of(cell)
    if "/" in cell and moment and moment[8:10] != "01":
        raise BadCell("ambiguous_date", "day and month may have changed places: write 2025-03-01T00:00:00Z")
    return moment


def _moment(text: str) -> datetime | None:
    found = _ISO.fullmatch(text)
    if found:
        year, month, day, hour, minute, second, zone = found.groups()
        whole_day = hour == "24" and not int(minute) and not int(second or 0)  # ISO 8601: the day's end
        clock = (0 if whole_day else int(hour or 0), int(minute or 0), int(second or 0))
        moment = _in_utc(datetime(int(year), int(month), int(day), *clock, tzinfo=UTC), zone)
        return moment + timedelta(days=1) if whole_day else moment
    if found := _COMPACT.fullmatch(text):
        return datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC)
    if found := _SLASHED.fullmatch(text):
        year = int(found[3])
        return datetime(year + 2000 if year < 100 else year, int(found[1]), int(found[2]), tzinfo=UTC)
    if found := _DOTTED.fullmatch(text):
        return datetime(int(found[3]), int(found[2]), int(found[1]), tzinfo=UTC)
    return None


def _in_utc(moment: datetime, zone: str | None) -> datetime:
    if not zone or zone[0] not in "+-":
        return moment
    return datetime.fromisoformat(f"{moment:%Y-%m-%dT%H:%M:%S}{zone}").astimezone(UTC)

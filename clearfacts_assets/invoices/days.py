"""Days: a partition is a day in Brussels, and an invoice belongs to the day on which the source changed it last."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from clearfacts_assets.invoices.model import Window

ZONE = ZoneInfo("Europe/Brussels")
MOST_PARTS = 96  # of a day: a quarter of an hour each
FIRST_DAY = "2026-01-01"  # the first partition, for good: moving it would re-number them and break backfills

_PART = re.compile(r"([1-9]\d?)/([1-9]\d?)", re.ASCII)


def window_of(partition_key: str) -> Window:
    """The UTC window of one day in Brussels, half open: 23 or 25 hours long in the nights when the clock changes."""
    day = date.fromisoformat(partition_key)
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZONE)
    following = day + timedelta(days=1)
    next_midnight = datetime(following.year, following.month, following.day, tzinfo=ZONE)
    return Window(midnight.astimezone(UTC), next_midnight.astimezone(UTC))


def part_of(window: Window, part: str) -> Window:
    """The k-th of n equal parts of a window, ``part`` being ``k/n``: together they are the window, none overlaps.

    Raises ValueError for what is no part.
    """
    number, count = read_part(part)
    length = window.end - window.start
    ends = [window.start + length * one / count for one in (number - 1, number)]
    return Window(ends[0], ends[1])


def read_part(part: str) -> tuple[int, int]:
    """``3/10`` as (3, 10). Raises ValueError, which says how a part is written."""
    match = _PART.fullmatch(part)
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= count <= MOST_PARTS:
        raise ValueError(f"{part!r} is no part of a day: write it as 3/10, with at most {MOST_PARTS} parts")
    return number, count


def are_a_whole(parts: Iterable[str]) -> bool:
    """Whether all parts of one way to cut a day are among these."""
    cuts: dict[int, set[int]] = {}
    for number, count in map(read_part, parts):
        cuts.setdefault(count, set()).add(number)
    return any(len(numbers) == count for count, numbers in cuts.items())


def day_of(moment: datetime) -> str:
    """The partition key of the day in Brussels on which the moment falls."""
    return moment.astimezone(ZONE).date().isoformat()


def day_before(moment: datetime) -> str:
    """The partition key of the last day that was complete in Brussels at this moment."""
    return (moment.astimezone(ZONE).date() - timedelta(days=1)).isoformat()


def home_day(changed: datetime | None, asked_for: str, now: datetime) -> str:
    """The day whose runs look after an invoice: that of its last change; that of the run that took it where the
    change is not known, or is of a day that has no partition yet or never had one."""
    if changed is None:
        return asked_for
    day = day_of(changed)
    return day if FIRST_DAY <= day <= day_of(now) else asked_for

"""Which days nobody has processed: one pure function, asked by the sensor, by health and by the commands."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from clearfacts_assets.invoices.days import ZONE

DEADLINE_HOUR = 3  # Brussels time by which the schedule must have processed yesterday


def last_day_owed(now: datetime) -> str:
    """The last day (YYYY-MM-DD) that must be processed by now: yesterday; until 03:00 the day before it."""
    local = now.astimezone(ZONE)
    return (local.date() - timedelta(days=1 if local.hour >= DEADLINE_HOUR else 2)).isoformat()


def missing_days(first: str | None, last: str, processed: Mapping[str, datetime]) -> list[str]:
    """The days from ``first`` to ``last`` that were not processed as a whole, oldest first; none without a first.

    ``processed`` gives when the newest job began that took a day's whole window from the ERP and completed. One that
    began before the day was over (midnight in Brussels) saw a part of it only.
    """
    if first is None:
        return []
    day, end, missing = date.fromisoformat(first), date.fromisoformat(last), []
    while day <= end:
        name = day.isoformat()
        began = processed.get(name)
        if began is None or began < end_of(day):
            missing.append(name)
        day += timedelta(days=1)
    return missing


@lru_cache(maxsize=4096)  # asked for each day of all years, at each scrape of the metrics
def end_of(day: date) -> datetime:
    """The first moment after the day in Brussels, in UTC: 23 or 25 hours after its first one when the clock changes."""
    following = day + timedelta(days=1)
    return datetime(following.year, following.month, following.day, tzinfo=ZONE).astimezone(UTC)


def oldest_by_itself(last: str, catch_up_days: int) -> str:
    """The oldest day that is run again by itself when it is missing; what lies before is told to people."""
    return (date.fromisoformat(last) - timedelta(days=catch_up_days - 1)).isoformat()

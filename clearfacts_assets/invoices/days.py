"""Days: a partition is a day in Brussels, and an invoice belongs to the day on which the source changed it last."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from clearfacts_assets.invoices.model import Window

ZONE = ZoneInfo("Europe/Brussels")
FIRST_DAY = "2026-01-01"  # the first partition, for good: moving it would re-number them and break backfills


def window_of(partition_key: str) -> Window:
    """The UTC window of one day in Brussels, half open: 23 or 25 hours long in the nights when the clock changes."""
    day = date.fromisoformat(partition_key)
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZONE)
    following = day + timedelta(days=1)
    next_midnight = datetime(following.year, following.month, following.day, tzinfo=ZONE)
    return Window(midnight.astimezone(UTC), next_midnight.astimezone(UTC))


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

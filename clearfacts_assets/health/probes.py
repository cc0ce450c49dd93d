"""Asking a system whether it answers: one question, one verdict, one latency."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Brussels")
NIGHTLY_DEADLINE_HOUR = 3  # Brussels time by which yesterday must have been processed


@dataclass(frozen=True, slots=True)
class Health:
    """What one system said, and after how many seconds."""

    system: str
    healthy: bool
    message: str
    latency: float
    way: str = ""  # by which it is called: "direct", "through proxy http://proxy:3128"; empty where it is not called


def ask(system: str, question: Callable[[], str], way: str = "") -> Health:
    """The verdict on one system: what ``question`` returns is good news, whatever it raises is bad news."""
    started = time.perf_counter()
    try:
        message, healthy = question(), True
    except Exception as error:  # noqa: BLE001 - a probe reports every fault, it never spreads one
        message, healthy = f"{error or type(error).__name__}", False
    return Health(system, healthy, message, round(time.perf_counter() - started, 4), way)


def day_that_must_be_done(now: datetime) -> str:
    """The last day (YYYY-MM-DD) whose nightly run must be over: yesterday; until 03:00 the day before it."""
    local = now.astimezone(ZONE)
    return (local.date() - timedelta(days=1 if local.hour >= NIGHTLY_DEADLINE_HOUR else 2)).isoformat()


def nightly_run(completed_at: Callable[[str], datetime | None], first_seen: datetime | None, now: datetime) -> str:
    """What to say of the last nightly run. Raises NightlyRunMissing when the day that must be done is not.

    ``completed_at`` gives when a day's job was completed. A system younger than that day owes nothing yet.
    """
    day = day_that_must_be_done(now)
    completed = completed_at(day)
    if completed is not None:
        return f"{day} was completed at {completed.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if first_seen is None or first_seen.astimezone(ZONE).date().isoformat() > day:
        return f"this installation is younger than {day}; its first nightly run is still to come"
    raise NightlyRunMissing(
        f"no completed run of {day} by {NIGHTLY_DEADLINE_HOUR:02}:00 Brussels time: "
        f"look at its run in Dagster, or run `clearfacts run --date {day}`"
    )


class NightlyRunMissing(Exception):
    """Yesterday's invoices have not been processed."""

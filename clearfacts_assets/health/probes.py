"""Asking a system whether it answers: one question, one verdict, one latency."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from clearfacts_assets.invoices.missing_days import DEADLINE_HOUR, last_day_owed
from clearfacts_assets.storage.invoices.days import MissingDay

DAYS_NAMED = 14  # the newest ones, of those that are missing


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


def nightly_run(missing: Sequence[MissingDay], now: datetime) -> str:
    """What to say of the nights. Raises NightlyRunMissing when a day that is owed was not processed.

    A system younger than a day does not owe it.
    """
    if not missing:
        return f"every day until {last_day_owed(now)} is processed that this installation owes"
    named = "; ".join(f"{one.day}: {one.in_words}" for one in missing[-DAYS_NAMED:])
    others = f" (and {len(missing) - DAYS_NAMED} earlier ones)" if len(missing) > DAYS_NAMED else ""
    number = "1 day is" if len(missing) == 1 else f"{len(missing)} days are"
    raise NightlyRunMissing(
        f"{number} not processed by {DEADLINE_HOUR:02}:00 Brussels time: {named}{others}. "
        "Look at its run in Dagster, or run `clearfacts jobs missing` and `clearfacts run --missing`"
    )


class NightlyRunMissing(Exception):
    """The invoices of a day have not been processed."""

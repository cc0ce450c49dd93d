"""Which days are missing: a pure question over what is known of each day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearfacts_assets.invoices.days import window_of
from clearfacts_assets.invoices.missing_days import end_of, last_day_owed, missing_days, oldest_by_itself


def at_night(day: str) -> datetime:
    """When the schedule runs the day: at 02:00 in Brussels of the following one."""
    return end_of(date.fromisoformat(day)) + timedelta(hours=2)


def test_days_between_that_nobody_ran_are_missing_oldest_first() -> None:
    processed = {day: at_night(day) for day in ("2026-11-20", "2026-11-24")}
    assert missing_days("2026-11-20", "2026-11-24", processed) == ["2026-11-21", "2026-11-22", "2026-11-23"]


def test_a_new_installation_misses_nothing() -> None:
    assert missing_days(None, "2026-11-24", {}) == []
    assert missing_days("2026-11-25", "2026-11-24", {}) == []


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25", "2026-11-20"])
def test_a_run_before_the_day_was_over_saw_a_part_of_it(day: str) -> None:
    end = window_of(day).end
    assert missing_days(day, day, {day: end - timedelta(seconds=1)}) == [day]
    assert missing_days(day, day, {day: end}) == []


@pytest.mark.parametrize(
    ("now", "day"),
    [
        (datetime(2026, 11, 21, 1, 59, tzinfo=UTC), "2026-11-19"),  # 02:59 in Brussels
        (datetime(2026, 11, 21, 2, 0, tzinfo=UTC), "2026-11-20"),
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), "2026-03-27"),  # 01:59; the next minute is 03:00
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "2026-03-28"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "2026-10-23"),  # 02:30 for the second time
        (datetime(2026, 10, 25, 2, 0, tzinfo=UTC), "2026-10-24"),
    ],
)
def test_yesterday_is_owed_from_three_in_the_morning_on(now: datetime, day: str) -> None:
    assert last_day_owed(now) == day


def test_the_window_of_what_is_run_by_itself() -> None:
    assert oldest_by_itself("2026-11-20", 14) == "2026-11-07"
    assert oldest_by_itself("2026-11-20", 1) == "2026-11-20"


DAYS = st.dates(date(2026, 1, 1), date(2026, 12, 31))


@given(first=DAYS, last=DAYS, ran=st.sets(DAYS, max_size=30))
def test_each_day_is_either_processed_or_missing(first: date, last: date, ran: set[date]) -> None:
    processed = {day.isoformat(): at_night(day.isoformat()) for day in ran}
    missing = missing_days(first.isoformat(), last.isoformat(), processed)
    assert missing == sorted(missing)
    days = {(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)}
    assert days - set(missing) == days & set(processed)
    assert not set(missing) & set(processed)

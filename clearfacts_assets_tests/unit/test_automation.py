"""When things run: partitions, windows in UTC, and the nightly schedule over both nights when the clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from clearfacts_assets import settings
from clearfacts_assets.definitions import defs
from clearfacts_assets.invoices.days import are_a_whole, day_before, part_of, window_of
from clearfacts_assets.invoices.defs.automation import DAYS, nightly


def tick_at(moment: datetime) -> dg.RunRequest:
    repository = defs.get_repository_def()
    with dg.build_schedule_context(scheduled_execution_time=moment, repository_def=repository) as context:
        data = nightly.evaluate_tick(context)
    assert data.run_requests is not None
    (request,) = data.run_requests
    return request


def ticks_between(start: datetime, end: datetime) -> list[datetime]:
    """When the daemon wakes the schedule: the iterator that Dagster's scheduler itself goes by."""
    found = []
    for moment in schedule_execution_time_iterator(
        start.timestamp(), nightly.cron_schedule, nightly.execution_timezone
    ):
        if moment >= end:
            return found
        found.append(moment.astimezone(UTC))
    return found


def test_an_ordinary_day_is_24_hours_from_midnight_in_brussels() -> None:
    window = window_of("2026-11-20")
    assert window.start == datetime(2026, 11, 19, 23, 0, tzinfo=UTC)
    assert window.end - window.start == timedelta(hours=24)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_the_days_on_which_the_clock_changes_are_23_and_25_hours_long(day: str, hours: int) -> None:
    window = window_of(day)
    assert window.end - window.start == timedelta(hours=hours)


def test_windows_of_a_whole_year_touch_without_gap_or_overlap() -> None:
    keys = DAYS.get_partition_keys(current_time=datetime(2027, 1, 10, 12, tzinfo=UTC))
    windows = [window_of(key) for key in keys]
    assert len(windows) == 375
    assert all(before.end == after.start for before, after in pairwise(windows))


def test_today_is_a_partition_so_that_it_can_be_run_by_hand() -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert DAYS.get_partition_keys(current_time=now)[-1] == "2026-11-21"
    assert DAYS.get_partition_keys(current_time=now)[0] == "2026-01-01"


def test_the_tick_at_two_asks_for_the_day_before_and_not_for_today() -> None:
    request = tick_at(datetime(2026, 11, 21, 1, 0, tzinfo=UTC))
    assert request.partition_key == "2026-11-20"
    assert request.run_key == "nightly-2026-11-20"


def test_each_night_of_the_year_has_one_tick_and_each_day_is_asked_for_once() -> None:
    ticks = ticks_between(datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2027, 1, 1, 12, tzinfo=UTC))
    days = [tick_at(tick).partition_key for tick in ticks]
    assert len(days) == 365
    assert days == DAYS.get_partition_keys(current_time=datetime(2026, 12, 31, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("night", "expected"),
    [
        # 02:00 does not exist on this night: the clock goes from 02:00 to 03:00 CEST, which is 01:00 UTC.
        (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        # 02:00 comes twice on this night; one tick.
        (datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 10, 25, 1, 0, tzinfo=UTC)),
    ],
)
def test_the_nights_when_the_clock_changes_have_one_tick_after_the_day_is_over(
    night: datetime, expected: datetime
) -> None:
    ticks = ticks_between(night - timedelta(hours=4), night + timedelta(hours=12))
    assert ticks == [expected]
    day = tick_at(ticks[0]).partition_key
    assert day is not None
    assert window_of(day).end <= ticks[0]


def test_the_day_before_is_counted_in_brussels_and_not_in_utc() -> None:
    assert day_before(datetime(2026, 6, 30, 22, 30, tzinfo=UTC)) == "2026-06-30"  # 00:30 on 1 July in Brussels
    assert day_before(datetime(2026, 6, 30, 21, 30, tzinfo=UTC)) == "2026-06-29"


def test_the_schedule_runs_without_anybody_switching_it_on() -> None:
    schedule = defs.resolve_schedule_def("nightly")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.execution_timezone == "Europe/Brussels"
    assert schedule.cron_schedule == "0 2 * * *"


@pytest.mark.parametrize("day", ["2026-11-20", "2026-03-29", "2026-10-25"])
@pytest.mark.parametrize("count", [1, 7, 10, 96])
def test_the_parts_of_a_day_are_the_day_without_gap_or_overlap(day: str, count: int) -> None:
    parts = [part_of(window_of(day), f"{number}/{count}") for number in range(1, count + 1)]
    assert (parts[0].start, parts[-1].end) == (window_of(day).start, window_of(day).end)
    assert all(before.end == after.start and before.start < before.end for before, after in pairwise(parts))


@pytest.mark.parametrize("part", ["", "0/3", "4/3", "1/97", "1", "a/b", "1/-2", " 1/2", "01/2", "1/2/3", "١/٢"])
def test_what_is_no_part_of_a_day_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match="write it as 3/10"):
        part_of(window_of("2026-11-20"), part)


def test_parts_are_a_whole_when_one_way_to_cut_is_complete() -> None:
    assert are_a_whole(["1/2", "2/2"])
    assert are_a_whole(["1/3", "1/2", "3/3", "2/3"])
    assert not are_a_whole(["1/2", "2/3", "3/3"])
    assert not are_a_whole([])


def test_a_night_is_cut_into_as_many_runs_as_the_setting_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARFACTS_SCHEDULE__PARTS", "3")
    settings.load.cache_clear()
    try:
        context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 11, 21, 1, 0, tzinfo=UTC))
        requests = nightly(context)
    finally:
        settings.load.cache_clear()
    assert isinstance(requests, list)
    assert [one.run_key for one in requests] == [f"nightly-2026-11-20-{number}/3" for number in (1, 2, 3)]
    assert {one.partition_key for one in requests} == {"2026-11-20"}
    assert requests[2].run_config == {"ops": {"raw_invoices": {"config": {"part": "3/3"}}}}

"""Waits between tries double, up to a bound."""

from __future__ import annotations

from datetime import timedelta

from clearfacts_assets.backoff import Backoff


def test_each_wait_is_twice_the_one_before_up_to_the_longest() -> None:
    assert [Backoff(1.5, longest=10.0).after(failures) for failures in range(1, 6)] == [1.5, 3.0, 6.0, 10.0, 10.0]


def test_who_has_not_failed_waits_like_who_failed_once() -> None:
    assert Backoff(2.0).after(0) == 2.0


def test_the_other_side_may_ask_for_more_and_not_for_less() -> None:
    one = Backoff(4.0, longest=60.0)
    assert [one.after(1, asked=asked) for asked in (None, 1.0, 9.0, 3600.0)] == [4.0, 4.0, 9.0, 60.0]


def test_a_million_tries_wait_as_long_as_the_longest() -> None:
    assert Backoff(30.0, longest=3600.0).delay(1_000_000) == timedelta(hours=1)

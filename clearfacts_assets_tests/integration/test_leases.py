"""Leases, on both databases: one holder at a time, and a dead one only for a while."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from sqlalchemy import Engine

from clearfacts_assets.storage.operations.leases import leased


def test_one_of_many_gets_it(engine: Engine) -> None:
    start, end = Barrier(6), Barrier(6)

    def take() -> bool:
        start.wait()
        with leased(engine, "thing", 60) as ours:
            end.wait()
            return ours

    with ThreadPoolExecutor(6) as pool:
        got = [future.result() for future in [pool.submit(take) for _ in range(6)]]
    assert sorted(got) == [False] * 5 + [True]


def test_it_is_given_back_at_the_end_and_each_thing_has_its_own(engine: Engine) -> None:
    for _ in range(2):
        with leased(engine, "thing", 60) as ours, leased(engine, "other", 60) as other:
            assert (ours, other) == (True, True)


def test_one_that_has_run_out_is_taken_over_and_not_given_back_by_its_old_holder(engine: Engine) -> None:
    with leased(engine, "thing", -1) as first:
        with leased(engine, "thing", 60) as second:
            assert (first, second) == (True, True)
        with leased(engine, "thing", -1) as again:
            assert again
    with leased(engine, "thing", 60) as after:
        assert after

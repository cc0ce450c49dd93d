"""How many calls a run begins: quickly more while all is well, ahead of the ledger by what it needs, few in trouble."""

from __future__ import annotations

import pytest

from clearfacts_assets.invoices.delivery.outcomes import Pace
from clearfacts_assets.invoices.delivery.pacing import Pacing
from clearfacts_assets.invoices.ports import Accepted, NotSent, Outcome

GOOD, BUSY = Accepted("doc-1"), NotSent("429", retry_after=0.0)


@pytest.fixture
def pacing() -> Pacing:
    return Pacing(Pace(concurrency=8), lambda: 100.0, most_ahead=16)


def windows(pacing: Pacing, *outcomes: Outcome) -> list[int]:
    found = []
    for outcome in outcomes:
        pacing.learn(outcome)
        found.append(pacing.window)
    return found


def test_the_first_answer_opens_the_way_for_all_and_after_trouble_each_for_one_more(pacing: Pacing) -> None:
    assert pacing.free(0) == 1
    assert windows(pacing, GOOD, GOOD) == [8, 8]
    assert windows(pacing, BUSY, GOOD, GOOD, GOOD) == [1, 2, 3, 4]


def test_as_many_are_claimed_ahead_as_end_while_the_ledger_writes_twice(pacing: Pacing) -> None:
    windows(pacing, GOOD, GOOD, GOOD)
    assert pacing.free(0) == 8
    pacing.landed(1)
    assert pacing.free(0) == 8 + 2
    pacing.landed(5)
    assert pacing.free(10) == 8 + 10 - 10


def test_no_more_are_claimed_ahead_than_twice_the_calls_at_once(pacing: Pacing) -> None:
    windows(pacing, GOOD, GOOD, GOOD)
    pacing.landed(100)
    assert pacing.free(0) == 8 + 16


def test_a_slow_moment_of_the_ledger_is_forgotten(pacing: Pacing) -> None:
    windows(pacing, GOOD, GOOD, GOOD)
    pacing.landed(8)
    for _ in range(50):
        pacing.landed(1)
    assert pacing.free(0) == 8 + 2


def test_nothing_is_claimed_ahead_and_no_answer_waits_for_another_in_trouble(pacing: Pacing) -> None:
    windows(pacing, GOOD, GOOD, GOOD)
    pacing.landed(8)
    assert pacing.together == 8
    pacing.notice(BUSY)
    assert (pacing.free(0), pacing.together) == (0, 1)
    windows(pacing, BUSY)
    assert (pacing.free(0), pacing.together) == (1, 1)


def test_without_claims_ahead_answers_are_written_down_one_by_one() -> None:
    pacing = Pacing(Pace(concurrency=1), lambda: 100.0, most_ahead=0)
    windows(pacing, GOOD)
    pacing.landed(1)
    assert (pacing.free(0), pacing.free(1), pacing.together) == (1, 0, 1)

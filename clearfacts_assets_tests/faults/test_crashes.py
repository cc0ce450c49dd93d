"""A worker is killed at every point where it matters; what becomes of its invoices is exactly what the docs say."""

from __future__ import annotations

import signal

import pytest

from clearfacts_assets.invoices.ledger.history import IN_DOUBT
from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets_tests.faults.papers import papers
from clearfacts_assets_tests.faults.stage import Stage
from clearfacts_assets_tests.faults.worker import POINTS

KILLED = -signal.SIGKILL
SOME = papers(6)

SELDOM = ("page", "stored", "registering", "recording", "recorded")  # once a job, a batch or a second

# With one call at a time, killed when it reaches the point for the third time (SELDOM: the first): what one invoice is
# after the next run, where nobody can tell (graphql). None: the next run delivers it. While results are recorded, the
# next call is under way already.
AFTERWARDS: dict[str, State | None] = {
    "page": None,
    "stored": None,
    "registering": None,
    "claiming": State.PARKED,  # what has landed is written down with the next claim
    "claimed": State.PARKED,
    "sending": State.PARKED,
    "answered": State.PARKED,
    "settling": State.PARKED,
    "settled": State.PARKED,  # ... which is made by then
    "recording": State.PARKED,
    "recorded": State.PARKED,
}


@pytest.mark.parametrize("transport", ["graphql", "rest"])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at(stage: Stage, point: str, transport: str) -> None:
    stage.transport = transport
    after = 0 if point in SELDOM else 2
    assert stage.run(SOME, concurrency=1, crash_at=point, crash_after=after) == KILLED
    assert stage.run(SOME) == 0
    stage.check(SOME)
    parked = [number for number, state in stage.states().items() if state is State.PARKED]
    expected = AFTERWARDS[point] is State.PARKED and transport == "graphql"
    assert len(parked) == int(expected)
    assert stage.decide() == len(parked)
    assert stage.run(SOME) == 0
    stage.check_all_delivered(SOME)


@pytest.mark.parametrize("transport", ["graphql", "rest"])
def test_killed_while_bytes_are_on_their_way(stage: Stage, transport: str) -> None:
    """The simulator takes its time with the third upload; the worker is killed meanwhile."""
    stage.transport = transport
    stage.simulator.fault("clearfacts", "delay", seconds=0.2, after=2, times=1, match={"operation": "upload"})
    assert stage.run(SOME, concurrency=1, kill_after=0.15) == KILLED
    assert stage.run(SOME) == 0
    stage.check(SOME)
    stage.decide()
    stage.run(SOME)
    stage.check_all_delivered(SOME)


@pytest.mark.parametrize("transport", ["graphql", "rest"])
def test_told_to_stop(stage: Stage, transport: str) -> None:
    """SIGTERM: calls under way are finished and written down, nothing is left claimed, nothing waits for a person."""
    stage.transport = transport
    many = papers(300)
    stage.simulator.reset(latency_ms=20)
    assert stage.run(many, concurrency=2, stop_after=1.2) == 0
    stage.check(many)
    states = list(stage.states().values())
    assert State.DELIVERED in states
    assert State.PARKED not in states
    assert stage.accepted().total() == states.count(State.DELIVERED) < 300
    assert stage.run(many, concurrency=16) == 0
    stage.check_all_delivered(many)


def test_a_refusal_after_a_call_without_an_answer_is_not_believed(stage: Stage) -> None:
    """The first call is accepted late, after its look-up; a second one is refused. Clearfacts has the document."""
    stage.transport = "rest"
    upload = {"match": {"operation": "upload"}}
    stage.simulator.fault("clearfacts", "delay", seconds=2, times=1, **upload)
    assert stage.run(SOME[:1], deadline=0.5, patience=0.0) == 0
    assert stage.states() == {SOME[0].number: State.WAITING}
    stage.simulator.fault("clearfacts", "status", status=422, **upload)
    assert stage.run(SOME[:1], attempts=400) == 0
    assert stage.states() == {SOME[0].number: State.DELIVERED}
    stage.check_all_delivered(SOME[:1])


def test_a_refusal_after_a_call_that_never_arrived_is_left_to_a_person(stage: Stage) -> None:
    stage.transport = "rest"
    upload = {"match": {"operation": "upload"}}
    stage.simulator.fault("clearfacts", "hang", times=1, **upload)
    stage.simulator.fault("clearfacts", "status", status=422, **upload)
    assert stage.run(SOME[:1], deadline=0.1, attempts=3) == 0
    (record,) = stage.deliveries()
    assert (record.state, record.attempts) == (State.PARKED, 3)
    assert IN_DOUBT in (record.reason or "")
    assert stage.accepted().total() == 0

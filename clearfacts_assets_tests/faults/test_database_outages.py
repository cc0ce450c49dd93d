"""The database goes away under a worker: before a claim, while an answer is to be written down, for good."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets_tests.faults.papers import papers
from clearfacts_assets_tests.faults.stage import Stage
from clearfacts_assets_tests.faults.worker import FAILED, Worker
from clearfacts_assets_tests.faults.workshop import Workshop
from clearfacts_assets_tests.fixtures.databases import MIGRATED, PostgresServer
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

SOME = papers(12)

pytestmark = pytest.mark.waits


@pytest.fixture
def server(postgres_data: Path) -> Iterator[PostgresServer]:
    """A server of its own, which may be stopped, and which keeps what it has committed."""
    server = PostgresServer.create(postgres_data, durable=True)
    yield server
    server.remove()


@pytest.fixture
def stage(server: PostgresServer, fault_simulator: RunningSimulator, workshop: Workshop) -> Iterator[Stage]:
    with Stage(server.fresh(MIGRATED), fault_simulator, workshop) as stage:
        yield stage
        stage.engine.dispose()


def during_a_call(stage: Stage, trouble: Callable[[], None]) -> int:
    """A run that sends one document after the other, and trouble while the fourth is under way."""
    stage.simulator.reset(latency_ms=50)
    fourth = stage.simulator.fault("clearfacts", "delay", seconds=1, times=1, after=3, match={"operation": "upload"})
    worker = Worker(SOME_RUN, SOME, concurrency=1, batch=12)
    with ThreadPoolExecutor(1) as pool:
        ends = pool.submit(stage.workshop.run, stage.place, [worker])
        while not stage.simulator.applied(fourth):
            assert not ends.done()
            time.sleep(0.01)
        trouble()  # in this thread: a server dies with the thread that started it
        return ends.result()[0]


SOME_RUN = "11111111-1111-1111-1111-111111111111"


@pytest.mark.parametrize("transport", ["graphql", "rest"])
def test_a_server_that_comes_back_costs_nothing_that_was_answered(
    stage: Stage, server: PostgresServer, transport: str
) -> None:
    """The server crashes and starts again while a call is under way; its answer is written down all the same."""
    stage.transport = transport

    def crash_and_restart() -> None:
        server.stop()
        server.start()

    end = during_a_call(stage, crash_and_restart)
    stage.engine.dispose()
    stage.dead = [] if end == 0 else [SOME_RUN]
    assert stage.run(SOME) == 0
    stage.check(SOME)
    stage.decide()
    assert stage.run(SOME) == 0
    stage.check_all_delivered(SOME)


def test_a_server_that_stays_away_ends_the_run_with_its_evidence_in_the_log(
    stage: Stage, server: PostgresServer
) -> None:
    """No answer can be written down any more: the run fails within its patience, and the log holds the answer."""
    stage.workshop.complaints()
    assert during_a_call(stage, server.stop) == FAILED
    assert "keep this as evidence" in stage.workshop.complaints()
    server.start()
    stage.engine.dispose()
    stage.dead = [SOME_RUN]
    assert stage.run(SOME) == 0
    stage.check(SOME)
    parked = [number for number, state in stage.states().items() if state is State.PARKED]
    assert len(parked) <= 1
    stage.decide()
    assert stage.run(SOME) == 0
    stage.check_all_delivered(SOME)

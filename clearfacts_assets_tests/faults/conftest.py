"""Options and fixtures of the fault suite: ``pytest clearfacts_assets_tests/faults --seeds 1000 [--first-seed 1]``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clearfacts_assets_tests.faults.stage import Stage
from clearfacts_assets_tests.faults.worker import Workshop
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

DEFAULT_SEEDS = 160


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--seeds", type=int, default=DEFAULT_SEEDS, help="random schedules to run")
    group.addoption("--first-seed", type=int, default=1, help="the first of them")


@pytest.fixture(scope="session")
def workshop() -> Iterator[Workshop]:
    with Workshop() as running:
        yield running


@pytest.fixture(scope="session")
def fault_simulator() -> Iterator[RunningSimulator]:
    """A simulator of our own: schedules reset it all the time."""
    running = RunningSimulator()
    yield running
    running.stop()


@pytest.fixture
def stage(migrated_url: str, fault_simulator: RunningSimulator, workshop: Workshop) -> Iterator[Stage]:
    """An empty database, a simulator that has accepted nothing, and workers to run on them."""
    with Stage(migrated_url, fault_simulator, workshop) as stage:
        yield stage

"""Seeded random schedules of faults, crashes, concurrency and reruns; the oracle is what the simulator accepted.

After every scene an honest person decides about what waits, and then every invoice must have arrived exactly once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from clearfacts_assets_tests.faults.conftest import PLAYED
from clearfacts_assets_tests.faults.schedules import play, scene_of
from clearfacts_assets_tests.faults.stage import Stage

TRANSPORTS = ("graphql", "rest")
SERIES = {"sqlite": "", "postgresql": " postgresql"}  # one seed is another scene on each database
SEEDS_IN_A_TEST = 20
COMPLAINTS = 40  # lines of what workers said, shown of a failing seed; what failed stands after them, at the end

# Seeds that once found something stay here: (transport, seed).
FOUND_SOMETHING: tuple[tuple[str, int], ...] = (
    ("graphql", 2),  # one document under two ids of a killed job: both rows counted as sent
    ("rest", 11),  # a row of an earlier job stayed pending after a later job's refusal
    ("rest", 17),  # refused after a call without an answer that was accepted late: it counted as refused
)


Play = Callable[[int, str, Stage, str], Counter[str]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        in_lanes(metafunc, "--first-seed", "--seeds")


def in_lanes(metafunc: pytest.Metafunc, first_option: str, count_option: str) -> None:
    """Deals the seeds to databases and transports."""
    first, count = metafunc.config.getoption(first_option), metafunc.config.getoption(count_option)
    # A quarter of them for each transport on each database; all are different scenes.
    quarter = count // 4 or 1
    blocks = [range(start, min(start + SEEDS_IN_A_TEST, quarter)) for start in range(0, quarter, SEEDS_IN_A_TEST)]
    metafunc.parametrize("transport", TRANSPORTS)
    metafunc.parametrize("seeds", [[first + number for number in block] for block in blocks], ids=_named)


def _named(seeds: list[int]) -> str:
    return f"{seeds[0]}-{seeds[-1]}"


@pytest.mark.timeout(600)
def test_every_invoice_arrives_exactly_once(
    stage: Stage, database_kind: str, transport: str, seeds: list[int], record_property: pytest.RecordProperty
) -> None:
    played, failures = play_all(play_seed, seeds, transport, stage, SERIES[database_kind])
    record_property(PLAYED, played)
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(seeds)} seeds", failures)


def play_all(
    one: Play, seeds: list[int], transport: str, stage: Stage, series: str
) -> tuple[dict[str, Any], list[AssertionError]]:
    """What was played, with the faults that struck, and what went wrong."""
    struck: Counter[str] = Counter()
    failures: list[AssertionError] = []
    started = time.monotonic()
    for seed in seeds:
        try:
            struck += one(seed, transport, stage, series)
        except AssertionError as error:
            failures.append(error)
    played = {"seeds": len(seeds), "violations": len(failures), "seconds": time.monotonic() - started}
    return {**played, "struck": dict(struck)}, failures


@pytest.mark.parametrize(("transport", "seed"), FOUND_SOMETHING)
def test_what_was_found_once_stays_mended(stage: Stage, transport: str, seed: int) -> None:
    play_seed(seed, transport, stage)


def play_seed(seed: int, transport: str, stage: Stage, series: str = "") -> Counter[str]:
    scene = scene_of(seed, transport, series)
    stage.workshop.complaints()  # those of earlier seeds
    try:
        return play(scene, stage)
    except Exception as error:
        error.add_note("\n".join(stage.workshop.complaints().splitlines()[-COMPLAINTS:]))
        again = f"--first-seed {seed} --seeds 1 -k '{transport}{series and ' and' + series}'"
        error.add_note(f"{scene}\nfailing seed: {again}\n{str(error)[-2000:]}")
        raise

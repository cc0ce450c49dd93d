"""People and the world on real ledgers: ``--towns N`` plays N seeds of town.py, from ``--first-town`` on.

The ERP, Clearfacts and its answers are the simulator's, over HTTP; workers are processes that may be killed.
"""

from __future__ import annotations

from collections import Counter

import pytest

from clearfacts_assets_tests.faults.conftest import TOWNS
from clearfacts_assets_tests.faults.stage import Stage
from clearfacts_assets_tests.faults.test_schedules import COMPLAINTS, SERIES, in_lanes, play_all
from clearfacts_assets_tests.faults.town import play_town


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        in_lanes(metafunc, "--first-town", "--towns")


@pytest.mark.timeout(900)
def test_people_and_the_world_break_no_promise_on_real_ledgers(
    stage: Stage, database_kind: str, transport: str, seeds: list[int], record_property: pytest.RecordProperty
) -> None:
    played, failures = play_all(play_seed, seeds, transport, stage, SERIES[database_kind])
    record_property(TOWNS, played)
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(seeds)} towns", failures)


def play_seed(seed: int, transport: str, stage: Stage, series: str = "") -> Counter[str]:
    stage.workshop.complaints()  # those of earlier seeds
    try:
        return play_town(seed, transport, stage, series)
    except Exception as error:
        error.add_note("\n".join(stage.workshop.complaints().splitlines()[-COMPLAINTS:]))
        kind = "postgresql" if series else "sqlite"
        error.add_note(f"failing town: --first-town {seed} --towns 1 -k 'real_ledgers and {transport} and {kind}'")
        raise

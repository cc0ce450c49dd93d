"""The machine as /metrics tells it: nobody's asking changes what another is told."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from clearfacts_assets.telemetry.metrics import Machine

Spend = Callable[[float, float], None]


@pytest.fixture
def spend(monkeypatch: pytest.MonkeyPatch) -> Spend:
    """Lets the machine's two processors work and idle for so many seconds. It has idled for 1,000 when it begins."""
    fields = dict.fromkeys(psutil.cpu_times()._fields, 0.0) | {"idle": 1000.0}
    spent = psutil.cpu_times()._replace(**fields)

    def more(busy: float, idle: float) -> None:
        nonlocal spent
        spent = spent._replace(user=spent.user + busy, idle=spent.idle + idle)

    monkeypatch.setattr(psutil, "cpu_times", lambda: spent)
    monkeypatch.setattr(psutil, "cpu_count", lambda: 2)
    return more


def told(machine: Machine) -> float:
    (value,) = [one.samples[0].value for one in machine.collect() if one.name == "cpu_usage_percent"]
    return value


def test_scrapes_that_follow_at_once_and_in_other_threads_are_told_the_same_use(tmp_path: Path, spend: Spend) -> None:
    machine = Machine(tmp_path)
    spend(15.0, 45.0)
    with ThreadPoolExecutor(1) as another:
        assert [told(machine), told(machine), another.submit(told, machine).result()] == [25.0, 25.0, 25.0]
    spend(0.0, 0.1)  # of 0.05 s of both: what is told stays what it was
    assert told(machine) == 25.0


def test_use_is_that_since_the_scrape_before(tmp_path: Path, spend: Spend) -> None:
    machine = Machine(tmp_path)
    spend(15.0, 45.0)
    assert told(machine) == 25.0
    spend(60.0, 0.0)
    assert told(machine) == 100.0
    spend(0.0, 60.0)
    assert told(machine) == 0.0


def test_before_a_second_has_passed_the_use_since_the_machines_start_is_told(tmp_path: Path, spend: Spend) -> None:
    spend(3000.0, 0.0)
    assert told(Machine(tmp_path)) == 75.0

"""Benchmarks compare by turns, and their figures stand in one place."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
COMPARING = ("api", "commands", "deciding", "delivery", "ledger", "validation")


@pytest.fixture(scope="module")
def interleaved() -> Any:
    spec = spec_from_file_location("interleaved", BENCHMARKS / "interleaved.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["interleaved"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["interleaved"]


def test_works_take_turns_and_the_first_round_only_warms(interleaved: Any) -> None:
    order: list[str] = []

    def turn(name: str) -> float:
        order.append(name)
        return float(len(order))

    seconds = interleaved.by_turns({"a": lambda: turn("a"), "b": lambda: turn("b")}, 2)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert seconds == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


def test_a_machine_that_becomes_slower_does_not_change_the_ratio(interleaved: Any) -> None:
    def slower() -> Iterator[float]:
        return (1.01**number for number in count())

    machine = slower()
    works = {"three": lambda: 3 * next(machine), "one": lambda: next(machine)}
    found = interleaved.by_turns(works, 60)
    assert interleaved.ratio(found["three"], found["one"]).median == pytest.approx(3, rel=0.02)
    machine = slower()
    threes, ones = ([work() for _ in range(60)] for work in works.values())  # as it was measured before
    assert sum(threes) / sum(ones) < 2


def test_a_spread_tells_the_median_and_the_quartiles(interleaved: Any) -> None:
    assert f"{interleaved.Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]):.1f}" == "3.0 (2.0-4.0)"
    assert f"{interleaved.Spread.of([2.0]):.1f}" == "2.0 (2.0-2.0)"


def test_cpu_time_counts_children_that_have_ended(interleaved: Any) -> None:
    seconds = interleaved.timed(lambda: subprocess.run([sys.executable, "-c", "sum(range(10**6))"], check=True))()
    assert seconds > 0.005


@pytest.mark.parametrize("name", COMPARING)
def test_every_benchmark_that_compares_does_so_by_turns(name: str) -> None:
    assert re.search(r"^from interleaved import ", (BENCHMARKS / f"{name}.py").read_text(), re.MULTILINE)


def test_figures_stand_in_the_benchmarks_readme_alone() -> None:
    readme = (BENCHMARKS / "README.md").read_text()
    assert {f"bench-{name}" for name in COMPARING} <= set(re.findall(r"bench-\w+", readme))
    for page in BENCHMARKS.parent.glob("docs/*.md"):
        told = [part for part in page.read_text().split("\n\n") if "make bench-" in part]
        assert all("benchmarks/README.md" in part or "test" in part for part in told), page.name

"""Options and fixtures of the fault suite: ``pytest clearfacts_assets_tests/faults --seeds 1000 [--first-seed 1]``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # the process that only hands tests to others needs none of it
    from clearfacts_assets_tests.faults.stage import Stage
    from clearfacts_assets_tests.faults.workshop import Workshop
    from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

DEFAULT_SEEDS = 16  # of `make test`; `make faults` plays more
PLAYED = "played"  # the property by which a test tells what it played
TOWNS = "towns"  # ... those of people and the world on real ledgers
WORLDS = "worlds"  # ... and another one, what people and the world did
MUTANT = "mutant"  # ... and by what a mutant of the table of decisions was noticed

KINDS_OF_PLAY = (
    (PLAYED, "random bad days", "seeds"),
    (TOWNS, "people and the world on real ledgers", "seeds"),
    (WORLDS, "people and the world", "worlds"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--seeds", type=int, default=DEFAULT_SEEDS, help="random schedules to run")
    group.addoption("--worlds", type=int, default=150, help="schedules of people and the world, on a ledger in memory")
    group.addoption("--first-world", type=int, default=1, help="the first of them")
    group.addoption("--first-seed", type=int, default=1, help="the first of them")
    group.addoption("--towns", type=int, default=8, help="schedules of people and the world, on real ledgers")
    group.addoption("--first-town", type=int, default=1, help="the first of them")
    group.addoption("--faults-json", type=Path, help="write what was played, and which faults struck, to this file")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What all workers played together."""
    reports = [report for name in ("passed", "failed") for report in terminalreporter.getreports(name)]
    told = [one for report in reports for one in report.user_properties]
    written: dict[str, Any] = {}
    for name, title, unit in KINDS_OF_PLAY:
        played = [value for one, value in told if one == name]
        written |= _tell_of(terminalreporter, title, unit, played)
    mutants = [value for name, value in told if name == MUTANT]
    if mutants:
        terminalreporter.section("mutants of the table of decisions, and what noticed them")
        for name, example, *caught in sorted(mutants):
            terminalreporter.line(f"{name:<28} {example:<11} {' '.join(caught) or '-'}")
    if written and (file := config.getoption("--faults-json")):
        file.write_text(json.dumps({**written, "mutants": sorted(mutants)}, indent=2) + "\n")


def _tell_of(
    terminal: pytest.TerminalReporter, title: str, unit: str, played: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Prints what was played of one kind, all lanes together, and how often everything struck; returns it."""
    if not played:
        return {}
    totals = {name: sum(one[name] for one in played) for name in (unit, "violations", "seconds")}
    struck = sum((Counter(one["struck"]) for one in played), Counter[str]())
    terminal.section(title)
    terminal.line(
        f"{totals[unit]:,} {unit}, {totals['violations']} violations, "
        f"{sum(struck.values()):,} things that happened, {totals['seconds']:.0f} s of play in all lanes"
    )
    for name, number in sorted(struck.items()):
        terminal.line(f"{number:>9,}  {name}")
    return {title: {**totals, "struck": dict(sorted(struck.items()))}}


@pytest.fixture(scope="session")
def workshop() -> Iterator[Workshop]:
    from clearfacts_assets_tests.faults.workshop import Workshop

    with Workshop() as running:
        yield running


@pytest.fixture(scope="session")
def fault_simulator() -> Iterator[RunningSimulator]:
    """A simulator of our own: schedules reset it all the time."""
    from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

    running = RunningSimulator()
    yield running
    running.stop()


@pytest.fixture
def stage(migrated_url: str, fault_simulator: RunningSimulator, workshop: Workshop) -> Iterator[Stage]:
    """An empty database, a simulator that has accepted nothing, and workers to run on them."""
    from clearfacts_assets_tests.faults.stage import Stage

    with Stage(migrated_url, fault_simulator, workshop) as stage:
        yield stage

"""A power cut with the real daemon: everything is killed at once, and the queue moves again without a person."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import dagster as dg
import psutil
import pytest

from clearfacts_assets.home import packaged
from clearfacts_assets_tests.fixtures.command import Command
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

Status = dg.DagsterRunStatus
DAY = "2026-11-18"
SECONDS = 120  # the promise: so long after the restart, at most, the queue moves again
PATIENCE = 600  # with all else, on a machine that is busy
SILENCE = 6


@pytest.fixture
def dagster(command: Command) -> Iterator[dg.DagsterInstance]:
    """The instance of the command's home, looked at and launched into from here."""
    home = command.home / "dagster"
    home.mkdir()
    shutil.copy(packaged("dagster.yaml"), home)
    command.environment |= {
        "DAGSTER_HOME": str(home),
        "CLEARFACTS_RUNS__SILENCE": str(SILENCE),
        "CLEARFACTS_SOURCE__DEADLINE": "3600",
    }
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def launch(command: Command, job: str, *more: str) -> None:
    workspace = str(packaged("workspace.yaml"))
    arguments = [sys.executable, "-m", "dagster", "job", "launch", "-w", workspace, "-j", job, *more]
    done = subprocess.run(arguments, env=command.environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr


def until(met: Callable[[], bool], seconds: float, why: str) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, why
        time.sleep(0.2)


@contextmanager
def powered(command: Command) -> Iterator[subprocess.Popen[str]]:
    """The daemon with its code server and its runs; all of them are killed at the end, in one moment."""
    daemon = command.start("daemon")
    try:
        yield daemon
    finally:
        everything = [*psutil.Process(daemon.pid).children(recursive=True), psutil.Process(daemon.pid)]
        for process in everything:
            process.suspend()  # so that none can tell of another's death
        for process in everything:
            process.kill()
        daemon.communicate()


def beats(home: Path) -> int:
    with closing(sqlite3.connect(home / "clearfacts.db")) as database:
        (number,) = database.execute("SELECT count(*) FROM run_heartbeats WHERE number > 0").fetchone()
        return int(number)


def as_after_a_start_of_the_machine(home: Path) -> None:
    """One of both runs was on this start of the machine, as it looks after it was started anew."""
    with closing(sqlite3.connect(home / "clearfacts.db", isolation_level=None)) as database:
        changed = database.execute(
            "UPDATE run_heartbeats SET process = json_set(process, '$.place', 'before the cut') "
            "WHERE run_id = (SELECT min(run_id) FROM run_heartbeats WHERE number > 0)"
        )
        assert changed.rowcount == 1


@pytest.mark.waits
@pytest.mark.timeout(900)
def test_after_a_power_cut_with_two_hanging_health_runs_the_nights_job_starts_by_itself(
    command: Command, dagster: dg.DagsterInstance, simulator: RunningSimulator
) -> None:
    simulator.reset(per_day=3)
    simulator.fault("erp", "delay", seconds=3600)

    def having(job: str, *statuses: Status) -> int:
        return dagster.get_runs_count(dg.RunsFilter(job_name=job, statuses=list(statuses)))

    launch(command, "health_monitoring")
    (first,) = dagster.get_runs()
    dagster.run_storage.add_run(first._replace(run_id=str(uuid4())))  # a second launch, without its ten seconds
    with powered(command):
        until(lambda: having("health_monitoring", Status.STARTED) == 2, PATIENCE, "the health runs did not start")
        until(lambda: beats(command.home) == 2, PATIENCE, "they gave no signs of life")
    as_after_a_start_of_the_machine(command.home)
    simulator.clear_faults()
    launch(command, "daily_processing", "--tags", f'{{"dagster/partition": "{DAY}"}}')
    assert having("health_monitoring", Status.STARTED) == 2, "they hold both places of the queue"
    with powered(command):
        until(lambda: having("daily_processing", Status.SUCCESS) == 1, SECONDS, "the night's job waits for dead runs")
        until(lambda: having("health_monitoring", Status.FAILURE) == 2, SECONDS, "a dead run is still under way")

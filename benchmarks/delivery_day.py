"""A day through all four assets: ``make bench-delivery ARGS="--day 10000 --day 50000"`` (13 minutes for 50,000).

A real ``clearfacts run`` in a process of its own: retrieved over HTTP from the simulated ERP, validated, delivered,
measured; the ledger in a SQLite file. Memory is each process' peak, as the kernel counts it (VmHWM): flat if a day of
five times as many invoices needs no more of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

DAY = "2026-11-18"
LOOK_SECONDS = 0.2
ASSETS = ("raw_invoices", "validated_invoices", "processed_invoices", "job_metrics")


@dataclass
class Day:
    """What one day came to."""

    results: dict[str, Any]
    seconds: float
    assets: dict[str, float]  # seconds of each
    peaks: dict[str, float] = field(default_factory=dict)  # MB: of the run's process, and of the largest worker


def one_day(count: int, latency_ms: float, connections: int) -> Day:
    """Run it, in a new home, against a new simulator."""
    simulator = RunningSimulator(per_day=count, broken_share=0.02, duplicate_share=0.02, latency_ms=latency_ms)
    try:
        with tempfile.TemporaryDirectory() as home:
            inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLEARFACTS_")}
            environment = {
                **inherited,
                **simulator.environment(),
                "CLEARFACTS_HOME": home,
                "CLEARFACTS_DELIVERY__CONCURRENCY": str(connections),
            }
            command = [sys.executable, "-m", "clearfacts_assets"]
            subprocess.run([*command, "db", "upgrade"], env=environment, check=True, capture_output=True)
            return _measured([*command, "run", "--date", DAY, "--json"], environment, Path(home))
    finally:
        simulator.stop()


def _measured(command: list[str], environment: dict[str, str], home: Path) -> Day:
    peaks = {"run": 0.0, "worker": 0.0}
    started = time.perf_counter()
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            _look(watched, peaks)
            time.sleep(LOOK_SECONDS)
    seconds = time.perf_counter() - started
    assert process.stdout is not None
    (job,) = json.loads(process.stdout.read())["jobs"]
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        return Day(job["results"], seconds, _seconds_of_assets(instance, str(job["job_id"])), peaks)


def _look(process: psutil.Process, peaks: dict[str, float]) -> None:
    try:
        peaks["run"] = max(peaks["run"], _peak_megabytes(process.pid))
        for child in process.children(recursive=True):
            peaks["worker"] = max(peaks["worker"], _peak_megabytes(child.pid))
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return


def _peak_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _seconds_of_assets(instance: dg.DagsterInstance, run_id: str) -> dict[str, float]:
    stats = instance.get_run_step_stats(run_id, list(ASSETS))
    return {one.step_key: (one.end_time or 0) - (one.start_time or 0) for one in stats}


def show(count: int, day: Day) -> None:
    each = "  ".join(f"{name} {1000 * day.assets.get(name, 0) / count:.2f}" for name in ASSETS)
    print(
        f"a day of {count:>7,}: {day.seconds:6.0f} s, {count / day.seconds:5.0f} invoices/s   peak of the run "
        f"{day.peaks['run']:4.0f} MB, of a validation worker {day.peaks['worker']:4.0f} MB\n"
        f"    ms an invoice: {each}\n    {day.results}",
        flush=True,
    )

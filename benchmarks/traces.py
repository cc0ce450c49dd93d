"""What traces cost a day's run: off, told to a collector, and told to one that never answers, by turns.

    make bench-traces                                  200 invoices a day, 5 turns
    make bench-traces ARGS="--invoices 1000 --turns 7"

A real run of all four assets by its own executor, against a simulator and a collector that are processes of their own;
the ledger in a SQLite file. Each turn is another day. Told is CPU time of this process and of its validation workers,
and how many times that of the run without traces; beside it what one span costs while traces are off.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import psutil
from interleaved import Spread, by_turns, ratio

from clearfacts_assets import settings, tracing
from clearfacts_assets.storage import migrate
from clearfacts_assets_tests.fixtures.collector import listening
from clearfacts_assets_tests.fixtures.pipeline import QUIET, daily_processing
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

FIRST_DAY = date(2026, 1, 5)
OFF, ON, HANGS = "off", "a collector that takes them", "a collector that hangs"


def collect(*, hangs: bool) -> None:
    """The process of one collector: says where it listens, and stays until its input ends."""
    with listening() as collector:
        if hangs:
            collector.may_answer.clear()
        print(collector.url, flush=True)
        sys.stdin.read()
        collector.may_answer.set()
        print(len(collector.spans), flush=True)


def started(*options: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, __file__, "--collect", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def used() -> float:
    """CPU seconds of this process, of its children and of those that have ended."""
    mine = psutil.Process()
    times = [mine.cpu_times(), *(child.cpu_times() for child in mine.children(recursive=True))]
    return sum(one.user + one.system + one.children_user + one.children_system for one in times)


def day_of(instance: dg.DagsterInstance, days: Callable[[], str], endpoint: str) -> Callable[[], float]:
    def turn() -> float:
        os.environ["CLEARFACTS_TRACES__ENDPOINT"] = endpoint
        settings.load.cache_clear()
        from clearfacts_assets import resources

        resources._engine.cache_clear()
        tracing.configure(settings.load().collector)
        job, tags, before = dg.reconstructable(daily_processing), {"dagster/partition": days()}, used()
        with dg.execute_job(job, instance, run_config=QUIET, tags=tags, raise_on_error=True) as result:
            assert result.success
        tracing.configure(None)  # what is left leaves
        return used() - before

    return turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--invoices", type=int, default=200, help="a day")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--collect", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--hangs", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.collect:
        collect(hangs=asked.hangs)
        return
    simulator, numbers = RunningSimulator(per_day=asked.invoices), iter(range(10**6))
    takes, hangs = started(), started("--hangs")
    with tempfile.TemporaryDirectory() as home, dg.DagsterInstance.ephemeral() as instance:
        os.environ.update({**simulator.environment(), "CLEARFACTS_HOME": home})
        os.environ["CLEARFACTS_DATABASE_URL"] = url = f"sqlite:///{Path(home) / 'bench.db'}"
        migrate.upgrade(url)

        def days() -> str:
            return (FIRST_DAY + timedelta(days=next(numbers))).isoformat()

        works = {name: day_of(instance, days, at) for name, at in ((OFF, ""), (ON, takes[1]), (HANGS, hangs[1]))}
        seconds = by_turns(works, asked.turns)
    simulator.stop()
    told = [process.communicate()[0].strip() for process, _ in (takes, hangs)]
    print(f"a day of {asked.invoices} invoices, {int(told[0]) // (asked.turns + 1)} spans:")
    for name, column in seconds.items():
        print(f"  traces {name:28} {Spread.of(column):.2f} s of CPU, {ratio(column, seconds[OFF]):.3f} of without")
    each = min(timeit.repeat(lambda: tracing.begin("one"), number=100_000, repeat=5)) / 100_000
    print(f"  a span while traces are off: {1e9 * each:.0f} ns")


if __name__ == "__main__":
    main()

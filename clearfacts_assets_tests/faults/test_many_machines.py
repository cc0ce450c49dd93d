"""Two machines with one PostgreSQL, each with a home of its own and nothing else in common; one dies.

Each has a run worker, a real process. A day is cut into two parts that both take at once.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import Engine, make_url

from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.storage.accounts.keyring import generate
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets.storage.invoices.delivery_review import DeliveryReview
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets_tests.fixtures.command import COMMAND
from clearfacts_assets_tests.fixtures.databases import PostgresServer
from clearfacts_assets_tests.fixtures.forked import run_forked
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

DAY, PER_DAY = "2026-11-18", 60
SECONDS = 600

pytestmark = pytest.mark.waits


@dataclass
class Machine:
    """A home, and the processes that work in it."""

    environment: dict[str, str]
    started: list[subprocess.Popen[str]]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, line: str = "") -> str:
        with TemporaryDirectory() as folder:
            done = run_forked(arguments, self.environment, Path(folder), line=line, seconds=SECONDS)
        assert done.returncode == 0, done.stderr
        return done.stdout


@dataclass
class Site:
    machines: list[Machine]
    engine: Engine


@pytest.fixture
def site(
    simulator: RunningSimulator, postgres_server: PostgresServer, migrated_template: str, tmp_path: Path
) -> Iterator[Site]:
    """60 right invoices, and a Clearfacts that takes its time with all but the first."""
    simulator.reset(per_day=PER_DAY, broken_share=0, duplicate_share=0)
    simulator.fault("clearfacts", "delay", seconds=2, after=6, match={"operation": "upload"})
    ours, dagsters = postgres_server.lend(migrated_template), postgres_server.fresh()
    storage = {"postgres": {"postgres_url": make_url(dagsters).set(drivername="postgresql").render_as_string()}}
    keys = [f"k:{generate(datetime.now(UTC)).secret}" for _ in range(2)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARFACTS_", "DAGSTER_"))}
    machines = []
    for name in ("one", "two"):
        dagster_home = tmp_path / name / "dagster_home"
        dagster_home.mkdir(parents=True)
        (dagster_home / "dagster.yaml").write_text(json.dumps({"storage": storage, "telemetry": {"enabled": False}}))
        environment = {
            **inherited,
            **simulator.environment(),
            "CLEARFACTS_HOME": str(tmp_path / name / "home"),
            "DAGSTER_HOME": str(dagster_home),
            "CLEARFACTS_DATABASE_URL": ours,
            "CLEARFACTS_DESTINATION__TRANSPORT": "rest",
            "CLEARFACTS_DELIVERY__CONCURRENCY": "4",
            "CLEARFACTS_VALIDATION__WORKERS": "0",
            "CLEARFACTS_AUTH__SIGNING_KEYS": keys[0],
            "CLEARFACTS_AUTH__ENCRYPTION_KEYS": keys[1],
        }
        machines.append(Machine(environment, []))
    engine = open_engine(ours)
    yield Site(machines, engine)
    for process in (process for machine in machines for process in machine.started):
        process.kill()
        process.communicate()
    engine.dispose()
    postgres_server.take_back(ours)
    postgres_server.drop(dagsters)


def test_a_day_is_delivered_once_by_two_machines_of_which_one_dies(site: Site, simulator: RunningSimulator) -> None:
    one, two = site.machines
    first, second = (
        machine.start("run", "--date", DAY, "--part", part, "--json") for machine, part in ((one, "1/2"), (two, "2/2"))
    )
    deadline = time.monotonic() + SECONDS
    jobs = JobRepository(site.engine)
    while len([job for job in jobs.list().items if jobs.counts(job.id).sent]) < 2:
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.kill()
    first.wait()
    simulator.clear_faults()
    output, _ = second.communicate(timeout=SECONDS)
    (job,) = json.loads(output)["jobs"]
    assert job["status"] == "completed"
    again = json.loads(two.run("run", "--date", DAY, "--part", "1/2", "--json"))["jobs"][0]
    assert again["status"] == "completed"
    names = ("supplier", "receiver", "document_type", "document_number", "issue_year")
    accepted = Counter(tuple(document[name] for name in names) for document in simulator.accepted())
    assert (len(accepted), set(accepted.values())) == (PER_DAY, {1})
    assert Counter(one.state for one in DeliveryReview(site.engine).list(limit=1000).items) == {
        State.DELIVERED: PER_DAY
    }
    taken = sorted((job.part or "cut off", job.status, jobs.counts(job.id).total) for job in jobs.list().items)
    assert [(part, status) for part, status, _ in taken] == [
        ("1/2", "completed"),
        ("1/2", "failed"),
        ("2/2", "completed"),
    ]
    assert taken[0][2] == taken[1][2] == PER_DAY - taken[2][2]  # each part took its own, and nothing of the other

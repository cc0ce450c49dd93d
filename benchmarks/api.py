"""How fast the API answers, beside a bare FastAPI route that returns the same bytes, by turns.

``make bench-api ARGS="--clients 50 --requests 3000 --jobs 10000"``: our application over SQLite, or with ``--database
postgresql`` over PostgreSQL, with a real Dagster instance, and the bare one, each in a process of its own; raw
keep-alive connections ask. Then readers alone and while logins are under way, by turns, a scrape of /metrics, and
starting a job. Exit code 1 when a promise does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from interleaved import Spread, ratio
from raw_connections import load, once, request_of

from clearfacts_assets_tests.fixtures.databases import PostgresServer

MOST_TIMES_BARE = 10  # p99 of a read against the bare route's
MOST_SCRAPE_MS = 50
MOST_START_MS = 300  # median
LOGINS = 200
ROUNDS = 9  # turns
FEW = 100  # jobs, to compare with
GROWTH_TURNS = 5
LOGIN_TURNS = 4
INVOICES = 40  # of the job that is read
PASSWORD = "a long benchmark passphrase 7391"


def ours(home: Path, jobs: int, url: str, readers: int) -> None:
    """Serve our application with so many jobs and Dagster runs; print where, and what to ask for."""
    os.environ |= {"CLEARFACTS_HOME": str(home), "CLEARFACTS_AUTH__FAILURES_PER_ADDRESS": "10000"}
    if url:
        os.environ["CLEARFACTS_DATABASE_URL"] = url
    import uvicorn
    from dagster import DagsterInstance
    from dagster._core.remote_origin import InProcessCodeLocationOrigin
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget

    from clearfacts_assets import home as homes
    from clearfacts_assets import settings
    from clearfacts_assets.api import route_threads
    from clearfacts_assets.api.app import create_app, settle
    from clearfacts_assets.api.dagster_gateway import LOCATION
    from clearfacts_assets.storage import migrate
    from clearfacts_assets.storage.database import open_engine
    from clearfacts_assets_tests.fixtures.callers import Callers

    known = settings.load()
    homes.prepare(known)
    migrate.upgrade(known.business_database_url)
    engine = open_engine(known.business_database_url)
    if readers:
        route_threads.READERS[engine.dialect.name] = readers
    job_id = write(engine, jobs)
    origin = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(module_name="clearfacts_assets.definitions", executable_path=sys.executable),
        location_name=LOCATION,
    )
    with (
        DagsterInstance.get() as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin), version="", read_only=False) as context,
    ):
        write_runs(instance, jobs)
        app = create_app(context, known, engine)
        headers = Callers(app, engine).headers("operator")
        add_login(engine)
        settle()
        serve(uvicorn.Config(app, port=0, log_level="warning"), {"job_id": str(job_id), "headers": headers})


def bare(bodies: dict[str, str]) -> None:
    """Serve nothing but these bytes."""
    import uvicorn
    from fastapi import FastAPI, Response

    app = FastAPI()

    @app.get("/{name}")
    async def give(name: str) -> Response:
        return Response(bodies[name].encode(), media_type="application/json")

    serve(uvicorn.Config(app, port=0, log_level="warning"), {})


def serve(config: Any, told: dict[str, Any]) -> None:
    import uvicorn

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            told["port"] = self.servers[0].sockets[0].getsockname()[1]
            print(json.dumps(told), flush=True)

    Announcing(config).run()


def write(engine: Any, jobs: int) -> UUID:
    from sqlalchemy import insert

    from clearfacts_assets.storage.invoices.tables import InvoiceRow, Job

    now = datetime.now(UTC)
    ids = [uuid4() for _ in range(jobs)]
    common = {"job_type": "scheduled", "status": "completed", "started_at": now, "completed_at": now, "updated_at": now}
    common["metadata"] = {"job_name": "daily_processing", "triggered_by": "nightly", "retrieval": {"pages": 1}}
    rows = [{**common, "id": one, "created_at": now - timedelta(minutes=number)} for number, one in enumerate(ids)]
    statuses = ["sent"] * (INVOICES - 3) + ["failed"] * 3
    invoices = [
        {
            "id": uuid4(),
            "job_id": one,
            "invoice_id": f"ERP-{number:05}",
            "status": status,
            "error_message": "BR-CO-10: the sum of line amounts is off by a cent" if status == "failed" else None,
            "processed_at": now,
            "created_at": now,
            "updated_at": now,
        }
        for one in ids[:50]
        for number, status in enumerate(statuses)
    ]
    with engine.begin() as connection:
        connection.execute(insert(Job), rows)
        connection.execute(insert(InvoiceRow), invoices)
    return ids[0]


def write_runs(instance: Any, count: int) -> None:
    """So many runs in Dagster's storage, as rows: making them takes a quarter of a second each."""
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
    from dagster._core.storage.runs.schema import RunsTable as Runs

    now = datetime.now(UTC).replace(tzinfo=None)
    ids = [str(uuid4()) for _ in range(count)]
    with instance.run_storage.connect() as connection:
        connection.execute(
            Runs.insert(),
            [
                {"run_id": one, "pipeline_name": "daily_processing", "status": "SUCCESS", "run_body": "{}"}
                | {"start_time": 1.0, "end_time": 9.0, "create_timestamp": now, "update_timestamp": now}
                for one in ids
            ],
        )
    assets = ("raw_invoices", "validated_invoices", "processed_invoices", "job_metrics")
    with instance.event_log_storage.index_connection() as connection:
        connection.execute(
            Events.insert(),
            [
                {"run_id": one, "event": "{}", "dagster_event_type": kind, "timestamp": now}
                | {"step_key": asset, "asset_key": json.dumps([asset])}
                for one in ids
                for asset in assets
                for kind in ("ASSET_MATERIALIZATION_PLANNED", "ASSET_MATERIALIZATION")
            ],
        )


def add_login(engine: Any) -> None:
    from clearfacts_assets.api.auth.passwords import hashed
    from clearfacts_assets.storage.accounts.audit import Actor
    from clearfacts_assets.storage.accounts.users import UserRepository

    hash_ = hashed(PASSWORD)
    for number in range(LOGINS):
        name = f"bench-{number}"
        UserRepository(engine).add(
            name,
            email=f"{name}@example.be",
            role="user",
            password_hash=hash_,
            actor=Actor("bench"),
            now=datetime.now(UTC),
        )


@dataclass
class Server:
    """One of the two processes."""

    process: subprocess.Popen[str]
    told: dict[str, Any]

    @classmethod
    def start(cls, *arguments: str) -> Server:
        process = subprocess.Popen(
            [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout is not None
        return cls(process, json.loads(process.stdout.readline()))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)


def served(options: argparse.Namespace, home: str, jobs: int) -> Server:
    """Our application, over a database of its own."""
    more = ["--url", options.postgresql.fresh()] if options.postgresql else []
    more += ["--readers", str(options.readers)]
    return Server.start("--serve", "ours", "--home", home, "--jobs", str(jobs), *more)


def p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


def login(number: int) -> bytes:
    body = json.dumps({"username": f"bench-{number}", "password": PASSWORD}).encode()
    return request_of("POST", "/auth/login", {"Content-Type": "application/json"}, body)


async def during_logins(
    port: int, numbers: range, ask: Callable[[], Awaitable[list[float]]]
) -> tuple[list[float], list[int]]:
    """What was asked meanwhile, and how the logins of these accounts were answered."""
    logins = [asyncio.create_task(once(port, login(number))) for number in numbers]
    await asyncio.sleep(0.2)
    times = await ask()
    return times, [status for status, _, _ in await asyncio.gather(*logins)]


async def measure(options: argparse.Namespace, home: Path) -> bool:
    product = await asyncio.to_thread(served, options, str(home), options.jobs)
    headers, job_id, port = product.told["headers"], product.told["job_id"], product.told["port"]
    paths = {"job": f"/api/v1/jobs/{job_id}", "jobs": "/api/v1/jobs", "history": "/api/v1/invoices/history"}
    bodies = {name: (await once(port, request_of("GET", path, headers)))[1].decode() for name, path in paths.items()}
    file = home / "bodies.json"
    file.write_text(json.dumps(bodies))
    other = await asyncio.to_thread(Server.start, "--serve", "bare", "--home", str(home))
    holds = []
    try:
        for name, path in paths.items():
            holds.append(
                await compared(
                    options,
                    f"GET {path.replace(job_id, '{id}')}",
                    (port, request_of("GET", path, headers)),
                    (other.told["port"], request_of("GET", f"/{name}")),
                )
            )
        holds += await rest(options, port, headers, request_of("GET", paths["job"], headers))
        await growth(options, product)
    finally:
        product.stop()
        other.stop()
    return all(holds)


async def compared(options: argparse.Namespace, name: str, ours: tuple[int, bytes], bare: tuple[int, bytes]) -> bool:
    """Both by turns; the median over the turns' ratios of p99."""
    turns = []
    for _ in range(ROUNDS + 1):
        turn = [await load(*one, clients=options.clients, requests=options.requests // ROUNDS) for one in (ours, bare)]
        turns.append((p99(turn[0]), p99(turn[1]), statistics.median(turn[0])))
    ours_p99, bare_p99, middle = (list(column) for column in zip(*turns[1:], strict=True))  # the first one warms up
    times = ratio(ours_p99, bare_p99)
    print(
        f"{name:28} p99 {Spread.of(ours_p99):.1f} ms, median {Spread.of(middle):.1f} ms; bare p99 "
        f"{Spread.of(bare_p99):.1f} ms; {times:.1f} times bare",
        flush=True,
    )
    return times.median < MOST_TIMES_BARE


async def growth(options: argparse.Namespace, product: Server) -> None:
    """What the size of the tables costs: the same reads of an application that has few jobs, by turns."""
    with tempfile.TemporaryDirectory() as folder:
        small = await asyncio.to_thread(served, options, folder, FEW)
        try:
            for name in ("/api/v1/jobs/{id}", "/api/v1/jobs", "/api/v1/invoices/history"):
                medians: dict[Any, list[float]] = {product.told["port"]: [], small.told["port"]: []}
                for server in [product, small] * GROWTH_TURNS:
                    path = name.replace("{id}", server.told["job_id"])
                    request = request_of("GET", path, server.told["headers"])
                    times = await load(server.told["port"], request, clients=5, requests=300)
                    medians[server.told["port"]].append(statistics.median(times))
                print(f"GET {name:28} with {options.jobs} jobs: {ratio(*medians.values()):.2f} times that with {FEW}")
        finally:
            small.stop()


async def rest(options: argparse.Namespace, port: int, headers: dict[str, str], read: bytes) -> list[bool]:
    alone: list[float] = []
    beside: list[float] = []
    longest, statuses = 0.0, []
    readers = {"clients": 5, "requests": options.requests // 10}
    for turn in range(LOGIN_TURNS):
        alone.append(p99(await load(port, read, **readers)))
        numbers = range(turn * LOGINS // LOGIN_TURNS, (turn + 1) * LOGINS // LOGIN_TURNS)
        times, came = await during_logins(port, numbers, lambda: load(port, read, **readers))
        beside.append(p99(times))
        longest, statuses = max(longest, *times), statuses + came
    print(
        f"while logins are under way ({LOGINS} in {LOGIN_TURNS} turns, {statuses.count(200)} came in): 5 readers' p99 "
        f"{Spread.of(beside):.1f} ms, alone {Spread.of(alone):.1f} ms; {ratio(beside, alone):.1f} times; the longest "
        f"{longest:.1f} ms"
    )
    await once(port, request_of("GET", "/metrics", headers))
    scrapes = [(await once(port, request_of("GET", "/metrics", headers)))[2] for _ in range(20)]
    print(
        f"GET /metrics with {options.jobs} runs: median {statistics.median(scrapes):.1f} ms, longest {max(scrapes):.1f}"
    )
    starts = []
    for day in range(1, 16):
        body = json.dumps({"date": f"2026-11-{day:02}"}).encode()
        request = request_of("POST", "/api/v1/invoices/process", {**headers, "Content-Type": "application/json"}, body)
        status, _, took = await once(port, request)
        assert status == 202, status
        starts.append(took)
    print(f"POST /invoices/process: median {statistics.median(starts):.0f} ms, longest {max(starts):.0f} ms")
    return [
        statuses == [200] * LOGINS,
        longest < 1000,
        statistics.median(scrapes) < MOST_SCRAPE_MS,
        statistics.median(starts) < MOST_START_MS,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=9000)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--readers", type=int, default=0, help="threads that read; as many as we have without it")
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    parser.add_argument("--serve", choices=["ours", "bare"], help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve == "ours":
        ours(options.home, options.jobs, options.url, options.readers)
    elif options.serve == "bare":
        bare(json.loads((options.home / "bodies.json").read_text()))
    else:
        options.postgresql = PostgresServer.create(durable=True) if options.database == "postgresql" else None
        try:
            with tempfile.TemporaryDirectory() as folder:
                holds = asyncio.run(measure(options, Path(folder)))
        finally:
            if options.postgresql:
                options.postgresql.remove()
        sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()

"""``clearfacts demo``: the whole system on one machine, the other side simulated, and one day's invoices through it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from clearfacts_assets.cli.console import err, fail, out
from clearfacts_assets.cli.process_tree import ProcessTree, process_tree

START_SECONDS = 600  # to wait for a process that is alive to answer: importing Dagster is slow on a busy machine
RUN_SECONDS = 1800  # to wait for the day's run
ACCOUNT = "demo"  # the admin that the demo makes for itself and for whoever looks at it


def demo(
    date: Annotated[str | None, typer.Option(help="day to process, YYYY-MM-DD; default: yesterday in Brussels")] = None,
    per_day: Annotated[int, typer.Option(min=0, help="invoices that the simulated ERP has a day")] = 40,
    port: Annotated[int | None, typer.Option(help="port for UI and API; default: setting serve.port")] = None,
    once: Annotated[bool, typer.Option("--once", help="end after the table; exit 0 when the job completed")] = False,
) -> None:
    """Start simulator, Dagster's daemon, UI and API; process one day; show what happened; stay up until Ctrl-C."""
    # Set by us, so that they work also where a script started this in the background with SIGINT ignored, and so that
    # the children get them unchanged.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, _interrupt)
    try:
        completed = _demo(date, per_day, port, once)
    except KeyboardInterrupt:
        err.print("Stopped.")
        return
    if not completed:
        raise typer.Exit(1)


def _demo(date: str | None, per_day: int, port: int | None, once: bool) -> bool:
    from clearfacts_assets.cli.invoices.run import days_asked_for
    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.storage import migrate

    (day,) = days_asked_for(date)
    configured = ready()
    migrate.upgrade(configured.business_database_url, alert_channel=configured.slack.channel)
    logs = configured.home / "logs"
    logs.mkdir(exist_ok=True)
    with process_tree(logs) as start:
        listener = _listening(port if port is not None else configured.serve.port)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        state = configured.home / "simulator.jsonl"
        simulator = start("simulator", "simulate", "--port", "0", "--per-day", str(per_day), "--state", str(state))
        _point_to(_announced(simulator, logs / "simulator.log"), address)
        start("web", "serve", "--listen-fd", str(listener.fileno()), inherited=listener)
        listener.close()  # it is the web server's now: when that ends, nobody may seem to listen
        start("daemon", "daemon")
        password = _let_in(configured.business_database_url)
        month = _load_sample_month(configured.business_database_url, day)
        _wait_for_web(address, start)
        completed = _process_one_day(address, day, password)
        if once:
            return completed
        out.print(f"\nDagster's UI  [link={address}]{address}[/link]")
        out.print(f"The desk      [link={address}/desk]{address}/desk[/link]")
        out.print(f"Log in as     [bold]{ACCOUNT}[/] with password [bold]{password}[/] (a new one at each start)")
        out.print(f"API           {address}/api/v1/docs")
        out.print(f"Chargeback    [bold]clearfacts chargeback month -p {month}[/] shows the sample month")
        out.print(f"              {address}/assets/charges?view=partitions shows its tables and charts")
        out.print(f"Everything is kept in {configured.home}; logs in {logs}. Ctrl-C stops it all.")
        start.watch()
    return completed


def _load_sample_month(database_url: str, day: str) -> str:
    """The month before the day, from the cost exports of a made-up university. Returns it."""
    from datetime import date, timedelta

    from clearfacts_assets.cli.chargeback.sample import load_sample
    from clearfacts_assets.storage.database import open_engine

    month = f"{date.fromisoformat(day).replace(day=1) - timedelta(days=1):%Y-%m}"
    engine = open_engine(database_url)
    charges = load_sample(engine, month)
    engine.dispose()
    err.print(f"Cost exports of {month} and the months before: {charges} charges came in.")
    return month


def _let_in(database_url: str) -> str:
    """Give the demo's admin a new random password, which is kept nowhere. Returns it."""
    import secrets
    from datetime import UTC, datetime

    from clearfacts_assets.api.auth.passwords import hashed
    from clearfacts_assets.storage.accounts.audit import Actor
    from clearfacts_assets.storage.accounts.users import UserNotFound, UserRepository
    from clearfacts_assets.storage.database import open_engine

    password, actor, now = secrets.token_urlsafe(12), Actor("clearfacts demo"), datetime.now(UTC)
    engine = open_engine(database_url)
    users = UserRepository(engine)
    try:
        user = users.named(ACCOUNT)
        users.set_password(user.id, hashed(password), actor=actor, now=now)
        users.change(user.id, role="admin", is_active=True, actor=actor, now=now)
    except UserNotFound:
        email = f"{ACCOUNT}@localhost"
        users.add(ACCOUNT, email=email, role="admin", password_hash=hashed(password), actor=actor, now=now)
    engine.dispose()
    return password


def _process_one_day(address: str, day: str, password: str) -> bool:
    """Launch the day's run as the UI would, follow it, show what it came to. Returns whether the job completed."""
    from uuid import UUID

    import httpx

    from clearfacts_assets import settings
    from clearfacts_assets.api.dagster_gateway import ENDED, DagsterGateway, PasswordLogin
    from clearfacts_assets.cli.invoices.jobs import print_job
    from clearfacts_assets.cli.invoices.progress import follow
    from clearfacts_assets.orchestration.tags import TRIGGERED_BY_TAG
    from clearfacts_assets.storage.database import open_engine

    engine = open_engine(settings.load().business_database_url)
    with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
        client.auth = PasswordLogin(address, ACCOUNT, password)
        gateway = DagsterGateway(client)
        run_id = gateway.launch("daily_processing", day, {}, {TRIGGERED_BY_TAG: "demo"})
        err.print(f"Invoices of {day}: {address}/runs/{run_id}", highlight=False, soft_wrap=True)

        def ended_after(seconds: float) -> bool:
            time.sleep(seconds)
            return gateway.status(run_id) in ENDED

        follow(engine, UUID(run_id), ended_after, seconds=RUN_SECONDS)
        completed = gateway.status(run_id) == "SUCCESS"
    print_job(engine, UUID(run_id))
    return completed


def _wait_for_web(address: str, processes: ProcessTree) -> None:
    """Until the web server answers. One that ended, or does not answer in time, ends the demo with what it said."""
    import httpx

    with err.status("Starting Dagster ..."), httpx.Client(base_url=address, timeout=5, trust_env=False) as client:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            processes.check()
            with suppress(httpx.TransportError):
                if client.get("/healthz").status_code == httpx.codes.OK:
                    return
            time.sleep(0.2)
    fail(f"the web server did not answer within {START_SECONDS} s: see {processes.log('web')}")


def _point_to(simulator: dict[str, Any], address: str) -> None:
    """Let every process of the demo speak to the simulator, whatever else is configured."""
    from clearfacts_assets import settings

    os.environ.update(simulator["environment"])
    os.environ["CLEARFACTS_SERVE__PUBLIC_URL"] = address
    settings.load.cache_clear()


def _announced(process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    """The simulator's first line: where it listens."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        first = log.read_text().partition("\n")
        if first[1]:
            announced: dict[str, Any] = json.loads(first[0])
            return announced
        time.sleep(0.05)
    fail(f"the simulator did not start: see {log}")


def _listening(wanted: int) -> socket.socket:
    """A socket that listens on the wanted port of 127.0.0.1, or on a free one.

    The web server inherits it. A free port's number alone could go to another program, or to somebody's outgoing
    connection, in the seconds that the server needs until it would bind it.
    """
    for candidate in (wanted, 0):
        try:
            return socket.create_server(("127.0.0.1", candidate))
        except OSError:
            err.print(f"Port {candidate} is taken; another one is used.")
    fail("no port is free on 127.0.0.1")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

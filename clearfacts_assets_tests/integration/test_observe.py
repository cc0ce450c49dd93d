"""A real Prometheus that scrapes the API, and a real AlertManager that tells what it finds. Wants both of Debian's
programs; without them these tests are skipped, and say so."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from sqlalchemy import update

from clearfacts_assets.definitions import defs
from clearfacts_assets.simulator.mail import PASSWORD, USERNAME, MailServer
from clearfacts_assets.storage.database import write
from clearfacts_assets.storage.invoices.tables import Job
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.chargeback import Books, row
from clearfacts_assets_tests.fixtures.resources import all_resources
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator
from clearfacts_assets_tests.unit.test_observability import QUERIES, module

PATIENCE = 120  # seconds, for a machine that is busy

observe = module("observe")
pytestmark = [
    pytest.mark.waits,
    pytest.mark.skipif(
        shutil.which("prometheus") is None or shutil.which("prometheus-alertmanager") is None,
        reason="prometheus and prometheus-alertmanager are not installed (Debian has both)",
    ),
]
# What has nothing to say here: no invoice is left over, and no daemon evaluates anything in this test.
SILENT = {"Delivery: How long the oldest has been known", "Operations: Since the last tick"}


@pytest.fixture
def scraped(quick_api: RunningApi, migrated_file: Path, simulator: RunningSimulator, tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus that has scraped an API behind which a day was processed, and a month of charges."""
    simulator.reset(per_day=4)
    client = quick_api.client()
    quick_api.run(client.post("/api/v1/invoices/process", json={"date": "2026-11-18"}).json()["data"]["job_id"])
    dg.materialize([defs.get_assets_def("service_health")], instance=quick_api.instance, resources=all_resources())
    nightly = update(Job).values(job_type="scheduled")
    write(quick_api.engine, lambda connection: connection.execute(nightly))
    Books(quick_api.engine, tmp_path).put(row(), row(Tags="", ResourceId="nobody"))
    public = RunningApi(quick_api.workspace, str(quick_api.engine.url), public_metrics=True)
    port = free_port()
    observe.configure(tmp_path, target=f"127.0.0.1:{public.port}", alertmanager="127.0.0.1:9", at_once=True)
    prometheus = observe.start_prometheus(tmp_path, port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        _end(prometheus)
        public.close()


def test_no_panel_of_the_dashboards_is_empty(scraped: str) -> None:
    with httpx.Client(base_url=scraped, trust_env=False, timeout=300) as prometheus:

        def empty() -> list[str]:
            return [name for name, query in QUERIES.items() if name not in SILENT and not _asked(prometheus, query)]

        _until(lambda: _asked(prometheus, 'count_over_time(up{job="clearfacts"}[1m]) > 3'))
        _until(lambda: not empty(), what=empty)
        # A label of the metric's own is kept beside what Prometheus says of its target.
        assert _asked(prometheus, 'dagster_job_runs_total{job="manual_trigger", status="SUCCESS"}')
        assert _asked(prometheus, 'invoice_deliveries{job="clearfacts"}')


def _asked(prometheus: httpx.Client, query: str) -> list[Any]:
    try:
        answer = prometheus.get("/api/v1/query", params={"query": query})
    except httpx.TransportError:
        return []  # it is still starting
    told = answer.json() if answer.status_code in (200, 400) else {}
    assert told.get("errorType") != "bad_data", f"{query}: {told}"
    return told["data"]["result"] if told.get("status") == "success" else []


def test_a_fault_goes_from_the_metrics_to_slack_and_to_the_mail_of_who_is_on_call(
    simulator: RunningSimulator, tmp_path: Path
) -> None:
    simulator.reset()
    with MailServer() as mail:
        mailed = {
            "smarthost": f"127.0.0.1:{mail.port}",
            "from": "clearfacts@example.org",
            "auth_username": USERNAME,
            "auth_password": PASSWORD,
            "tls_config": {"ca_file": str(mail.ca_file)},
        }
        slack = f"{simulator.slack_url}chat.postMessage"
        observe.route_to(tmp_path, slack=slack, token=simulator.slack_token, mail=mailed, at_once=True)
        ports = free_port(), free_port()
        # Nobody listens on port 9: the API is down.
        observe.configure(tmp_path, target="127.0.0.1:9", alertmanager=f"127.0.0.1:{ports[1]}", at_once=True)
        running = [observe.start_alertmanager(tmp_path, ports[1]), observe.start_prometheus(tmp_path, ports[0])]
        try:
            _until(lambda: simulator.slack_messages() and mail.room.taken)
        finally:
            for process in running:
                _end(process)
        (message, *_) = simulator.slack_messages()
        (told, *_) = message["attachments"]
        assert (message["channel"], told["title"]) == ("#billing", "CRITICAL: ClearfactsDown")
        assert "The API on 127.0.0.1:9 does not answer" in told["text"]
        assert "docs/operating.md#clearfactsdown" in told["text"]
        (taken, *_) = mail.room.taken
        assert taken.recipients == ("on-call@example.org",)
        assert b"CRITICAL: ClearfactsDown (1)" in taken.content


def _until(happened: Callable[[], Any], *, what: Callable[[], Any] = lambda: "") -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()

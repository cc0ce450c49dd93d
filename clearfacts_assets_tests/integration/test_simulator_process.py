"""``clearfacts simulate`` as a process: it says where it listens, remembers what it accepted, ends when told."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, date, datetime

import httpx
import pytest

from clearfacts_assets.cli.simulate import simulate
from clearfacts_assets.invoices.destinations import DestinationOptions
from clearfacts_assets.invoices.destinations.clearfacts_graphql import ClearfactsGraphql
from clearfacts_assets.invoices.destinations.clearfacts_rest import ClearfactsRest
from clearfacts_assets.invoices.model import DocumentType, InvoiceKey, Window
from clearfacts_assets.invoices.ports import Accepted, Submission
from clearfacts_assets.invoices.sources import SourceOptions
from clearfacts_assets.invoices.sources.java_backend import JavaBackend
from clearfacts_assets.settings import Settings
from clearfacts_assets.simulator.generator import Generator
from clearfacts_assets.simulator.ledger import AcceptedDocuments
from clearfacts_assets.simulator.trade import RECEIVERS
from clearfacts_assets_tests.fixtures.simulator import START, RunningSimulator


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_exit_code_0_when_told_also_with_a_call_under_way(start_simulator, number):
    simulator = start_simulator()
    fault = simulator.fault("erp", "hang")
    with socket.create_connection(address(simulator)) as hanging:
        hanging.sendall(b"GET /erp/invoices HTTP/1.1\r\nHost: simulator\r\n\r\n")
        while not simulator.applied(fault):
            pass
        started = time.monotonic()
        assert simulator.stop(number) == 0
        assert time.monotonic() - started < 10


def address(simulator: RunningSimulator) -> tuple[str, int]:
    url = httpx.URL(simulator.url)
    return url.host, url.port or 0


def test_the_first_line_points_the_settings_at_it(start_simulator, monkeypatch):
    simulator = start_simulator(per_day=3)
    for name, value in simulator.environment().items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    source = JavaBackend(
        SourceOptions(place=str(settings.source.base_url), token=settings.source.token.get_secret_value())
    )
    assert source.check()
    day = Window(datetime(2026, 10, 13, 22, tzinfo=UTC), datetime(2026, 10, 14, 22, tzinfo=UTC))
    documents = [document for page in source.pages(day) for document in page]
    expected = list(simulator.generator.entries(date(2026, 10, 14)))
    assert [document.invoice_id for document in documents] == [entry.invoice_id for entry in expected]
    source.close()


@pytest.mark.parametrize("transport", ["graphql", "rest"])
def test_the_real_destinations_are_understood(simulator, transport):
    address, token = simulator.clearfacts_url, simulator.clearfacts_token
    destination = (
        ClearfactsRest(DestinationOptions(base_url=address, token=token))
        if transport == "rest"
        else ClearfactsGraphql(DestinationOptions(base_url=address, token=token, login_url=address))
    )
    assert destination.check()
    key = InvoiceKey("clearfacts", "BE1", "BE2", DocumentType.INVOICE, "1", 2026)
    submission = Submission(key, b"<a/>", "", "f.xml", RECEIVERS[0].vat_number, "PURCHASE", "key-1", "c-1")
    outcome = destination.send(submission if transport == "graphql" else submission_with_digest(submission))
    (listed,) = simulator.accepted()
    assert isinstance(outcome, Accepted)
    assert outcome.document_id == listed["uuid"]
    assert (listed["transport"], listed["correlation_id"]) == (transport, "c-1")
    destination.close()


def submission_with_digest(submission: Submission) -> Submission:
    return replace(submission, content_sha256=hashlib.sha256(submission.content).hexdigest())


def test_what_was_accepted_outlives_a_kill_and_keys_are_still_known(start_simulator, tmp_path):
    state = tmp_path / "accepted.jsonl"
    first = start_simulator(state=state)
    filed = send(first, "k-1").json()
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    assert json.loads(state.read_text())["idempotency_key"] == "k-1"
    second = start_simulator(state=state)
    assert [row["uuid"] for row in second.accepted()] == [filed["uuid"]]
    assert send(second, "k-1").json() == filed
    assert send(second, "k-2").status_code == 201
    assert [row["order"] for row in second.accepted()] == [1, 2]
    second.reset()
    assert state.read_text() == ""


def send(simulator: RunningSimulator, key: str) -> httpx.Response:
    body = {"administration": RECEIVERS[0].vat_number, "invoice_type": "SALE", "file_name": "f", "content": "PGEvPg=="}
    headers = {"Authorization": f"Bearer {simulator.clearfacts_token}", "Idempotency-Key": key}
    return httpx.post(f"{simulator.clearfacts_url}/invoices", json=body, headers=headers)


def test_a_torn_last_line_of_the_state_file_is_dropped_and_a_damaged_one_is_named(tmp_path):
    state = tmp_path / "accepted.jsonl"
    state.write_text('{"order": 1, "uu')
    accepted = AcceptedDocuments(state)
    assert (len(accepted), state.read_text()) == (0, "")
    accepted.close()
    state.write_text('{"order": 1}\n')
    with pytest.raises(ValueError, match="line 1"):
        AcceptedDocuments(state)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
    )


def test_a_port_that_is_taken_and_impossible_shares_are_said_plainly():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run("--port", str(taken.getsockname()[1]))
    assert ended.returncode == 1
    assert "cannot listen" in ended.stderr
    assert "Traceback" not in ended.stderr
    ended = run("--port", "0", "--broken-share", "0.9", "--duplicate-share", "0.9")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "shares" in ended.stderr


def test_the_commands_defaults_are_the_generators():
    defaults = {name: parameter.default for name, parameter in inspect.signature(simulate).parameters.items()}
    generator = Generator()
    names = ("seed", "per_day", "broken_share", "duplicate_share")
    assert {name: defaults[name] for name in names} == {name: getattr(generator, name) for name in names}


def test_starting_it_imports_no_dagster():
    probe = "import sys, clearfacts_assets.simulator.server; print([m for m in sys.modules if m.startswith('dagster')])"
    assert subprocess.check_output([sys.executable, "-c", probe], text=True).strip() == "[]"


def test_latency_delays_answers_but_not_control(start_simulator):
    simulator = start_simulator(latency_ms=150)
    answer = httpx.get(f"{simulator.erp_url}/invoices")
    assert answer.elapsed.total_seconds() >= 0.15
    assert simulator.calls() == {"erp.list": 1}


def test_unknown_doors_list_the_known_ones(simulator):
    answer = httpx.get(f"{simulator.url}/simulator/nothing")
    assert answer.status_code == 404
    assert "POST /simulator/faults" in answer.json()["known"]
    assert httpx.get(f"{simulator.url}/elsewhere").status_code == 404
    assert httpx.get(f"{simulator.url}/simulator/health").json() == {"status": "ok"}


def test_calls_and_connections_are_counted(simulator):
    with httpx.Client(headers={"Authorization": f"Bearer {simulator.erp_token}"}) as client:
        for _ in range(3):
            client.get(f"{simulator.erp_url}/invoices/none")
    assert simulator.calls() == {"erp.one": 3}
    assert simulator.connections() <= 2

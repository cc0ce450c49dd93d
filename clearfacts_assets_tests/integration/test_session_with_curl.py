"""The session of docs/api.md with curl, against the real demo: simulator, daemon, UI and API as processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from clearfacts_assets_tests.fixtures.collector import ListeningCollector, listening

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 600  # five processes that import Dagster, on a machine that may be busy
DAY = "2026-11-12"
# The other side's own files: it knows its tokens.
OF_THE_SIMULATOR = {"simulator.log", "simulator.jsonl"}

pytestmark = [
    pytest.mark.skipif(not all(map(shutil.which, ("curl", "jq", "sh"))), reason="curl and jq are not installed"),
    pytest.mark.waits,
    pytest.mark.timeout(900),
]


@dataclass(frozen=True)
class Session:
    """What the lines of the document came to."""

    home: Path
    address: str
    password: str
    job: dict[str, Any]
    tokens: list[str]


def lines_of_the_document() -> str:
    blocks = re.findall(r"```sh\n(.*?)```", (PROJECT / "docs" / "api.md").read_text("utf-8"), re.DOTALL)
    return str(blocks[0])


@pytest.fixture(scope="module")
def collector() -> Iterator[ListeningCollector]:
    with listening() as one:
        yield one


@pytest.fixture(scope="module")
def session(collector: ListeningCollector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    home = tmp_path_factory.mktemp("demo")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("CLEARFACTS_", "DAGSTER_"))
    }
    environment |= {"CLEARFACTS_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1"}
    environment["CLEARFACTS_TRACES__ENDPOINT"] = collector.url
    with (home / "demo.out").open("wb") as out:
        demo = subprocess.Popen(
            [sys.executable, "-m", "clearfacts_assets", "demo", "--port", "0", "--per-day", "6"],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=PROJECT,
        )
    try:
        said = _said(demo, home / "demo.out", r"with password (\S+)")
        password = said.group(1)
        address = _said(demo, home / "demo.out", r"Dagster's UI\s+(\S+)").group(1)
        shown = subprocess.run(
            ["sh", "-eu", "-c", lines_of_the_document()],
            env={**environment, "API": address, "DAY": DAY, "PASSWORD": password},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert shown.returncode == 0, shown.stderr
        announced = json.loads((home / "logs" / "simulator.log").read_text().partition("\n")[0])["environment"]
        tokens = [value for name, value in announced.items() if name.endswith("__TOKEN")]
        yield Session(home, address, password, json.loads(shown.stdout), tokens)
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.wait(300)


def _said(demo: subprocess.Popen[bytes], file: Path, pattern: str) -> re.Match[str]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = re.search(pattern, file.read_text("utf-8", "replace"))
        if found:
            return found
        assert demo.poll() is None, file.read_text("utf-8", "replace")
        time.sleep(0.1)
    raise AssertionError(file.read_text("utf-8", "replace"))


def test_the_lines_of_the_document_lead_from_the_login_to_the_result(session: Session) -> None:
    job = session.job["data"]
    results = job["results"]
    assert (session.job["success"], job["status"]) == (True, "completed")
    assert results["total_invoices"] == results["processed"] + results["failed"] + results["duplicates"] > 0
    assert len(job["errors"]) == results["failed"]


def test_no_token_is_in_any_file_that_the_session_left(session: Session) -> None:
    """Dagster's event log, its runs with their tags and configuration, metadata, our database, and every log."""
    access = httpx.post(
        f"{session.address}/auth/login", json={"username": "demo", "password": session.password}
    ).json()["data"]
    secrets = [*session.tokens, session.password, access["access_token"], access["refresh_token"]]
    assert len(session.tokens) >= 3
    contents: dict[Path, bytes] = {}
    for one in session.home.rglob("*"):
        if one.name in OF_THE_SIMULATOR | {"demo.out"}:  # to its user the demo shows its password
            continue
        with suppress(FileNotFoundError, IsADirectoryError):  # the demo goes on; SQLite's own files come and go
            contents[one] = one.read_bytes()
    assert any(session.job["data"]["job_id"].encode() in content for content in contents.values())
    found = [
        (one.name, secret[:4]) for one, content in contents.items() for secret in secrets if secret.encode() in content
    ]
    assert found == []


def test_the_job_is_one_trace_through_the_processes_that_had_a_part_in_it(
    session: Session, collector: ListeningCollector
) -> None:
    """The web server's, that of the run, and the calls between them and the other side; each process tells its own."""
    deadline, job_id = time.monotonic() + START_SECONDS, session.job["data"]["job_id"]
    while True:
        runs = [one for one in collector.spans if one.attributes.get("dagster.run.id") == job_id]
        above = [one for one in collector.spans if one.id in {run.parent for run in runs}]
        if runs and above:
            break
        assert time.monotonic() < deadline, [one.name for one in collector.spans]
        time.sleep(0.1)
    (run,), (asked,) = runs, above
    assert (asked.name, asked.trace) == ("POST /api/v1/invoices/process", run.trace)
    below = collector.under(run)
    assert {"page", "send", "write", "POST 127.0.0.1"} <= {one.name for one in below}
    assert any("INSERT invoices" in one.attributes.get("db.query.summary", "") for one in below)

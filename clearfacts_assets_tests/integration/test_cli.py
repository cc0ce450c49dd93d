"""The commands that work: what they print with --json, how they end, and what they say when something is wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from clearfacts_assets import settings
from clearfacts_assets.cli import main
from clearfacts_assets.invoices.delivery.status_polling import Reply
from clearfacts_assets.invoices.ports import FiledDocument
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets.storage.invoices.document_status import DeliveredDocuments
from clearfacts_assets.telemetry import logging as our_logging
from clearfacts_assets_tests.fixtures.command import Command
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

DAY = "2026-11-18"
HOSTILE = "X[/red] [bold]<@U1> \x1b"  # an id as the ERP may have it, but for the last character
COUNTS = {"total_invoices", "processed", "failed", "duplicates", "pending"}
JOB = {
    *("job_id", "job_type", "partition", "status", "started_at", "completed_at", "duration_seconds", "results"),
    *("error_message", "correlation_id"),
}
INVOICE = {
    *("id", "job_id", "invoice_id", "status", "error_message", "decision", "document_type", "number", "issue_date"),
    *("supplier", "customer", "payable_amount", "currency", "content_sha256", "clearfacts_response", "processed_at"),
    *("source_updated_at", "created_at", "updated_at", "delivery_id", "delivery_state", "partition_key"),
}
Call = Callable[..., tuple[int, str, str]]
_get_command = cache(typer.main.get_command)  # to make all commands anew takes longer than most of what they do here


@pytest.fixture(scope="module")
def home(
    tmp_path_factory: pytest.TempPathFactory, migrated_file: Path, _simulator_process: RunningSimulator
) -> tuple[Path, dict[str, str], Any]:
    """A home in which one day was run by the real command: its folder, its environment, what the command printed."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copy(migrated_file, folder / "clearfacts.db")
    _simulator_process.reset(per_day=6, broken_share=0.2, duplicate_share=0)
    _simulator_process.inject(HOSTILE.strip("\x1b "), f"{DAY}T12:00:00Z", "[/not XML]")
    product = {**_simulator_process.environment(), "CLEARFACTS_HOME": str(folder)}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARFACTS_", "DAGSTER_"))}
    command = Command(folder, {**clean, **product})
    printed = command.json("run", "--date", DAY)
    return folder, {**product, "DAGSTER_HOME": str(folder / "dagster")}, printed


@pytest.fixture
def clearfacts(
    home: tuple[Path, dict[str, str], Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Call]:
    """The command in this process, over the home that stands: (exit code, standard output, standard error)."""
    for name in [name for name in os.environ if name.startswith("CLEARFACTS_")]:
        monkeypatch.delenv(name)
    for name, value in home[1].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLEARFACTS_CONFIG", "")
    monkeypatch.setattr(our_logging, "configure", lambda *values, **named: None)
    monkeypatch.setattr(typer.main, "get_command", _get_command)

    def call(*arguments: str) -> tuple[int, str, str]:
        settings.load.cache_clear()
        monkeypatch.setattr(sys, "argv", ["clearfacts", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    yield call
    settings.load.cache_clear()


def test_run_prints_one_job_a_day(home: tuple[Path, dict[str, str], Any]) -> None:
    (job,) = home[2]["jobs"]
    assert set(job) == JOB
    assert (job["status"], job["partition"], job["job_type"]) == ("completed", DAY, "manual")
    assert set(job["results"]) == COUNTS
    assert job["results"]["total_invoices"] == 7
    assert job["results"]["processed"] + job["results"]["failed"] == 7
    assert re.fullmatch(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ", job["completed_at"])


def test_jobs_list(clearfacts: Call) -> None:
    code, out, _ = clearfacts("jobs", "list", "--json")
    found = json.loads(out)
    assert (code, set(found), found["next_cursor"]) == (0, {"jobs", "next_cursor"}, None)
    assert [set(job) for job in found["jobs"]] == [JOB]
    assert json.loads(clearfacts("jobs", "list", "--status", "failed", "--json")[1])["jobs"] == []
    assert len(json.loads(clearfacts("jobs", "list", "--date", DAY, "--json")[1])["jobs"]) == 1


def test_jobs_show_by_a_whole_id_and_by_its_beginning(clearfacts: Call, home: tuple[Path, dict[str, str], Any]) -> None:
    job_id = home[2]["jobs"][0]["job_id"]
    for text in (job_id, job_id[:8], job_id.upper()):
        code, out, _ = clearfacts("jobs", "show", text, "--json")
        shown = json.loads(out)
        assert (code, shown["job_id"], set(shown)) == (0, job_id, JOB | {"errors"})
        assert len(shown["errors"]) == shown["results"]["failed"]
        assert all(set(one) == {"invoice_id", "error", "timestamp"} for one in shown["errors"])


def test_invoices_list_and_show(clearfacts: Call) -> None:
    _, out, _ = clearfacts("invoices", "list", "--json")
    found = json.loads(out)
    assert set(found) == {"invoices", "next_cursor"}
    assert [set(row) for row in found["invoices"]] == [INVOICE] * 7
    sent = next(row for row in found["invoices"] if row["status"] == "sent")
    assert re.fullmatch(r"-?\d+\.\d\d", sent["payable_amount"]), "amounts are exact text"
    code, out, _ = clearfacts("invoices", "show", sent["invoice_id"], "--json")
    assert (code, set(json.loads(out))) == (0, INVOICE | {"report"})
    code, out, _ = clearfacts("invoices", "show", sent["id"], "--document")
    assert (code, out.startswith("<?xml")) == (0, True)


def test_deliveries_show_says_what_became_of_the_document(
    clearfacts: Call, home: tuple[Path, dict[str, str], Any]
) -> None:
    listed = json.loads(clearfacts("deliveries", "list", "--state", "delivered", "--json")[1])["deliveries"]
    first, second, *_ = [one["delivery_id"] for one in listed]
    assert json.loads(clearfacts("deliveries", "show", first, "--json")[1])["document"] is None
    assert "not asked yet" in clearfacts("deliveries", "show", first)[1]
    engine = open_engine(f"sqlite:///{home[0] / 'clearfacts.db'}")
    documents = DeliveredDocuments(engine)
    due = {
        str(one.delivery_id): one
        for one in documents.due(now=datetime.now(UTC), again_after=1, followed_days=1, limit=100)
    }
    filed = FiledDocument(due[second].document_id, "2026-11-20", "PURCHASE", "PAID")
    documents.record([Reply(due[first]), Reply(due[second], filed)], now=datetime(2026, 11, 21, 5, tzinfo=UTC))
    engine.dispose()
    shown = json.loads(clearfacts("deliveries", "show", second, "--json")[1])["document"]
    assert (shown["status"], shown["payment_state"]) == ("found", "PAID")
    assert re.search(r"PAID, PURCHASE,\s+2026-11-20 \(asked", clearfacts("deliveries", "show", second)[1])
    assert "missing (asked" in clearfacts("deliveries", "show", first)[1]


def test_pages_lead_to_one_another(clearfacts: Call) -> None:
    seen: list[str] = []
    more: list[str] = []
    while True:
        page = json.loads(clearfacts("invoices", "list", "--limit", "3", "--json", *more)[1])
        seen += [row["id"] for row in page["invoices"]]
        if page["next_cursor"] is None:
            break
        more = ["--cursor", page["next_cursor"]]
    assert len(seen) == len(set(seen)) == 7


def test_tables_for_people_show_text_from_outside_as_it_is(clearfacts: Call) -> None:
    name = HOSTILE.strip("\x1b ")
    for arguments in (["invoices", "list"], ["invoices", "show", name], ["jobs", "list"], ["deliveries", "list"]):
        code, out, _ = clearfacts(*arguments)
        assert code == 0, arguments
        assert "\x1b" not in out
    assert name in re.sub(r"\s+", " ", clearfacts("invoices", "show", name)[1])


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["jobs", "show", "00000000-0000-0000-0000-000000000000"], 1, "there is no job"),
        (["jobs", "show", "banana"], 2, "is no id"),
        (["jobs", "list", "--cursor", "garbage"], 1, "ask again without it"),
        (["jobs", "list", "--limit", "0"], 2, "--limit"),
        (["invoices", "show", "NOBODY[/red]"], 1, "no job has seen an invoice NOBODY[/red]"),
        (["invoices", "list", "--job", "banana"], 2, "--job"),
        (["deliveries", "show", "00000000"], 1, "there is no delivery"),
        (["deliveries", "list", "--state", "banana"], 2, "--state"),
        (["run", "--date", "yesterday"], 2, "YYYY-MM-DD"),
        (["run", "--date", "2025-12-31"], 2, "is no partition"),
        (["run", "--date", "2999-01-01"], 2, "is no partition"),
        (["run", "--date", "2026-02-30"], 2, "is not a day"),
        (["run", "--from", "2026-02-01"], 2, "go together"),
        (["run", "--from", "2026-02-02", "--to", "2026-02-01"], 2, "is after"),
        (["run", "--date", DAY, "--from", DAY, "--to", DAY], 2, "goes without"),
        (["-c", "/no/such/file.yaml", "jobs", "list"], 2, "is not a file"),
        (["no-such-command"], 2, "No such command"),
    ],
)
def test_calls_that_cannot_be_obeyed(clearfacts: Call, arguments: list[str], code: int, says: str) -> None:
    ended, out, err = clearfacts(*arguments)
    assert (ended, out) == (code, "")
    # Long messages are wrapped, in a box for wrong calls.
    assert says in re.sub(r"[\s│]+", " ", err)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("delivery: {concurrency: 0}", "delivery.concurrency"),
        ("delivry: {}", "delivry"),
        ("source: {base_url: not-a-url}", "source.base_url"),
        ("log_level: LOUD", "log_level"),
    ],
)
def test_a_settings_file_with_an_error_is_named_by_its_setting(
    clearfacts: Call, tmp_path: Path, text: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CLEARFACTS_SOURCE__BASE_URL", "CLEARFACTS_SOURCE__KIND", "CLEARFACTS_SOURCE__TOKEN"):
        monkeypatch.delenv(name)
    file = tmp_path / "clearfacts.yaml"
    file.write_text(text)
    code, _, err = clearfacts("-c", str(file), "jobs", "list")
    assert (code, says in err, "Traceback" in err) == (1, True, False)


def test_a_home_that_is_no_folder_of_ours_is_said_so(
    clearfacts: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("CLEARFACTS_HOME", str(tmp_path / "taken"))
    code, out, err = clearfacts("jobs", "list")
    assert (code, out) == (1, "")
    assert f"the folder {tmp_path / 'taken'} cannot be used: Not a directory" in err
    assert "CLEARFACTS_HOME names another one" in err


def test_a_database_without_tables_is_said_so(
    clearfacts: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARFACTS_HOME", str(tmp_path / "new"))
    code, _, err = clearfacts("jobs", "list")
    assert (code, "clearfacts db upgrade" in err) == (1, True)
    code, out, _ = clearfacts("db", "upgrade", "--json")
    upgraded = json.loads(out)
    assert (code, upgraded["before"]) == (0, None)
    assert json.loads(clearfacts("db", "upgrade", "--json")[1]) == {**upgraded, "before": upgraded["after"]}
    assert json.loads(clearfacts("jobs", "list", "--json")[1]) == {"jobs": [], "next_cursor": None}


def test_a_run_that_fails_ends_with_1_and_says_why(command: Command) -> None:
    del command.environment["CLEARFACTS_SOURCE__BASE_URL"]
    ended = command("run", "--date", DAY, "--json", code=1)
    (job,) = json.loads(ended.stdout)["jobs"]
    assert job["status"] == "failed"
    assert "CLEARFACTS_SOURCE__BASE_URL" in job["error_message"]
    assert "Traceback" not in ended.stderr

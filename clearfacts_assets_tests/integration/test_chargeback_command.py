"""``clearfacts chargeback`` from outside: a month from files to a sealed period, JSON everywhere, exit codes."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from benchmarks.chargeback_exports import write_export
from clearfacts_assets_tests.fixtures.chargeback import SAMPLES, row, write
from clearfacts_assets_tests.fixtures.command import Command


def test_a_month_from_its_files_to_a_sealed_period(command: Command, tmp_path: Path) -> None:
    chargeback = "chargeback"
    first = str(SAMPLES / "focus/restated/2025-03-first.csv")
    assert command.json(chargeback, "ingest", first, "-s", "aws", "-p", "2025-03")["rows"] == 22
    shown = command.json(chargeback, "periods", "show", "2025-03")
    keys = ["charges", "list", "billed", "discount", "flagged", "rejected", "by_source", "by_pi", "by_project"]
    assert {key: shown[key] for key in keys} == {key: shown["totals"]["USD"][key] for key in keys}
    assert (shown["charges"], shown["billed"], shown["flagged"]) == (22, "344424.3875295321450740", "0")
    assert shown["by_source"] == {"aws": shown["billed"]}
    month = command.json(chargeback, "month", "-p", "2025-03")
    assert month["next"][-1] == "clearfacts chargeback periods close 2025-03"
    assert command.json(chargeback, "reconcile", "-p", "2025-03")["balanced"]
    command(chargeback, "periods", "finalize", "2025-03", code=1)  # close it first
    command(chargeback, "periods", "close", "2025-03")
    sealed = command.json(chargeback, "periods", "finalize", "2025-03")
    assert command.json(chargeback, "periods", "verify")["periods"][0]["hash"] == sealed["hash"]
    command(chargeback, "periods", "reopen", "2025-03", "--reason", "x", code=1)
    late = str(SAMPLES / "focus/restated/2025-03-second.csv")
    posted = command.json(chargeback, "ingest", late, "-s", "aws", "-p", "2025-03")
    assert posted["difference"]["2025-03"]["posted"] == "2025-04"


def test_refused_rows_are_mended_and_imported_alone(command: Command, tmp_path: Path) -> None:
    file = write(
        tmp_path / "aws.csv",
        [row(), row(BilledCost="1,5", ContractedCost="1.5", EffectiveCost="1.5", ListCost="1.5"), row(ResourceId="c")],
    )
    imported = command.json("chargeback", "ingest", str(file), "--fail-on-refusals", code=1)
    assert (imported["source"], imported["applied"], imported["refused"]) == ("aws", True, 1)
    mended = tmp_path / "refused.csv"
    command("chargeback", "refusals", "export", str(imported["import_id"]), "-o", str(mended))
    with mended.open(newline="") as opened:
        (wrong,) = csv.DictReader(opened)
    assert (wrong["refused_line"], wrong["refused_column"], wrong["refused_code"]) == (
        "3",
        "BilledCost",
        "ambiguous_comma",
    )
    right = {name: value for name, value in wrong.items() if not name.startswith("refused_")} | {"BilledCost": "1.5"}
    write(mended, [right | {name: value for name, value in wrong.items() if name.startswith("refused_")}])
    assert command.json("chargeback", "refusals", "retry", str(mended), "-s", "aws")["rows"] == 1
    assert command.json("chargeback", "periods", "show", "2025-03")["billed"] == "3.50"
    file.write_text(file.read_text() + file.read_text().splitlines()[1].replace("res-1", "d") + "\n")
    again = command.json("chargeback", "ingest", str(file))["difference"]["2025-03"]
    assert {kind: told["rows"] for kind, told in again.items() if kind != "posted" and told["rows"]} == {
        **{"equal": 2, "new": 1, "mended": 1}
    }
    assert command.json("chargeback", "periods", "show", "2025-03")["billed"] == "4.50"


def test_an_override_is_laid_down_imported_and_ended(command: Command, tmp_path: Path) -> None:
    export = write(tmp_path / "aws.csv", [row(ResourceId="vm-1"), row(ResourceId="vm-2")])
    command.json("chargeback", "ingest", str(export), "-s", "aws")
    overrides = ("chargeback", "overrides")
    wanted = ("vm-1", "--fund-org", "MAT-1", "--reason", "a new grant", "--actor", "rita")
    assert command.json(*overrides, "add", *wanted) == {"id": 1, "charges_changed": 1}
    shown = command.json("chargeback", "charges", "show", "1")
    assert (shown["fund_org"], shown["origin"]) == ("MAT-1", "override 1")
    said = "Attributed by override 1 of vm-1 by rita because a new grant."
    assert said in command("chargeback", "charges", "show", "1").stdout
    file = tmp_path / "overrides.csv"
    file.write_text("resource,fund_org,valid_from,reason\nvm-*,MAT-2,2025-01-01,moved\n")
    assert command.json(*overrides, "import", str(file)) == {"rows": 1, "charges_changed": 1}
    assert command.json(*overrides, "end", "1", "--to", "2025-03-01") == {"id": 1, "charges_changed": 1}
    found = command.json(*overrides, "list")["overrides"]
    assert [(one["resource"], one["valid_to"], one["actor"] == "rita") for one in found] == [
        ("vm-1", "2025-03-01", True),
        ("vm-*", "", False),
    ]
    command(*overrides, "add", "vm-1", "--reason", "nobody named", code=2)
    command(*overrides, "end", "9", "--to", "2025-03-01", code=1)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("ingest", "missing.csv", "-s", "aws"), 1),
        (("ingest",), 2),
        (("periods", "show", "garbage"), 2),
        (("periods", "show", "2019-01"), 1),
        (("review", "approve", "--id", "99"), 1),
        (("review", "approve"), 2),
        (("review", "approve", "-p", "2025-03", "--reason", "nonsense"), 2),
        (("charges", "export", "-o", "/nowhere/charges.csv"), 1),
        (("charges", "export", "-o", "/"), 1),
        (("review", "correct", "--id", "1"), 2),
        (("imports", "show", "99"), 1),
        (("charges", "show", "99"), 1),
        (("charges", "list", "--columns", "nonsense"), 2),
        (("conformance", "missing.csv"), 1),
        (("show", "nobody@x.edu"), 1),
        (("sources", "set", "nowhere"), 1),
        (("funds", "add", "F-1", "--from", "yesterday"), 2),
        (("investigators", "alias", "nobody@x.edu", "n"), 1),
        (("settings", "import", "missing.yaml"), 1),
        (("ingest", str(SAMPLES / "focus/shape/empty.csv"), "-s", "aws"), 1),
        (("ingest", str(SAMPLES / "focus/shape/no-billedcost.csv"), "-s", "aws"), 1),
        (("ingest", str(SAMPLES / "real/focus_1_3_contract_commitment_gcp.csv"), "-s", "gcp"), 0),
        (("periods", "verify"), 0),
        (("month",), 0),
    ],
)
def test_exit_codes(command: Command, arguments: tuple[str, ...], code: int) -> None:
    done = command("chargeback", *arguments, code=code)
    assert "Traceback" not in done.stderr


def test_who_is_charged_nothing_is_said(command: Command) -> None:
    said = " ".join(command("chargeback", "show", "nobody@x.edu", "-p", "2025-03", code=1).stderr.split())
    assert "nobody@x.edu is charged nothing in 2025-03" in said
    assert "investigators list" in said


@pytest.mark.parametrize("email", ["ada", "ada@bio", "a@x.edu, b@x.edu", "Ada <ada@x.edu>"])
def test_an_investigator_without_an_address_is_refused_with_the_line(
    command: Command, tmp_path: Path, email: str
) -> None:
    """Statements could not be sent there; the whole file is refused, as for any other line."""
    file = tmp_path / "people.csv"
    file.write_text(f'email,name\ncleo@x.edu,Cleo\n"{email}",Ada\n')
    said = " ".join(command("chargeback", "investigators", "import", str(file), code=1).stderr.split())
    assert f"line 3: {email.lower()!r} is no address" in said
    assert command.json("chargeback", "investigators", "list")["investigators"] == []
    assert "is no address" in " ".join(command("chargeback", "investigators", "add", email, code=2).stderr.split())


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("projects", "add", "P\x071"), "project_id has a character in it that nobody can see"),
        (("projects", "set", "P-1", "--fund-org", "F" * 501), "fund_org is longer than 500 characters"),
        (("funds", "add", "F-1", "--budget", "much"), "budget 'much'"),
        (("funds", "add", "F-1", "--award-end", "soon"), "'soon' is no day"),
        (("investigators", "add", " "), "there is no email"),
    ],
)
def test_what_is_typed_is_checked_as_a_file_is(command: Command, arguments: tuple[str, ...], why: str) -> None:
    assert why in " ".join(command("chargeback", *arguments, code=2).stderr.split())
    assert command.json("chargeback", arguments[0], "list")[arguments[0]] == []


def test_a_project_and_a_fund_are_kept_as_they_are_typed(command: Command) -> None:
    project = ("projects", "add", "P-1", "--pi-email", "ada@x.edu", "--overrides", "--from", "2025-03-01")
    assert command.json("chargeback", *project)["overrides"] is True
    fund = ("funds", "add", "F-1", "--budget", "1000.50", "--currency", "EUR")
    command.json("chargeback", *fund, "--may-charge", "P-1", "--may-charge", "P-2")
    (kept,) = command.json("chargeback", "projects", "list")["projects"]
    assert (kept["project_id"], kept["overrides"], kept["valid_from"]) == ("P-1", True, "2025-03-01")
    (kept,) = command.json("chargeback", "funds", "list")["funds"]
    assert (kept["budget"], kept["currency"], kept["may_charge"]) == ("1000.50", "EUR", ["P-1", "P-2"])


def test_what_is_no_file_to_read_is_named_for_what_it_is(command: Command, tmp_path: Path) -> None:
    pipe, gone = tmp_path / "pipe.csv", tmp_path / "gone.csv"
    os.mkfifo(pipe)
    told = command("chargeback", "ingest", str(tmp_path), str(pipe), str(gone), "-s", "aws", code=1).stderr
    said = " ".join(told.split())
    assert "it is a folder: name the files in it" in said
    assert "a pipe can be read only once: write it to a file first" in said
    assert "gone.csv: there is no such file" in said
    for words in (("conformance",), ("funds", "import"), ("overrides", "import"), ("settings", "import")):
        assert "it is a folder" in command("chargeback", *words, str(tmp_path), code=1).stderr


def test_a_list_of_imports_breaks_no_word_and_an_import_tells_its_money(command: Command) -> None:
    assert "nothing to verify" in command("chargeback", "periods", "verify").stdout
    file = str(SAMPLES / "focus/clean/focus-1.2.csv")
    command("chargeback", "ingest", file, "-s", "aws")
    assert " snapshot  2025-03 " in command("chargeback", "imports", "list").stdout
    shown = command("chargeback", "imports", "show", "1").stdout
    assert " USD" in shown
    assert "{" not in shown.partition("What it changed")[2]


def test_a_refused_file_says_why_in_json_too(command: Command) -> None:
    file = str(SAMPLES / "focus/shape/duplicate-header.csv")
    refused = command.json("chargeback", "ingest", file, "-s", "aws", code=1)
    assert (refused["applied"], [one["code"] for one in refused["refusals"]]) == (False, ["duplicate_column"])


def test_an_export_has_no_cell_that_a_spreadsheet_runs(command: Command, tmp_path: Path) -> None:
    folder = SAMPLES / "cases/26-formula-in-journal"
    command("chargeback", "ingest", str(folder / "aws_2025-03.csv"), "-s", "aws")
    command("chargeback", "charges", "export", "-p", "2025-03", "-o", str(tmp_path / "charges.csv"))
    with (tmp_path / "charges.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [one["amount"] for one in rows] == ["5.00", "-5.00", "7.00"]
    texts = [value for one in rows for name, value in one.items() if name not in ("amount", *AMOUNTS)]
    assert not [value for value in texts if value.startswith(("=", "+", "-", "@", "\t", "\r"))]


AMOUNTS = ("billed", "effective", "contracted", "list", "listed", "quantity")


def test_the_settings_of_another_system_are_taken_over(command: Command, tmp_path: Path) -> None:
    old = tmp_path / "old.yaml"
    old.write_text(
        "currency: USD\nimports:\n  known_sources:\n    - {name: aws, pattern: 'aws_*.csv', fund_org: IT-1}\n"
    )
    taken = command.json("chargeback", "settings", "import", str(old))
    assert {one["what"] for one in taken["keys"]} == {"taken"}
    (source,) = command.json("chargeback", "sources", "list")["sources"]
    assert (source["name"], source["credit_fund_org"]) == ("aws", "IT-1")


def test_a_killed_import_leaves_nothing_and_can_be_repeated(command: Command, tmp_path: Path) -> None:
    export = tmp_path / "aws_2025-03.csv"
    write_export(export, 30_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "clearfacts_assets", "chargeback", "ingest", str(export), "-s", "aws"],
        env=command.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with command.engine().connect() as connection:
        while True:  # the source is written down just before the file is read
            if connection.execute(text("SELECT count(*) FROM cost_sources")).scalar_one():
                break
            connection.rollback()
            assert process.poll() is None
            time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with command.engine().connect() as connection:
        for table in ("charges", "cost_imports", "cost_row_chunks", "charge_totals", "billing_periods"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0
    again = command.json("chargeback", "ingest", str(export), "-s", "aws")
    assert (again["applied"], again["rows"]) == (True, 30_000)
    assert json.dumps(again["difference"]["2025-03"]["new"]["rows"]) == "30000"

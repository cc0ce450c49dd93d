"""The commands of journals: a month to the general ledger and back, cases of the reference, exit codes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

from clearfacts_assets_tests.fixtures.chargeback import SAMPLES, row, write

CHARGEBACK = ("chargeback",)


def journals(command, *arguments, code=0):
    return command.json(*CHARGEBACK, "journals", *arguments, code=code)


def export(command, *arguments, code=0):
    return command.json(*CHARGEBACK, "export-journal", "-p", "2025-03", *arguments, code=code)


def issued(command, *files):
    command(*CHARGEBACK, "sources", "add", "aws", "--credit-fund", "IT-CLOUD", "--account-code", "54100")
    for file in files:
        command(*CHARGEBACK, "ingest", str(file), "-s", "aws", "-p", "2025-03")
    command(*CHARGEBACK, "periods", "close", "2025-03")
    command(*CHARGEBACK, "generate", "-p", "2025-03")


def table(path):
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def case(name):
    (file,) = (SAMPLES / "cases").glob(f"{name}-*/aws_2025-03.csv")
    return file


def test_a_month_to_the_general_ledger_and_back(command, tmp_path):
    rows = [row(BilledCost="10.00", ResourceId="a"), row(BilledCost="-2.50", ResourceId="b", ServiceName="Refund")]
    issued(command, write(tmp_path / "aws.csv", rows))
    out = tmp_path / "out"
    out.mkdir()
    (would,) = export(command, "--dry-run", "-o", str(out))["journals"]
    assert (would["state"], would["debit"], list(out.iterdir())) == ("not kept", "7.50", [])
    (done,) = export(command, "-o", str(out))["journals"]
    assert (done["number"], done["debit"], done["credit"], done["fiscal_period"]) == (
        "J-2025-03-0001",
        "7.50",
        "7.50",
        3,
    )
    (path,) = done["files"]
    assert [(one["FundOrg"], one["Debit"], one["Credit"]) for one in table(path)] == [
        ("BIO-000001", "7.50", ""),
        ("IT-CLOUD", "", "7.50"),
    ]
    assert "are never exported twice" in command(*CHARGEBACK, "export-journal", "-p", "2025-03", code=1).stderr
    assert "Research" in command(*CHARGEBACK, "journals", "show", "J-2025-03-0001").stdout
    before = journals(command, "check", "-p", "2025-03")
    assert (before["ties"], before["done"], before["waiting"]) == (True, True, [])
    answer = tmp_path / "answer.csv"
    answer.write_text("journal,line,status,message\nJ-2025-03-0001,1,rejected,no such fund\n")
    refused = journals(command, "posted", "--answer", str(answer), code=1)
    assert refused["refused"]["J-2025-03-0001"] == [{"line": 1, "message": "no such fund"}]
    assert "was refused by the general ledger" in journals(command, "check", "-p", "2025-03", code=1)["waiting"][0]
    journals(command, "posted", "J-2025-03-0001", "--reference", "DOC1")
    (back,) = journals(command, "reverse", "J-2025-03-0001", "--reason", "no such fund", "-o", str(out))["journals"]
    assert (back["kind"], back["reverses"]) == ("reversal", "J-2025-03-0001")
    export(command, "-f", "banner", "-o", str(tmp_path / "banner.csv"))
    assert table(tmp_path / "banner.csv")[0]["REC_TYPE"] == "1"
    listed = journals(command, "list", "-p", "2025-03")["journals"]
    assert [(one["number"], one["state"]) for one in listed] == [
        ("J-2025-03-0001", "reversed"),
        ("J-2025-03-0002", "exported"),
        ("J-2025-03-0003", "exported"),
    ]


def test_bug_14_the_format_counts_and_what_cannot_be_done_has_an_exit_code(command, tmp_path):
    issued(command, write(tmp_path / "aws.csv", [row(BilledCost="10.00")]))
    assert (
        "there is no format 'xls'"
        in command(*CHARGEBACK, "export-journal", "-p", "2025-03", "-f", "xls", code=2).stderr
    )
    command(*CHARGEBACK, "journals", "show", "J-2025-03-0009", code=1)
    command(*CHARGEBACK, "journals", "reverse", "J-2025-03-0009", "--reason", "x", code=1)
    command(*CHARGEBACK, "journals", "posted", "J-2025-03-0009", code=1)
    command(*CHARGEBACK, "journals", "posted", code=2)
    command(*CHARGEBACK, "journals", "posted", "--answer", str(tmp_path / "missing.csv"), code=2)
    command(*CHARGEBACK, "export-journal", "-p", "March", code=2)
    command(*CHARGEBACK, "export-journal", "-p", "2025-03", "--date", "yesterday", code=2)
    command(*CHARGEBACK, "journals", "transfer", "-p", "2025-03", code=1)
    closed = tmp_path / "closed"
    closed.write_text("a file, and no folder")
    told = command(*CHARGEBACK, "export-journal", "-p", "2025-03", "-o", str(closed / "j.csv"), code=1).stderr
    assert "nothing was exported" in told
    assert journals(command, "list")["journals"] == []
    export(command, "-f", "gl", "-o", str(tmp_path / "gl.csv"))
    assert list(table(tmp_path / "gl.csv")[0])[:3] == ["Fund", "Orgn", "Account"]


def test_case_21_debit_and_credit_are_7_77(command, tmp_path):
    issued(command, case("21"))
    (done,) = export(command, "-f", "gl", "-o", str(tmp_path / "j.csv"))["journals"]
    assert (done["debit"], done["credit"]) == ("7.77", "7.77")
    assert [(one["Account"], one["Debit"], one["Credit"]) for one in table(tmp_path / "j.csv")] == [
        ("54100", "7.77", ""),
        ("54100", "", "7.77"),
    ]


def test_case_19_what_was_refused_is_in_no_journal(command, tmp_path):
    issued(command, case("19"))
    (done,) = export(command, "-o", str(tmp_path / "j.csv"))["journals"]
    assert done["debit"] == "3.00"
    checked = journals(command, "check", "-p", "2025-03")
    assert (checked["currencies"][0]["exported"], checked["currencies"][0]["left"]) == ("3.00", "0.00")


def test_case_26_no_cell_runs_in_a_spreadsheet_in_any_format(command, tmp_path):
    issued(command, case("26"))
    command.environment["CLEARFACTS_JOURNALS__DEBIT_DESCRIPTION"] = "{project_id}"
    (done,) = export(command, "-f", "standard", "-o", str(tmp_path / "standard.csv"))["journals"]
    for name in ("summary", "gl", "template", "banner", "workday", "peoplesoft", "csv"):
        journals(command, "export", done["number"], "-f", name, "-o", str(tmp_path / f"{name}.csv"))
    for file in tmp_path.glob("*.csv"):
        for record in csv.reader(file.open(newline="", encoding="utf-8")):
            for cell in record:
                number = cell.lstrip("-").replace(".", "", 1).isdecimal()
                assert number or not cell.startswith(("=", "+", "-", "@", "\t", "\r")), (file.name, cell)
    amounts = [one["Amount"] for one in table(tmp_path / "standard.csv")]
    assert sorted(amounts) == ["-5.00", "5.00", "7.00"]


def test_the_drop_folder_gets_whole_files_and_a_template_of_ones_own(command, tmp_path):
    issued(command, write(tmp_path / "aws.csv", [row(BilledCost="10.00")]))
    template = tmp_path / "own.csv"
    template.write_text("fund,amount\n{% for e in entries if e.is_debit %}{{ e.fund }},{{ e.amount }}\n{% endfor %}")
    settings = {"journals": {"format": "template", "template": str(template), "drop": str(tmp_path / "drop")}}
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(settings))
    command.environment["CLEARFACTS_CONFIG"] = str(file)
    (done,) = export(command)["journals"]
    assert [one.name for one in (tmp_path / "drop").iterdir()] == ["J-2025-03-0001_USD_template.csv"]
    assert Path(done["files"][0]).read_text() == "fund,amount\n000001,10.00\n\n"
    template.write_text("{{ nobody }}")
    told = command(*CHARGEBACK, "journals", "export", "J-2025-03-0001", code=1).stderr
    assert "own.csv, line 1: 'nobody' is undefined" in told


def test_what_the_reference_products_settings_say_of_journals_is_taken_over(command, tmp_path):
    file = tmp_path / "old.yaml"
    said = {"fund_org_regex": "^(?P<fund>.+)$", "default_account": "54000", "template": "journal_gl.csv", "x": "y"}
    file.write_text(yaml.safe_dump({"journal": said}))
    taken = command.json(*CHARGEBACK, "settings", "import", str(file), "--dry-run", code=1)
    assert taken["settings"]["journals"] == {"fund_org_regex": "^(?P<fund>.+)$", "default_account": "54000"}
    assert {one["key"]: one["what"] for one in taken["keys"]} == {
        **{"journal.fund_org_regex": "taken", "journal.default_account": "taken"},
        **{"journal.template": "ignored", "journal.x": "refused"},
    }


def test_an_accrual_and_a_cost_transfer(command, tmp_path):
    export_ = write(tmp_path / "aws.csv", [row(BilledCost="10.00")])
    command(*CHARGEBACK, "sources", "add", "aws", "--credit-fund", "IT-CLOUD", "--account-code", "54100")
    command(*CHARGEBACK, "ingest", str(export_), "-s", "aws", "-p", "2025-03")
    out = ("-o", str(tmp_path))
    (accrual,) = journals(command, "accrue", "-p", "2025-03", *out)["journals"]
    assert (accrual["kind"], accrual["accounting_date"], accrual["debit"]) == ("accrual", "2025-03-31", "10.00")
    command(*CHARGEBACK, "periods", "close", "2025-03")
    command(*CHARGEBACK, "generate", "-p", "2025-03")
    one_file = ("-o", str(tmp_path / "one.csv"))
    told = command(*CHARGEBACK, "export-journal", "-p", "2025-03", *one_file, code=1).stderr
    assert "one.csv is one file, and J-2025-03-0002, J-2025-03-0003 are several: name a folder" in told
    (would,) = journals(command, "reverse-accruals", "--dry-run", *out)["journals"]
    (back,) = journals(command, "reverse-accruals", *out)["journals"]
    assert (would["number"], would["state"]) == (back["number"], "not kept")
    assert (back["kind"], back["reverses"], back["accounting_date"]) == ("reversal", accrual["number"], "2025-04-01")
    assert journals(command, "reverse-accruals", *out)["journals"] == []
    assert "No accrual of a month that is over" in command(*CHARGEBACK, "journals", "reverse-accruals").stdout
    (charges,) = export(command, *out)["journals"]
    assert charges["accounting_date"] == "2025-04-01"  # March has its costs by the accrual
    command(*CHARGEBACK, "review", "correct", "--id", "1", "--fund-org", "BIO-000002", "-n", "moved")
    command(*CHARGEBACK, "generate", "-p", "2025-03")
    (moved,) = journals(command, "transfer", "-p", "2025-03", *out)["journals"]
    assert (moved["kind"], moved["lines"], moved["debit"]) == ("transfer", 4, "20.00")
    assert journals(command, "check", "-p", "2025-03")["done"]
    assert json.loads(command(*CHARGEBACK, "journals", "list", "--json").stdout)["journals"][-1]["kind"] == "transfer"


@pytest.fixture(autouse=True)
def _in_one_process(command):
    """Few statements are set sooner than processes start."""
    command.environment["CLEARFACTS_STATEMENTS__WORKERS"] = "0"

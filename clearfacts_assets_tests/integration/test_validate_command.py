"""``clearfacts validate``: tables for people, lines of JSON for scripts, exit codes for both."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer
from lxml import etree
from typer.testing import CliRunner

from clearfacts_assets.cli.invoices.validate import validate
from clearfacts_assets_tests.fixtures.ubl_documents import document, edited

app = typer.Typer()
app.command()(validate)


def call(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path):
    good, bad = (
        document(number="GOOD"),
        edited(document(number="BAD"), ">79.21</cbc:PayableAmount>", ">79.22</cbc:PayableAmount>"),
    )
    (tmp_path / "inner").mkdir()
    (tmp_path / "b.xml").write_bytes(bad)
    (tmp_path / "inner" / "a.XML").write_bytes(good)
    (tmp_path / "note.txt").write_text("not a document")
    return tmp_path


def test_json_is_one_object_a_document_in_input_order(folder):
    result = call("--json", folder / "inner", folder / "b.xml", "--workers", 0)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["path"] for line in lines] == [str(folder / "inner" / "a.XML"), str(folder / "b.xml")]
    assert [line["decision"] for line in lines] == ["accept", "reject"]
    assert [list(line) for line in lines] == [
        ["path", "sha256", "type", "profile", "decision", "findings", "versions"]
    ] * 2
    finding = next(each for each in lines[1]["findings"] if each["layer"] == "en16931")
    assert list(finding) == ["rule", "layer", "severity", "location", "line", "message"]
    assert (finding["rule"], finding["location"]) == ("BR-CO-16", "/Invoice/cac:LegalMonetaryTotal")
    assert result.exit_code == 1


def test_all_accepted_is_exit_code_0(folder):
    result = call(folder / "inner", "--workers", 0)
    assert result.exit_code == 0
    assert "1 documents: 1 accept" in result.stdout


def test_a_table_says_what_to_do(folder):
    result = call(folder, "--workers", 0)
    assert result.exit_code == 1
    assert "1 accept, 1 reject" in result.stdout.replace("1 reject, 1 accept", "1 accept, 1 reject")
    assert "BR-CO-16" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["/nowhere"],
        [],
        ["{folder}", "--layer", "gossip"],
        ["{folder}", "--profile", "gossip"],
        ["{folder}", "--profile", "en16931", "--layer", "en16931"],
        ["{folder}", "--policy", "/nowhere.yaml"],
        ["{folder}/note-missing.xml"],
        ["{folder}", "--colour"],
    ],
)
def test_a_wrong_call_is_exit_code_2(folder, arguments):
    assert call(*(argument.format(folder=folder) for argument in arguments)).exit_code == 2


def test_a_folder_without_documents_is_a_wrong_call(tmp_path):
    assert call(tmp_path).exit_code == 2


def test_a_policy_file_is_used(folder):
    policy = folder / "policy.yaml"
    policy.write_text("profiles: {peppol_bis3: {layers: [ubl_xsd]}}")
    result = call("--json", folder / "b.xml", "--policy", policy, "--workers", 0)
    assert result.exit_code == 0
    assert list(json.loads(result.stdout)["versions"]) == ["ubl_xsd"]


def test_one_layer_runs_alone_on_a_fragment(tmp_path):
    (tmp_path / "fragment.xml").write_text(
        '<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2" xmlns:cac="urn:oasis:names:'
        'specification:ubl:schema:xsd:CommonAggregateComponents-2"><cac:BillingReference/></Invoice>'
    )
    result = call("--json", tmp_path / "fragment.xml", "--layer", "en16931", "--workers", 0)
    line = json.loads(result.stdout)
    assert "BR-55" in {finding["rule"] for finding in line["findings"]}
    assert {finding["layer"] for finding in line["findings"]} == {"en16931"}


def test_a_document_without_a_known_profile_is_held_and_on_request_judged_by_the_layers_of_one(folder):
    text = (folder / "b.xml").read_text("utf-8")
    start, end = text.index("<cbc:CustomizationID>"), text.index("</cbc:CustomizationID>")
    (folder / "b.xml").write_text(text[:start] + "<cbc:CustomizationID>urn:of:nobody" + text[end:], "utf-8")
    seen = [
        json.loads(call("--json", folder / "b.xml", "--workers", 0, *more).stdout)
        for more in ((), ("--profile", "en16931"))
    ]
    assert [(one["profile"], one["decision"]) for one in seen] == [("unknown", "hold"), ("unknown", "reject")]
    assert ["BR-CO-16" in {finding["rule"] for finding in one["findings"]} for one in seen] == [False, True]


def test_svrl_is_written_on_request(folder, tmp_path):
    target = tmp_path / "svrl"
    call(folder / "b.xml", "--svrl", target, "--workers", 0)
    (written,) = target.iterdir()
    root = etree.parse(str(written)).getroot()
    svrl = "{http://purl.oclc.org/dsdl/svrl}"
    assert root.tag == f"{svrl}schematron-output"
    failed = {
        each.get("id"): each.get("flag") for each in root.iter(f"{svrl}failed-assert") if each.get("flag") == "fatal"
    }
    assert failed == {"BR-CO-16": "fatal"}
    assert [each.get("id") for each in root.iter(f"{svrl}active-pattern")][:2] == ["ubl_xsd", "en16931"]


def test_the_command_s_module_starts_without_what_it_does_not_need():
    modules = subprocess.run(
        [sys.executable, "-c", "import sys, clearfacts_assets.cli.invoices.validate; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert not {"dagster", "lxml", "saxonche", "pydantic_settings"} & set(modules)

"""``clearfacts validate --report``: SARIF, CSV and HTML, whatever a document says in them."""

from __future__ import annotations

import csv
import io
import json
import re

import jsonschema_rs
import pytest
import typer
from lxml import html
from typer.testing import CliRunner

from clearfacts_assets.cli.invoices.validate import validate
from clearfacts_assets.invoices.validation.reports.page import labels
from clearfacts_assets.invoices.validation.reports.printed import harmless as shown
from clearfacts_assets_tests.fixtures.ubl_documents import document, edited

app = typer.Typer()
app.command()(validate)
HOSTILE = "&lt;script&gt;alert(1)&lt;/script&gt;\u202e{{ 7*7 }}"
# The part of SARIF 2.1.0 that these reports use, closed: what is not named here may not be written.
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "additionalProperties": False,
                "properties": {
                    "tool": {"type": "object", "required": ["driver"]},
                    "invocations": {"type": "array", "items": {"required": ["executionSuccessful"]}},
                    "artifacts": {"type": "array", "uniqueItems": True},
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "properties": {
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "ruleIndex": {"type": "integer", "minimum": -1},
                                "message": {"required": ["text"]},
                                "partialFingerprints": {"additionalProperties": {"type": "string"}},
                            },
                        },
                    },
                },
            },
        },
    },
}


@pytest.fixture
def folder(tmp_path):
    bad = edited(document(number="=1+1"), ">79.21</cbc:TaxInclusiveAmount>", ">79.31</cbc:TaxInclusiveAmount>")
    (tmp_path / "b d.xml").write_bytes(bad.replace(b"Drukkerij De Lelie BV", HOSTILE.encode()))
    (tmp_path / "good.xml").write_bytes(document())
    (tmp_path / "none.xml").write_text("<html/>")
    return tmp_path


def written(folder, kind: str, *more: str) -> str:
    output = folder / f"report.{kind}"
    result = CliRunner().invoke(
        app, [str(folder), "--workers", "0", "--report", kind, "-o", str(output), *more], catch_exceptions=False
    )
    assert result.exit_code == 1
    return output.read_bytes().decode()


def test_sarif_names_rule_level_file_and_line_of_each_finding(folder):
    told = json.loads(written(folder, "sarif"))
    jsonschema_rs.validate(SARIF, told)
    (run,) = told["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        (location,) = result["locations"]
        artifact = run["artifacts"][location["physicalLocation"]["artifactLocation"]["index"]]
        assert artifact["location"]["uri"] == location["physicalLocation"]["artifactLocation"]["uri"]
    first = next(one for one in run["results"] if one["ruleId"] == "BR-CO-16" and one["level"] == "error")
    physical = first["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"].endswith("/b%20d.xml")
    lines = (folder / "b d.xml").read_text("utf-8").splitlines()
    assert "<cac:LegalMonetaryTotal>" in lines[physical["region"]["startLine"] - 1]
    assert {one["name"] for one in run["tool"]["extensions"]} >= {"ubl_xsd", "en16931", "peppol_bis3"}
    assert [one["properties"]["decision"] for one in run["artifacts"]] == ["reject", "accept", "reject"]


def test_csv_has_a_row_a_finding_and_no_cell_that_a_spreadsheet_would_compute(folder):
    rows = list(csv.DictReader(io.StringIO(written(folder, "csv"))))
    assert {row["decision"] for row in rows} == {"accept", "reject"}
    wrong = next(row for row in rows if row["rule"] == "BR-CO-16")
    assert (wrong["number"], wrong["amount"], wrong["severity"]) == ("'=1+1", "79.21", "error")
    assert int(wrong["line"]) > 1
    cells = [cell for row in rows for name, cell in row.items() if name != "amount"]
    assert not [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@"))]


def test_html_stands_alone_and_what_a_document_says_is_text_in_it(folder):
    told = written(folder, "html", "--language", "nl")
    page = html.fromstring(told.encode())
    assert not page.xpath("//script|//iframe|//img|//link|//@onclick|//@style|//@src")
    assert "default-src 'none'" in page.xpath("//meta[@http-equiv]/@content")[0]
    assert all(link.startswith("#") for link in page.xpath("//a/@href"))
    assert "<script>alert(1)</script>�{{ 7*7 }}" in page.text_content()
    assert "netto 65,46 + btw 13,75: samen 79,21; in het document staat 79,31: 0,10 te veel" in page.text_content()
    assert len(page.xpath("//details")) == 3
    marked = page.xpath("//table[contains(@class, 'inv-totals')]/caption/a/@href")
    assert marked
    assert page.xpath(f"//*[@id='{marked[0][1:]}']")


@pytest.mark.parametrize(
    "more", [["--report", "pdf"], ["-o", "x"], ["--report", "csv", "--json"], ["--report", "html", "--language", "de"]]
)
def test_options_that_do_not_go_together_are_exit_code_2(folder, more):
    assert CliRunner().invoke(app, [str(folder), *more]).exit_code == 2


def test_every_label_has_its_dutch_and_its_french():
    from importlib.resources import files

    room = files("clearfacts_assets.invoices.validation.reports")
    template = (room / "templates" / "invoice.html").read_text("utf-8")
    texts = set(re.findall(r'_\("([^"]+)"', template))
    texts |= set(re.findall(r'\("([A-Z][\w\' -]+)", "c[ab]c:', (room / "printed.py").read_text("utf-8")))
    assert len(texts) > 50
    for language in ("nl", "fr"):
        assert texts - set(labels(language)) == set()


def test_shown_texts_are_bounded_and_turn_no_other_text_around():
    assert shown("a\u202eb\x00c\n d") == "a�b�c d"
    assert len(shown("x" * 10**6)) == 601

"""No text that came from outside is a formula in a CSV that leaves, and an amount below zero stays a number."""

from __future__ import annotations

import csv
import io
from datetime import date
from decimal import Decimal

import pytest

from clearfacts_assets.chargeback.attribution.mapping import AttributionRules, flags_of
from clearfacts_assets.chargeback.attribution.registry import Registry
from clearfacts_assets.chargeback.model import Attribution, Flag
from clearfacts_assets.chargeback.statements.attachment import lines_csv
from clearfacts_assets.chargeback.statements.grouping import PrintedLine
from clearfacts_assets.chargeback.statements.model import Cents, StatementKind, Subject
from clearfacts_assets.chargeback.statements.reports import SponsorRow, sponsors_statement
from clearfacts_assets.invoices.model import Decision, Finding, Report, Severity
from clearfacts_assets.invoices.validation.reports.sheet import as_csv
from clearfacts_assets.spreadsheet import as_text, is_formula
from clearfacts_assets.storage.chargeback.charges import COLUMNS
from clearfacts_assets.storage.chargeback.summaries import harmless_cell
from clearfacts_assets_tests.fixtures.journals import journal, part, records
from clearfacts_assets_tests.fixtures.statements import ORGANISATION, charge, order

FORMULAS = [
    *("=1+1", "+1", "-cmd", "@SUM(1)", " =1+1", "   @A1", "\n=1+1", "\t=1+1", "\r=1+1", " \t=1+1"),
    *("＝1+1", "＋1", "－1", "＠A1", " ＝1+1", "\n", "-1.50"),
]
TEXTS = ["", " ", "'=1+1", "a=1", "BIO-000001", "1+1", "ada@bio.example.edu", " a", "é="]
every_formula = pytest.mark.parametrize("text", FORMULAS, ids=repr)


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@every_formula
def test_what_a_spreadsheet_may_take_for_a_formula_gets_an_apostrophe(text):
    assert is_formula(text)
    assert as_text(text) == f"'{text}"


@pytest.mark.parametrize("text", TEXTS, ids=repr)
def test_other_text_stays_as_it_is(text):
    assert not is_formula(text)
    assert as_text(text) == text


@every_formula
def test_a_statements_lines_say_it_as_text_and_amounts_as_numbers(text):
    names = ("pi_email", "project", "fund", "service", "resource_id", "resource_name", "unit", "source")
    one = charge(amount="-1.50", quantity="-2", category="Credit", **dict.fromkeys(names, text))
    line = PrintedLine(1, ("", "", "", "", ""), (one,), Cents(due=Decimal("-1.50")), (Decimal("-1.50"),))
    (row,) = table(lines_csv([line]))
    assert {row["investigator" if name == "pi_email" else name] for name in names} == {f"'{text}"}
    assert (row["quantity"], row["due"], row["due_printed"]) == ("-2", "-1.50", "-1.50")


@every_formula
def test_a_sponsors_rows_say_it_as_text_and_amounts_as_numbers(text):
    rows = [SponsorRow(text, text, text, text, text, 1, Decimal("-1.50"))]
    subject = Subject(StatementKind.SPONSOR, "2025-03", "Sponsor", "", "", "USD")
    asked = order(subject=subject)
    _, lines, _, _ = sponsors_statement(subject, rows, ORGANISATION, asked.identity, asked.about)
    (row,) = table(lines)
    assert {row[name] for name in ("investigator", "project", "fund", "service", "rule")} == {f"'{text}"}
    assert (row["paid_exact"], row["paid"]) == ("-1.50", "-1.50")


@every_formula
def test_exported_charges_say_it_as_text_and_amounts_as_numbers(text):
    amounts = {"billed", "effective", "contracted", "list", "listed", "amount", "quantity"}
    numbers = amounts | {"id", "corrects", "line", "withdrawn_by", "import_id"}
    assert {harmless_cell(name, text) for name in COLUMNS if name not in numbers} == {f"'{text}"}
    assert {harmless_cell(name, "-1.50") for name in amounts} == {"-1.50"}
    assert {harmless_cell(name, 7) for name in numbers} == {"7"}


@every_formula
def test_a_journal_says_it_as_text_and_amounts_as_numbers(text):
    (row,) = records(journal(part("-5.00", project_id=text)), "standard")
    assert (row["ProjectID"], row["Amount"]) == (f"'{text}", "-5.00")


@every_formula
def test_a_sheet_of_findings_says_it_as_text(text):
    found = Finding("R-1", "own", Severity.ERROR, text, location=text, line=3, hint=text)
    report = Report("0" * 64, 1, "unknown", None, Decision.REJECT, (found,), (), 0.0)
    (row,) = table("".join(as_csv([(text, report)])))
    assert {row[name] for name in ("path", "message", "location", "hint")} == {f"'{text}"}


@every_formula
@pytest.mark.parametrize("name", ["project_id", "fund_org", "cost_center", "reference_2"])
def test_an_attribution_that_says_it_is_flagged(text, name):
    found = flags_of(Attribution(**{name: text}), str(date(2025, 3, 1)), AttributionRules(), Registry())
    assert Flag.FORMULA in found


def test_no_other_attribution_is_flagged():
    for text in TEXTS:
        found = flags_of(Attribution(project_id=text), "2025-03-01", AttributionRules(), Registry())
        assert Flag.FORMULA not in found

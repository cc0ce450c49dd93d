"""No text in a CSV that leaves begins a formula; amounts, negative ones too, stay numbers in it."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest

from clearfacts_assets.chargeback.attribution.mapping import AttributionRules, flags_of
from clearfacts_assets.chargeback.attribution.registry import Registry
from clearfacts_assets.chargeback.journals.formats import FORMATS
from clearfacts_assets.chargeback.journals.posting import Wording
from clearfacts_assets.chargeback.model import TAG_FIELDS, Attribution, Flag
from clearfacts_assets.chargeback.statements.attachment import lines_csv
from clearfacts_assets.chargeback.statements.framing import About, Identity
from clearfacts_assets.chargeback.statements.grouping import printed_lines
from clearfacts_assets.chargeback.statements.model import StatementKind, Subject
from clearfacts_assets.chargeback.statements.reports import SponsorRow, sponsors_statement
from clearfacts_assets.invoices.model import Decision, Finding, Report, Severity
from clearfacts_assets.invoices.validation.reports.sheet import as_csv
from clearfacts_assets.spreadsheet import begins_formula, neutralised
from clearfacts_assets.storage.chargeback.charges import COLUMNS
from clearfacts_assets.storage.chargeback.summaries import harmless_cell
from clearfacts_assets_tests.fixtures.journals import cells, journal, part
from clearfacts_assets_tests.fixtures.statements import ORGANISATION, charge

FORMULAS = [
    *("=1+1", "+1", "-1", "@SUM(1)", " =1+1", "   -cmd", "\n=1+1", "\t=1+1", "\r=1+1", " \t=1+1"),
    *("\tx", "\rx", "\nx", "＝1+1", "＋1", "－1", "＠SUM(1)", " ＝1+1"),
]
each_formula = pytest.mark.parametrize("formula", FORMULAS)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@each_formula
def test_a_formula_gets_an_apostrophe_and_nothing_of_it_is_lost(formula: str) -> None:
    assert begins_formula(formula)
    assert neutralised(formula) == f"'{formula}"


@pytest.mark.parametrize("text", ["", " ", "x=1", "a\n=1", "'=1", "1-1", " x", "é"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert not begins_formula(text)
    assert neutralised(text) == text


@each_formula
def test_statements_attach_no_formula_and_their_credits_stay_numbers(formula: str) -> None:
    texts = ("fund", "service", "resource_id", "resource_name", "unit", "source")
    one = charge(1, "-5.00", **dict.fromkeys((*texts, "pi_email", "project"), formula))
    (line,) = rows(lines_csv(printed_lines([one], "USD")))
    assert {line[name] for name in (*texts, "investigator", "project")} == {f"'{formula}"}
    assert (line["list_price"], line["due"], line["due_printed"]) == ("-5.00", "-5.00", "-5.00")


@each_formula
def test_statements_of_sponsors_hold_no_formula(formula: str) -> None:
    subject = Subject(StatementKind.SPONSOR, "2025-03", "Research Office", currency="USD")
    paid = [SponsorRow(*[formula] * 5, 1, Decimal("-5.00"))]
    about = About("", "", {}, {}, (), "2025-04-03")
    _, text, _, _ = sponsors_statement(subject, paid, ORGANISATION, Identity("S-1", 1, "2025-04-03", ""), about)
    (line,) = rows(text)
    assert [line[name] for name in ("investigator", "rule")] == [f"'{formula}"] * 2
    assert (line["paid_exact"], line["paid"]) == ("-5.00", "-5.00")


@each_formula
def test_charges_are_exported_without_formulas_and_with_their_amounts(formula: str) -> None:
    assert harmless_cell("resource_name", formula) == f"'{formula}"
    assert [harmless_cell(name, "-5.00") for name in ("billed", "effective", "list", "quantity")] == ["-5.00"] * 4


@each_formula
def test_journals_hold_no_formula(formula: str) -> None:
    one = journal(part("-5.00", service=formula, statement=formula), wording=Wording("{service}", "{service}"))
    for cell in (cell for name in FORMATS for row in cells(one, name) for cell in row):
        assert not begins_formula(cell) or Decimal(cell)


@each_formula
def test_reports_of_findings_hold_no_formula(formula: str) -> None:
    finding = Finding(formula, "ubl_xsd", Severity.ERROR, formula, formula, 1, formula)
    report = Report("0" * 64, 1, "unknown", None, Decision.REJECT, (finding,), (), 0.0)
    (line,) = rows("".join(as_csv([(formula, report)])))
    assert {line[name] for name in ("path", "rule", "location", "message", "hint")} == {f"'{formula}"}


@each_formula
def test_an_attribution_that_begins_like_a_formula_says_so(formula: str) -> None:
    assert Flag.FORMULA in flags_of(Attribution(cost_center=formula), "2025-03-01", AttributionRules(), Registry())
    assert Flag.FORMULA not in flags_of(Attribution(), "2025-03-01", AttributionRules(), Registry())


def test_every_exported_column_but_the_numbers_is_guarded() -> None:
    guarded = {name for name in COLUMNS if harmless_cell(name, "=1+1") == "'=1+1"}
    amounts = {"billed", "effective", "contracted", "list", "listed", "amount", "quantity"}
    assert set(COLUMNS) - guarded == amounts | {"id", "corrects", "line"}


@pytest.mark.parametrize("name", TAG_FIELDS)
def test_each_field_of_an_attribution_is_looked_at(name: str) -> None:
    found = flags_of(Attribution(**{name: " ＝1+1"}), "2025-03-01", AttributionRules(), Registry())
    assert Flag.FORMULA in found

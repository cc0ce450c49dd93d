"""Statements of a ledger with rules: who pays what, on whose statement it stands, by which version of which rule."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from clearfacts_assets.chargeback.attribution.review import Verdict
from clearfacts_assets.chargeback.lifecycle import Event
from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.chargeback.statements.model import StatementKind
from clearfacts_assets.storage.chargeback.budgets import spending_of_funds
from clearfacts_assets.storage.chargeback.issuing.due_reconciliation import dues_of_investigator, way_to_due
from clearfacts_assets.storage.chargeback.issuing.issue_plan import Issuance, IssueOptions
from clearfacts_assets.storage.chargeback.issuing.summaries import SummaryIssuer
from clearfacts_assets.storage.chargeback.periods import PeriodRepository
from clearfacts_assets.storage.chargeback.rates.explaining import explain
from clearfacts_assets.storage.chargeback.rates.spending import budgets_of
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets_tests.fixtures.chargeback import row, tags, uses
from clearfacts_assets_tests.fixtures.rates import Rules
from clearfacts_assets_tests.fixtures.statements import ORGANISATION, TODAY, Office, attached, words

NAMES = ("listed", "discount", "subsidy", "credit", "due")


def amounts(office: Office, period: str = "2025-03") -> list[tuple[str, ...]]:
    return [tuple(one[name] for name in NAMES) for one in office.standing(period)]


def rows_of(office: Office, number: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(attached(office.repository.pdf(number)[1]))))


def tied(office: Office, rules: Rules, due: str, period: str = "2025-03") -> None:
    """Statements, ledger lines and this amount are one."""
    (tie,) = office.repository.tie_out(period)
    assert (tie.balanced, tie.printed, tie.exact, tie.ledger) == (True, *(Decimal(due),) * 3)
    assert rules.due(period) == due


def test_a_percentage_that_others_pay_is_named_with_its_rule_and_traced_to_it(office: Office, rules: Rules) -> None:
    office.books.put(row(BilledCost="80.00", ListCost="100.00", ResourceId="vm-1"))
    version = rules.add(RuleKind.SUBSIDY, "start-up", payer="Provost", percent="30")
    office.close()
    assert office.generate(dry_run=True).new == ["S-2025-03-new"]
    assert rules.rows() == 0  # a rehearsal keeps no line
    office.generate()
    assert amounts(office) == [("100.00", "-20.00", "-24.00", "0", "56.00")]
    tied(office, rules, "56.00")
    said = words(office.repository.pdf("S-2025-03-0001")[1])
    assert "Subsidy start-up, version 1 (30 %), paid by Provost 1 -24.00" in said  # for one charge
    assert "Subsidy start-up -24.00" in said  # beside it
    assert "What rules did" in said
    (line,) = rows_of(office, "S-2025-03-0001")
    assert line["rules"] == "subsidy start-up v1 -24.00"
    told = explain(rules.engine, int(line["charge"]))["lines"]
    assert [(one["rule"], one["amount"]) for one in told if one["kind"] == "subsidy"] == [
        ("subsidy start-up v1", "-24.00")
    ]
    assert [one.rule_version for one in rules.lines(int(line["charge"])) if one.kind == "subsidy"] == [version]


def test_a_credit_that_ends_in_the_middle_of_the_month_pays_the_first_uses(office: Office, rules: Rules) -> None:
    office.books.put(*uses("60.00", "60.00", "60.00"))
    rules.add(RuleKind.CREDIT, "cap", payer="Sponsor", currency="USD", window="month", amount="100")
    office.close()
    office.generate()
    assert amounts(office) == [("180.00", "0", "0", "-100.00", "80.00")]
    assert [(one["resource_id"], one["credit"], one["due"]) for one in rows_of(office, "S-2025-03-0001")] == [
        ("r4", "0", "60.00"),
        ("r3", "-40.00", "20.00"),
        ("r2", "-60.00", "0.00"),
    ]
    tied(office, rules, "80.00")


def test_a_split_charge_stands_with_each_fund_that_pays_a_share_of_it(office: Office, rules: Rules) -> None:
    office.books.put(row(BilledCost="10.01", ResourceId="a"))
    rules.add(RuleKind.MARKUP, "none", percent="0.01")
    parts = [{"fund_org": "NSF-000060", "part": "60%"}, {"fund_org": "NIH-000040", "part": "40%"}]
    rules.add(RuleKind.SPLIT, "grants", scope={"projects": ["genome"]}, parts=parts)
    office.close()
    office.generate()
    lines = office.repository.charges("S-2025-03-0001")
    assert sorted((one["share"], one["fund"], str(one["cents"])) for one in lines) == [
        (1, "NSF-000060", "6.01"),
        (2, "NIH-000040", "4.00"),
    ]
    said = words(office.repository.pdf("S-2025-03-0001")[1])
    assert "Fund NSF-000060" in said
    assert "Fund BIO-000001" not in said
    assert "Split grants, version 1" in said
    assert "Markup none, version 1" in said  # the charge had it before it was split
    tied(office, rules, "10.01")
    office.options = IssueOptions(ORGANISATION, by_fund=True)
    office.generate(now=TODAY + timedelta(days=1))
    assert sorted((one["fund"], one["due"]) for one in office.standing() if one["fund"]) == [
        ("NIH-000040", "4.00"),
        ("NSF-000060", "6.01"),
    ]
    tied(office, rules, "10.01")


def test_a_sponsor_is_told_what_it_paid_and_a_pool_is_no_sponsor(office: Office, rules: Rules) -> None:
    office.books.put(
        *uses("60.00", "60.00"),
        row(BilledCost="30.00", ResourceId="x", Tags=tags(project_id="other", pi_email="bob@bio.example.edu")),
        row(BilledCost="9.00", ResourceId="shared", ServiceName="Support", Tags=tags(project_id="core")),
    )
    rules.add(RuleKind.SUBSIDY, "half", payer="Dean", percent="50", scope={"projects": ["genome"]})
    rules.add(RuleKind.POOL, "support", scope={"projects": ["core"]}, method="even")
    office.close()
    office.generate()
    found = SummaryIssuer(office.issuer, office.books.engine).month(
        StatementKind.SPONSOR, "2025-03", Issuance("pat", TODAY)
    )
    assert found.new == ["P-2025-03-0001"]
    assert [(one["subject"], one["due"]) for one in office.standing(kind="sponsor")] == [("Dean", "62.25")]
    shares = {one["project"]: one["due"] for one in office.standing()}
    assert shares == {"genome": "62.25", "other": "34.50", "core": "0.00"}
    assert "From pool support" in words(office.repository.pdf(office.standing()[-1]["number"])[1])
    tied(office, rules, "96.75")


def test_another_version_of_a_rule_after_the_issue_makes_another_version(office: Office, rules: Rules) -> None:
    office.books.put(row(BilledCost="100.00", ResourceId="a"))
    rules.add(RuleKind.SUBSIDY, "start-up", payer="Provost", percent="30")
    office.close()
    office.generate()
    assert office.generate().corrected == []
    rules.add(RuleKind.SUBSIDY, "start-up", payer="Provost", percent="40")
    found = office.generate(now=TODAY + timedelta(days=1))
    assert (found.corrected, found.difference) == (["S-2025-03-0001"], {"USD": Decimal("-10.00")})
    assert amounts(office) == [("100.00", "0", "-40.00", "0", "60.00")]
    assert "Subsidy start-up, version 2 (40 %), paid by Provost 1 -40.00" in words(
        office.repository.pdf("S-2025-03-0001")[1]
    )
    tied(office, rules, "60.00")


def test_of_a_finalized_month_statements_say_what_was_frozen(office: Office, rules: Rules) -> None:
    office.books.put(row(BilledCost="100.00", ResourceId="a"))
    rules.add(RuleKind.SUBSIDY, "start-up", payer="Provost", percent="30")
    office.books.finalize("2025-03")
    rules.add(RuleKind.SUBSIDY, "start-up", payer="Provost", percent="90")
    office.generate()
    assert amounts(office) == [("100.00", "0", "-30.00", "0", "70.00")]
    tied(office, rules, "70.00")


def test_a_reversal_takes_back_what_others_paid_too(office: Office, rules: Rules) -> None:
    first = row(BilledCost="0.015", ResourceId="a"), row(BilledCost="10.00", ResourceId="b")
    office.books.put(*first)
    rules.add(RuleKind.SUBSIDY, "start-up", payer="Provost", percent="30")
    office.books.finalize("2025-03")
    office.generate()
    office.books.put(first[0], confirmed=True)
    office.close("2025-04")
    office.generate("2025-04")
    assert amounts(office, "2025-04") == [("-10.00", "0", "3.00", "0", "-7.00")]
    tied(office, rules, "-7.00", "2025-04")


def test_what_is_too_small_goes_to_the_next_bill(office: Office, rules: Rules) -> None:
    office.books.put(row(BilledCost="0.40", ResourceId="a"))
    rules.add(RuleKind.MINIMUM_BILL, "small", currency="USD", amount="1.00")
    office.close()
    office.generate()
    assert amounts(office) == [("0.40", "0", "0", "-0.40", "0.00")]
    april = {"BillingPeriodStart": "2025-04-01T00:00:00Z", "BillingPeriodEnd": "2025-05-01T00:00:00Z"}
    times = {"ChargePeriodStart": "2025-04-02T00:00:00Z", "ChargePeriodEnd": "2025-04-03T00:00:00Z"}
    office.books.put(row(BilledCost="5.00", ResourceId="b", **april, **times), name="april.csv")
    office.books.change("2025-03", Event.FINALIZE)
    office.close("2025-04")
    office.generate("2025-04")
    assert amounts(office, "2025-04") == [("5.40", "0", "0", "0", "5.40")]
    assert "From earlier months" in words(office.repository.pdf("S-2025-04-0001")[1])
    tied(office, rules, "5.40", "2025-04")


def test_what_is_rejected_or_waits_is_on_no_statement_and_no_line(office: Office, rules: Rules) -> None:
    office.books.put(*uses("10.00", "10.00", "10.00"), row(ResourceId="w", Tags=tags(fund_org="")))
    office.books.decide(Verdict.REJECT, office.books.charges(resource_id="r2")[0]["id"])
    rules.add(RuleKind.MARKUP, "handling", percent="10")
    office.close()
    office.generate()
    assert amounts(office) == [("20.00", "2.00", "0", "0", "22.00")]
    assert "Markup handling, version 1" in words(office.repository.pdf("S-2025-03-0001")[1])
    tied(office, rules, "22.00")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_lines SET amount = '1' WHERE kind = 'subsidy'",
        "UPDATE ledger_lines SET withdrawn_run = 99",
        "UPDATE ledger_lines SET payer = 'Dean' WHERE kind = 'subsidy'",
        "DELETE FROM ledger_lines",
    ],
)
def test_lines_of_a_finalized_month_refuse_raw_sql(office: Office, rules: Rules, statement: str) -> None:
    office.books.put(row(BilledCost="100.00", ResourceId="a"))
    rules.add(RuleKind.SUBSIDY, "start-up", payer="Provost", percent="30")
    office.books.finalize("2025-03")
    if office.books.engine.dialect.name == "postgresql":
        statement = statement.replace("'1'", "1")
    with pytest.raises(DBAPIError), office.books.engine.begin() as connection:
        connection.execute(text(statement))
    assert [one.problem for one in PeriodRepository(office.books.engine).verify()] == [""]


def test_a_superusers_change_of_a_line_is_told_by_verify(office: Office, rules: Rules) -> None:
    office.books.put(row(BilledCost="100.00", ResourceId="a"))
    rules.add(RuleKind.SUBSIDY, "start-up", payer="Provost", percent="30")
    office.books.finalize("2025-03")
    with office.books.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE ledger_lines DISABLE TRIGGER ALL"))
        else:
            named = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'ledger_lines'"
            for name in connection.execute(text(named)).scalars().all():
                connection.execute(text(f"DROP TRIGGER {name}"))
        connection.execute(text("UPDATE ledger_lines SET payer = 'Dean' WHERE kind = 'subsidy'"))
    (found,) = PeriodRepository(office.books.engine).verify()
    assert found.problem == "its ledger lines are not those that were finalized"


def test_the_way_from_charges_to_statements_has_a_name_for_every_difference(office: Office, rules: Rules) -> None:
    office.books.put(
        *uses("60.005", "60.00"),
        row(BilledCost="0.40", ResourceId="x", Tags=tags(project_id="other", pi_email="bob@bio.example.edu")),
    )
    engine = office.books.engine
    (before,) = way_to_due(engine, "2025-03")
    assert (before.basis, str(before.due)) == ("charges: rules were not applied yet", "120.405")
    rules.add(RuleKind.MARKUP, "handling", percent="10", scope={"projects": ["genome"]})
    rules.add(RuleKind.SUBSIDY, "half", payer="Dean", percent="50", scope={"projects": ["genome"]})
    rules.add(RuleKind.MINIMUM_BILL, "small", currency="USD", amount="1.00")
    rules.run()
    (ruled,) = way_to_due(engine, "2025-03")
    assert (ruled.basis, ruled.unexplained, str(ruled.on_no_statement)) == ("ledger lines", Decimal(0), "66.00")
    office.close()
    office.generate()
    (way,) = way_to_due(engine, "2025-03")
    assert way.steps == [
        ("markup", Decimal("12.0005")),
        ("subsidy", Decimal("-66.01")),
        ("rounded to whole cents", Decimal("0.0045")),
        ("carried between months", Decimal("-0.40")),
    ]
    assert (way.charges, str(way.due), way.unexplained) == (Decimal("120.405"), "66.00", Decimal(0))
    assert (way.issued, str(way.statements), way.on_no_statement, way.rounding) == (2, "66.00", Decimal(0), Decimal(0))
    (dues,) = dues_of_investigator(engine, "ada@bio.example.edu", "2025-03")
    assert [dues[name] for name in ("cost", "paid_by_others", "due", "statement")] == [
        *("132.01", "-66.01", "66.00", "S-2025-03-0001"),
    ]
    office.books.decide(Verdict.REJECT, office.books.charges(resource_id="r2")[0]["id"])
    (stale,) = way_to_due(engine, "2025-03")
    assert "lines of charges that are no longer due: apply the rules again" in dict(stale.steps)
    assert stale.unexplained == 0


def test_budgets_and_spending_answer_from_one_basis(office: Office, rules: Rules) -> None:
    """By ledger lines where rules were applied, by charges in a month where they were not."""
    engine = office.books.engine
    registry = RegistryRepository(engine)
    fund = {"fund_org": "BIO-000001", "budget": Decimal(1000), "currency": "USD"}
    registry.put("funds", [fund], actor="pat", now=TODAY)
    office.books.put(row(BilledCost="100.00", ResourceId="a"))
    april = {"BillingPeriodStart": "2025-04-01T00:00:00Z", "BillingPeriodEnd": "2025-05-01T00:00:00Z"}
    office.books.put(row(BilledCost="7.00", ResourceId="b", **april), name="april.csv")
    rules.add(RuleKind.SUBSIDY, "half", payer="Dean", percent="50")
    for of_march in ("100.00", "50.00"):
        spent = Decimal(of_march) + Decimal("7.00")
        assert [one.due for one in spending_of_funds(engine)] == [spent]
        assert [one.spent for one in budgets_of(engine, TODAY.date())] == [spent]
        rules.run()

"""Rules on the ledger: the lines that they write, what a second run changes, what a sealed month allows."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from clearfacts_assets.chargeback.attribution.review import Verdict
from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.chargeback.rates.model import LineKind, RuleStep
from clearfacts_assets.chargeback.rates.scope import BadRule
from clearfacts_assets.storage.chargeback.imports import ImportRepository
from clearfacts_assets.storage.chargeback.rates.balances import credits, given_by_pools, paid_by
from clearfacts_assets.storage.chargeback.rates.explaining import explain
from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository
from clearfacts_assets.storage.chargeback.rates.tie_out import tie_out
from clearfacts_assets_tests.fixtures.chargeback import NOW, row, tags, uses
from clearfacts_assets_tests.fixtures.rates import Rules

CAP = {"payer": "Sponsor", "currency": "USD", "window": "month"}


def test_one_charge_goes_through_every_rule_and_is_explained_from_list_to_due(rules: Rules) -> None:
    rules.books.put(row(BilledCost="80.005", ListCost="100.00", ConsumedQuantity="10", ConsumedUnit="Hours"))
    rules.add(RuleKind.MARKUP, "handling", percent="2.5")
    rules.add(RuleKind.SPLIT, "halves", scope={"projects": ["genome"]}, parts=_parts(A="50%", B="50%"))
    rules.add(RuleKind.ALLOWANCE, "free hours", payer="Center", quantity="1", unit="hour")
    rules.add(RuleKind.SUBSIDY, "dean", payer="Dean", percent="20")
    rules.add(RuleKind.CREDIT, "cap", amount="5", **CAP)
    rules.add(RuleKind.CREDIT, "deposit", payer="prepaid", amount="7.77", currency="USD", prepayment=True)
    assert rules.run().added > 0
    (charge,) = rules.books.charges()
    found = explain(rules.engine, charge["id"])
    assert [one["step"] for one in found["lines"] if one["share"] == 1] == [
        *["split"] * 3,
        "allowance",
        "subsidy",
        "credit",
        "prepayment",
        "rounding",
    ]
    assert [(one["step"], one["kind"]) for one in found["lines"] if one["share"] == 0][:3] == [
        ("price", "list"),
        ("price", "discount"),
        ("markup", "markup"),
    ]
    assert found["list"] == "100.000000000000"
    assert {one["rule"] for one in found["lines"]} >= {"subsidy dean v1", "credit cap v1", "split halves v1"}
    # 82.005125 -> 82.01: an hour of ten is free (8.21), then a fifth (14.76), then 5.00, then 7.77.
    assert found["payers"] == {"Center": "8.20", "Dean": "14.76", "Sponsor": "5.00", "prepaid": "7.77"}
    assert found["due"] == "46.28"
    assert tie_out(rules.engine, "2025-03").count == 0


def _parts(**said: str) -> list[dict[str, str]]:
    return [{"fund_org": fund, "part": part} for fund, part in said.items()]


def test_a_cap_that_is_reached_in_the_middle_of_a_month_gives_the_same_three_times(rules: Rules) -> None:
    rules.books.put(*uses("40.00", "40.00", "40.00", "40.00"))
    rules.add(RuleKind.CREDIT, "cap", amount="100.00", **CAP)
    first = rules.run()
    paid = [str(-one.of(LineKind.CREDIT)) for one in rules.dues()]
    assert paid == ["40.00", "40.00", "20.00", "0"]
    assert (rules.due(), first.run_id is not None) == ("60.00", True)
    rows = rules.rows()
    for _ in range(2):
        again = rules.run()
        assert (again.run_id, again.added, again.withdrawn) == (None, 0, 0)
    assert rules.rows() == rows
    (credit,) = credits(rules.engine, "2025-03")
    assert [(one["used"], one["left"]) for one in credit["balances"]] == [("100.00", "0.00")]
    (paid_for,) = paid_by(rules.engine, "Sponsor")
    assert (paid_for["amount"], paid_for["project_id"], paid_for["lines"]) == ("100.00", "genome", 3)


def test_the_order_of_two_imports_has_no_effect(rules: Rules) -> None:
    first = row(BilledCost="60.00", ResourceId="x")
    second = row(BilledCost="60.00", ResourceId="y", Tags=tags(project_id="other"), BillingAccountId="008")
    rules.add(RuleKind.CREDIT, "cap", amount="99.99", **CAP)
    found: list[dict[str, str]] = []
    for order in ((first, second), (second, first)):
        sources = {"x": "aws", "y": "azure"}
        imports = [
            rules.books.put(one, name=f"{one['ResourceId']}.csv", source=sources[one["ResourceId"]]) for one in order
        ]
        rules.run()
        found.append({project: rules.due(project_id=project) for project in ("genome", "other")})
        for one in imports:
            assert one.import_id is not None
            ImportRepository(rules.engine).withdraw(one.import_id, reason="again", actor="pat", now=NOW)
    assert found[0] == found[1]
    assert sum(Decimal(one) for one in found[0].values()) == Decimal("20.01")


def test_a_later_month_follows_when_an_earlier_one_uses_more_of_a_credit(rules: Rules) -> None:
    april = {"BillingPeriodStart": "2025-04-01T00:00:00Z", "ChargePeriodStart": "2025-04-02T00:00:00Z"}
    rules.add(RuleKind.CREDIT, "grant", payer="Sponsor", amount="100", currency="USD")
    rules.books.put(row(BilledCost="30"), name="march.csv")
    rules.books.put(row(BilledCost="90", **april), name="april.csv")
    rules.run("2025-03")
    rules.run("2025-04")
    assert (rules.due("2025-03"), rules.due("2025-04")) == ("0.00", "20.00")
    rules.books.put(row(BilledCost="50"), name="march.csv", confirmed=True)
    rules.run("2025-03")
    assert (rules.due("2025-03"), rules.due("2025-04")) == ("0.00", "40.00")


def test_a_sealed_month_is_frozen_and_what_is_reversed_later_goes_back_to_who_paid(rules: Rules) -> None:
    rules.add(RuleKind.CREDIT, "grant", payer="Sponsor", amount="100", currency="USD")
    rules.add(RuleKind.SUBSIDY, "dean", payer="Dean", percent="50")
    rules.books.put(row(BilledCost="30.01"), row(BilledCost="10", ResourceId="kept"))
    rules.books.finalize("2025-03")  # applies the rules itself
    assert rules.sum_of(LineKind.CREDIT) == "-20.00"
    rows = rules.rows()
    rules.add(RuleKind.SUBSIDY, "more", payer="Provost", percent="50")
    assert rules.run().frozen
    assert rules.rows() == rows
    rules.books.put(row(BilledCost="10", ResourceId="kept"), confirmed=True)  # the other one is gone
    rules.run("2025-04")
    (back,) = rules.dues("2025-04")
    assert {name: str(amount) for name, amount in back.payers.items()} == {"Dean": "-15.01", "Sponsor": "-15.00"}
    assert (str(back.due), str(back.cost)) == ("0.00", "-30.01")
    (credit, *_) = credits(rules.engine, "2025-04")
    assert credit["paid"] == "5.00"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_lines SET amount = '0' WHERE id = 1",
        "UPDATE ledger_lines SET withdrawn_run = 9",
        "DELETE FROM ledger_lines",
        "INSERT INTO ledger_lines (period, run_id, charge_id, share, position, step, kind, payer, attribution, "
        "currency, amount, note) SELECT period, run_id, charge_id, 9, 9, step, kind, payer, attribution, currency, "
        "amount, note FROM ledger_lines",
        "UPDATE billing_rule_versions SET valid_from = '2020-01-01'",
        "DELETE FROM billing_rule_versions",
        "DELETE FROM ledger_runs",
    ],
)
def test_raw_sql_does_not_bend_a_sealed_month(rules: Rules, statement: str) -> None:
    rules.add(RuleKind.SUBSIDY, "dean", payer="Dean", percent="50")
    rules.books.put(row(BilledCost="30.01"))
    rules.books.finalize("2025-03")
    with pytest.raises(DBAPIError), rules.engine.begin() as connection:
        connection.execute(text(statement))


def test_what_is_flagged_rejected_or_not_billed_has_no_lines_until_it_is_due(rules: Rules) -> None:
    rules.books.put(row(BilledCost="5"), row(BilledCost="7", ResourceId="x", Tags='{"project_id": "genome"}'))
    rules.run()
    assert rules.due() == "5.00"
    (waiting,) = rules.books.charges(status=("flagged",))
    rules.books.decide(Verdict.CORRECT, waiting["id"], pi_email="bo@x.edu", fund_org="F")
    assert rules.run().added == 1
    assert rules.due() == "12.00"
    rules.books.decide(Verdict.REJECT, waiting["id"])
    assert rules.run().withdrawn == 1
    assert rules.due() == "5.00"
    assert tie_out(rules.engine, "2025-03").count == 0


def test_a_pool_is_shared_in_proportion_and_nothing_of_it_is_lost(rules: Rules) -> None:
    rules.books.put(
        row(BilledCost="10", ResourceId="a"),
        row(BilledCost="20", ResourceId="b", Tags=tags(pi_email="bo@x.edu", project_id="quark", fund_org="P")),
        row(BilledCost="100.00", ResourceId="idle", Tags=tags(project_id="shared")),
    )
    rules.add(RuleKind.POOL, "idle", scope={"projects": ["shared"]})
    totals = rules.run().totals["USD"]
    assert totals["pools"] == [{"pool": "idle", "taken": "100.00", "given": "100.00", "left": "0.00"}]
    assert {one["project_id"]: one["amount"] for one in given_by_pools(rules.engine, "2025-03")} == {
        "genome": "33.33",
        "quark": "66.67",
    }
    assert rules.due() == "130.00"


def test_what_a_pool_does_not_give_stays_visible_on_it(rules: Rules) -> None:
    rules.books.put(row(BilledCost="100.00", Tags=tags(project_id="shared")))
    recipient = {"pi_email": "ada@bio.example.edu", "project_id": "genome", "fund_org": "B", "part": "30%"}
    rules.add(RuleKind.POOL, "p", method="fixed", scope={"projects": ["shared"]}, recipients=[recipient])
    totals = rules.run().totals["USD"]
    assert totals["pools"] == [{"pool": "p", "taken": "100.00", "given": "30.00", "left": "70.00"}]
    assert rules.due() == "30.00"


def test_a_small_bill_is_carried_until_it_is_worth_one(rules: Rules) -> None:
    rules.add(RuleKind.MINIMUM_BILL, "USD", amount="5.00", currency="USD")
    april = {"BillingPeriodStart": "2025-04-01T00:00:00Z", "ChargePeriodStart": "2025-04-02T00:00:00Z"}
    rules.books.put(row(BilledCost="0.42"), name="march.csv")
    rules.books.put(row(BilledCost="4.80", **april), name="april.csv")
    rules.run("2025-03")
    rules.run("2025-04")
    assert (rules.due("2025-03"), rules.due("2025-04")) == ("0.00", "5.22")
    assert [str(one.of(LineKind.CARRIED)) for one in rules.dues("2025-04") if not one.charge_id] == ["0.42"]


def test_a_split_by_amounts_fills_one_fund_after_the_other(rules: Rules) -> None:
    rules.books.put(*uses("40.00", "40.00", "40.00"))
    parts = [{"fund_org": "A", "amount": "50"}, {"fund_org": "B"}]
    rules.add(RuleKind.SPLIT, "s", scope={"projects": ["genome"]}, parts=parts, currency="USD")
    rules.run()
    assert rules.by_fund() == {"A": "50.00", "B": "70.00"}


def test_a_carried_over_month_keeps_what_a_sponsor_did_not_use(rules: Rules) -> None:
    april = {"BillingPeriodStart": "2025-04-01T00:00:00Z", "ChargePeriodStart": "2025-04-02T00:00:00Z"}
    rules.add(RuleKind.CREDIT, "cap", ("2025-03-01", ""), amount="10", carry=True, **CAP)
    rules.books.put(row(BilledCost="4"), name="march.csv")
    rules.books.put(row(BilledCost="30", **april), name="april.csv")
    rules.run("2025-03")
    rules.run("2025-04")
    assert (rules.due("2025-03"), rules.due("2025-04")) == ("0.00", "14.00")


@pytest.mark.parametrize(
    ("kind", "said", "why"),
    [
        (RuleKind.SPLIT, {"parts": _parts(A="50%", B="49.9%")}, "99.9 %"),
        (RuleKind.SPLIT, {"parts": _parts(A="1/3", B="1/3", C="0.3333")}, "exactly 100 %"),
        (RuleKind.SUBSIDY, {"payer": "D", "percent": "101"}, "between 0 and 100"),
        (RuleKind.SUBSIDY, {"percent": "10"}, "payer is missing"),
        (RuleKind.CREDIT, {"payer": "S", "amount": "1,5", "currency": "USD"}, "amount"),
        (RuleKind.POOL, {"method": "even"}, "covers everything"),
        (RuleKind.MARKUP, {"percent": "5", "colour": "red"}, "knows no colour"),
        (RuleKind.RATE, {"service": "s", "unit": "h", "currency": "USD", "price": "-1"}, "below zero"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(
    rules: Rules, kind: RuleKind, said: dict[str, object], why: str
) -> None:
    with pytest.raises(BadRule, match=why):
        rules.add(kind, "r", **said)


def test_another_person_has_to_approve_before_a_version_counts(rules: Rules) -> None:
    rules.books.put(row(BilledCost="10"))
    repository = RuleRepository(rules.engine)
    said = {"payer": "Dean", "percent": "50"}
    version = repository.add(RuleKind.SUBSIDY, "dean", said, actor="pat", now=NOW, two_people=True)
    rules.run()
    assert rules.due() == "10.00"
    with pytest.raises(ChargebackError, match="somebody else"):
        repository.approve(version["id"], actor="pat", now=NOW)
    repository.approve(version["id"], actor="rita", now=NOW)
    rules.run()
    assert rules.due() == "5.00"


def test_a_price_of_a_later_day_leaves_the_days_before_as_they_were(rules: Rules) -> None:
    said = {"payer": "Dean", "percent": "50"}
    rules.add(RuleKind.SUBSIDY, "dean", **said)
    rules.add(RuleKind.SUBSIDY, "dean", ("2025-03-03", ""), **said | {"percent": "10"})
    rules.books.put(*uses("100", "100"))
    rules.run()
    assert [str(one.due) for one in rules.dues()] == ["50.00", "90.00"]
    RuleRepository(rules.engine).end(RuleKind.SUBSIDY, "dean", "2025-03-03", actor="pat", now=NOW)
    rules.run()
    assert [str(one.due) for one in rules.dues()] == ["50.00", "100.00"]


def test_a_dry_run_says_the_same_and_writes_nothing(rules: Rules) -> None:
    rules.books.put(row(BilledCost="10"))
    rules.add(RuleKind.SUBSIDY, "dean", payer="Dean", percent="50")
    wish = rules.run(dry_run=True)
    assert rules.rows() == 0
    assert rules.run().totals == wish.totals


def test_steps_stand_in_one_order(rules: Rules) -> None:
    rules.books.put(*uses("33.335"))
    rules.add(RuleKind.SUBSIDY, "dean", payer="Dean", percent="50")
    rules.run()
    assert [line.step for line in rules.lines(1)] == [RuleStep.PRICE, RuleStep.SUBSIDY, RuleStep.ROUNDING]

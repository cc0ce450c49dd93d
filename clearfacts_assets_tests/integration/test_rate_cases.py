"""Public bug reports about prices, splits and credits, as small inputs with the right value."""

from __future__ import annotations

from decimal import Decimal

from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.chargeback.rates.model import LineKind
from clearfacts_assets_tests.fixtures.rates import Rules
from clearfacts_assets_tests.integration.test_chargeback_cases import case


def test_a_subsidy_of_one_hundred_is_one_hundred_whatever_the_lines_round_to(rules: Rules) -> None:
    folder, expect = case("14")
    rules.books.ingest(folder / "aws_2025-03.csv", period="2025-03")
    assert rules.books.total().due == Decimal(expect["exact"])
    (project,) = {one.to.project_id for one in _dues_after(rules)}
    said = {"payer": "Dean", "amount": "100.00", "currency": "USD", "window": "month"}
    rules.add(RuleKind.CREDIT, "dean", scope={"projects": [project]}, **said)
    rules.run()
    dues = rules.dues()
    assert str(sum(one.cost for one in dues)) == expect["before_subsidy"]
    assert rules.sum_of(LineKind.CREDIT) == expect["subsidy"]
    assert rules.due() == expect["due"]


def _dues_after(rules: Rules) -> list:
    rules.run()
    return rules.dues()


def test_a_prepayment_is_drawn_in_the_cents_of_the_bill(rules: Rules) -> None:
    folder, expect = case("15")
    rules.books.ingest(folder / "aws_2025-03.csv", period="2025-03")
    rules.add(
        RuleKind.CREDIT,
        "deposit",
        payer="prepaid",
        amount="100.00",
        currency="USD",
        prepayment=True,
        scope={"projects": ["prepaid"]},
    )
    rules.run()
    used = -sum(one.of(LineKind.PREPAYMENT) for one in rules.dues())
    assert (str(sum(one.cost for one in rules.dues())), str(used)) == (expect["charges_total"], expect["prepaid_used"])
    assert (rules.due(), str(100 - used)) == (expect["due"], expect["balance_after"])


def test_a_bill_of_fractions_of_cents_is_never_below_zero(rules: Rules) -> None:
    folder, expect = case("16")
    rules.books.ingest(folder / "aws_2025-03.csv", period="2025-03")
    assert rules.books.total().due == Decimal(expect["exact"])
    rules.add(RuleKind.CREDIT, "deposit", payer="prepaid", amount="100.00", currency="USD", prepayment=True)
    rules.run()
    used = -sum(one.of(LineKind.PREPAYMENT) for one in rules.dues())
    assert (str(sum(one.cost for one in rules.dues())), str(used)) == (expect["charges_total"], expect["prepaid_used"])
    assert (rules.due(), str(100 - used)) == (expect["due"], expect["balance_after"])
    assert all(one.due >= 0 for one in rules.dues())


def test_a_third_for_each_of_three_funds_is_all_of_it(rules: Rules) -> None:
    folder, expect = case("18")
    rules.books.ingest(folder / "aws_2025-03.csv", period="2025-03")
    funds = ("BIO-000001", "PHYS-000002", "ENVR-000003")
    parts = [{"fund_org": fund, "part": "1/3"} for fund in funds]
    rules.add(RuleKind.SPLIT, "shared", scope={"projects": ["shared"]}, parts=parts)
    rules.run()
    found = rules.by_fund()
    assert [found[fund] for fund in funds] == expect["by_fund"]
    assert rules.due() == expect["sum"]
    assert rules.run().run_id is None
    assert rules.by_fund() == found


def test_a_new_investigators_credit_lasts_two_months_and_covers_no_gpu(rules: Rules) -> None:
    folder, expect = case("25")
    rules.add(
        RuleKind.CREDIT,
        "new investigator",
        payer="Provost",
        amount="1000",
        currency="USD",
        per="person",
        months=2,
        scope={"not_services": ["*GPU*"]},
    )
    for period in ("2025-03", "2025-04", "2025-05"):
        rules.books.ingest(folder / f"hpc_{period}.csv", source="hpc", period=period)
        rules.run(period)
    for period in ("2025-03", "2025-04", "2025-05"):
        credit = -sum(one.of(LineKind.CREDIT) for one in rules.dues(period))
        assert (f"{credit:.2f}", rules.due(period)) == (expect[period]["credit"], expect[period]["due"])
    before = rules.rows()
    rules.books.ingest(folder / "hpc_2025-03.csv", source="hpc", period="2025-03")
    assert rules.run("2025-03").run_id is None
    assert rules.rows() == before

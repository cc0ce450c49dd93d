"""Budgets of funds: what is spent and left, and what is told of it, once."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from clearfacts_assets.chargeback.notifications.budgets import tell_of_budgets
from clearfacts_assets.notifications.outbox import dispatch
from clearfacts_assets.notifications.slack import Slack, open_client
from clearfacts_assets.settings import Settings
from clearfacts_assets.storage.chargeback.rates.spending import budgets_of
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets_tests.fixtures.chargeback import NOW, row
from clearfacts_assets_tests.fixtures.rates import Rules
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator


def fund(rules: Rules, budget: str, award_end: str = "") -> None:
    said = {"fund_org": "BIO-000001", "valid_from": "", "budget": Decimal(budget), "currency": "USD"}
    RegistryRepository(rules.engine).put("funds", [said | {"award_end": award_end}], actor="pat", now=NOW)


def test_a_budget_says_what_is_spent_what_is_left_and_how_fast_it_goes(rules: Rules) -> None:
    fund(rules, "1000.00", "2025-12-31")
    april = {"BillingPeriodStart": "2025-04-01T00:00:00Z", "ChargePeriodStart": "2025-04-02T00:00:00Z"}
    rules.books.put(row(BilledCost="300.00"), name="march.csv")
    rules.books.put(row(BilledCost="100.00", **april), name="april.csv")
    rules.run("2025-03")
    rules.run("2025-04")
    (one,) = (found.as_result() for found in budgets_of(rules.engine, NOW.date()))
    kept = ("spent", "left", "percent", "burn", "months_left", "days_left")
    assert tuple(one[name] for name in kept) == ("400.00", "600.00", 40, "200.00", "3.0", 273)


def test_a_threshold_that_is_passed_is_told_in_slack_once(rules: Rules, simulator: RunningSimulator) -> None:
    fund(rules, "1000.00")
    rules.books.put(row(BilledCost="810.00"))
    rules.run()
    known = Settings()
    assert tell_of_budgets(rules.engine, known, now=NOW) == 1
    assert tell_of_budgets(rules.engine, known, now=NOW) == 0
    send = Slack(open_client(simulator.slack_token, simulator.slack_url)).send
    assert dispatch(rules.engine, send, lambda: datetime.now(UTC)).sent == 1
    (message,) = simulator.slack_messages()
    assert message["text"].startswith("BIO-000001 has used 81 % of its budget: 190.00 of 1000.00 USD are left.")
    rules.books.put(row(BilledCost="1200.00"), confirmed=True)
    rules.run()
    assert tell_of_budgets(rules.engine, known, now=NOW) == 1


def test_an_awards_end_is_told_at_each_mark(rules: Rules) -> None:
    fund(rules, "1000.00", "2025-06-01")
    at = {day: datetime(2025, *map(int, day.split("-")), tzinfo=UTC) for day in ("04-02", "04-20", "05-10", "06-01")}
    told = [tell_of_budgets(rules.engine, Settings(), now=moment) for moment in at.values()]
    assert told == [1, 0, 1, 1]  # 60 days (mark 90), 42 days (the same), 22 days (30), over

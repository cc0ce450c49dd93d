"""The asset ``ledger_lines``: a month's charges from list to due in Dagster, with its checks."""

from __future__ import annotations

import dagster as dg
import pytest

from clearfacts_assets.chargeback.defs.ledger_lines import ledger_lines, waterfall
from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets_tests.fixtures.chargeback import row
from clearfacts_assets_tests.fixtures.rates import Rules


@pytest.fixture
def materialize(rules: Rules, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(DatabaseResource, "engine", lambda self: rules.engine)

    def run(month: str = "2025-03") -> dg.ExecuteInProcessResult:
        return dg.materialize([ledger_lines], partition_key=month, resources={"database": DatabaseResource()})

    return run


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def test_a_month_is_computed_shown_and_checked(rules: Rules, materialize) -> None:
    rules.books.put(row(BilledCost="30.00"), row(BilledCost="12.345", ResourceId="x"))
    rules.add(RuleKind.SUBSIDY, "dean", payer="Dean", percent="50")
    first = materialize()
    assert verdicts(first) == {
        "lines_add_up_to_what_is_billed": True,
        "every_rule_applies": True,
        "pools_are_given_on": True,
    }
    (event,) = first.asset_materializations_for_node("ledger_lines")
    assert (event.metadata["due, USD"].value, event.metadata["lines written"].value) == (21.17, 5)
    (again,) = materialize().asset_materializations_for_node("ledger_lines")
    assert (again.metadata["lines written"].value, again.metadata["lines withdrawn"].value) == (0, 0)
    assert "subsidy" in str(event.metadata["the way"].value)


def test_what_stays_on_a_pool_turns_its_check_yellow(rules: Rules, materialize) -> None:
    rules.books.put(row(BilledCost="30.00"))
    rules.add(RuleKind.POOL, "all of it", scope={"projects": ["genome"]})
    assert verdicts(materialize())["pools_are_given_on"] is False


def test_the_waterfall_hangs_each_step_where_the_one_before_ended() -> None:
    drawn = waterfall("USD", {"list": "100", "discount": "-50", "due": "50"}).splitlines()
    assert drawn[3].startswith("list       ███")
    assert drawn[4].index("█") == drawn[5].index("█") + 20 or drawn[4].index("█") == drawn[5].index("█")

"""The assets ``statements`` and ``statement_emails``: a closed month's PDFs and mails in Dagster, with their checks."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from clearfacts_assets.chargeback.defs.statements import statement_emails, statements
from clearfacts_assets.chargeback.lifecycle import Event
from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets_tests.fixtures.chargeback import row
from clearfacts_assets_tests.fixtures.rates import Rules


@pytest.fixture
def materialize(rules: Rules, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(DatabaseResource, "engine", lambda self: rules.engine)

    def run(*, fails: bool = False) -> dg.ExecuteInProcessResult:
        resources = {"database": DatabaseResource()}
        return dg.materialize(
            [statements, statement_emails], partition_key="2025-03", resources=resources, raise_on_error=not fails
        )

    return run


def told(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items()}


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_closed_month_is_issued_and_mailed_once_and_an_open_one_is_not(rules: Rules, materialize: Any) -> None:
    rules.books.put(row(BilledCost="30.00"), row(BilledCost="12.345", ResourceId="x"))
    rules.add(RuleKind.SUBSIDY, "dean", payer="Dean", percent="50")
    assert materialize(fails=True).success is False
    rules.books.change("2025-03", Event.CLOSE)
    first = materialize()
    issued, mailed = told(first, "statements"), told(first, "statement_emails")
    assert (issued["issued"], issued["dagster/row_count"], issued["due, USD"]) == (2, 1, 21.17)  # and the Dean's
    assert (mailed["new mails"], mailed["dagster/row_count"], mailed["statements in no mail yet"]) == (1, 1, 0)
    assert "21.17" in mailed["preview"]
    assert {one.check_name: one.passed for one in first.get_asset_check_evaluations()} == {
        "statements_are_the_ledgers_due": True,
        "every_statement_was_made": True,
        "every_mail_is_accounted_for": True,
    }
    again = materialize()
    assert (told(again, "statements")["issued"], told(again, "statements")["unchanged"]) == (0, 2)
    assert told(again, "statement_emails")["new mails"] == 0

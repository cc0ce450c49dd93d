"""``funds spending``: budgets against what was charged."""

from __future__ import annotations

import typer

from clearfacts_assets.cli.chargeback.shared import AsJson, ledger
from clearfacts_assets.cli.console import print_json, print_table


def spending(as_json: AsJson = False) -> None:
    """Budget, due over all months, what waits and what is left. Exit code 1 where a fund is overspent."""
    from clearfacts_assets.storage.chargeback.budgets import spending_of_funds

    found = [one.as_result() for one in spending_of_funds(ledger())]
    if as_json:
        print_json({"funds": found})
    else:
        columns = ("fund_org", "currency", "budget", "due", "waiting", "left", "award_end")
        rows = [[one[name] for name in columns] for one in found]
        print_table("Funds", columns, rows, right=("budget", "due", "waiting", "left"), wide=True)
    if any(one["overspent"] for one in found):
        raise typer.Exit(1)

"""What pools took, whom they gave it to, and what is left on them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from clearfacts_assets.chargeback.model import period_of
from clearfacts_assets.storage.chargeback.rates.balances import given_by_pools
from clearfacts_assets.storage.chargeback.rates.lines import LedgerLines


def pools_of(engine: Engine, period: str) -> dict[str, Any]:
    """As JSON shows it. Raises BadPeriod."""
    run = LedgerLines(engine).last_run(period_of(period))
    totals = [
        {"currency": currency, **one}
        for currency, told_of in (run["totals"].items() if run else ())
        if currency != "findings"
        for one in told_of["pools"]
    ]
    return {"period": period, "pools": totals, "given": given_by_pools(engine, period)}

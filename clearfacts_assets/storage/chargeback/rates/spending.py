"""What funds have spent, from what the newest run of each month says; no line is read for it. Months to which
rules were not applied count with what was billed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from sqlalchemy import Engine, func, select

from clearfacts_assets.chargeback.attribution.registry import normal_name
from clearfacts_assets.chargeback.rates.budgets import Budget, budgets
from clearfacts_assets.money import EXACT
from clearfacts_assets.storage.chargeback.rates.tables import LedgerRun
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.decimal_sums import sum_of


def spent_by_fund(engine: Engine) -> Mapping[str, Mapping[tuple[str, str], Decimal]]:
    """Period -> (fund in its normal form, currency) -> due: by ledger lines, or, in a month to which rules were not
    applied yet, by charges as they were billed."""
    newest = select(func.max(LedgerRun.id)).group_by(LedgerRun.period)
    query = select(LedgerRun.period, LedgerRun.totals).where(LedgerRun.id.in_(newest))
    found: dict[str, dict[tuple[str, str], Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    with reading(engine) as connection:
        for period, totals in connection.execute(query):
            for currency, told in totals.items():
                for fund, amount in told["by_fund"].items() if isinstance(told, dict) else ():
                    key = (normal_name(fund), currency)
                    found[period][key] = EXACT.add(found[period][key], Decimal(amount))
        rows = connection.execute(
            sql(
                f"SELECT t.period, a.fund_org, t.currency, {sum_of(connection, 't.amount')} FROM charge_totals t "  # noqa: S608
                "JOIN cost_attributions a ON a.digest = t.attribution WHERE a.fund_org <> '' "
                "AND t.status IN ('clear', 'approved') "
                "AND NOT EXISTS (SELECT 1 FROM ledger_runs r WHERE r.period = t.period) "
                "GROUP BY t.period, a.fund_org, t.currency HAVING sum(t.rows) <> 0"
            )
        )
        for period, fund, currency, amount in rows:
            key = (normal_name(fund), currency)
            found[period][key] = EXACT.add(found[period][key], Decimal(amount))
    return found


def budgets_of(engine: Engine, today: date) -> list[Budget]:
    """Of every fund in the registry that has a budget or an award's end."""
    return budgets(RegistryRepository(engine).load().funds, spent_by_fund(engine), today)

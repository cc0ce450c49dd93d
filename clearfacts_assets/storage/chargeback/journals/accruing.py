"""What a month will cost that has no statements yet: what is due in the ledger now, rounded a fund and service at a
time. An estimate, and taken back on the first day of the next month."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import Connection

from clearfacts_assets.chargeback.journals.model import Part
from clearfacts_assets.money import rounded
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.decimal_sums import sum_of

_WHO = "a.pi_email, a.project_id, a.fund_org, a.account_code"


def accrued_parts(connection: Connection, period: str, currency: str | None = None) -> list[Part]:
    """By who pays, service, category and source: of the rules' lines where rules were applied to the month, else of the
    charges that are due."""
    ruled = connection.execute(
        sql("SELECT 1 FROM ledger_lines WHERE period = :period AND withdrawn_run IS NULL LIMIT 1"), {"period": period}
    ).first()
    query = _of_lines(connection) if ruled else _of_charges(connection)
    found = []
    for row in connection.execute(sql(query), {"period": period}):
        amount = rounded(Decimal(row.amount), row.currency)
        if (currency is None or row.currency == currency) and amount:
            names = (row.pi_email, row.project_id, row.fund_org, row.service or "", row.source or "", row.account_code)
            category = row.service_category or ""
            found.append(Part("", 0, period, row.currency, *names, int(row.charges), amount, category))
    return found


def _of_charges(connection: Connection) -> str:
    groups = f"{_WHO}, t.service, t.service_category, t.source, t.currency"
    return (
        f"SELECT {groups}, sum(t.rows) AS charges, {sum_of(connection, 't.amount')} AS amount FROM charge_totals t "  # noqa: S608
        "JOIN cost_attributions a ON a.digest = t.attribution "
        f"WHERE t.period = :period AND t.status IN ('clear', 'approved') GROUP BY {groups} ORDER BY {groups}"
    )


def _of_lines(connection: Connection) -> str:
    groups = f"{_WHO}, c.service, c.service_category, c.source, l.currency"
    return (
        f"SELECT {groups}, count(DISTINCT l.charge_id) AS charges, {sum_of(connection, 'l.amount')} AS amount "  # noqa: S608
        "FROM ledger_lines l LEFT JOIN charges c ON c.id = l.charge_id "
        "JOIN cost_attributions a ON a.digest = l.attribution "
        f"WHERE l.period = :period AND l.withdrawn_run IS NULL GROUP BY {groups} ORDER BY {groups}"
    )

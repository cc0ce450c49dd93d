"""Charges grouped: month over month, an investigator's, what is not billed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine

from clearfacts_assets.chargeback.attribution.anomalies import anomalies
from clearfacts_assets.chargeback.lifecycle import State
from clearfacts_assets.chargeback.model import Flag, flag_text
from clearfacts_assets.money import plain
from clearfacts_assets.storage.chargeback.ledger import only_writer, put_together, state_of
from clearfacts_assets.storage.chargeback.review import set_standing
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.decimal_sums import sum_of


def _month_over_month(connection: Connection, up_to: str) -> list[tuple[str, str, str, str, Decimal]]:
    """(period, project, service, currency, amount) of a year up to this period, without what was rejected."""
    found = connection.execute(
        sql(
            f"SELECT t.period, a.project_id, t.service, t.currency, {sum_of(connection, 't.amount')} "  # noqa: S608
            "FROM charge_totals t JOIN cost_attributions a ON a.digest = t.attribution "
            "WHERE t.period <= :period AND t.period >= :posted AND t.status <> 'rejected' "
            "GROUP BY t.period, a.project_id, t.service, t.currency ORDER BY t.period"
        ),
        {"period": up_to, "posted": f"{int(up_to[:4]) - 1:04d}{up_to[4:]}"},
    )
    return [(row[0], row[1], row[2], row[3], Decimal(row[4])) for row in found]


def flag_anomalies(connection: Connection, period: str, factor: float) -> int:
    """Flag the charges of projects whose cost of a service is far above the months before. Returns how many. In the
    transaction of who brings charges: one that is killed in between leaves none that counts without being looked at."""
    found = anomalies(_month_over_month(connection, period), period, factor)
    if not found:
        return 0
    only_writer(connection)
    if state_of(connection, period) is not State.OPEN:
        return 0
    changes: list[dict[str, Any]] = []
    for project, service, currency, _ in found:
        rows = connection.execute(
            sql(
                "SELECT c.id, c.flags, c.attribution FROM charges c "
                "JOIN cost_attributions a ON a.digest = c.attribution "
                "WHERE c.period = :period AND c.withdrawn_by IS NULL AND a.project_id = :project "
                "AND c.service = :service AND c.currency = :currency AND c.status = 'clear' "
                "AND NOT EXISTS (SELECT 1 FROM charge_decisions d WHERE d.charge_id = c.id)"
            ),
            {"period": period, "project": project, "service": service, "currency": currency},
        )
        changes += [
            {
                "id": row.id,
                "attribution": bytes(row.attribution),
                "flags": flag_text({*map(Flag, row.flags.split()), Flag.ANOMALY}),
                "status": "flagged",
            }
            for row in rows
        ]
    set_standing(connection, changes)
    put_together(connection, period)
    return len(changes)


def of_investigator(engine: Engine, email: str, period: str | None) -> list[dict[str, Any]]:
    """What one investigator is charged, by period, project, fund, service and status."""
    return _grouped(engine, "a.pi_email = :person", {"person": email}, period)


def not_billed(engine: Engine) -> list[dict[str, Any]]:
    """What exceptions keep from being billed."""
    return _grouped(engine, "t.status = 'not_billed'", {}, None)


def _grouped(engine: Engine, where: str, values: dict[str, Any], period: str | None) -> list[dict[str, Any]]:
    names = ("t.period", "a.pi_email", "a.project_id", "a.fund_org", "t.service", "t.status", "t.currency")
    keys = ", ".join(names)
    bounded = f"{where} AND t.period = :period" if period else where
    with reading(engine) as connection:
        listed, amount = sum_of(connection, "t.listed"), sum_of(connection, "t.amount")
        found = connection.execute(
            sql(
                f"SELECT {keys}, sum(t.rows) AS charges, {listed} AS listed, {amount} AS amount "  # noqa: S608
                "FROM charge_totals t JOIN cost_attributions a ON a.digest = t.attribution "
                f"WHERE {bounded} GROUP BY {keys} HAVING sum(t.rows) <> 0 ORDER BY {keys}"
            ),
            values | ({"period": period} if period else {}),
        ).mappings()
        return [
            dict(row)
            | {
                "charges": int(row["charges"]),
                "listed": plain(Decimal(row["listed"])),
                "amount": plain(Decimal(row["amount"])),
            }
            for row in found
        ]

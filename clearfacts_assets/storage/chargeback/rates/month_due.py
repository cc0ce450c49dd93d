"""What is due of a month, for people who look at it: the rules' lines where rules were applied, else charges as billed.

Of everybody it is what the last run kept beside its lines, so that nobody waits for millions of them to be added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, bindparam, func, select, text

from clearfacts_assets.chargeback.rates.model import LineKind
from clearfacts_assets.chargeback.statements.effects import CARRIED_FORWARD, SHARED_COST
from clearfacts_assets.money import EXACT
from clearfacts_assets.storage.chargeback.rates.lines import last_run
from clearfacts_assets.storage.chargeback.rates.tables import LedgerRun
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.chargeback.totals import Totals
from clearfacts_assets.storage.decimal_sums import sum_of


@dataclass(frozen=True, slots=True)
class MonthDue:
    """Due in one currency. ``at`` is when rules last changed the lines; without rules charges as billed are due, and
    there is none. ``kinds`` is what each kind of line comes to."""

    amount: Decimal
    at: datetime | None
    kinds: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class OwnDue:
    """What is due of some people in one month, service, project, fund and currency."""

    currency: str
    service: str
    project: str
    fund: str
    amount: Decimal


def due_of_month(connection: Connection, period: str, charges: Mapping[str, Decimal]) -> dict[str, MonthDue]:
    """By currency. ``charges`` is what is due of charges as they were billed: it counts where rules were never applied
    to the month."""
    run = last_run(connection, period)
    if run is None:
        return {currency: MonthDue(amount, None, {}) for currency, amount in charges.items()}
    kept = {currency: sums for currency, sums in run["totals"].items() if currency != "findings"}
    found = {}
    for currency in sorted({*kept, *charges}):
        sums = kept.get(currency, {})
        kinds = {one.value: Decimal(sums[one]) for one in LineKind if one in sums}
        found[currency] = MonthDue(Decimal(sums.get("due", "0")), run["at"], kinds)
    return found


def due_of_people(connection: Connection, period: str, people: Sequence[str]) -> list[OwnDue] | None:
    """Of these investigators, under whatever of a person's addresses a line stands; None where rules were never applied
    to the month."""
    if last_run(connection, period) is None:
        return None
    service = f"COALESCE(c.service, CASE l.kind WHEN 'pool' THEN '{SHARED_COST}' ELSE '{CARRIED_FORWARD}' END)"
    query = (
        f"SELECT l.currency, {service} AS service, a.project_id, a.fund_org, "  # noqa: S608
        f"{sum_of(connection, 'l.amount')} AS amount FROM ledger_lines l "
        "JOIN cost_attributions a ON a.digest = l.attribution LEFT JOIN charges c ON c.id = l.charge_id "
        "WHERE l.period = :period AND l.withdrawn_run IS NULL AND l.attribution IN "
        "(SELECT digest FROM cost_attributions WHERE pi_email IN :people) "
        f"GROUP BY l.currency, {service}, a.project_id, a.fund_org"
    )
    rows = connection.execute(sql(query), {"period": period, "people": list(people)})
    return [OwnDue(row[0], row[1], row[2], row[3], Decimal(row[4])) for row in rows]


def billed_as_due(totals: Mapping[str, Totals]) -> dict[str, Decimal]:
    """What is due of charges as they were billed, by currency."""
    return {currency: one.due for currency, one in totals.items()}


def due_of_funds(connection: Connection) -> dict[tuple[str, str], Decimal]:
    """(fund, currency) -> all that was ever due from it: of months to which rules were applied what their last runs
    kept, of the others charges as they were billed."""
    last = select(func.max(LedgerRun.id)).group_by(LedgerRun.period)
    runs = connection.execute(select(LedgerRun.period, LedgerRun.totals).where(LedgerRun.id.in_(last))).all()
    found: dict[tuple[str, str], Decimal] = {}
    for _, totals in runs:
        for currency, sums in totals.items():
            for fund, amount in sums["by_fund"].items() if currency != "findings" else ():
                found[fund, currency] = EXACT.add(found.get((fund, currency), Decimal(0)), Decimal(amount))
    query = text(
        f"SELECT a.fund_org, t.currency, {sum_of(connection, 't.amount')} FROM charge_totals t "  # noqa: S608
        "JOIN cost_attributions a ON a.digest = t.attribution WHERE t.period NOT IN :ruled AND a.fund_org <> '' "
        "AND t.status IN ('clear', 'approved') GROUP BY a.fund_org, t.currency"
    ).bindparams(bindparam("ruled", expanding=True))
    for fund, currency, amount in connection.execute(query, {"ruled": [period for period, _ in runs] or [""]}):
        found[fund, currency] = EXACT.add(found.get((fund, currency), Decimal(0)), Decimal(amount))
    return found

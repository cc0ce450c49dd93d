"""Funds and what was spent from them: budget, due so far, what waits, what is left, and until when the award runs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine, select

from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.storage.chargeback.rates.month_due import due_of_funds
from clearfacts_assets.storage.chargeback.registry_tables import FundRow
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.decimal_sums import sum_of


@dataclass(frozen=True, slots=True)
class FundSpending:
    """One fund in one currency, over all months. Money in another currency than the budget's is not set against it."""

    fund_org: str
    currency: str
    budget: Decimal | None
    due: Decimal
    waiting: Decimal
    award_end: str

    @property
    def left(self) -> Decimal | None:
        return None if self.budget is None else EXACT.subtract(self.budget, self.due)

    def as_result(self) -> dict[str, Any]:
        """As JSON shows it: amounts as exact texts, None where there is no budget."""
        told = {name: getattr(self, name) for name in ("budget", "due", "waiting", "left")}
        amounts = {name: None if amount is None else plain(amount) for name, amount in told.items()}
        overspent = self.left is not None and self.left < 0
        named = {"fund_org": self.fund_org, "currency": self.currency, "award_end": self.award_end}
        return named | amounts | {"overspent": overspent}


def spending_of_funds(engine: Engine) -> list[FundSpending]:
    """Every fund that is registered or charged. Of a fund with several entries the last one's budget counts.

    What is due are ledger lines in the months to which rules were applied, and charges as billed in the others.
    """
    with reading(engine) as connection:
        query = select(FundRow.__table__).order_by(FundRow.valid_from)
        known = {row["fund_org"]: row for row in connection.execute(query).mappings()}
        due = due_of_funds(connection)
        found = connection.execute(
            sql(
                f"SELECT a.fund_org, t.currency, {sum_of(connection, 't.amount')} FROM charge_totals t "  # noqa: S608
                "JOIN cost_attributions a ON a.digest = t.attribution WHERE a.fund_org <> '' "
                "AND t.status = 'flagged' GROUP BY a.fund_org, t.currency HAVING sum(t.rows) <> 0"
            )
        ).all()
    waiting = {(row[0], row[1]): Decimal(row[2]) for row in found}
    nothing = Decimal(0)
    spent = {key: (due.get(key, nothing), waiting.get(key, nothing)) for key in {*due, *waiting}}
    for name, row in known.items():
        spent.setdefault((name, row["currency"]), (Decimal(0), Decimal(0)))
    result = []
    for (name, currency), (of_due, of_waiting) in sorted(spent.items()):
        registered = known.get(name)
        fits = registered is not None and registered["currency"] in ("", currency)
        budget = registered["budget"] if registered is not None and fits else None
        end = registered["award_end"] if registered is not None else ""
        result.append(FundSpending(name, currency, budget, of_due, of_waiting, end))
    return [one for one in result if one.currency or one.budget is not None or (one.fund_org, "") not in spent]

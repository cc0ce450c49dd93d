"""Which accruals are to be taken back, and on which day the month that they stood for is booked then."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from clearfacts_assets.chargeback.journals.calendar import first_day_after, last_day
from clearfacts_assets.chargeback.journals.lifecycle import BatchState
from clearfacts_assets.chargeback.journals.model import BatchKind
from clearfacts_assets.storage.chargeback.journals.batches import Asked
from clearfacts_assets.storage.chargeback.journals.tables import JournalBatch
from clearfacts_assets.storage.database import reading

_HAS_LEFT = (BatchState.EXPORTED.value, BatchState.POSTED.value)


def due_accruals(
    connection: Connection, today: date, *, currency: str | None = None, up_to: str | None = None
) -> list[dict[str, Any]]:
    """Accruals that the general ledger may have and whose month is over, oldest first. A draft never left: whether it
    is wanted, its author says."""
    table = JournalBatch.__table__
    query = select(table).where(table.c.kind == BatchKind.ACCRUAL.value, table.c.state.in_(_HAS_LEFT))
    if currency is not None:
        query = query.where(table.c.currency == currency)
    if up_to is not None:
        query = query.where(table.c.period <= up_to)
    rows = connection.execute(query.order_by(table.c.period, table.c.id)).mappings().all()
    return [dict(row) for row in rows if first_day_after(row["period"]) <= today]


def accruals_to_end(engine: Engine, today: date) -> list[dict[str, Any]]:
    """The same, for whoever only looks."""
    with reading(engine) as connection:
        return due_accruals(connection, today)


def dated_after_accrual(connection: Connection, period: str, currency: str, asked: Asked) -> Asked:
    """With the accounting date of a month whose accrual has been in the general ledger: that month has its costs by the
    accrual, so what it really came to is booked where the accrual was taken back, and no month has them twice."""
    reversal, accrual = JournalBatch.__table__, JournalBatch.__table__.alias()
    query = (
        select(func.max(reversal.c.accounting_date))
        .join(accrual, accrual.c.id == reversal.c.reverses)
        .where(
            accrual.c.kind == BatchKind.ACCRUAL.value,
            accrual.c.period == period,
            accrual.c.currency == currency,
            reversal.c.state.in_(_HAS_LEFT),
        )
    )
    taken_back: date | None = connection.execute(query).scalar_one()
    if asked.accounting_date is not None or taken_back is None or taken_back <= last_day(period):
        return asked
    return replace(asked, accounting_date=taken_back)

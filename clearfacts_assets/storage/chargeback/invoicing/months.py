"""Which months' statements may leave as invoices by themselves, and whether anything changed in one since."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Engine, case, func, select

from clearfacts_assets.chargeback.lifecycle import State
from clearfacts_assets.chargeback.statements.lifecycle import StatementState
from clearfacts_assets.storage.chargeback.issuing.tables import StatementRow
from clearfacts_assets.storage.chargeback.journals.statements import INVESTIGATOR
from clearfacts_assets.storage.chargeback.tables import Period
from clearfacts_assets.storage.database import reading


def finalized_statements(engine: Engine, since: str, month: str | None = None) -> Mapping[str, str]:
    """Finalized months from ``since`` on (or one month, whatever its state) in which investigators' statements were
    ever issued, oldest first, each with a text that is another one after any of them was issued, replaced or voided."""
    table, period = StatementRow.__table__.c, Period.__table__.c
    standing = func.sum(case((table.state == StatementState.ISSUED.value, 1), else_=0))
    query = (
        select(table.period, func.max(table.id), func.count(), standing)
        .where(table.kind == INVESTIGATOR, table.version > 0)
        .group_by(table.period)
        .order_by(table.period)
    )
    if month is not None:
        query = query.where(table.period == month)
    else:
        query = query.where(
            table.period >= since,
            table.period.in_(select(period.name).where(period.state == State.FINALIZED.value)),
        )
    with reading(engine) as connection:
        return {name: f"{last}-{count}-{int(stand)}" for name, last, count, stand in connection.execute(query)}

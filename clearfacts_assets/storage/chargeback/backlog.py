"""What waits in chargeback, for those who watch from outside: read from sums that are kept, never from charges."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.orm import InstrumentedAttribute

from clearfacts_assets.chargeback.lifecycle import State
from clearfacts_assets.chargeback.statements.lifecycle import StatementState
from clearfacts_assets.chargeback.statements.mail_lifecycle import MailState
from clearfacts_assets.money import EXACT
from clearfacts_assets.storage.chargeback.import_tables import CostImport
from clearfacts_assets.storage.chargeback.issuing.tables import MailRow, StatementRow
from clearfacts_assets.storage.chargeback.tables import Period
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.decimal_sums import sum_of


@dataclass(frozen=True, slots=True)
class Backlog:
    """Every state is there, with 0 where nothing stands. Money is of periods that are not finalized."""

    periods: dict[str, int]
    refused_rows: int  # of imports that stand
    waiting: int  # charges that a person has to look at
    unattributed: dict[str, Decimal]  # by currency: what nobody pays for
    statements: dict[str, int]
    mails: dict[str, int]
    oldest_mail: datetime | None  # of those that are neither sent nor settled


def backlog(engine: Engine) -> Backlog:
    """All of it in one read."""
    with reading(engine) as connection:
        refused = select(func.coalesce(func.sum(CostImport.refused), 0)).where(CostImport.withdrawn_at.is_(None))
        mails = select(func.min(MailRow.created_at)).where(
            MailRow.state.in_([MailState.READY, MailState.WAITING, MailState.SENDING, MailState.UNKNOWN])
        )
        return Backlog(
            periods=_by_state(connection, Period.state, State),
            refused_rows=int(connection.execute(refused).scalar_one()),
            waiting=_waiting(connection),
            unattributed=_unattributed(connection),
            statements=_by_state(connection, StatementRow.state, StatementState),
            mails=_by_state(connection, MailRow.state, MailState),
            oldest_mail=connection.execute(mails).scalar_one(),
        )


def _by_state(connection: Connection, column: InstrumentedAttribute[str], states: type[StrEnum]) -> dict[str, int]:
    query = select(column, func.count()).group_by(column)
    return {state.value: 0 for state in states} | dict(connection.execute(query).tuples().all())


_OPEN = "period IN (SELECT name FROM billing_periods WHERE state <> 'finalized')"


def _waiting(connection: Connection) -> int:
    query = f"SELECT COALESCE(sum(rows), 0) FROM charge_totals WHERE status = 'flagged' AND {_OPEN}"  # noqa: S608
    return int(connection.execute(text(query)).scalar_one())


def _unattributed(connection: Connection) -> dict[str, Decimal]:
    query = (
        f"SELECT t.currency, {sum_of(connection, 't.amount')} FROM charge_totals t JOIN cost_attributions a "  # noqa: S608
        f"ON a.digest = t.attribution WHERE a.pi_email = '' AND t.status <> 'rejected' AND t.{_OPEN} "
        "GROUP BY t.currency"
    )
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for currency, amount in connection.execute(text(query)):
        sums[currency] = EXACT.add(sums[currency], Decimal(amount))
    return dict(sums)

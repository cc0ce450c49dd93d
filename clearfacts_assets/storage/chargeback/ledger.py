"""What all that changes the ledger shares: one writer at a time, the periods' states, the totals that are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, insert, select

from clearfacts_assets.chargeback.lifecycle import State
from clearfacts_assets.chargeback.model import month_after
from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.storage.bulk import insert_many
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.chargeback.tables import Period
from clearfacts_assets.storage.decimal_sums import sum_of

_LOCK = 0xC4A_26EB  # PostgreSQL's advisory lock: one writer of the ledger
_GROUPED = (
    "period, source, currency, service, service_category, account, invoice_id, issuer, kind, attribution, status, flags"
)
_SUMMED = ("billed", "effective", "contracted", "list", "listed", "amount")
MOST_TOTALS = 3  # times as many rows as there are groups, before the totals of a period are put together anew


def only_writer(connection: Connection) -> None:
    """Wait for others that change the ledger, to the end of this transaction. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def state_of(connection: Connection, period: str) -> State | None:
    """The period's state; None for one that nobody has begun."""
    found = connection.execute(select(Period.state).where(Period.name == period)).scalar_one_or_none()
    return State(found) if found else None


def begin_period(connection: Connection, period: str, now: datetime) -> State:
    """The period's state; it is opened where it is new."""
    state = state_of(connection, period)
    if state is None:
        connection.execute(insert(Period).values(name=period, state=State.OPEN.value, created_at=now, changed_at=now))
        return State.OPEN
    return state


def next_open(connection: Connection, period: str, now: datetime) -> str:
    """The first period after this one that is open, begun where there is none."""
    following = month_after(period)
    while begin_period(connection, following, now) is not State.OPEN:
        following = month_after(following)
    return following


def count_in(connection: Connection, where: str, **values: object) -> None:
    """Add the charges that the condition finds to the totals."""
    _count(connection, 1, where, values)


def count_out(connection: Connection, where: str, **values: object) -> None:
    """Take the charges that the condition finds out of the totals, before they are withdrawn or stand elsewhere."""
    _count(connection, -1, where, values)


def _count(connection: Connection, sign: int, where: str, values: dict[str, object]) -> None:
    named = ", ".join(f'"{name}"' for name in _SUMMED)
    selected = f"SELECT {_GROUPED}, {sign} * count(*)"
    behind = f"FROM charges WHERE {where} GROUP BY {_GROUPED}"
    if connection.dialect.name == "postgresql":
        sums = ", ".join(f'{sign} * COALESCE(sum("{name}"), 0)' for name in _SUMMED)
        connection.execute(
            sql(f"INSERT INTO charge_totals ({_GROUPED}, rows, {named}) {selected}, {sums} {behind}"), values
        )
        return
    columns = (*_GROUPED.split(", "), "rows", *_SUMMED)
    rows = [
        (*row[:-1], *(_signed(one, sign) for one in row[-1].split()))
        for row in connection.execute(sql(f"{selected}, decimal_sums({named}) {behind}"), values)
    ]
    add_totals(connection, columns, rows)


def add_totals(connection: Connection, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Add sums of charges that somebody has counted already; ``columns`` are those of ``charge_totals``, amounts are
    plain texts."""
    insert_many(connection, "charge_totals", columns, rows)


def _signed(amount: str, sign: int) -> str:
    return amount if sign > 0 else plain(EXACT.minus(Decimal(amount)))


def put_together(connection: Connection, period: str) -> None:
    """The period's totals with one row a group, where too many have gathered."""
    rows, groups = connection.execute(
        sql(
            f"SELECT (SELECT count(*) FROM charge_totals WHERE period = :period), "  # noqa: S608
            f"(SELECT count(*) FROM (SELECT 1 FROM charge_totals WHERE period = :period GROUP BY {_GROUPED}) g)"
        ),
        {"period": period},
    ).one()
    if rows <= groups * MOST_TOTALS:
        return
    named = ", ".join(f'"{name}"' for name in _SUMMED)
    sums = ", ".join(f'{sum_of(connection, _quoted(name))} AS "{name}"' for name in _SUMMED)
    last = connection.execute(sql("SELECT max(id) FROM charge_totals")).scalar_one()
    connection.execute(
        sql(
            f"INSERT INTO charge_totals ({_GROUPED}, rows, {named}) "  # noqa: S608
            f"SELECT * FROM (SELECT {_GROUPED}, sum(rows) AS n, {sums} FROM charge_totals "
            f"WHERE period = :period GROUP BY {_GROUPED}) g WHERE n <> 0"
        ),
        {"period": period},
    )
    connection.execute(
        sql("DELETE FROM charge_totals WHERE period = :period AND id <= :last"), {"period": period, "last": last}
    )


def _quoted(name: str) -> str:
    return f'"{name}"'

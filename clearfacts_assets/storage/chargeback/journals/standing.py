"""What is booked and what is not, asked before a batch is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from clearfacts_assets.chargeback.journals.lifecycle import BatchNotAllowed, BatchState
from clearfacts_assets.chargeback.journals.model import BatchKind, Line, NothingToPost
from clearfacts_assets.storage.chargeback.journals.rows import line_of, number_of
from clearfacts_assets.storage.chargeback.journals.statements import StatementHead, heads
from clearfacts_assets.storage.chargeback.journals.tables import JournalBatch, JournalLine, JournalStatement

LIVE_STATES = ("draft", "exported", "posted")


def to_book(connection: Connection, period: str, currency: str | None) -> list[StatementHead]:
    """Issued statements of the month whose number no live batch books, in whatever version."""
    table = JournalStatement.__table__
    booked = set(
        connection.execute(
            select(table.c.number)
            .join(JournalBatch.__table__, JournalBatch.__table__.c.id == table.c.batch_id)
            .where(table.c.sign == 1, table.c.released_by.is_(None), JournalBatch.__table__.c.period == period)
        ).scalars()
    )
    return [one for one in heads(connection, period=period, currency=currency) if one.number not in booked]


def moved_since(
    connection: Connection, period: str, currency: str | None
) -> list[tuple[StatementHead, StatementHead | None]]:
    """Statements that a live batch books and that no longer stand, each with the version that stands now, if any."""
    table = JournalStatement.__table__
    query = (
        select(table.c.statement_id)
        .join(JournalBatch.__table__, JournalBatch.__table__.c.id == table.c.batch_id)
        .where(table.c.sign == 1, table.c.released_by.is_(None), JournalBatch.__table__.c.period == period)
    )
    booked = heads(connection, ids=connection.execute(query).scalars().all(), states=(), currency=currency)
    stand = {one.number: one for one in heads(connection, period=period, currency=currency)}
    proposed = {one.number for one in heads(connection, period=period, currency=currency, states=("proposed",))}
    return [(one, stand.get(one.number)) for one in booked if one.state != "issued" and one.number not in proposed]


def booked_lines(connection: Connection, numbers: Sequence[str], currency: str) -> list[Line]:
    """All that live batches say of these statements. Pairs keep together, under numbers of their own."""
    table, batch = JournalLine.__table__, JournalBatch.__table__
    query = (
        select(table)
        .join(batch, batch.c.id == table.c.batch_id)
        .where(
            table.c.statement.in_(list(numbers)),
            batch.c.currency == currency,
            batch.c.kind.in_([BatchKind.CHARGES.value, BatchKind.TRANSFER.value]),
            batch.c.state.in_(LIVE_STATES),
        )
        .order_by(table.c.batch_id, table.c.number)
    )
    found: list[Line] = []
    pairs: dict[tuple[int, int], int] = {}
    for row in connection.execute(query).mappings():
        pair = pairs.setdefault((row["batch_id"], row["pair"]), len(pairs) + 1)
        found.append(replace(line_of(row, currency), pair=pair))
    return found


def may_be_reversed(connection: Connection, row: dict[str, Any]) -> None:
    if row["kind"] == BatchKind.REVERSAL:
        raise BatchNotAllowed("{number} is itself a reversal: book the statements anew instead", number=row["number"])
    if row["state"] == BatchState.REVERSED:
        raise BatchNotAllowed("{number} is reversed already", number=row["number"])
    table = JournalStatement.__table__
    later = connection.execute(
        select(table.c.released_by).where(table.c.batch_id == row["id"], table.c.released_by.is_not(None)).limit(1)
    ).scalar_one_or_none()
    if later is not None:
        by = number_of(connection, later)
        raise BatchNotAllowed(
            "{by} has transferred statements of {number}: reverse {by} first", by=by, number=row["number"]
        )


def no_accrual_stands(connection: Connection, period: str, currency: str) -> None:
    table = JournalBatch.__table__
    number = connection.execute(
        select(table.c.number).where(
            table.c.period == period,
            table.c.currency == currency,
            table.c.kind == BatchKind.ACCRUAL.value,
            table.c.state != BatchState.REVERSED.value,
        )
    ).scalar_one_or_none()
    if number is not None:
        raise BatchNotAllowed(
            "the accrual {number} of {period} still stands, and would count twice: clearfacts "
            "chargeback journals reverse {number}",
            number=number,
            period=period,
        )


def books_something(connection: Connection, period: str, currency: str) -> bool:
    table = JournalBatch.__table__
    query = select(table.c.id).where(
        table.c.period == period,
        table.c.currency == currency,
        table.c.kind == BatchKind.CHARGES.value,
        table.c.state.in_(LIVE_STATES),
    )
    return connection.execute(query.limit(1)).first() is not None


def nothing_to_post(connection: Connection, period: str, currency: str | None) -> NothingToPost:
    """The error that says where the month's statements are."""
    issued = heads(connection, period=period, currency=currency)
    table = JournalBatch.__table__
    query = select(table.c.number).where(
        table.c.period == period,
        table.c.kind.in_([BatchKind.CHARGES.value, BatchKind.TRANSFER.value]),
        table.c.state.in_(LIVE_STATES),
    )
    batches = list(connection.execute(query.order_by(table.c.id)).scalars())
    if issued and batches:
        return NothingToPost(
            "the {issued} statements of {period} are in {journals} already, and are never exported twice. "
            "Write its file again: clearfacts chargeback journals export {newest}",
            issued=len(issued),
            period=period,
            journals=", ".join(batches),
            newest=batches[-1],
        )
    return NothingToPost("{period} has no issued statement: clearfacts chargeback generate -p {period}", period=period)

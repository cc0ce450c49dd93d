"""Batches as people look at them, and what the general ledger answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select

from clearfacts_assets.chargeback.journals.answers import POSTED, REFUSED, AnswerRow
from clearfacts_assets.chargeback.journals.lifecycle import BatchEvent, BatchState, after
from clearfacts_assets.chargeback.journals.model import Journal, NoSuchBatch, from_units
from clearfacts_assets.money import plain
from clearfacts_assets.storage.accounts.audit import Actor, named, record
from clearfacts_assets.storage.chargeback.idempotency import Wish, keep, kept
from clearfacts_assets.storage.chargeback.journals.rows import (
    batch_row,
    happened,
    journal_of_row,
    lines_of,
    move,
    number_of,
)
from clearfacts_assets.storage.chargeback.journals.tables import (
    JournalAnswer,
    JournalBatch,
    JournalEvent,
    JournalLine,
    JournalStatement,
)
from clearfacts_assets.storage.chargeback.ledger import only_writer
from clearfacts_assets.storage.database import reading


class JournalRepository:
    """Reads batches, and writes down what became of them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(
        self,
        period: str | None = None,
        *,
        currency: str | None = None,
        states: Sequence[str] = (),
        after: int = 0,
        limit: int = 1000,
        newest_first: bool = False,
    ) -> list[dict[str, Any]]:
        """In this order, from the one after the id; 0 is the beginning."""
        table = JournalBatch.__table__
        query = select(table).limit(limit).order_by(table.c.id.desc() if newest_first else table.c.id)
        if after:
            query = query.where(table.c.id < after if newest_first else table.c.id > after)
        if period is not None:
            query = query.where(table.c.period == period)
        if currency is not None:
            query = query.where(table.c.currency == currency)
        if states:
            query = query.where(table.c.state.in_(states))
        with reading(self._engine) as connection:
            return [shown(connection, dict(row)) for row in connection.execute(query).mappings().all()]

    def get(self, number: str) -> dict[str, Any]:
        """Raises NoSuchBatch."""
        with reading(self._engine) as connection:
            return shown(connection, batch_row(connection, number))

    def whole(self, number: str) -> dict[str, Any]:
        """With its lines, the statements that it books, what happened, what was answered. Raises NoSuchBatch."""
        with reading(self._engine) as connection:
            row = batch_row(connection, number)
            return shown(connection, row) | {
                "entries": [entry(one) for one in lines_of(connection, row["id"], row["currency"])],
                "statements": _statements(connection, row),
                "events": _told(connection, JournalEvent, row["id"]),
                "answers": _told(connection, JournalAnswer, row["id"]),
            }

    def by_fund(self, period: str, currency: str) -> Sequence[tuple[str, Decimal, Decimal]]:
        """(fund, debit, credit) of all that left or is to leave in the month, what was reversed with its reversal."""
        line, batch = JournalLine.__table__, JournalBatch.__table__
        units = func.sum(line.c.units)
        query = (
            select(line.c.fund_org, line.c.side, units)
            .join(batch, batch.c.id == line.c.batch_id)
            .where(batch.c.period == period, batch.c.currency == currency)
            .group_by(line.c.fund_org, line.c.side)
            .order_by(line.c.fund_org)
        )
        found: dict[str, dict[str, Decimal]] = {}
        with reading(self._engine) as connection:
            for fund, side, total in connection.execute(query):
                found.setdefault(fund, {})[side] = from_units(int(total), currency)
        nothing = from_units(0, currency)
        return [(fund, sides.get("D", nothing), sides.get("C", nothing)) for fund, sides in found.items()]

    def journal(self, number: str) -> Journal:
        """As it was made. Raises NoSuchBatch."""
        with reading(self._engine) as connection:
            return journal_of_row(connection, batch_row(connection, number))

    def answered(
        self,
        answers: Sequence[AnswerRow],
        *,
        actor: str | Actor,
        now: datetime,
        reason: str = "",
        wish: Wish | None = None,
    ) -> dict[str, Any]:
        """Keep what the general ledger said. A batch of which nothing is refused is posted; one with refused lines
        stays as it is. Raises NoSuchBatch, BatchNotAllowed; then nothing was written."""
        with self._engine.begin() as connection:
            only_writer(connection)
            before = kept(connection, wish)
            if before is not None:
                return before
            numbers = list(dict.fromkeys(one.number for one in answers))
            told = {
                number: _take(connection, number, [one for one in answers if one.number == number], actor, now, reason)
                for number in numbers
            }
            result = {
                "posted": [number for number, refused in told.items() if not refused],
                "refused": {number: refused for number, refused in told.items() if refused},
            }
            keep(connection, wish, result, now)
        return result


def _statements(connection: Connection, row: dict[str, Any]) -> list[dict[str, Any]]:
    table = JournalStatement.__table__
    query = select(table).where(table.c.batch_id == row["id"]).order_by(table.c.number, table.c.sign)
    return [
        {
            "number": one["number"],
            "version": one["version"],
            "amount": plain(from_units(one["units"] * one["sign"], row["currency"])),
            "released_by": number_of(connection, one["released_by"]),
        }
        for one in connection.execute(query).mappings().all()
    ]


def _take(
    connection: Connection, number: str, answers: Sequence[AnswerRow], actor: str | Actor, now: datetime, reason: str
) -> list[dict[str, Any]]:
    """The refused ones of a batch's answers."""
    row = batch_row(connection, number)
    strange = [one.line for one in answers if one.line is not None and not 1 <= one.line <= row["lines"]]
    if strange:
        raise NoSuchBatch(
            "{number} has no line {line}: it has {lines}", number=number, line=strange[0], lines=row["lines"]
        )
    refused = [{"line": one.line, "message": one.message} for one in answers if one.verdict == REFUSED]
    if BatchState(row["state"]) is BatchState.POSTED and not refused:
        return []  # told once more
    after(number, BatchState(row["state"]), BatchEvent.POSTED)
    rows = [
        {
            **{"batch_id": row["id"], "line": one.line, "verdict": one.verdict, "message": one.message},
            **{"actor": named(actor).name, "at": now},
        }
        for one in answers
        if one.verdict == REFUSED or one.line is None
    ]
    if rows:
        connection.execute(insert(JournalAnswer), rows)
    if refused:
        happened(connection, row["id"], "refused", actor, reason, now)
        record(
            connection,
            actor=named(actor),
            action="chargeback_journal.refused",
            resource_type="chargeback_journal",
            resource_id=number,
            now=now,
            after={"lines": len(refused)},
        )
        return refused
    reference = next((one.reference for one in answers if one.reference), "")
    move(connection, row, BatchEvent.POSTED, actor=actor, now=now, reason=reason, posted_reference=reference)
    return []


def posted_by_hand(number: str, reference: str) -> list[AnswerRow]:
    """The answer that a person gives for the general ledger: all of it was posted."""
    return [AnswerRow(number, None, POSTED, "", reference)]


def shown(connection: Connection, row: dict[str, Any]) -> dict[str, Any]:
    """One batch as JSON shows it."""
    told = {name: value for name, value in row.items() if name not in ("position", "reverses")}
    for name in ("debit", "credit"):
        told[name] = plain(from_units(row[name], row["currency"]))
    for name in ("journal_date", "accounting_date"):
        told[name] = row[name].isoformat()
    return told | {"reverses": number_of(connection, row["reverses"])}


def entry(line: Any) -> dict[str, Any]:
    """One line as JSON shows it."""
    names = ("number", "pair", "fund_org", "account", "description", "reference", "statement", "source", "pi_email")
    return {
        **{name: getattr(line, name) for name in names},
        "project_id": line.project_id,
        "instead_of": line.instead_of,
        "side": line.side.value,
        "amount": plain(line.amount),
        "segments": dict(line.segments),
    }


def _told(connection: Connection, table: Any, batch: int) -> list[dict[str, Any]]:
    query = select(table.__table__).where(table.batch_id == batch).order_by(table.id)
    rows = [dict(one) for one in connection.execute(query).mappings()]
    return [{name: value for name, value in row.items() if name not in ("id", "batch_id")} for row in rows]

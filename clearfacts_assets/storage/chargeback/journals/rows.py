"""Batches as rows: written as drafts, sent off along their states, read back as the journals that they were."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, Table, func, insert, select, text, update

from clearfacts_assets.chargeback.journals import lifecycle
from clearfacts_assets.chargeback.journals.lifecycle import BatchEvent, BatchState
from clearfacts_assets.chargeback.journals.model import (
    BatchKind,
    Header,
    Journal,
    Line,
    NoSuchBatch,
    Part,
    Side,
    from_units,
    in_units,
)
from clearfacts_assets.storage.accounts.audit import Actor, named, record
from clearfacts_assets.storage.chargeback.journals.statements import StatementHead, heads, parts_of
from clearfacts_assets.storage.chargeback.journals.tables import (
    JournalBatch,
    JournalEvent,
    JournalLine,
    JournalStatement,
)

_ROWS_AT_ONCE = 5000
_LINE = (
    *("batch_id", "number", "pair", "side", "units", "segments", "fund_org", "account", "description", "reference"),
    *("statement", "source", "pi_email", "project_id", "instead_of"),
)
# In SQL's own words: thousands of lines, whose texts came out of this database, need no look at each cell.
_INSERT_LINES = text(
    f"INSERT INTO journal_lines ({', '.join(_LINE)}) VALUES ({', '.join(f':{one}' for one in _LINE)})"  # noqa: S608
)
_LINE_TEXTS = _LINE[6:]
# Tables, not classes: a command that makes one journal need not set up every mapped class for it.
_BATCHES = cast(Table, JournalBatch.__table__)
_STATEMENTS, _EVENTS = cast(Table, JournalStatement.__table__), cast(Table, JournalEvent.__table__)


@dataclass(frozen=True, slots=True)
class Booked:
    """A statement that a batch books (sign 1) or takes out (-1)."""

    head: StatementHead
    sign: int = 1


def next_number(connection: Connection, period: str) -> str:
    """The period's next number. The caller is the only writer of the ledger, so that nobody else takes it."""
    query = select(func.max(_BATCHES.c.position)).where(_BATCHES.c.period == period)
    return f"J-{period}-{(connection.execute(query).scalar_one() or 0) + 1:04d}"


def add_draft(
    connection: Connection,
    journal: Journal,
    *,
    actor: str | Actor,
    now: datetime,
    reverses: int | None = None,
) -> int:
    """The batch with its lines, as a draft; its id."""
    head = journal.header
    values = {
        **{name: getattr(head, name) for name in ("number", "period", "currency", "journal_date", "accounting_date")},
        **{name: getattr(head, name) for name in ("fiscal_year", "fiscal_period", "description")},
        "position": int(head.number.rpartition("-")[2]),
        "kind": head.kind.value,
        "state": BatchState.DRAFT.value,
        "reverses": reverses,
        "lines": len(journal.lines),
        "debit": in_units(journal.debit, head.currency),
        "credit": in_units(journal.credit, head.currency),
        "suspended": dict(journal.suspended),
        "sha256": digest(journal),
        "created_by": named(actor).name,
        "created_at": now,
        **dict.fromkeys(("format", "file_name", "file_sha256", "posted_reference"), ""),
    }
    batch: int = connection.execute(insert(_BATCHES).values(values).returning(_BATCHES.c.id)).scalar_one()
    rows = _line_rows(batch, journal)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        connection.execute(_INSERT_LINES, rows[start : start + _ROWS_AT_ONCE])
    happened(connection, batch, "drafted", actor, "", now)
    return batch


def book(connection: Connection, batch: int, statements: Sequence[Booked]) -> None:
    """The batch books these. The database refuses a number that another live batch books."""
    booked = [
        {
            **{"batch_id": batch, "statement_id": one.head.id, "sign": one.sign, "number": one.head.number},
            **{"version": one.head.version, "units": in_units(one.head.due, one.head.currency), "released_by": None},
        }
        for one in statements
    ]
    for start in range(0, len(booked), _ROWS_AT_ONCE):
        connection.execute(insert(_STATEMENTS), booked[start : start + _ROWS_AT_ONCE])


def release(connection: Connection, batch: int, statements: Iterable[int]) -> None:
    """Since this batch, these statements (ids) are booked no more by those that did."""
    wanted, table = list(statements), _STATEMENTS
    if wanted:
        connection.execute(
            update(table)
            .where(table.c.statement_id.in_(wanted), table.c.sign == 1, table.c.released_by.is_(None))
            .values(released_by=batch)
        )


def take_back(connection: Connection, batch: int, reversed_: int) -> None:
    """What the reversed batch books is booked no more, since this batch; what it had taken out is booked again."""
    table = _STATEMENTS
    connection.execute(
        update(table).where(table.c.batch_id == reversed_, table.c.released_by.is_(None)).values(released_by=batch)
    )
    connection.execute(
        update(table).where(table.c.batch_id != reversed_, table.c.released_by == reversed_).values(released_by=None)
    )


def _line_rows(batch: int, journal: Journal) -> list[dict[str, Any]]:
    segments, currency = _Segments(), journal.header.currency
    return [
        {
            "batch_id": batch,
            "number": one.number,
            "pair": one.pair,
            "side": one.side.value,
            "units": in_units(one.amount, currency),
            "segments": segments.text(one.segments),
            "fund_org": one.fund_org,
            "account": one.account,
            "description": one.description,
            "reference": one.reference,
            "statement": one.statement,
            "source": one.source,
            "pi_email": one.pi_email,
            "project_id": one.project_id,
            "instead_of": one.instead_of,
        }
        for one in journal.lines
    ]


class _Segments:
    """Segments as JSON text. Lines of one place share theirs, so that few are written anew."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def text(self, segments: Mapping[str, str]) -> str:
        found = self._known.get(id(segments))
        if found is None:
            found = self._known[id(segments)] = json.dumps(dict(segments), sort_keys=True, ensure_ascii=True)
        return found


def digest(journal: Journal) -> str:
    """SHA-256 of what the batch says: its head, and each line in its order."""
    head, segments = journal.header, _Segments()
    said = (head.number, head.kind.value, head.period, head.currency, head.accounting_date.isoformat())
    found = hashlib.sha256(json.dumps(said).encode())
    for one in journal.lines:
        texts = (
            f"{one.number}|{one.pair}|{one.side.value}|{in_units(one.amount, head.currency)}",
            segments.text(one.segments),
            *(one.fund_org, one.account, one.description, one.reference, one.statement, one.source),
            *(one.pi_email, one.project_id, one.instead_of),
        )
        found.update("\x1f".join(texts).encode("utf-8", "surrogatepass") + b"\n")
    return found.hexdigest()


def move(
    connection: Connection,
    row: Any,
    event: BatchEvent,
    *,
    actor: str | Actor,
    now: datetime,
    reason: str = "",
    **written: str,
) -> BatchState:
    """Let the event happen to the batch, audited; ``written`` are columns that come with it. Raises BatchNotAllowed."""
    following = lifecycle.after(row["number"], BatchState(row["state"]), event)
    connection.execute(update(_BATCHES).where(_BATCHES.c.id == row["id"]).values(state=following.value, **written))
    happened(connection, row["id"], event.value, actor, reason, now)
    record(
        connection,
        actor=named(actor),
        action=f"chargeback_journal.{event.value}",
        resource_type="chargeback_journal",
        resource_id=row["number"],
        now=now,
        reason=reason or None,
        before={"state": row["state"]},
        after={"state": following.value, **written},
    )
    return following


def happened(
    connection: Connection, batch: int, event: str, actor: str | Actor, reason: str, now: datetime
) -> None:  # fmt: skip
    values = {"batch_id": batch, "event": event, "actor": named(actor).name, "reason": reason, "at": now}
    connection.execute(insert(_EVENTS).values(values))


def batch_row(connection: Connection, number: str) -> dict[str, Any]:
    """Raises NoSuchBatch."""
    table = JournalBatch.__table__
    row = connection.execute(select(table).where(table.c.number == number)).mappings().one_or_none()
    if row is None:
        raise NoSuchBatch("there is no journal {number}: clearfacts chargeback journals list", number=number)
    return dict(row)


def number_of(connection: Connection, batch: int | None) -> str:
    if batch is None:
        return ""
    return str(connection.execute(select(_BATCHES.c.number).where(_BATCHES.c.id == batch)).scalar_one())


def lines_of(connection: Connection, batch: int, currency: str) -> list[Line]:
    """In their order."""
    table = JournalLine.__table__
    query = select(table).where(table.c.batch_id == batch).order_by(table.c.number)
    return [line_of(row, currency) for row in connection.execute(query).mappings()]


def line_of(row: Any, currency: str) -> Line:
    return Line(
        number=row["number"],
        pair=row["pair"],
        side=Side(row["side"]),
        amount=from_units(row["units"], currency),
        segments=json.loads(row["segments"]),
        **{name: row[name] for name in _LINE_TEXTS},
    )


def journal_of_row(connection: Connection, row: dict[str, Any], *, with_parts: bool = True) -> Journal:
    """The journal as it was made."""
    head = Header(
        **{name: row[name] for name in ("number", "period", "currency", "journal_date", "accounting_date")},
        **{name: row[name] for name in ("fiscal_year", "fiscal_period", "description")},
        kind=BatchKind(row["kind"]),
        reverses=number_of(connection, row["reverses"]),
    )
    parts = booked_parts(connection, row) if with_parts else []
    return Journal(head, lines_of(connection, row["id"], row["currency"]), parts, dict(row["suspended"]))


def booked_parts(connection: Connection, row: dict[str, Any]) -> list[Part]:
    """The parts of statements behind a batch; those of a reversal are the negatives of what it reverses."""
    batch, sign = row["id"], 1
    if row["kind"] == BatchKind.REVERSAL and row["reverses"] is not None:
        batch, sign = row["reverses"], -1
    table = JournalStatement.__table__
    rows = connection.execute(select(table.c.statement_id, table.c.sign).where(table.c.batch_id == batch)).all()
    found: list[Part] = []
    for each in (1, -1):
        ids = [one.statement_id for one in rows if one.sign == each]
        found += [part.times(sign * each) for part in parts_of(connection, heads(connection, ids=ids, states=()))]
    return found

"""Rows of mails: how one is wanted, moved by its table of states, and read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.chargeback.statements import mail_lifecycle
from clearfacts_assets.chargeback.statements.mail_lifecycle import MailEvent, MailState
from clearfacts_assets.chargeback.statements.mailing import MailedStatement
from clearfacts_assets.chargeback.statements.model import StatementKind, Subject
from clearfacts_assets.storage.chargeback.issuing.tables import (
    InvestigatorDelegate,
    MailAttempt,
    MailRow,
    MailStatement,
    StatementRow,
)
from clearfacts_assets.storage.chargeback.registry_tables import InvestigatorRow

Valid = Callable[[str], str]  # why nothing can be sent to an address; empty where it can
SubjectOf = Callable[[str, Sequence[MailedStatement]], str]  # of a mail with these statements of a period


class NoSuchMail(ChargebackError):
    """There is no mail with this id."""


@dataclass(frozen=True, slots=True)
class MailOptions:
    """How mails are made of statements, as the settings say."""

    domain: str  # of message ids
    valid: Valid
    subject_of: SubjectOf
    copies: tuple[str, ...] = ()
    send_zero: bool = False
    test: bool = False  # test mode: mails of their own, that count for nothing


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail with what it brings; ``statements`` have no PDFs yet."""

    id: int
    period: str
    recipient: str
    name: str
    copies: tuple[str, ...]
    subject: str
    message_id: str
    test: bool
    state: MailState
    attempts: int
    created_at: datetime
    statement_ids: tuple[int, ...]


def unsent(connection: Connection, period: str, options: MailOptions) -> dict[str, list[dict[str, Any]]]:
    """Statements that stand and were never in a mail, by investigator."""
    brought = (
        select(MailStatement.statement_id)
        .join(MailRow, MailRow.id == MailStatement.mail_id)
        .where(MailRow.test == options.test)
    )
    table = StatementRow.__table__
    query = (
        select(table)
        .where(
            table.c.period == period,
            table.c.kind == "investigator",
            table.c.state.in_(("proposed", "issued")),
            table.c.id.not_in(brought),
        )
        .order_by(table.c.subject, table.c.number)
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in connection.execute(query).mappings().all():
        # What became nothing by a correction is told all the same: an earlier version said something else.
        if row["due"] or options.send_zero or row["replaces"] is not None:
            found.setdefault(row["subject"], []).append(dict(row))
    return found


def enqueue(
    connection: Connection,
    email: str,
    statements: Sequence[dict[str, Any]],
    period: str,
    options: MailOptions,
    actor: str,
    now: datetime,
) -> int:
    """One mail with these statements, to the investigator and whoever gets copies. Returns its id."""
    ids = [one["id"] for one in statements]
    name = connection.execute(select(InvestigatorRow.name).where(InvestigatorRow.email == email)).scalar_one_or_none()
    delegates = connection.execute(
        select(InvestigatorDelegate.delegate)
        .where(InvestigatorDelegate.email == email)
        .order_by(InvestigatorDelegate.delegate)
    ).scalars()
    copies = [one for one in dict.fromkeys([*delegates, *options.copies]) if one != email and not options.valid(one)]
    said = f"{'test' if options.test else 'statements'} {' '.join(map(str, sorted(ids)))}"
    wish = hashlib.sha256(f"{said} {now.isoformat() if options.test else ''}".encode()).hexdigest()
    values = {
        "wish": wish,
        "period": period,
        "recipient": email,
        "name": name or "",
        "copies": copies,
        "subject": options.subject_of(period, [mailed(one) for one in statements]),
        "test": options.test,
        "repeats": None,
    }
    return insert_mail(connection, values, ids, options, actor, now)


def insert_mail(
    connection: Connection,
    values: Mapping[str, Any],
    statements: Sequence[int],
    options: MailOptions,
    actor: str,
    now: datetime,
) -> int:
    problem = options.valid(values["recipient"])
    event = MailEvent.WITHHELD if problem else MailEvent.WANTED
    row = {
        "message_id": f"<{hashlib.sha256(values['wish'].encode()).hexdigest()[:40]}@{options.domain}>",
        **values,
        "state": mail_lifecycle.after(0, None, event).value,
        "reason": problem or "",
        "attempts": 0,
        "created_at": now,
        "changed_at": now,
        "bytes_sha256": "",
    }
    id_: int = connection.execute(insert(MailRow).values(row).returning(MailRow.id)).scalar_one()
    connection.execute(insert(MailStatement), [{"mail_id": id_, "statement_id": one} for one in statements])
    _attempt(connection, id_, event, now, problem or "", None, actor)
    return id_


def happen(
    connection: Connection,
    id_: int,
    event: MailEvent,
    now: datetime,
    answer: str,
    *,
    code: int | None = None,
    actor: str = "clearfacts",
    **more: Any,
) -> MailState:
    row = mail_row(connection, id_)
    following = mail_lifecycle.after(id_, MailState(row["state"]), event)
    values = {"state": following.value, "reason": answer, "changed_at": now, **more}
    connection.execute(update(MailRow).where(MailRow.id == id_).values(values))
    _attempt(connection, id_, event, now, answer, code, actor)
    return following


def _attempt(
    connection: Connection, id_: int, event: MailEvent, now: datetime, answer: str, code: int | None, actor: str
) -> None:
    values = {"mail_id": id_, "event": event.value, "code": code, "answer": answer, "actor": actor, "at": now}
    connection.execute(insert(MailAttempt).values(values))


def mail_row(connection: Connection, id_: int) -> dict[str, Any]:
    row = connection.execute(select(MailRow.__table__).where(MailRow.id == id_)).mappings().one_or_none()
    if row is None:
        raise NoSuchMail("there is no mail {number}: clearfacts chargeback emails list", number=id_)
    return dict(row)


def statements_of(connection: Connection, id_: int) -> Sequence[int]:
    query = select(MailStatement.statement_id).where(MailStatement.mail_id == id_)
    return list(connection.execute(query.order_by(MailStatement.statement_id)).scalars())


def mail_of(connection: Connection, id_: int) -> Mail:
    row = mail_row(connection, id_)
    names = ("id", "period", "recipient", "name", "subject", "message_id", "test", "attempts", "created_at")
    return Mail(
        **{name: row[name] for name in names},
        copies=tuple(row["copies"]),
        state=MailState(row["state"]),
        statement_ids=tuple(statements_of(connection, id_)),
    )


def mailed(row: Mapping[str, Any]) -> MailedStatement:
    subject = Subject(
        StatementKind(row["kind"]), row["period"], row["subject"], row["project"], row["fund"], row["currency"]
    )
    return MailedStatement(
        row["number"],
        row["version"],
        subject,
        row["listed"],
        row["due"],
        row["dispute_by"],
        row["state"],
        row["file_name"],
        row["replaces"] is not None,
        bytes(row["pdf"]) if "pdf" in row else b"",
    )

"""What an investigator objects to on a statement, and what was answered: both stay on record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, insert, select

from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.chargeback.statements.model import NoSuchStatement
from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.chargeback.idempotency import Wish, keep, kept
from clearfacts_assets.storage.chargeback.issuing.repository import shown_to
from clearfacts_assets.storage.chargeback.issuing.tables import StatementCharge, StatementRemark, StatementRow
from clearfacts_assets.storage.chargeback.ledger import only_writer
from clearfacts_assets.storage.database import reading

VERDICTS = ("agreed", "declined")
MOST_CHARACTERS = 5000  # of a remark


class CannotRemark(ChargebackError):
    """This cannot be objected to, or answered."""


class NoSuchRemark(CannotRemark):
    """There is no objection with this id."""


class Remarks:
    """Objections and answers. A statement changes by another version, never by an answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def object(
        self,
        number: str,
        text: str,
        *,
        line: int | None,
        actor: str,
        now: datetime,
        owners: Sequence[str] | None = None,
        wish: Wish | None = None,
    ) -> int:
        """Keep what somebody objects to, of one line or of all; with ``owners``, others' statements are as if they were
        not there. The same wish a second time adds nothing. Raises NoSuchStatement, CannotRemark."""
        said = _said(text)
        with self._engine.begin() as connection:
            only_writer(connection)
            if (before := kept(connection, wish)) is not None:
                return int(before["id"])
            query = (
                select(StatementRow.id, StatementRow.state)
                .where(StatementRow.number == number, StatementRow.state.in_(("proposed", "issued")))
                .order_by(StatementRow.id.desc())
                .limit(1)
            )
            if owners is not None:
                query = query.where(shown_to(owners))
            row = connection.execute(query).one_or_none()
            if row is None:
                raise NoSuchStatement("there is no statement {number} that stands", number=number)
            if (
                line is not None
                and not connection.execute(
                    select(StatementCharge.id)
                    .where(StatementCharge.statement_id == row.id, StatementCharge.line == line)
                    .limit(1)
                ).first()
            ):
                raise CannotRemark("{number} has no line {line}", number=number, line=line)
            values = {"statement_id": row.id, "line": line, "answers": None, "verdict": "", "text": said}
            id_: int = connection.execute(
                insert(StatementRemark).values(**values, actor=actor, at=now).returning(StatementRemark.id)
            ).scalar_one()
            _audit(connection, "objected", number, actor, now, {"remark": id_, "line": line})
            keep(connection, wish, {"id": id_}, now)
        return id_

    def answer(self, remark: int, text: str, verdict: str, *, actor: str, now: datetime) -> int:
        """Answer a remark once: agreed (the ledger is then to be mended, and generate issues another version) or
        declined. Raises CannotRemark."""
        if verdict not in VERDICTS:
            raise CannotRemark("an answer is {verdicts}", verdicts=" or ".join(VERDICTS))
        said = _said(text)
        with self._engine.begin() as connection:
            only_writer(connection)
            row = connection.execute(
                select(StatementRemark.statement_id, StatementRemark.line, StatementRemark.answers, StatementRow.number)
                .join(StatementRow, StatementRow.id == StatementRemark.statement_id)
                .where(StatementRemark.id == remark)
            ).one_or_none()
            if row is None or row.answers is not None:
                raise NoSuchRemark("there is no objection {remark}: clearfacts chargeback disputes list", remark=remark)
            if connection.execute(select(StatementRemark.id).where(StatementRemark.answers == remark)).first():
                raise CannotRemark("objection {remark} was answered already", remark=remark)
            values = {"statement_id": row.statement_id, "line": row.line, "answers": remark, "verdict": verdict}
            id_: int = connection.execute(
                insert(StatementRemark).values(**values, text=said, actor=actor, at=now).returning(StatementRemark.id)
            ).scalar_one()
            _audit(connection, "answered", row.number, actor, now, {"remark": remark, "verdict": verdict})
        return id_

    def list(
        self,
        *,
        period: str | None = None,
        subject: str | None = None,
        unanswered: bool = False,
        owners: Sequence[str] | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> Sequence[dict[str, Any]]:
        """Objections, oldest first, from the one after the id, each with its answer where there is one."""
        answer = StatementRemark.__table__.alias("answer")
        remark, statement = StatementRemark.__table__, StatementRow.__table__
        query = (
            select(
                *(remark.c[name] for name in ("id", "line", "text", "actor", "at")),
                statement.c.number,
                statement.c.version,
                statement.c.period,
                statement.c.subject,
                answer.c.verdict,
                answer.c.text.label("answer"),
                answer.c.actor.label("answered_by"),
                answer.c.at.label("answered_at"),
            )
            .join(statement, statement.c.id == remark.c.statement_id)
            .outerjoin(answer, answer.c.answers == remark.c.id)
            .where(remark.c.answers.is_(None), remark.c.id > after)
            .order_by(remark.c.id)
            .limit(limit)
        )
        if owners is not None:
            query = query.where(shown_to(owners))
        if period:
            query = query.where(statement.c.period == period)
        if subject:
            query = query.where(statement.c.subject == subject)
        if unanswered:
            query = query.where(answer.c.id.is_(None))
        with reading(self._engine) as connection:
            return [dict(row) for row in connection.execute(query).mappings()]


def _said(text: str) -> str:
    said = text.strip()
    if not said or len(said) > MOST_CHARACTERS:
        raise CannotRemark("a remark has 1 to {most} characters", most=MOST_CHARACTERS)
    return said


def _audit(connection: Any, what: str, number: str, actor: str, now: datetime, after: dict[str, Any]) -> None:
    record(
        connection,
        actor=Actor(actor),
        action=f"chargeback_statement.{what}",
        resource_type="chargeback_statement",
        resource_id=number,
        now=now,
        after=after,
    )

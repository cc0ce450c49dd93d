"""Statements as people look at them and decide about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, select

from clearfacts_assets.chargeback.statements.lifecycle import SHOWN, StatementEvent
from clearfacts_assets.chargeback.statements.making import again, unpacked
from clearfacts_assets.chargeback.statements.model import NoSuchStatement
from clearfacts_assets.chargeback.statements.typesetting import TypstRenderer
from clearfacts_assets.money import EXACT, exact_sum, plain
from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.chargeback.issuing import due_charges
from clearfacts_assets.storage.chargeback.issuing.statement_rows import move
from clearfacts_assets.storage.chargeback.issuing.tables import (
    StatementCharge,
    StatementEventRow,
    StatementFile,
    StatementRemark,
    StatementRow,
)
from clearfacts_assets.storage.chargeback.ledger import only_writer
from clearfacts_assets.storage.database import reading

AMOUNTS = ("listed", "discount", "subsidy", "credit", "due", "exact")


@dataclass(frozen=True, slots=True)
class StatementFilter:
    """Which statements; None is all of them. An investigator's own ones are those with ``subject``, never a draft."""

    period: str | None = None
    kind: str | None = None
    subject: str | None = None
    project: str | None = None
    states: tuple[str, ...] = ()
    number: str | None = None
    owners: tuple[str, ...] | None = None  # whatever else is asked for, only what these investigators were shown


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A statement's bytes, made anew. ``problem`` is empty where they are the same."""

    number: str
    version: int
    pdf_sha256: str
    found: str
    problem: str


@dataclass(frozen=True, slots=True)
class TieOut:
    """What statements say against what the ledger says, in one currency. ``rounding`` is their difference, by name."""

    currency: str
    statements: int
    printed: Decimal
    exact: Decimal
    ledger: Decimal

    @property
    def rounding(self) -> Decimal:
        return EXACT.subtract(self.printed, self.exact)

    @property
    def balanced(self) -> bool:
        """Every exact amount of the ledger is on a statement, and no other is."""
        return self.exact == self.ledger

    def as_result(self) -> dict[str, Any]:
        names = ("printed", "exact", "ledger", "rounding")
        told = {name: plain(getattr(self, name)) for name in names}
        return {"currency": self.currency, "statements": self.statements, **told, "balanced": self.balanced}


class StatementRepository:
    """Reads statements, and lets people decide about them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(self, which: StatementFilter, *, after: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """Oldest first, from the one after the id."""
        table = StatementRow.__table__
        query = select(table).where(table.c.id > after).order_by(table.c.id).limit(limit)
        for name in ("period", "kind", "subject", "project", "number"):
            value = getattr(which, name)
            if value is not None:
                query = query.where(table.c[name] == value)
        if which.states:
            query = query.where(table.c.state.in_(which.states))
        if which.owners is not None:
            query = query.where(shown_to(which.owners))
        with reading(self._engine) as connection:
            return [shown(row) for row in connection.execute(query).mappings()]

    def get(self, number: str, version: int | None = None) -> dict[str, Any]:
        """The version that stands, or the newest, or the one that is asked for. Raises NoSuchStatement."""
        with reading(self._engine) as connection:
            return shown(_row(connection, number, version))

    def whole(self, number: str, version: int | None = None) -> dict[str, Any]:
        """With its lines as they were printed, what happened, what was objected."""
        with reading(self._engine) as connection:
            row = _row(connection, number, version)
            packed = connection.execute(
                select(StatementFile.inputs).where(StatementFile.statement_id == row["id"])
            ).scalar_one()
            kept = unpacked(packed)

            def told(table: Any) -> Sequence[dict[str, Any]]:
                query = select(table.__table__).where(table.statement_id == row["id"]).order_by(table.id)
                return [dict(one) for one in connection.execute(query).mappings()]

            return {
                **shown(row),
                "data": kept["data"],
                "lines": kept["lines"],
                "by_line": kept["by_line"],
                "events": told(StatementEventRow),
                "remarks": told(StatementRemark),
            }

    def pdf(self, number: str, version: int | None = None) -> tuple[str, bytes]:
        """File name and bytes, as they were issued. Raises NoSuchStatement."""
        with reading(self._engine) as connection:
            row = _row(connection, number, version)
            query = select(StatementFile.pdf).where(StatementFile.statement_id == row["id"])
            return row["file_name"], bytes(connection.execute(query).scalar_one())

    def difference(
        self, number: str, old: int | None = None, new: int | None = None
    ) -> Sequence[tuple[str, str, str, str]]:
        """(fund and service, before, now, difference) of two versions: the last two, where none is named."""
        later = self.whole(number, new)
        earlier = self.whole(number, old if old is not None else later["version"] - 1)
        rows = []
        for name in sorted({*earlier["by_line"], *later["by_line"]}):
            was, now = (Decimal(one["by_line"].get(name, "0")) for one in (earlier, later))
            if was != now:
                rows.append((name, plain(was), plain(now), plain(EXACT.subtract(now, was))))
        was, now = Decimal(earlier["due"]), Decimal(later["due"])
        return [*rows, ("in all", plain(was), plain(now), plain(EXACT.subtract(now, was)))]

    def void(self, number: str, *, actor: str, reason: str, now: datetime) -> dict[str, Any]:
        """It counts no more, and its charges are free for another one. Raises StatementNotAllowed, NoSuchStatement."""
        return self._decide(number, StatementEvent.VOIDED, actor, reason, now)

    def accept(self, number: str, *, actor: str, now: datetime) -> dict[str, Any]:
        """A proposed one is issued before its days are over."""
        return self._decide(number, StatementEvent.ACCEPTED, actor, "", now)

    def accept_silent(self, *, now: datetime, actor: str) -> Sequence[str]:
        """Issue what was proposed, and not objected to in the days that there were."""
        answered = select(StatementRemark.answers).where(StatementRemark.answers.is_not(None))
        open_remark = select(StatementRemark.statement_id).where(
            StatementRemark.answers.is_(None), StatementRemark.id.not_in(answered)
        )
        query = (
            select(StatementRow.id, StatementRow.number)
            .where(
                StatementRow.state == "proposed",
                StatementRow.dispute_by < now.date().isoformat(),
                StatementRow.id.not_in(open_remark),
            )
            .order_by(StatementRow.id)
        )
        with self._engine.begin() as connection:
            only_writer(connection)
            due_now = connection.execute(query).all()
            for row in due_now:
                move(connection, row.id, StatementEvent.ACCEPTED, actor, "nobody objected", now)
                _audit(connection, StatementEvent.ACCEPTED, row.number, actor, "nobody objected", now)
        return [row.number for row in due_now]

    def _decide(self, number: str, event: StatementEvent, actor: str, reason: str, now: datetime) -> dict[str, Any]:
        with self._engine.begin() as connection:
            only_writer(connection)
            row = _row(connection, number, None)
            following = move(connection, row["id"], event, actor, reason, now)
            states = {"before": {"state": row["state"]}, "after": {"state": following.value}}
            _audit(connection, event, number, actor, reason, now, **states)
        return self.get(number, row["version"])

    def recompute(self, number: str, renderer: TypstRenderer, version: int | None = None) -> Recomputed:
        """Set it anew from what was kept, and compare its bytes."""
        with reading(self._engine) as connection:
            row = _row(connection, number, version)
            packed = connection.execute(
                select(StatementFile.inputs).where(StatementFile.statement_id == row["id"])
            ).scalar_one()
        found = again(renderer, packed).sha256
        problem = ""
        if found != row["pdf_sha256"]:
            then, now = row["rules"].get("templates"), renderer.digest
            problem = "other templates or fonts than then" if then != now else "the bytes differ"
        return Recomputed(row["number"], row["version"], row["pdf_sha256"], found, problem)

    def standing(self, period: str) -> Mapping[str, Sequence[tuple[Decimal, Decimal]]]:
        """Investigators' statements that stand, by currency: what each prints, and the exact amount behind it."""
        columns = (StatementRow.currency, StatementRow.due, StatementRow.exact)
        query = select(*columns).where(
            StatementRow.period == period,
            StatementRow.kind == "investigator",
            StatementRow.state.in_([one.value for one in SHOWN]),
        )
        found: dict[str, list[tuple[Decimal, Decimal]]] = {}
        with reading(self._engine) as connection:
            for currency, printed, exact in connection.execute(query):
                found.setdefault(currency, []).append((printed, exact))
        return found

    def tie_out(self, period: str) -> Sequence[TieOut]:
        """Investigators' statements that stand against what is due in the ledger."""
        statements = self.standing(period)
        with reading(self._engine) as connection:
            ledger: dict[str, list[Decimal]] = {}
            for _, _, currency, month, _, amount in due_charges.history(connection, period, [period]):
                if month == period:
                    ledger.setdefault(currency, []).append(amount)
        return [
            TieOut(
                currency,
                len(said),
                exact_sum(printed for printed, _ in said),
                exact_sum(exact for _, exact in said),
                exact_sum(ledger.get(currency, ())),
            )
            for currency in sorted({*ledger, *statements})
            for said in [statements.get(currency, ())]
        ]

    def charges(self, number: str, version: int | None = None) -> Sequence[dict[str, Any]]:
        """Which charges are on it, on which line, with which cents."""
        with reading(self._engine) as connection:
            row = _row(connection, number, version)
            query = select(StatementCharge.__table__).where(StatementCharge.statement_id == row["id"])
            return [dict(one) for one in connection.execute(query.order_by(StatementCharge.id)).mappings()]


def _audit(
    connection: Connection, event: StatementEvent, number: str, actor: str, reason: str, now: datetime, **states: Any
) -> None:
    record(
        connection,
        actor=Actor(actor),
        action=f"chargeback_statement.{event.value}",
        resource_type="chargeback_statement",
        resource_id=number,
        now=now,
        reason=reason or None,
        **states,
    )


def shown_to(owners: Sequence[str]) -> ColumnElement[bool]:
    """What these investigators were shown: their own statements, and never a draft, which has the version 0."""
    table = StatementRow.__table__.c
    return and_(table.subject.in_(owners), table.kind.in_(("investigator", "year")), table.version > 0)


def _row(connection: Connection, number: str, version: int | None) -> dict[str, Any]:
    table = StatementRow.__table__
    query = select(table).where(table.c.number == number)
    if version is not None:
        query = query.where(table.c.version == version)
    rows = [dict(row) for row in connection.execute(query.order_by(table.c.version, table.c.id)).mappings()]
    if not rows:
        which = f"{number}, version {version}" if version is not None else number
        raise NoSuchStatement("there is no statement {which}: clearfacts chargeback statements list", which=which)
    standing = [row for row in rows if row["state"] in ("proposed", "issued")]
    return (standing or rows)[-1]


def shown(row: Any) -> dict[str, Any]:
    """One statement as JSON shows it."""
    told = dict(row)
    for name in AMOUNTS:
        told[name] = plain(told[name])
    del told["subject_key"]
    return told

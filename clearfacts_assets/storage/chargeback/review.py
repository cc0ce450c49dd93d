"""Decisions about charges: each one a row that stays, in the transaction that moves the charge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from clearfacts_assets.chargeback.attribution.review import (
    CannotDecide,
    ReviewDecision,
    SeenOtherwise,
    Verdict,
    decided,
)
from clearfacts_assets.chargeback.ingest.payers import attribution_digest
from clearfacts_assets.chargeback.lifecycle import Action, State, require
from clearfacts_assets.chargeback.model import ATTRIBUTION_FIELDS, Attribution, Status
from clearfacts_assets.messages import Message
from clearfacts_assets.storage.accounts.audit import Actor, named, record
from clearfacts_assets.storage.chargeback.charges import ChargeFilter, NoSuchCharge
from clearfacts_assets.storage.chargeback.idempotency import Wish, keep, kept
from clearfacts_assets.storage.chargeback.ledger import count_in, count_out, only_writer, put_together, state_of
from clearfacts_assets.storage.chargeback.registry import load_registry
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.chargeback.tables import AttributionSet, Charge, ChargeDecision
from clearfacts_assets.storage.database import insert_into

_PIECE = 500  # charges decided about in one statement


class ReviewRepository:
    """Decides. What is decided about a finalized period is refused, by this and by the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def decide(
        self,
        which: ChargeFilter,
        decision: ReviewDecision,
        *,
        actor: str | Actor,
        now: datetime,
        wish: Wish | None = None,
    ) -> list[int]:
        """The same about all charges that the filter finds: those named by id must be there and allow it, of others
        those that allow it are taken. Where a charge is not as it was seen any more, nothing is decided. The same wish
        a second time decides nothing and gets the same answer. Returns the ids of what was decided.

        Raises NoSuchCharge, CannotDecide (SeenOtherwise), NotAllowed, WishReused.
        """
        with self._engine.begin() as connection:
            only_writer(connection)
            if (before := kept(connection, wish)) is not None:
                return list(before["charges"])
            verdict, seen = decision.verdict, decision.seen
            rows = self._chosen(connection, which, verdict)
            for period in {row.period for row in rows}:
                require(period, state_of(connection, period) or State.OPEN, Action.REVIEW)
            for row in rows:
                if seen.get(row.id, row.status) != row.status:
                    raise SeenOtherwise(
                        "charge {number} was {seen} when you looked, and is {status} now",
                        number=row.id,
                        seen=Message(seen[row.id]),
                        status=Message(row.status),
                    )
            decisions = [d for row in rows if (d := self._decision(connection, row, decision, named=bool(which.ids)))]
            for start in range(0, len(decisions), _PIECE):
                _move(connection, decisions[start : start + _PIECE], decision.note, named(actor).name, now, verdict)
            for period in {row.period for row in rows}:
                put_together(connection, period)
            ids = [one["charge_id"] for one in decisions]
            if ids:
                _audit(connection, verdict, ids, decision.note, actor, now)
            keep(connection, wish, {"charges": ids}, now)
        return ids

    def _chosen(self, connection: Connection, which: ChargeFilter, verdict: Verdict) -> list[Any]:
        wanted = ("id", "period", "status", "flags", "attribution")
        query = (
            select(*(Charge.__table__.c[name] for name in wanted))
            .join(AttributionSet, AttributionSet.digest == Charge.attribution)
            .where(*which.conditions())
            .order_by(Charge.id)
        )
        if not which.ids and not which.status and verdict is Verdict.APPROVE:
            query = query.where(Charge.status == Status.FLAGGED.value)
        rows = list(connection.execute(query).all())
        missing = set(which.ids) - {row.id for row in rows}
        if missing:
            raise NoSuchCharge(
                "there is no charge {charges} (or it was withdrawn)", charges=", ".join(map(str, sorted(missing)))
            )
        return rows

    def _decision(
        self, connection: Connection, row: Any, decision: ReviewDecision, *, named: bool
    ) -> dict[str, Any] | None:
        verdict, attribution = decision.verdict, bytes(row.attribution)
        try:
            if verdict is Verdict.UNDO:
                status, attribution = _before_the_last(connection, row.id)
            else:
                status = decided(row.id, Status(row.status), verdict)
        except CannotDecide:
            if named:
                raise
            return None
        if verdict is Verdict.CORRECT:
            attribution = _corrected(connection, attribution, decision.fields)
        return {
            "charge_id": row.id,
            "flags": row.flags,
            "before": row.status,
            "status": status.value,
            "attribution_before": bytes(row.attribution),
            "attribution": attribution,
        }


def _before_the_last(connection: Connection, charge: int) -> tuple[Status, bytes]:
    """Where the last decision that was not undone began."""
    query = select(ChargeDecision.__table__).where(ChargeDecision.charge_id == charge).order_by(ChargeDecision.id)
    standing: list[Any] = []
    for one in connection.execute(query).all():
        if one.verdict == Verdict.UNDO.value:
            standing = standing[:-1]
        else:
            standing.append(one)
    if not standing:
        raise CannotDecide("nothing was decided about charge {charge}: there is nothing to undo", charge=charge)
    return Status(standing[-1].before), bytes(standing[-1].attribution_before)


def _corrected(connection: Connection, digest: bytes, fields: Mapping[str, str]) -> bytes:
    """The attribution with other fields, by a person; an alias is whom it means."""
    wanted = [AttributionSet.__table__.c[name] for name in ATTRIBUTION_FIELDS]
    row = connection.execute(select(*wanted).where(AttributionSet.digest == digest)).one()
    said = {name: value.strip() for name, value in fields.items()}
    if said.get("pi_email"):
        said["pi_email"] = load_registry(connection).person(said["pi_email"])
    corrected = replace(Attribution(*row), **said, origin="person")
    keep_attribution(connection, corrected)
    return attribution_digest(corrected)


def keep_attribution(connection: Connection, one: Attribution) -> None:
    """Add the attribution, unless it is there."""
    values = {name: getattr(one, name) for name in ATTRIBUTION_FIELDS}
    statement = insert_into(connection, AttributionSet.__table__).values(digest=attribution_digest(one), **values)
    connection.execute(statement.on_conflict_do_nothing())


def _move(
    connection: Connection, decisions: Sequence[dict[str, Any]], note: str, actor: str, now: datetime, verdict: Verdict
) -> None:
    ids = ", ".join(str(int(one["charge_id"])) for one in decisions)
    count_out(connection, f"id IN ({ids})")
    connection.execute(
        sql("UPDATE charges SET status = :status, attribution = :attribution WHERE id = :charge_id"),
        [{name: one[name] for name in ("status", "attribution", "charge_id")} for one in decisions],
    )
    count_in(connection, f"id IN ({ids})")
    said = {"verdict": verdict.value, "note": note, "actor": actor, "at": now, "carried_from": None}
    connection.execute(insert(ChargeDecision), [one | said for one in decisions])


def _audit(
    connection: Connection, verdict: Verdict, ids: Sequence[int], note: str, actor: str | Actor, now: datetime
) -> None:
    record(
        connection,
        actor=named(actor),
        action=f"charge.{_PAST[verdict]}",
        resource_type="charge",
        resource_id=str(ids[0]) if len(ids) == 1 else None,
        now=now,
        reason=note or None,
        after={"charges": len(ids), "first": ids[:20]},
    )


_PAST = {
    Verdict.APPROVE: "approved",
    Verdict.REJECT: "rejected",
    Verdict.CORRECT: "corrected",
    Verdict.UNDO: "decision_undone",
}


def set_standing(connection: Connection, changes: Sequence[Mapping[str, Any]]) -> None:
    """Charges stand elsewhere by rule, not by a person's decision: ``id, attribution, read_flags?, flags, status``."""
    for start in range(0, len(changes), _PIECE):
        piece = changes[start : start + _PIECE]
        ids = ", ".join(str(int(one["id"])) for one in piece)
        count_out(connection, f"id IN ({ids})")
        for one in piece:
            values = {name: one[name] for name in ("attribution", "flags", "status")}
            connection.execute(update(Charge).where(Charge.id == one["id"]).values(values))
        count_in(connection, f"id IN ({ids})")

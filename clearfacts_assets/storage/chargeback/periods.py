"""Periods: their life, and the hash by which a finalized one proves itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from clearfacts_assets.chargeback.lifecycle import Event, NotAllowed, State, after
from clearfacts_assets.chargeback.model import ChargebackError, period_of
from clearfacts_assets.money import normal_text
from clearfacts_assets.storage.accounts.audit import Actor, named, record
from clearfacts_assets.storage.chargeback.idempotency import Wish, keep, kept
from clearfacts_assets.storage.chargeback.ledger import begin_period, only_writer, state_of
from clearfacts_assets.storage.chargeback.rates.rule_runs import run_in
from clearfacts_assets.storage.chargeback.rates.tie_out import seal_of
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.chargeback.tables import Period, PeriodEvent
from clearfacts_assets.storage.chargeback.totals import Totals, totals_of
from clearfacts_assets.storage.database import commit_to_disk, reading

FIRST = "0" * 64  # what the first finalized period has in place of a hash before it
_BATCH = 5000
# All that counts in a period, and in what form: changing this changes every hash, so it never changes.
_HASHED = (
    "c.id, c.origin_period, c.kind, c.source, c.account, c.fingerprint, c.occurrence, c.currency, c.billed, "
    "c.effective, c.contracted, c.list, c.listed, c.amount, c.status, c.flags, c.corrects, a.pi_email, a.project_id, "
    "a.fund_org, a.cost_center, a.account_code, a.reference_1, a.reference_2"
)


class NoSuchPeriod(ChargebackError):
    """Nothing was ever imported for this period, and nobody has opened it."""


class StillWaiting(ChargebackError):
    """Charges of the period wait for a decision."""


@dataclass(frozen=True, slots=True)
class PeriodRecord:
    """One period as it is listed."""

    name: str
    state: str
    created_at: datetime
    changed_at: datetime
    finalized_position: int | None
    finalized_rows: int | None
    previous_hash: str | None
    hash: str | None


@dataclass(frozen=True, slots=True)
class Verified:
    """One finalized period, recomputed. ``problem`` is empty where everything holds."""

    period: str
    position: int
    rows: int
    hash: str
    problem: str


class PeriodRepository:
    """The periods of the ledger."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(self) -> list[PeriodRecord]:
        """Newest first."""
        query = select(Period.__table__).order_by(Period.name.desc())
        with reading(self._engine) as connection:
            return [PeriodRecord(**row) for row in connection.execute(query).mappings()]

    def get(self, period: str) -> PeriodRecord:
        """Raises NoSuchPeriod, BadPeriod."""
        query = select(Period.__table__).where(Period.name == period_of(period))
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise NoSuchPeriod(
                "nothing is known of {period}: `clearfacts chargeback periods list` shows the periods", period=period
            )
        return PeriodRecord(**row)

    def events(self, period: str) -> Sequence[dict[str, Any]]:
        """What was done to the period, oldest first."""
        query = select(PeriodEvent.__table__).where(PeriodEvent.period == period).order_by(PeriodEvent.id)
        with reading(self._engine) as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def open(self, period: str, *, actor: str | Actor, now: datetime) -> PeriodRecord:
        """Begin a period before anything is imported for it. Nothing happens to one that is there."""
        with self._engine.begin() as connection:
            only_writer(connection)
            if state_of(connection, period_of(period)) is None:
                begin_period(connection, period, now)
                _tell(connection, period, "open", actor, "", now, {})
        return self.get(period)

    def change(
        self,
        period: str,
        event: Event,
        *,
        actor: str | Actor,
        now: datetime,
        reason: str = "",
        two_people: bool = False,
        wish: Wish | None = None,
    ) -> PeriodRecord:
        """Close, reopen or finalize. Raises NotAllowed, NoSuchPeriod, StillWaiting.

        A reopening needs a reason. With ``two_people``, who closed the period may not finalize it. The same wish a
        second time changes nothing.
        """
        with self._engine.begin() as connection:
            only_writer(connection)
            if kept(connection, wish) is not None:
                return self.get(period)
            state = state_of(connection, period_of(period))
            if state is None:
                raise NoSuchPeriod("nothing is known of {period}", period=period)
            following = after(period, state, event)
            if event is Event.REOPEN and not reason.strip():
                raise NotAllowed("{period} is reopened only with a reason: --reason ...", period=period)
            details: dict[str, Any] = {}
            if event is Event.FINALIZE:
                who = named(actor).name
                self._may_finalize(connection, period, who, two_people)
                run_in(connection, period, actor=who, now=now)  # what is sealed has the lines that follow from it
                details = _seal(connection, period, now) | seal_of(connection, period)
            else:
                values = {"state": following.value, "changed_at": now}
                connection.execute(update(Period).where(Period.name == period).values(values))
            _tell(connection, period, event.value, actor, reason, now, details)
            keep(connection, wish, {}, now)
            commit_to_disk(connection)
        return self.get(period)

    def _may_finalize(self, connection: Connection, period: str, actor: str, two_people: bool) -> None:
        waiting = connection.execute(
            sql("SELECT COALESCE(sum(rows), 0) FROM charge_totals WHERE period = :period AND status = 'flagged'"),
            {"period": period},
        ).scalar_one()
        if waiting:
            raise StillWaiting(
                "{period}: {waiting} charges wait for a decision: clearfacts chargeback review list -p {period}",
                period=period,
                waiting=waiting,
            )
        closed_by = connection.execute(
            select(PeriodEvent.actor)
            .where(PeriodEvent.period == period, PeriodEvent.event == Event.CLOSE.value)
            .order_by(PeriodEvent.id.desc())
            .limit(1)
        ).scalar_one()
        if two_people and closed_by == actor:
            raise NotAllowed(
                "{period} was closed by {actor}: somebody else has to finalize it", period=period, actor=actor
            )

    def totals(
        self, period: str, *, source: str | None = None, payers: Sequence[str] | None = None
    ) -> dict[str, Totals]:
        """By currency; of one source or of these investigators only, where they are named. From the totals that are
        kept, so in milliseconds for a million charges."""
        with reading(self._engine) as connection:
            return totals_of(connection, period, source, payers)

    def verify(self) -> Iterator[Verified]:
        """Every finalized period in the order of the chain, its hash and that of its ledger lines computed anew."""
        query = (
            select(Period.__table__).where(Period.finalized_position.is_not(None)).order_by(Period.finalized_position)
        )
        previous = FIRST
        with reading(self._engine) as connection:
            for position, row in enumerate(connection.execute(query).mappings().all(), start=1):
                rows, found = _hash(connection, row["name"], row["previous_hash"])
                problem = ""
                if row["finalized_position"] != position or row["previous_hash"] != previous:
                    problem = "it does not follow the finalized period before it"
                elif rows != row["finalized_rows"] or found != row["hash"]:
                    problem = "its charges are not those that were finalized"
                elif _bent(connection, row["name"]):
                    problem = "its ledger lines are not those that were finalized"
                elif row["state"] != State.FINALIZED.value:
                    problem = "it is no longer finalized"
                yield Verified(row["name"], position, rows, found, problem)
                previous = row["hash"]


def _bent(connection: Connection, period: str) -> bool:
    """Whether the ledger's lines of a finalized period say something else than when it was finalized."""
    query = select(PeriodEvent.details).where(PeriodEvent.period == period, PeriodEvent.event == Event.FINALIZE.value)
    frozen = connection.execute(query.order_by(PeriodEvent.id.desc()).limit(1)).scalar_one_or_none() or {}
    return "ledger_hash" in frozen and any(frozen[name] != value for name, value in seal_of(connection, period).items())


def _seal(connection: Connection, period: str, now: datetime) -> dict[str, Any]:
    """Finalize, with the hash of all that counts in it, chained to the period that was finalized before."""
    last = connection.execute(
        select(Period.finalized_position, Period.hash)
        .where(Period.finalized_position.is_not(None))
        .order_by(Period.finalized_position.desc())
        .limit(1)
    ).one_or_none()
    position, previous = (last.finalized_position + 1, last.hash) if last else (1, FIRST)
    rows, found = _hash(connection, period, previous)
    values = {
        "state": State.FINALIZED.value,
        "changed_at": now,
        "finalized_position": position,
        "finalized_rows": rows,
        "previous_hash": previous,
        "hash": found,
    }
    connection.execute(update(Period).where(Period.name == period).values(values))
    told = {currency: one.as_result() for currency, one in totals_of(connection, period).items()}
    kept = ("charges", "billed", "amount", "due", "rejected", "not_billed", "list")
    totals = {currency: {name: one[name] for name in kept} for currency, one in told.items()}
    return {"position": position, "rows": rows, "previous_hash": previous, "hash": found, "totals": totals}


def _hash(connection: Connection, period: str, previous: str) -> tuple[int, str]:
    digest, rows = hashlib.sha256(f"{period}\n{previous}\n".encode()), 0
    query = sql(
        f"SELECT {_HASHED} FROM charges c JOIN cost_attributions a ON a.digest = c.attribution "  # noqa: S608
        "WHERE c.period = :period AND c.withdrawn_by IS NULL ORDER BY c.id"
    ).execution_options(yield_per=_BATCH)
    for row in connection.execute(query, {"period": period}):
        said = [*map(_text, row[:8]), *map(_amount, row[8:14]), *map(_text, row[14:])]
        digest.update("\x1f".join(said).encode("utf-8", "surrogatepass") + b"\n")
        rows += 1
    return rows, digest.hexdigest()


def _text(value: object) -> str:
    """One form on both databases."""
    if value is None:
        return ""
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return str(value)


def _amount(value: Decimal | str | None) -> str:
    return "" if value is None else normal_text(value)


def _tell(
    connection: Connection,
    period: str,
    event: str,
    actor: str | Actor,
    reason: str,
    now: datetime,
    details: dict[str, Any],
) -> None:
    told = {
        "period": period,
        "event": event,
        "actor": named(actor).name,
        "reason": reason,
        "details": details,
        "at": now,
    }
    connection.execute(insert(PeriodEvent).values(told))
    record(
        connection,
        actor=named(actor),
        action=f"billing_period.{_DONE[event]}",
        resource_type="billing_period",
        resource_id=period,
        now=now,
        reason=reason or None,
        after=details or None,
    )


_DONE = {"open": "opened", "close": "closed", "reopen": "reopened", "finalize": "finalized"}

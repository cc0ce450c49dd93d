"""Periods: their life, the hash by which a finalized one proves itself, and what they add up to."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from clearfacts_assets.chargeback.lifecycle import Event, NotAllowed, State, after
from clearfacts_assets.chargeback.model import DUE, ChargebackError, period_of
from clearfacts_assets.money import EXACT, normal_text, plain
from clearfacts_assets.storage.accounts.audit import Actor, named, record
from clearfacts_assets.storage.chargeback.ledger import begin_period, only_writer, state_of
from clearfacts_assets.storage.chargeback.rates.running import run_in
from clearfacts_assets.storage.chargeback.rates.tying import seal_of
from clearfacts_assets.storage.chargeback.statements import sql
from clearfacts_assets.storage.chargeback.tables import Period, PeriodEvent
from clearfacts_assets.storage.chargeback.wishes import Wish, keep, kept
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


@dataclass(slots=True)
class Totals:
    """What a period adds up to in one currency. Exact; ``by_...`` on each source's cost basis, without rejected."""

    charges: int = 0
    list: Decimal = Decimal(0)
    billed: Decimal = Decimal(0)
    effective: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)
    flagged: Decimal = Decimal(0)
    rejected: Decimal = Decimal(0)
    not_billed: Decimal = Decimal(0)
    due: Decimal = Decimal(0)
    unattributed: Decimal = Decimal(0)
    flagged_charges: int = 0
    by_source: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    by_pi: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    by_project: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    by_fund: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    by_service: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    flags: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def discount(self) -> Decimal:
        return EXACT.subtract(self.list, self.amount)

    def as_result(self) -> dict[str, Any]:
        """As JSON shows it: amounts as exact texts."""
        told: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, dict):
                value = {key: plain(one) if isinstance(one, Decimal) else one for key, one in sorted(value.items())}
            told[name] = plain(value) if isinstance(value, Decimal) else value
        return told | {"discount": plain(self.discount)}


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
            raise NoSuchPeriod(f"nothing is known of {period}: `clearfacts chargeback periods list` shows the periods")
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
                raise NoSuchPeriod(f"nothing is known of {period}")
            following = after(period, state, event)
            if event is Event.REOPEN and not reason.strip():
                raise NotAllowed(f"{period} is reopened only with a reason: --reason ...")
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
                f"{period}: {waiting} charges wait for a decision: clearfacts chargeback review list -p {period}"
            )
        closed_by = connection.execute(
            select(PeriodEvent.actor)
            .where(PeriodEvent.period == period, PeriodEvent.event == Event.CLOSE.value)
            .order_by(PeriodEvent.id.desc())
            .limit(1)
        ).scalar_one()
        if two_people and closed_by == actor:
            raise NotAllowed(f"{period} was closed by {actor}: somebody else has to finalize it")

    def totals(
        self, period: str, *, source: str | None = None, payers: Sequence[str] | None = None
    ) -> dict[str, Totals]:
        """By currency; of one source or of these investigators only, where they are named. From the totals that are
        kept, so in milliseconds for a million charges."""
        with reading(self._engine) as connection:
            return totals_of(connection, period, source, payers)

    def verify(self) -> Iterator[Verified]:
        """Every finalized period in the order of the chain, its hash computed anew."""
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
                elif row["state"] != State.FINALIZED.value:
                    problem = "it is no longer finalized"
                yield Verified(row["name"], position, rows, found, problem)
                previous = row["hash"]


def totals_of(
    connection: Connection, period: str, of_source: str | None = None, payers: Sequence[str] | None = None
) -> dict[str, Totals]:
    """The same, in the caller's transaction."""
    where, values = "period = :period", dict[str, Any](period=period)
    if of_source is not None:
        where += " AND source = :source"
        values["source"] = of_source
    if payers is not None:
        where += " AND attribution IN (SELECT digest FROM cost_attributions WHERE pi_email IN :people)"
        values["people"] = list(payers)
    # Added here: on SQLite a sum in the database calls back for every row, which costs more.
    found = connection.execute(
        sql(
            "SELECT currency, source, service, status, flags, attribution, rows, listed, billed, effective, amount "  # noqa: S608
            f"FROM charge_totals WHERE {where}"
        ),
        values,
    ).all()
    paying = {
        bytes(row.digest): (row.pi_email, row.project_id, row.fund_org)
        for row in connection.execute(
            sql(
                "SELECT digest, pi_email, project_id, fund_org FROM cost_attributions WHERE digest IN "  # noqa: S608
                f"(SELECT attribution FROM charge_totals WHERE {where})"
            ),
            values,
        )
    }
    totals: dict[str, Totals] = defaultdict(Totals)
    with localcontext(EXACT):
        for currency, source, service, status, flags, payer, rows, *sums in found:
            named = (source, service, *paying[bytes(payer)])
            _add(totals[currency], named, status, flags, rows, tuple(map(Decimal, sums)))
    nothing = _without_rows(found, paying)
    return {currency: _without(one, currency, nothing) for currency, one in sorted(totals.items()) if one.charges}


_GROUPS = ("by_source", "by_service", "by_pi", "by_project", "by_fund")


def _add(to: Totals, named: Sequence[str], status: str, flags: str, rows: int, sums: Sequence[Decimal]) -> None:
    """``named``: source, service, investigator, project, fund. In the context EXACT, where adding is quick."""
    listed, billed, effective, amount = sums
    to.charges += rows
    if flags:
        for code in flags.split():
            to.flags[code] += rows
    if status == "rejected":
        to.rejected += amount
        return
    to.billed += billed
    to.effective += effective
    to.list += listed
    to.amount += amount
    if status == "flagged":
        to.flagged += amount
        to.flagged_charges += rows
    elif status == "not_billed":
        to.not_billed += amount
    if status in DUE:
        to.due += amount
    source, service, pi_email, project, fund = named
    to.by_source[source] += amount
    to.by_service[service] += amount
    to.by_pi[pi_email] += amount
    to.by_project[project] += amount
    to.by_fund[fund] += amount
    if not pi_email:
        to.unattributed += amount


def _without_rows(found: Sequence[Any], payers: Mapping[bytes, Sequence[str]]) -> set[tuple[str, str, str]]:
    """(currency, group, name) of which nothing is left: what was added and taken out again."""
    if all(row[6] > 0 for row in found):
        return set()
    counts: dict[tuple[str, str, str], int] = defaultdict(int)
    for currency, source, service, status, _, payer, rows, *_ in found:
        if status != "rejected":
            for group, name in zip(_GROUPS, (source, service, *payers[bytes(payer)]), strict=True):
                counts[currency, group, name] += rows
    return {key for key, rows in counts.items() if not rows}


def _without(one: Totals, currency: str, nothing: set[tuple[str, str, str]]) -> Totals:
    """Without those of whom nothing is left, and without a name for nobody."""
    for group in _GROUPS:
        getattr(one, group).pop("", None)
    for of_currency, group, name in nothing:
        if of_currency == currency:
            getattr(one, group).pop(name, None)
    one.flags = {code: rows for code, rows in one.flags.items() if rows}
    return one


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

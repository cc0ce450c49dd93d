"""Rules applied to a period: its lines are computed, compared with those that stand there, and only what differs is
written. The same run twice writes nothing. Later periods that are not finalized follow, since credits go on in them."""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from importlib.metadata import version as program_version
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from clearfacts_assets.chargeback.ingest.payers import attribution_digest
from clearfacts_assets.chargeback.lifecycle import State
from clearfacts_assets.chargeback.model import ATTRIBUTION_FIELDS, Attribution, ChargebackError, period_of
from clearfacts_assets.chargeback.rates.apportioning import money_of
from clearfacts_assets.chargeback.rates.computing import compute
from clearfacts_assets.chargeback.rates.model import Line, in_places
from clearfacts_assets.chargeback.rates.pools import PoolTotal
from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.bulk import insert_many
from clearfacts_assets.storage.chargeback.ledger import only_writer, state_of
from clearfacts_assets.storage.chargeback.rates.inputs import InputReader
from clearfacts_assets.storage.chargeback.rates.line_diff import BATCH, WORDS, Differing, Row
from clearfacts_assets.storage.chargeback.rates.line_sums import keep_sums
from clearfacts_assets.storage.chargeback.rates.lines import LINE, last_run
from clearfacts_assets.storage.chargeback.rates.tables import LedgerLine, LedgerRun
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.database import commit_to_disk

_CACHE_KIB = 48 * 1024
_MANY = 10_000  # lines


class NothingToRun(ChargebackError):
    """Nothing is known of this period."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What became of one period. ``frozen``: it is finalized, and was not computed."""

    period: str
    run_id: int | None
    charges: int
    added: int
    withdrawn: int
    totals: dict[str, Any]
    findings: Sequence[dict[str, object]] = field(default_factory=list)
    frozen: bool = False

    def as_result(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def apply_rules(engine: Engine, period: str, *, actor: str, now: datetime, dry_run: bool = False) -> list[RunResult]:
    """The period first, then the later ones whose lines follow from it. Raises NothingToRun, BadPeriod.

    With ``dry_run`` the figures are the same and nothing is written.
    """
    with engine.connect() as connection, connection.begin() as transaction:
        only_writer(connection)
        results = run_in(connection, period_of(period), actor=actor, now=now)
        if dry_run:
            transaction.rollback()
        else:
            commit_to_disk(connection)
    return results


def run_in(connection: Connection, period: str, *, actor: str, now: datetime) -> list[RunResult]:
    """The same, in the caller's transaction."""
    state = state_of(connection, period)
    if state is None:
        raise NothingToRun("nothing is known of {period}: clearfacts chargeback periods list", period=period)
    if state is State.FINALIZED:
        last = last_run(connection, period)
        totals = last["totals"] if last else {}
        return [RunResult(period, None, last["charges"] if last else 0, 0, 0, totals, frozen=True)]
    results = [_run(connection, period, actor, now)]
    if results[0].run_id is not None:
        later = connection.execute(
            sql(
                "SELECT p.name FROM billing_periods p WHERE p.name > :period AND p.state <> 'finalized' AND EXISTS "
                "(SELECT 1 FROM ledger_lines l WHERE l.period = p.name AND l.withdrawn_run IS NULL) ORDER BY p.name"
            ),
            {"period": period},
        ).scalars()
        results += [_run(connection, name, actor, now) for name in list(later)]
    return results


def _run(connection: Connection, period: str, actor: str, now: datetime) -> RunResult:
    reader = InputReader(connection, period)
    inputs = reader.read()
    new: dict[bytes, Attribution] = {}

    def digest(to: Attribution) -> bytes:
        found = attribution_digest(to)
        new[found] = to
        return found

    with _without_collector(), Differing(connection, period) as differing:
        computed = compute(inputs, digest)
        groups: _Groups = defaultdict(Decimal)
        differing.compare(_counted(computed.lines, reader.repriced, groups))
        totals = totals_of(groups, computed.pools, reader.payers | new)
        findings, charges = [one.as_result() for one in computed.findings], computed.charges
        del computed  # what lines are made of, before they are written
        added, gone = differing.added, differing.gone
        if not added and not gone:
            _keep_sums(connection, period, groups)
            return RunResult(period, None, charges, 0, 0, totals, findings)
        values = {
            "period": period,
            "actor": actor,
            "at": now,
            "version": program_version("clearfacts-assets"),
            "inputs": reader.digest(inputs),
            "charges": charges,
            "added": added,
            "withdrawn": len(gone),
            "totals": totals | {"findings": findings},
        }
        run_id: int = connection.execute(insert(LedgerRun).values(values).returning(LedgerRun.id)).scalar_one()
        _keep(connection, new)
        _withdraw(connection, gone, run_id)
        _insert(connection, period, run_id, differing.rows())
        _look_at(connection, added)
        _keep_sums(connection, period, groups)
    told = {name: values[name] for name in ("charges", "added", "withdrawn", "inputs")}
    record(
        connection,
        actor=Actor(actor),
        action="ledger.computed",
        resource_type="billing_period",
        resource_id=period,
        now=now,
        after={"run": run_id, **told},
    )
    return RunResult(period, run_id, charges, added, len(gone), totals, findings)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Hundreds of thousands of objects that all live to the end, none in a cycle: looking for cycles among them again
    and again takes a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _keep(connection: Connection, attributions: dict[bytes, Attribution]) -> None:
    """Attributions that rules made: shares of other funds, who bears a pool."""
    named = ", ".join(ATTRIBUTION_FIELDS)
    marks = ", ".join(f":{name}" for name in ATTRIBUTION_FIELDS)
    for digest, to in attributions.items():
        values = {"digest": digest} | dict(zip(ATTRIBUTION_FIELDS, to.fields(), strict=True))
        connection.execute(
            sql(
                f"INSERT INTO cost_attributions (digest, {named}) SELECT :digest, {marks} WHERE NOT EXISTS "  # noqa: S608
                "(SELECT 1 FROM cost_attributions WHERE digest = :digest)"
            ),
            values,
        )


def _withdraw(connection: Connection, gone: Sequence[int], run_id: int) -> None:
    for start in range(0, len(gone), BATCH):
        ids = ", ".join(map(str, gone[start : start + BATCH]))
        connection.execute(
            sql(f"UPDATE ledger_lines SET withdrawn_run = :id WHERE id IN ({ids})"),  # noqa: S608
            {"id": run_id},
        )


def _insert(connection: Connection, period: str, run_id: int, rows: Iterable[Row]) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KIB}")  # the indexes are written all over
    lines = ((period, run_id, *row) for row in rows)
    insert_many(connection, LedgerLine.__tablename__, ("period", "run_id", *LINE), lines)


def _look_at(connection: Connection, added: int) -> None:
    """PostgreSQL knows nothing of so many new rows until it looks at them, some minutes later, and meanwhile asks for a
    charge's lines by going through the whole month."""
    if added >= _MANY and connection.dialect.name == "postgresql":
        connection.execute(sql(f"ANALYZE {LedgerLine.__tablename__}"))


_Groups = dict[tuple[str, str, str, bytes, bool], Decimal]  # currency, kind, payer, attribution, may be priced


def _counted(lines: Iterable[Line], repriced: Set[int], groups: _Groups) -> Iterator[Line]:
    """The lines as they go by, added up into the groups."""
    for line in lines:
        key = (line.currency, line.kind, line.payer, line.attribution, line.charge_id in repriced)
        groups[key] = EXACT.add(groups[key], line.amount)
        yield line


def _keep_sums(connection: Connection, period: str, groups: _Groups) -> None:
    """What all lines that stand now come to, also those that stood before."""
    sums: dict[tuple[str, bool, str], Decimal] = defaultdict(Decimal)
    for (currency, kind, _, _, repriced), amount in groups.items():
        key = (currency, repriced, WORDS[kind])
        sums[key] = EXACT.add(sums[key], amount)
    keep_sums(connection, period, sums)


def totals_of(
    groups: _Groups, from_pools: Sequence[PoolTotal], attributions: Mapping[bytes, Attribution]
) -> dict[str, Any]:
    """What the lines add up to, a currency at a time, as exact texts: by kind, by who else pays, by pool, by fund."""
    sums: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    payers: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    funds: dict[str, dict[bytes, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for (currency, kind, payer, attribution, _), amount in groups.items():
        for name in (WORDS[kind], "due"):
            sums[currency][name] = EXACT.add(sums[currency][name], amount)
        funds[currency][attribution] = EXACT.add(funds[currency][attribution], amount)
        if payer:
            payers[currency][payer] = EXACT.subtract(payers[currency][payer], amount)
    pools: dict[str, list[dict[str, str]]] = defaultdict(list)
    for pool in from_pools:
        taken, given, left = (plain(money_of(one, pool.currency)) for one in (pool.taken, pool.given, pool.left))
        pools[pool.currency].append({"pool": pool.version.name, "taken": taken, "given": given, "left": left})
    for currency, of in sums.items():
        of["due"] = in_places(of["due"], currency)
    return {
        currency: {name: plain(amount) for name, amount in sorted(of.items())}
        | {"payers": {name: plain(amount) for name, amount in sorted(payers[currency].items())}}
        | {"pools": pools[currency], "by_fund": _by_fund(funds[currency], attributions, currency)}
        for currency, of in sorted(sums.items())
    }


def _by_fund(sums: Mapping[bytes, Decimal], attributions: Mapping[bytes, Attribution], currency: str) -> dict[str, str]:
    found: dict[str, Decimal] = defaultdict(Decimal)
    for digest, amount in sums.items():
        to = attributions.get(digest)
        if to is not None and to.fund_org:
            found[to.fund_org] = EXACT.add(found[to.fund_org], amount)
    return {fund: plain(in_places(amount, currency)) for fund, amount in sorted(found.items())}


def runs(engine: Engine, period: str) -> list[dict[str, Any]]:
    """The runs that changed a period's lines, newest first."""
    query = select(LedgerRun.__table__).where(LedgerRun.period == period).order_by(LedgerRun.id.desc())
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]

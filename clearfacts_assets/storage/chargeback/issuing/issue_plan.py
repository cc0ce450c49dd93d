"""What has to be made: each subject of a period compared with its live statement, and what a new one is made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, bindparam, select, text

from clearfacts_assets.chargeback.attribution.registry import Fund, Registry
from clearfacts_assets.chargeback.model import Kind
from clearfacts_assets.chargeback.statements.framing import About, FundFacts, Identity, Organisation
from clearfacts_assets.chargeback.statements.making import Order, charges_digest, unpacked
from clearfacts_assets.chargeback.statements.model import DueCharge, StatementKind, Subject
from clearfacts_assets.chargeback.statements.trends import Payer, Table, months_before, tables
from clearfacts_assets.money import plain
from clearfacts_assets.storage.chargeback.issuing import due_charges as due
from clearfacts_assets.storage.chargeback.issuing.tables import StatementFile, StatementRow
from clearfacts_assets.storage.chargeback.registry import load_registry
from clearfacts_assets.storage.chargeback.tables import CostSourceRow


@dataclass(frozen=True, slots=True)
class Issuance:
    """Who asks for statements, when, and whether they are to stand: drafts do not, a rehearsal keeps nothing."""

    actor: str
    now: datetime
    draft: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class IssueOptions:
    """How statements are to look and to count, as the settings say."""

    who: Organisation
    each_charge: bool = False
    by_fund: bool = False
    grace: bool = False
    dispute_days: int = 14


@dataclass(frozen=True, slots=True)
class Live:
    """The statement that stands for a subject now."""

    id: int
    number: str
    version: int
    state: str
    due: Decimal
    charges_hash: str


@dataclass(frozen=True, slots=True)
class PlannedStatement:
    """A statement to be made, before it has a number."""

    subject: Subject
    key: str
    charges_hash: str
    charges: Sequence[DueCharge] = ()
    rows: Sequence[Any] = ()
    live: Live | None = None


@dataclass(slots=True)
class Background:
    """What statements of one period say beside their charges; read once for all of them."""

    registry: Registry
    bases: Mapping[str, str]
    history: Mapping[Payer, Table] = field(default_factory=dict)
    charged: Mapping[tuple[str, str], Decimal] = field(default_factory=dict)


def subject_key(subject: Subject) -> str:
    """The same for the same subject; two subjects that differ in one letter differ. 64 characters."""
    said = [subject.kind.value, subject.period, subject.name, subject.project, subject.fund, subject.currency]
    return hashlib.sha256(json.dumps(said, ensure_ascii=True).encode()).hexdigest()


def live_statements(connection: Connection, period: str, kind: StatementKind) -> dict[str, Live]:
    """By subject's key: drafts are not among them."""
    columns = ("id", "number", "version", "state", "due", "charges_hash", "subject_key")
    query = select(*(StatementRow.__table__.c[name] for name in columns)).where(
        StatementRow.period == period, StatementRow.kind == kind.value, StatementRow.state.in_(("proposed", "issued"))
    )
    return {
        row.subject_key: Live(row.id, row.number, row.version, row.state, row.due, row.charges_hash)
        for row in connection.execute(query)
    }


def background(connection: Connection, period: str) -> Background:
    sources = connection.execute(select(CostSourceRow.name, CostSourceRow.basis)).all()
    return Background(
        load_registry(connection),
        {row.name: row.basis for row in sources},
        tables(due.history(connection, period), months_before(period)),
        due.charged_to_funds(connection, period),
    )


def wanted(
    connection: Connection, period: str, options: IssueOptions, known: Background, live: Mapping[str, Live]
) -> Iterator[PlannedStatement]:
    """Investigators' statements that have to be made: new ones, changed ones, and those of which nothing is left."""
    seen: set[str] = set()
    for whose in due.payers(connection, period, by_fund=options.by_fund):
        charges = due.charges_of(connection, whose)
        if not charges:
            continue
        key = subject_key(whose.subject)
        seen.add(key)
        digest = charges_digest(charges, _bases_of(charges, known.bases), options.each_charge)
        stands = live.get(key)
        if stands is None or stands.charges_hash != digest:
            yield PlannedStatement(whose.subject, key, digest, charges, live=stands)
    for key, stands in live.items():
        if key not in seen and (stands.due or stands.charges_hash != _nothing(options)):
            yield PlannedStatement(_subject_of(connection, stands.id), key, _nothing(options), live=stands)


def count_of(connection: Connection, period: str, *, by_fund: bool) -> int:
    return len(due.payers(connection, period, by_fund=by_fund))


def _nothing(options: IssueOptions) -> str:
    return charges_digest([], {}, options.each_charge)


def _bases_of(charges: Sequence[DueCharge], bases: Mapping[str, str]) -> dict[str, str]:
    return {source: bases.get(source, "billed") for source in sorted({one.source for one in charges} - {""})}


def _subject_of(connection: Connection, statement: int) -> Subject:
    row = connection.execute(select(StatementRow.__table__).where(StatementRow.id == statement)).mappings().one()
    return Subject(
        StatementKind(row["kind"]), row["period"], row["subject"], row["project"], row["fund"], row["currency"]
    )


def order(
    connection: Connection,
    one: PlannedStatement,
    numbered: tuple[str, int],
    options: IssueOptions,
    known: Background,
    issuance: Issuance,
) -> Order:
    """With its number and version, and all that is printed beside the charges."""
    number, version = numbered
    date = issuance.now.date()
    today, stands = date.isoformat(), bool(one.live and one.live.state == "issued")
    identity = Identity(
        number,
        0 if issuance.draft else version,
        today,
        (date + timedelta(days=options.dispute_days)).isoformat(),
        "draft" if issuance.draft else "proposed" if options.grace and not stands else "issued",
        _replaced(connection, one.live),
    )
    subject = one.subject
    person = next((p for p in known.registry.investigators if p.email == subject.name), None)
    about = About(
        person.name if person else "",
        person.institution if person else "",
        _bases_of(one.charges, known.bases),
        {fund: _fund(fund, subject, known) for fund in sorted({charge.fund for charge in one.charges})},
        known.history.get((subject.name, subject.project, subject.currency), ()),
        today,
    )
    before = _printed_before(connection, one.charges)
    return Order(subject, identity, options.who, about, one.charges, options.each_charge, before, one.rows)


def _fund(fund: str, subject: Subject, known: Background) -> FundFacts:
    entries: list[Fund] = [one for one in known.registry.funds if one.fund_org == fund]
    entry = entries[-1] if entries else None
    charged = known.charged.get((fund, subject.currency), Decimal(0))
    if entry is None:
        return FundFacts(fund, charged=charged)
    same = not entry.currency or entry.currency == subject.currency
    budget = Decimal(entry.budget) if entry.budget and same else None
    return FundFacts(fund, entry.name, budget, charged, entry.award_end)


def _replaced(connection: Connection, live: Live | None) -> dict[str, Any] | None:
    if live is None:
        return None
    packed = connection.execute(select(StatementFile.inputs).where(StatementFile.statement_id == live.id)).scalar_one()
    return {"version": live.version, "due": plain(live.due), "by_line": unpacked(packed)["by_line"]}


def _printed_before(connection: Connection, charges: Sequence[DueCharge]) -> dict[tuple[int, int], Decimal]:
    """Cents of what is reversed here, as they stand on the statements of their own month."""
    corrected = sorted({one.corrects for one in charges if one.kind == Kind.REVERSAL and one.corrects is not None})
    if not corrected:
        return {}
    query = text(
        "SELECT charge_id, share, cents FROM statement_charges WHERE live = :live AND charge_id IN :ids"
    ).bindparams(bindparam("ids", expanding=True))
    rows = connection.execute(query, {"live": True, "ids": corrected})
    return {(row.charge_id, row.share): Decimal(row.cents) for row in rows}


def with_rows(subject: Subject, rows: Sequence[Any], live: Mapping[str, Live]) -> PlannedStatement | None:
    """A report to be made of rows; None where the one that stands says the same, or there is nothing to say."""
    key, digest = subject_key(subject), charges_digest(rows, {}, False)
    stands = live.get(key)
    if (stands is None and not rows) or (stands is not None and stands.charges_hash == digest):
        return None
    return replace(PlannedStatement(subject, key, digest), rows=rows, live=stands)

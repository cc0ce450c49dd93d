"""Rows of statements: numbered, written, retired by what follows them, moved by their table of states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, func, insert, select, update

from clearfacts_assets.chargeback.statements import lifecycle
from clearfacts_assets.chargeback.statements.lifecycle import StatementEvent, StatementState
from clearfacts_assets.chargeback.statements.making import Made
from clearfacts_assets.chargeback.statements.model import Subject, file_name
from clearfacts_assets.storage.chargeback.issuing.issue_plan import PlannedStatement, subject_key
from clearfacts_assets.storage.chargeback.issuing.tables import (
    StatementCharge,
    StatementEventRow,
    StatementFile,
    StatementNumber,
    StatementRow,
)
from clearfacts_assets.storage.chargeback.ledger import only_writer

_BATCH = 5000

_BEGINS = {
    "draft": StatementEvent.DRAFTED,
    "proposed": StatementEvent.PROPOSED,
    "issued": StatementEvent.ISSUED,
}


@dataclass(frozen=True, slots=True)
class Spooled:
    """A statement that was set; its PDF waits in a file for the transaction."""

    want: PlannedStatement
    made: Made
    pdf: Path


def reserve(engine: Engine, subjects: Sequence[Subject]) -> None:
    """Give each subject its number, where it has none. It is the subject's for ever, whatever happens then."""
    with engine.begin() as connection:
        only_writer(connection)
        rows = connection.execute(select(StatementNumber.subject_key, StatementNumber.series, StatementNumber.position))
        known, last = set[str](), dict[str, int]()
        for row in rows:
            known.add(row.subject_key)
            last[row.series] = max(last.get(row.series, 0), row.position)
        new = []
        for subject in subjects:
            key, series = subject_key(subject), series_of(subject)
            if key not in known:
                last[series] = last.get(series, 0) + 1
                number = f"{series}-{last[series]:04d}"
                new.append({"subject_key": key, "series": series, "position": last[series], "number": number})
        if new:
            connection.execute(insert(StatementNumber), new)


def next_number(connection: Connection, one: PlannedStatement) -> tuple[str, int]:
    """Number and next version; in a rehearsal a new one may have no number yet."""
    number = connection.execute(
        select(StatementNumber.number).where(StatementNumber.subject_key == one.key)
    ).scalar_one_or_none()
    if number is None:
        return f"{series_of(one.subject)}-new", 1
    last = connection.execute(select(func.max(StatementRow.version)).where(StatementRow.number == number)).scalar_one()
    return number, (last or 0) + 1


def write_statement(
    connection: Connection, one: Spooled, versions: Mapping[str, str], actor: str, now: datetime
) -> int:
    """The statement with its file and the charges it bills. Returns its id."""
    made, subject, identity = one.made, one.made.subject, one.made.identity
    values = {
        "number": identity.number,
        "version": identity.version,
        "kind": subject.kind.value,
        "period": subject.period,
        "subject_key": one.want.key,
        "subject": subject.name,
        "project": subject.project,
        "fund": subject.fund,
        "currency": subject.currency,
        "state": identity.state,
        **{name: getattr(made.sums, name) for name in made.sums.__dataclass_fields__},
        "exact": made.exact,
        "lines": made.lines,
        "charges": len(made.charges),
        "basis": dict(made.bases),
        "rules": dict(versions),
        "charges_hash": one.want.charges_hash,
        "inputs_hash": made.inputs_hash,
        "pdf_sha256": made.typeset.sha256,
        "stand_ins": made.typeset.stand_ins,
        "file_name": _file_name(subject, identity.number, identity.version),
        "replaces": one.want.live.id if one.want.live else None,
        "issued_on": identity.issued,
        "dispute_by": identity.dispute_by,
        "created_at": now,
    }
    id_: int = connection.execute(insert(StatementRow).values(values).returning(StatementRow.id)).scalar_one()
    connection.execute(insert(StatementFile).values(statement_id=id_, inputs=made.inputs, pdf=one.pdf.read_bytes()))
    _insert_charges(connection, id_, made, live=identity.state != "draft")
    happened(connection, id_, _BEGINS[identity.state], actor, "", now)
    return id_


def _insert_charges(connection: Connection, statement: int, made: Made, *, live: bool) -> None:
    rows = [
        {
            "statement_id": statement,
            "charge_id": one.charge_id,
            "share": one.share,
            "line": one.line,
            "fund": one.fund,
            "cost_center": one.cost_center,
            "service": one.service,
            "listed": one.listed,
            "exact": one.exact,
            "cents": one.cents,
            "live": live,
        }
        for one in made.charges
    ]
    for start in range(0, len(rows), _BATCH):
        connection.execute(insert(StatementCharge), rows[start : start + _BATCH])


def retire(connection: Connection, want: PlannedStatement, following: str, actor: str, now: datetime) -> None:
    """What stood before: corrected by the version that follows; a draft is overwritten, and overwrites none."""
    drafts = connection.execute(
        select(StatementRow.id).where(StatementRow.subject_key == want.key, StatementRow.state == "draft")
    ).scalars()
    for id_ in list(drafts):
        move(connection, id_, StatementEvent.VOIDED, actor, "another one took its place", now)
    if want.live is not None and following != "draft":
        move(connection, want.live.id, StatementEvent.CORRECTED, actor, "another version replaces it", now)


def move(
    connection: Connection, statement: int, event: StatementEvent, actor: str, reason: str, now: datetime
) -> StatementState:
    """Let the event happen to the statement. Raises StatementNotAllowed."""
    row = connection.execute(select(StatementRow.number, StatementRow.state).where(StatementRow.id == statement)).one()
    following = lifecycle.after(row.number, StatementState(row.state), event)
    connection.execute(
        update(StatementRow)
        .where(StatementRow.id == statement, StatementRow.state == row.state)
        .values(state=following.value)
    )
    if following not in lifecycle.LIVE:
        connection.execute(
            update(StatementCharge)
            .where(StatementCharge.statement_id == statement, StatementCharge.live)
            .values(live=False)
        )
    happened(connection, statement, event, actor, reason, now)
    return following


def happened(
    connection: Connection, statement: int, event: StatementEvent, actor: str, reason: str, now: datetime
) -> None:
    values = {"statement_id": statement, "event": event.value, "actor": actor, "reason": reason, "at": now}
    connection.execute(insert(StatementEventRow).values(values))


def still_live(connection: Connection, spooled: Sequence[Spooled]) -> bool:
    """Whether nobody else has issued a statement for one of these subjects meanwhile."""
    keys = {one.want.key: one.want.live.id if one.want.live else None for one in spooled}
    states = ("proposed", "issued")
    query = select(StatementRow.subject_key, StatementRow.id).where(StatementRow.state.in_(states))
    if spooled:
        query = query.where(StatementRow.period == spooled[0].made.subject.period)
    there = {row.subject_key: row.id for row in connection.execute(query) if row.subject_key in keys}
    if any(one.made.identity.state == "draft" for one in spooled):
        return True
    return all(there.get(key) == id_ for key, id_ in keys.items())


def series_of(subject: Subject) -> str:
    return f"{subject.kind.series}-{subject.period}"


def _file_name(subject: Subject, number: str, version: int) -> str:
    """The number makes it unique; what stands before it is for people."""
    return file_name(subject.period, subject.name, subject.project, number, f"v{version}") + ".pdf"

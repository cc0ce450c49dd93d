"""Issuing statements: all of a month's in one transaction, or none. The same month twice issues nothing anew."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update

from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.chargeback.statements import life
from clearfacts_assets.chargeback.statements.life import StatementEvent, StatementState
from clearfacts_assets.chargeback.statements.making import Made, Order
from clearfacts_assets.chargeback.statements.model import StatementKind, Subject, file_name
from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.chargeback.issuing import due
from clearfacts_assets.storage.chargeback.issuing.groundwork import ledger_of, may_issue, require, ruled
from clearfacts_assets.storage.chargeback.issuing.orders import (
    Background,
    Live,
    Manner,
    Wanted,
    background,
    live_statements,
    order,
    subject_key,
    wanted,
)
from clearfacts_assets.storage.chargeback.issuing.tables import (
    StatementCharge,
    StatementEventRow,
    StatementFile,
    StatementNumber,
    StatementRow,
)
from clearfacts_assets.storage.chargeback.ledger import only_writer, state_of
from clearfacts_assets.storage.database import commit_to_disk, reading

Maker = Callable[[Iterable[Order]], Iterator[Made]]
Ask = Callable[[Connection, Background, dict[str, Live]], Iterator[Wanted]]
MOST_TRIES = 3  # where the ledger changes while statements are being set
_BATCH = 5000


class LedgerMoves(ChargebackError):
    """Charges of the period changed while its statements were being set, again and again."""


@dataclass(slots=True)
class Generated:
    """What `generate` did, or with ``dry_run`` would do. ``due`` is by currency, of all that stands now."""

    period: str
    kind: str
    new: list[str] = field(default_factory=list)
    corrected: list[str] = field(default_factory=list)
    unchanged: int = 0
    accepted: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)  # whose statement failed, and why
    stand_ins: dict[str, str] = field(default_factory=dict)  # number -> characters that no font had
    ids: list[int] = field(default_factory=list)
    difference: dict[str, Decimal] = field(default_factory=dict)  # of what is due, by currency
    dry_run: bool = False

    def as_result(self) -> dict[str, Any]:
        told = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("difference", "ids")}
        return told | {"difference": {currency: plain(one) for currency, one in sorted(self.difference.items())}}


@dataclass(frozen=True, slots=True)
class _Spooled:
    """A statement that was set; its PDF waits in a file for the transaction."""

    want: Wanted
    made: Made
    pdf: Path


class StatementIssuer:
    """Makes and issues. What it reads and writes is one state of the ledger."""

    def __init__(self, engine: Engine, make: Maker, manner: Manner, versions: dict[str, str]) -> None:
        """``versions`` say with which templates and rules statements are made; they are kept with each."""
        self._engine, self._make, self._manner = engine, make, manner
        self._versions = {"program": importlib.metadata.version("clearfacts-assets"), **versions}

    def investigators(
        self, period: str, *, actor: str, now: datetime, draft: bool = False, dry_run: bool = False
    ) -> Generated:
        """Everybody's statements of a closed or finalized period. Raises NotAllowed, NothingIssued, LedgerMoves."""
        require(self._engine, period)

        def prepare() -> None:
            self.bring_up_to_date(period, actor=actor, now=now)
            with reading(self._engine) as connection:
                found = due.payers(connection, period, by_fund=self._manner.by_fund)
            reserve(self._engine, [one.subject for one in found])

        def ask(connection: Connection, known: Background, live: dict[str, Live]) -> Iterator[Wanted]:
            return wanted(connection, period, self._manner, known, {} if draft else live)

        return self.issue(
            StatementKind.INVESTIGATOR,
            period,
            ask,
            actor=actor,
            now=now,
            draft=draft,
            dry_run=dry_run,
            prepare=prepare,
        )

    def bring_up_to_date(self, period: str, *, actor: str, now: datetime) -> None:
        """Apply the rules, so that the period has the lines that statements are made of. Of a finalized one they are
        those that were frozen. What changes after this and before the statements are written makes them begin anew."""
        with self._engine.begin() as connection:
            only_writer(connection)
            ruled(connection, period, actor, now)
            commit_to_disk(connection)

    def issue(
        self,
        kind: StatementKind,
        period: str,
        ask: Ask,
        *,
        actor: str,
        now: datetime,
        draft: bool = False,
        dry_run: bool = False,
        prepare: Callable[[], None] = lambda: None,
    ) -> Generated:
        """Statements of one kind; again from the start where the ledger has moved meanwhile. ``prepare`` comes first
        each time, but in a rehearsal: it gives the period its lines, and those who are new a number."""
        for _ in range(MOST_TRIES):
            if not dry_run:
                prepare()
            found = Generated(period, kind.value, dry_run=dry_run)
            with tempfile.TemporaryDirectory(prefix="clearfacts-statements-") as folder:
                with ledger_of(self._engine, period, kind, actor=actor, now=now, dry_run=dry_run) as connection:
                    seen, spooled = self._set(connection, kind, period, ask, now, draft, Path(folder), found)
                if dry_run or self._write(period, seen, spooled, found, actor, now):
                    return found
        raise LedgerMoves(f"charges of {period} keep changing while its statements are set: try again later")

    def _set(
        self, connection: Connection, kind: StatementKind, period: str, ask: Ask, now: datetime, draft: bool,
        folder: Path, found: Generated,
    ) -> tuple[str, list[_Spooled]]:  # fmt: skip
        seen, known = due.mark(connection, period), background(connection, last_month(period))
        live = live_statements(connection, period, kind)
        wants: dict[str, Wanted] = {}

        def orders() -> Iterator[Order]:
            for one in ask(connection, known, live):
                number, version = self._number(connection, one)
                wants[one.key] = Wanted(one.subject, one.key, one.charges_hash, live=one.live)
                yield order(connection, one, number, version, self._manner, known, now, draft=draft)

        spooled: list[_Spooled] = []
        for made in self._make(orders()):
            want = wants[subject_key(made.subject)]
            if made.problem:
                found.problems.append((f"{made.subject.name} {made.subject.project}".strip(), made.problem))
                continue
            path = folder / f"{len(spooled)}.pdf"
            path.write_bytes(made.typeset.pdf)
            spooled.append(_Spooled(want, _without_pdf(made), path))
            _note(found, want, made)
        found.unchanged = sum(key not in wants for key in live)
        return seen, spooled

    def _number(self, connection: Connection, one: Wanted) -> tuple[str, int]:
        """Number and next version; in a rehearsal a new one may have no number yet."""
        number = connection.execute(
            select(StatementNumber.number).where(StatementNumber.subject_key == one.key)
        ).scalar_one_or_none()
        if number is None:
            return f"{_series(one.subject)}-new", 1
        last = connection.execute(
            select(func.max(StatementRow.version)).where(StatementRow.number == number)
        ).scalar_one()
        return number, (last or 0) + 1

    def _write(
        self, period: str, seen: str, spooled: Sequence[_Spooled], found: Generated, actor: str, now: datetime
    ) -> bool:
        """All of them, in one transaction; False where what they were made of has changed meanwhile."""
        with self._engine.begin() as connection:
            only_writer(connection)
            if "-" in period:
                may_issue(period, state_of(connection, period))
            if due.mark(connection, period) != seen or not _still_live(connection, spooled):
                return False
            for one in spooled:  # first, so that a charge that moved from one to another is free
                _retire(connection, one.want, one.made.identity.state, actor, now)
            for one in spooled:
                found.ids.append(self._insert(connection, one, actor, now))
            if spooled:
                record(
                    connection,
                    actor=Actor(actor),
                    action="chargeback_statements.issued",
                    resource_type="chargeback_statements",
                    resource_id=period,
                    now=now,
                    after={"kind": found.kind, "new": len(found.new), "corrected": len(found.corrected)},
                )
            commit_to_disk(connection)
        return True

    def _insert(self, connection: Connection, one: _Spooled, actor: str, now: datetime) -> int:
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
            "rules": self._versions,
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


_BEGINS = {
    "draft": StatementEvent.DRAFTED,
    "proposed": StatementEvent.PROPOSED,
    "issued": StatementEvent.ISSUED,
}


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


def _series(subject: Subject) -> str:
    return f"{subject.kind.series}-{subject.period}"


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
            key, series = subject_key(subject), _series(subject)
            if key not in known:
                last[series] = last.get(series, 0) + 1
                number = f"{series}-{last[series]:04d}"
                new.append({"subject_key": key, "series": series, "position": last[series], "number": number})
        if new:
            connection.execute(insert(StatementNumber), new)


def _retire(connection: Connection, want: Wanted, following: str, actor: str, now: datetime) -> None:
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
    following = life.after(row.number, StatementState(row.state), event)
    connection.execute(
        update(StatementRow)
        .where(StatementRow.id == statement, StatementRow.state == row.state)
        .values(state=following.value)
    )
    if following not in life.LIVE:
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


def _still_live(connection: Connection, spooled: Sequence[_Spooled]) -> bool:
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


def last_month(period: str) -> str:
    """The month itself, or a year's last one."""
    return period if "-" in period else f"{period}-12"


def _note(found: Generated, want: Wanted, made: Made) -> None:
    number = made.identity.number
    (found.corrected if want.live else found.new).append(number)
    before = want.live.due if want.live else Decimal(0)
    currency = made.subject.currency
    change = EXACT.subtract(made.sums.due, before)
    found.difference[currency] = EXACT.add(found.difference.get(currency, Decimal(0)), change)
    if made.typeset.stand_ins:
        found.stand_ins[number] = made.typeset.stand_ins


def _without_pdf(made: Made) -> Made:
    return replace(made, typeset=replace(made.typeset, pdf=b""))


def _file_name(subject: Subject, number: str, version: int) -> str:
    """The number makes it unique; what stands before it is for people."""
    return file_name(subject.period, subject.name, subject.project, number, f"v{version}") + ".pdf"

"""Issuing statements: all of a month's in one transaction, or none. The same month twice issues nothing anew."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection, Engine

from clearfacts_assets.chargeback.statements.making import Made, Order
from clearfacts_assets.chargeback.statements.model import StatementKind
from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.chargeback.issuing import due_charges
from clearfacts_assets.storage.chargeback.issuing.issue_plan import (
    Background,
    Issuance,
    IssueOptions,
    Live,
    PlannedStatement,
    background,
    live_statements,
    order,
    subject_key,
    wanted,
)
from clearfacts_assets.storage.chargeback.issuing.issue_result import Generated, LedgerMoves
from clearfacts_assets.storage.chargeback.issuing.preconditions import ledger_of, may_issue, require, ruled
from clearfacts_assets.storage.chargeback.issuing.statement_rows import (
    Spooled,
    next_number,
    reserve,
    retire,
    still_live,
    write_statement,
)
from clearfacts_assets.storage.chargeback.ledger import only_writer, state_of
from clearfacts_assets.storage.database import commit_to_disk, reading

Maker = Callable[[Iterable[Order]], Iterator[Made]]
Ask = Callable[[Connection, Background, dict[str, Live]], Iterator[PlannedStatement]]
MOST_TRIES = 3  # where the ledger changes while statements are being set


class StatementIssuer:
    """Makes and issues. What it reads and writes is one state of the ledger."""

    def __init__(self, engine: Engine, make: Maker, options: IssueOptions, versions: dict[str, str]) -> None:
        """``versions`` say with which templates and rules statements are made; they are kept with each."""
        self._engine, self._make, self._options = engine, make, options
        self._versions = {"program": importlib.metadata.version("clearfacts-assets"), **versions}

    def investigators(self, period: str, issuance: Issuance) -> Generated:
        """Everybody's statements of a closed or finalized period. Raises NotAllowed, NothingIssued, LedgerMoves."""
        require(self._engine, period)

        def prepare() -> None:
            self.bring_up_to_date(period, issuance)
            with reading(self._engine) as connection:
                found = due_charges.payers(connection, period, by_fund=self._options.by_fund)
            reserve(self._engine, [one.subject for one in found])

        def ask(connection: Connection, known: Background, live: dict[str, Live]) -> Iterator[PlannedStatement]:
            return wanted(connection, period, self._options, known, {} if issuance.draft else live)

        return self.issue(StatementKind.INVESTIGATOR, period, ask, issuance, prepare)

    def bring_up_to_date(self, period: str, issuance: Issuance) -> None:
        """Apply the rules, so that the period has the lines that statements are made of. Of a finalized one they are
        those that were frozen. What changes after this and before the statements are written makes them begin anew."""
        with self._engine.begin() as connection:
            only_writer(connection)
            ruled(connection, period, issuance.actor, issuance.now)
            commit_to_disk(connection)

    def issue(
        self,
        kind: StatementKind,
        period: str,
        ask: Ask,
        issuance: Issuance,
        prepare: Callable[[], None] = lambda: None,
    ) -> Generated:
        """Statements of one kind; again from the start where the ledger has moved meanwhile. ``prepare`` comes first
        each time, but in a rehearsal: it gives the period its lines, and those who are new a number."""
        for _ in range(MOST_TRIES):
            if not issuance.dry_run:
                prepare()
            found = Generated(period, kind.value, dry_run=issuance.dry_run)
            with tempfile.TemporaryDirectory(prefix="clearfacts-statements-") as folder:
                with ledger_of(self._engine, period, kind, issuance) as connection:
                    seen = due_charges.mark(connection, period)
                    spooled = self._set(connection, found, ask, issuance, Path(folder))
                if issuance.dry_run or self._write(seen, spooled, found, issuance):
                    return found
        raise LedgerMoves(
            "charges of {period} keep changing while its statements are set: try again later", period=period
        )

    def _set(
        self, connection: Connection, found: Generated, ask: Ask, issuance: Issuance, folder: Path
    ) -> list[Spooled]:
        """Set what is asked for, and note in ``found`` what came of it."""
        known = background(connection, last_month(found.period))
        live = live_statements(connection, found.period, StatementKind(found.kind))
        wants: dict[str, PlannedStatement] = {}

        def orders() -> Iterator[Order]:
            for one in ask(connection, known, live):
                wants[one.key] = PlannedStatement(one.subject, one.key, one.charges_hash, live=one.live)
                yield order(connection, one, next_number(connection, one), self._options, known, issuance)

        spooled: list[Spooled] = []
        for made in self._make(orders()):
            want = wants[subject_key(made.subject)]
            if made.problem:
                found.problems.append((f"{made.subject.name} {made.subject.project}".strip(), made.problem))
                continue
            path = folder / f"{len(spooled)}.pdf"
            path.write_bytes(made.typeset.pdf)
            spooled.append(Spooled(want, _without_pdf(made), path))
            found.note(want, made)
        found.unchanged = sum(key not in wants for key in live)
        return spooled

    def _write(self, seen: str, spooled: Sequence[Spooled], found: Generated, issuance: Issuance) -> bool:
        """All of them, in one transaction; False where what they were made of has changed meanwhile."""
        period, actor, now = found.period, issuance.actor, issuance.now
        with self._engine.begin() as connection:
            only_writer(connection)
            if "-" in period:
                may_issue(period, state_of(connection, period))
            if due_charges.mark(connection, period) != seen or not still_live(connection, spooled):
                return False
            for one in spooled:  # first, so that a charge that moved from one to another is free
                retire(connection, one.want, one.made.identity.state, actor, now)
            for one in spooled:
                found.ids.append(write_statement(connection, one, self._versions, actor, now))
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


def last_month(period: str) -> str:
    """The month itself, or a year's last one."""
    return period if "-" in period else f"{period}-12"


def _without_pdf(made: Made) -> Made:
    return replace(made, typeset=replace(made.typeset, pdf=b""))

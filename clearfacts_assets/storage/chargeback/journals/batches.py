"""Making batches: each is one transaction with its balance, what it books and its file, or nothing.

A file is written beside its place before the commit and put into it afterwards, so that a file in its place always has
its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, select

from clearfacts_assets.chargeback.garbage_collection import few_collections
from clearfacts_assets.chargeback.journals.calendar import fiscal, last_day
from clearfacts_assets.chargeback.journals.chart import Chart, SourceAccounts
from clearfacts_assets.chargeback.journals.files import Prepared
from clearfacts_assets.chargeback.journals.lifecycle import BatchEvent, BatchNotAllowed, BatchState
from clearfacts_assets.chargeback.journals.model import BatchKind, Header, Journal
from clearfacts_assets.chargeback.journals.posting import Wording
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets.storage.chargeback.idempotency import Wish, keep, kept
from clearfacts_assets.storage.chargeback.journals.rows import (
    Booked,
    add_draft,
    batch_row,
    book,
    journal_of_row,
    move,
    next_number,
    release,
    take_back,
)
from clearfacts_assets.storage.chargeback.journals.standing import may_be_reversed
from clearfacts_assets.storage.chargeback.ledger import only_writer
from clearfacts_assets.storage.chargeback.registry import load_funds
from clearfacts_assets.storage.chargeback.tables import CostSourceRow
from clearfacts_assets.storage.database import commit_to_disk, reading

Prepare = Callable[[Journal], Sequence[Prepared]]  # files of a journal, written and not yet in their places


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How batches are made, as the settings say. Without ``prepare`` no file is written."""

    chart: Chart
    wording: Wording = field(default_factory=Wording)
    fiscal_year_start: int = 1
    dated_today: bool = False  # else on the last day of the month
    accrual_account: str = ""
    format: str = ""
    prepare: Prepare | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for what when. ``draft``: nothing leaves yet. ``dry_run``: nothing is kept at all."""

    actor: str | Actor
    now: datetime
    currency: str | None = None
    accounting_date: date | None = None
    draft: bool = False
    dry_run: bool = False
    reason: str = ""
    wish: Wish | None = None  # the same wish makes its batches once


@dataclass(frozen=True, slots=True)
class Done:
    """A batch that was made, and where its files are."""

    journal: Journal
    state: str
    files: tuple[Path, ...] = ()

    def as_result(self) -> dict[str, Any]:
        return self.journal.as_result() | {"state": self.state, "files": [str(one) for one in self.files]}


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """A batch to be kept: what it says, what it books, the statements (ids) and the batch that it takes out."""

    journal: Journal
    books: Sequence[Booked] = ()
    releases: Sequence[int] = ()
    reverses: int | None = None
    always_leaves: bool = False  # even where drafts are asked for: what takes back something that has left


class _Rehearsed(Exception):
    """Ends a transaction whose work was only a rehearsal."""


class _DoneBefore(Exception):
    """The wish was carried out before; ``numbers`` are the batches that it made."""

    def __init__(self, numbers: Sequence[str]) -> None:
        super().__init__()
        self.numbers = numbers


class Batches:
    """Keeps batches, as the settings say."""

    def __init__(self, engine: Engine, options: BatchOptions) -> None:
        self._engine, self._options = engine, options

    def make(self, asked: Asked, work: Callable[[Connection], Iterator[PlannedBatch]]) -> list[Done]:
        """Keep all that ``work`` wants, in its order and in one transaction."""
        done: list[Done] = []
        files: list[Prepared] = []
        try:
            with few_collections(), _put_or_drop(files), self._engine.begin() as connection:
                only_writer(connection)
                if (before := kept(connection, asked.wish)) is not None:
                    raise _DoneBefore(before["journals"])
                done.extend(self._keep(connection, wanted, asked, files) for wanted in work(connection))
                if asked.dry_run:
                    raise _Rehearsed
                keep(connection, asked.wish, {"journals": [one.journal.header.number for one in done]}, asked.now)
                commit_to_disk(connection)
        except _Rehearsed:
            return [Done(one.journal, "not kept") for one in done]
        except _DoneBefore as wish:
            with reading(self._engine) as connection:
                rows = [batch_row(connection, number) for number in wish.numbers]
                return [Done(journal_of_row(connection, row), row["state"]) for row in rows]
        return done

    def rewrite(self, number: str, asked: Asked) -> Done:
        """Write a batch's file again; a draft leaves by that."""
        files: list[Prepared] = []
        with _put_or_drop(files), self._engine.begin() as connection:
            only_writer(connection)
            row = batch_row(connection, number)
            journal = journal_of_row(connection, row)
            files += self._options.prepare(journal) if self._options.prepare else []
            state = BatchState(row["state"])
            if state is BatchState.DRAFT:
                state = move(connection, row, BatchEvent.EXPORTED, actor=asked.actor, now=asked.now,
                             **self._written(files))  # fmt: skip
            commit_to_disk(connection)
        return Done(journal, state.value, tuple(one.path for one in files))

    def discard(self, number: str, asked: Asked) -> None:
        """A draft never left: it is reversed without a counterpart."""
        with self._engine.begin() as connection:
            only_writer(connection)
            row = batch_row(connection, number)
            if row["state"] != BatchState.DRAFT:
                raise BatchNotAllowed("{number} has left meanwhile: look at it, then decide again", number=number)
            may_be_reversed(connection, row)
            take_back(connection, row["id"], row["id"])
            move(connection, row, BatchEvent.REVERSED, actor=asked.actor, now=asked.now, reason=asked.reason)
            if asked.dry_run:
                connection.rollback()

    def chart(self, connection: Connection) -> Chart:
        """The chart of accounts, with what sources and the registry's funds say."""
        table = CostSourceRow.__table__.c
        query = select(table.name, table.credit_fund_org, table.account_code)
        sources = {row[0]: SourceAccounts(row[1], row[2]) for row in connection.execute(query)}
        return replace(self._options.chart, sources=sources, funds=load_funds(connection))

    def header(
        self, connection: Connection, period: str, currency: str, kind: BatchKind, asked: Asked, reverses: str = ""
    ) -> Header:
        """What stands over the month's next batch."""
        today = asked.now.date()
        day = asked.accounting_date or (today if self._options.dated_today else last_day(period))
        year, number = fiscal(day, self._options.fiscal_year_start)
        titles = {
            BatchKind.CHARGES: f"Research computing {period}",
            BatchKind.TRANSFER: f"Cost transfer {period}",
            BatchKind.ACCRUAL: f"Accrual {period}",
            BatchKind.REVERSAL: f"Reversal of {reverses}",
        }
        return Header(
            next_number(connection, period), kind, period, currency, today, day, year, number, titles[kind], reverses
        )

    def _keep(self, connection: Connection, wanted: PlannedBatch, asked: Asked, files: list[Prepared]) -> Done:
        journal = wanted.journal
        batch = add_draft(connection, journal, actor=asked.actor, now=asked.now, reverses=wanted.reverses)
        if wanted.reverses is not None:
            take_back(connection, batch, wanted.reverses)
        release(connection, batch, wanted.releases)  # first, so that another version of a number is free to be booked
        book(connection, batch, wanted.books)
        if asked.draft and not wanted.always_leaves:
            return Done(journal, BatchState.DRAFT.value)
        written = list(self._options.prepare(journal)) if self._options.prepare and not asked.dry_run else []
        files += written
        row = {"id": batch, "number": journal.header.number, "state": BatchState.DRAFT.value}
        move(connection, row, BatchEvent.EXPORTED, actor=asked.actor, now=asked.now, reason=asked.reason,
             **self._written(written))  # fmt: skip
        return Done(journal, BatchState.EXPORTED.value, tuple(one.path for one in written))

    def _written(self, files: Sequence[Prepared]) -> dict[str, str]:
        first = files[0] if files else None
        return {
            "format": self._options.format,
            "file_name": first.path.name[:100] if first else "",
            "file_sha256": first.sha256 if first else "",
        }


@contextmanager
def _put_or_drop(files: list[Prepared]) -> Iterator[None]:
    """Files go into their places once what is inside has been committed, and away where it has not."""
    try:
        yield
    except BaseException:
        for one in files:
            one.drop()
        raise
    for one in files:
        one.put()

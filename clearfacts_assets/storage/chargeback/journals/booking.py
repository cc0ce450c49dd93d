"""Booking: statements become batches once; what was corrected is transferred; batches are taken back; months accrue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import Connection, Engine

from clearfacts_assets.chargeback.journals.calendar import first_day_after
from clearfacts_assets.chargeback.journals.lifecycle import BatchState
from clearfacts_assets.chargeback.journals.model import BatchKind, NothingToPost
from clearfacts_assets.chargeback.journals.posting import journal_of, transfer_of
from clearfacts_assets.chargeback.model import period_of
from clearfacts_assets.storage.chargeback.journals.accruing import accrued_parts
from clearfacts_assets.storage.chargeback.journals.batches import Asked, Batches, BatchOptions, Done, PlannedBatch
from clearfacts_assets.storage.chargeback.journals.ending_accruals import dated_after_accrual, due_accruals
from clearfacts_assets.storage.chargeback.journals.reversals import taken_back
from clearfacts_assets.storage.chargeback.journals.rows import Booked, batch_row
from clearfacts_assets.storage.chargeback.journals.standing import (
    booked_lines,
    books_something,
    moved_since,
    no_accrual_stands,
    nothing_to_post,
    to_book,
)
from clearfacts_assets.storage.chargeback.journals.statements import parts_of
from clearfacts_assets.storage.database import reading

BY_ITSELF = "an accrual is taken back in the month after"


class JournalService:
    """Makes batches. Raises what stands in ``journals.model`` and ``journals.lifecycle``; then nothing was kept."""

    def __init__(self, engine: Engine, options: BatchOptions) -> None:
        self._engine, self._options = engine, options
        self._batches = Batches(engine, options)

    def export(self, period: str, asked: Asked) -> list[Done]:
        """A batch a currency of the month's issued statements that no live batch books; before them the reversals of
        accruals of this month and earlier ones, once these are over. Raises NothingToPost where there is neither."""
        period_of(period)

        def work(connection: Connection) -> Iterator[PlannedBatch]:
            ended = 0
            for one in self._ended(connection, asked, period):
                yield one
                ended += 1
            found = to_book(connection, period, asked.currency)
            if not found and not ended:
                raise nothing_to_post(connection, period, asked.currency)
            for currency in sorted({one.currency for one in found}):
                no_accrual_stands(connection, period, currency)
                those = [one for one in found if one.currency == currency]
                dated = asked if self._options.dated_today else dated_after_accrual(connection, period, currency, asked)
                header = self._batches.header(connection, period, currency, BatchKind.CHARGES, dated)
                parts = list(parts_of(connection, those))
                journal = journal_of(header, parts, self._batches.chart(connection), self._options.wording)
                yield PlannedBatch(journal, [Booked(one) for one in those])

        return self._batches.make(asked, work)

    def transfer(self, period: str, asked: Asked) -> list[Done]:
        """A batch a currency of the month's statements that were corrected or voided after they had been booked: what
        was booked goes out, what stands now comes in. Raises NothingToPost."""
        period_of(period)

        def work(connection: Connection) -> Iterator[PlannedBatch]:
            moved = moved_since(connection, period, asked.currency)
            if not moved:
                raise NothingToPost("no statement of {period} that a journal books was corrected since", period=period)
            for currency in sorted({old.currency for old, _ in moved}):
                those = [(old, new) for old, new in moved if old.currency == currency]
                header = self._batches.header(connection, period, currency, BatchKind.TRANSFER, asked)
                before = booked_lines(connection, [old.number for old, _ in those], currency)
                now = list(parts_of(connection, [new for _, new in those if new is not None]))
                back = [one.times(-1) for one in parts_of(connection, [old for old, _ in those])]
                chart = self._batches.chart(connection)
                journal = transfer_of(header, before, now, chart, self._options.wording, [*back, *now])
                booked = [Booked(old, -1) for old, _ in those] + [Booked(new) for _, new in those if new]
                yield PlannedBatch(journal, booked, releases=[old.id for old, _ in those])

        return self._batches.make(asked, work)

    def reverse(self, number: str, asked: Asked) -> list[Done]:
        """Take a batch back: a draft by itself, any other by its exact negative. Its statements are free again."""

        def work(connection: Connection) -> Iterator[PlannedBatch]:
            row = batch_row(connection, number)
            accrual = row["kind"] == BatchKind.ACCRUAL
            day = asked.accounting_date or (first_day_after(row["period"]) if accrual else row["accounting_date"])
            yield taken_back(connection, self._batches, row, replace(asked, accounting_date=day))

        with reading(self._engine) as connection:
            row = batch_row(connection, number)
        if row["state"] == BatchState.DRAFT:
            self._batches.discard(number, asked)
            return []
        return self._batches.make(asked, work)

    def accrue(self, period: str, asked: Asked) -> list[Done]:
        """A batch a currency of what is due in a month of which nothing is booked yet. It is taken back by
        ``end_accruals``, or by the first export, once the month is over. Raises NothingToPost."""
        period_of(period)

        def work(connection: Connection) -> Iterator[PlannedBatch]:
            parts = accrued_parts(connection, period, asked.currency)
            found = False
            for currency in sorted({one.currency for one in parts}):
                no_accrual_stands(connection, period, currency)
                if books_something(connection, period, currency):
                    continue
                found = True
                header = self._batches.header(connection, period, currency, BatchKind.ACCRUAL, asked)
                chart = replace(
                    self._batches.chart(connection),
                    credit_account=self._options.accrual_account or self._options.chart.credit_account,
                )
                those = [one for one in parts if one.currency == currency]
                yield PlannedBatch(journal_of(header, those, chart, self._options.wording))
            if not found:
                raise NothingToPost(
                    "nothing of {period} is to be accrued: nothing is due, or statements are booked", period=period
                )

        return self._batches.make(asked, work)

    def end_accruals(self, asked: Asked, up_to: str | None = None) -> list[Done]:
        """Take back each accrual that has left and whose month (none later than ``up_to``) is over, on the first day of
        the next one. Once more finds nothing, and makes nothing."""
        return self._batches.make(asked, lambda connection: self._ended(connection, asked, up_to))

    def rewrite(self, number: str, asked: Asked) -> Done:
        """Write a batch's file again; a draft leaves by that."""
        return self._batches.rewrite(number, asked)

    def _ended(self, connection: Connection, asked: Asked, up_to: str | None) -> Iterator[PlannedBatch]:
        for row in due_accruals(connection, asked.now.date(), currency=asked.currency, up_to=up_to):
            dated = replace(asked, accounting_date=first_day_after(row["period"]), reason=asked.reason or BY_ITSELF)
            yield replace(taken_back(connection, self._batches, row, dated), always_leaves=True)

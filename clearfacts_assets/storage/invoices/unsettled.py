"""Nothing is nowhere: of every invoice that has no end yet, for whom or what it waits, over all days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from sqlalchemy import Engine, Table, func, or_, select

from clearfacts_assets.invoices.lifecycle import OVER, WAITS_FOR_A_PERSON, Event, State, before
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.jobs import UNFINISHED
from clearfacts_assets.storage.invoices.review_queue import OPEN
from clearfacts_assets.storage.invoices.tables import Delivery, InvoiceRow, Job

NAMED = 50  # of those that wait for nobody

_rows = cast(Table, InvoiceRow.__table__)
_deliveries = cast(Table, Delivery.__table__)


@dataclass(frozen=True, slots=True)
class Stray:
    """An invoice that waits for nobody."""

    what: str  # what it is, and where
    why: str


@dataclass(frozen=True, slots=True)
class Unsettled:
    """How many invoices wait, and for what."""

    for_a_person: int  # held or parked
    for_a_time: int  # tried again later
    for_a_run: int  # due, or in a run that is under way
    strays: Sequence[Stray]  # at most NAMED of them
    for_nobody: int


def unsettled_invoices(engine: Engine) -> Unsettled:
    """Where all versions stand that have not come to an end, and all rows that the ledger has not met.

    Grows with the number of those, not with what was ever delivered.
    """
    with reading(engine) as connection:
        states = (
            select(_deliveries.c.state, func.count())
            .where(_deliveries.c.state.in_((*OPEN, *WAITS_FOR_A_PERSON)))
            .group_by(_deliveries.c.state)
        )
        counts = Counter({State(state): count for state, count in connection.execute(states).tuples()})
        no_day = (
            select(_deliveries.c.id, _deliveries.c.number)
            .where(_deliveries.c.state.in_(before(Event.CLAIMED)), _deliveries.c.day.is_(None))
            .limit(NAMED)
        )
        strays = [
            Stray(f"delivery {one.id} of {one.number}", "it may leave, but belongs to no day whose runs would send it")
            for one in connection.execute(no_day)
        ]
        unmet = (
            select(Job.status, Job.partition_key, func.count(), func.min(_rows.c.invoice_id))
            .join(Job, Job.id == _rows.c.job_id)
            .where(_rows.c.status == InvoiceStatus.PENDING, _rows.c.delivery_id.is_(None))
            .group_by(Job.status, Job.partition_key)
        )
        rows = 0
        for status, day, count, example in connection.execute(unmet):
            rows += count
            if day is None and status not in UNFINISHED:
                strays.append(Stray(f"{count} rows, such as {example}", "their job is over and belongs to no day"))
        behind = (
            select(_rows.c.job_id, _rows.c.invoice_id, _deliveries.c.state)
            .join(_deliveries, _deliveries.c.id == _rows.c.delivery_id)
            .join(Job, Job.id == _rows.c.job_id)
            .where(
                _rows.c.status == InvoiceStatus.PENDING,
                or_(_deliveries.c.state.in_(OVER), _deliveries.c.state.is_(None)),
                Job.status.not_in(UNFINISHED),
            )
            .limit(NAMED)
        )
        strays += [_behind(*row) for row in connection.execute(behind).tuples()]
    return Unsettled(
        for_a_person=sum(counts[state] for state in WAITS_FOR_A_PERSON),
        for_a_time=counts[State.WAITING],
        for_a_run=counts[State.READY] + counts[State.SENDING] + counts[State.UNKNOWN] + rows,
        strays=strays[:NAMED],
        for_nobody=len(strays),
    )


def _behind(job_id: UUID, invoice_id: str, state: str) -> Stray:
    return Stray(f"row {invoice_id} of job {job_id}", f"it is pending, but its delivery is {state}")

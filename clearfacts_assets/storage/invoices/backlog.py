"""What waits, and since when, for those who watch from outside: one short read each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, func, select

from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.tables import Delivery, InvoiceRow, Job
from clearfacts_assets.storage.memo import Memo

UNFINISHED = (State.READY, State.HELD, State.SENDING, State.WAITING, State.UNKNOWN, State.PARKED)
NEWEST_ROWS = 1000  # among which the source's newest invoice is looked for


@dataclass(frozen=True, slots=True)
class Unfinished:
    """How many deliveries stand in each state that is no end, and when the oldest there was first seen."""

    numbers: dict[str, int]
    oldest: dict[str, datetime]


def unfinished(engine: Engine) -> Unfinished:
    """Every such state is there, with 0 where nothing stands. They are few, and the index on the state finds them."""
    query = (
        select(Delivery.state, func.count(), func.min(Delivery.created_at))
        .where(Delivery.state.in_(UNFINISHED))
        .group_by(Delivery.state)
    )
    with reading(engine) as connection:
        found = connection.execute(query).tuples().all()
    numbers = {state.value: 0 for state in UNFINISHED} | {state: number for state, number, _ in found}
    return Unfinished(numbers, {state: since for state, _, since in found})


def last_good_night(engine: Engine) -> datetime | None:
    """When the newest scheduled job was completed."""
    query = select(func.max(Job.completed_at)).where(Job.job_type == "scheduled", Job.status == "completed")
    with reading(engine) as connection:
        return connection.execute(query).scalar_one()


_NEWEST: Memo[Engine, datetime | None] = Memo()


def newest_invoice(engine: Engine) -> datetime | None:
    """When the newest invoice that the source gave was changed there, among the rows that came last.

    Looked for anew when another row has come."""
    by_age = InvoiceRow.created_at.desc(), InvoiceRow.id.desc()
    last = select(InvoiceRow.source_updated_at).order_by(*by_age).limit(NEWEST_ROWS).subquery()
    with reading(engine) as connection:
        row = connection.execute(select(InvoiceRow.id).order_by(*by_age).limit(1)).scalar_one_or_none()
        newest = select(func.max(last.c.source_updated_at))
        return _NEWEST.get(engine, row, lambda: connection.execute(newest).scalar_one())

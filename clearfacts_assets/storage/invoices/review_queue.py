"""What waits: deliveries that go no further until a person decides, and days of which something is due again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Engine, Select, Table, and_, bindparam, exists, func, not_, or_, select, tuple_
from sqlalchemy.orm import aliased

from clearfacts_assets.invoices.ledger.model import DeliveryRecord
from clearfacts_assets.invoices.lifecycle import WAITS_FOR_A_PERSON, Event, State, before
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.storage.database import database_now, reading
from clearfacts_assets.storage.invoices.delivery_rows import record_of
from clearfacts_assets.storage.invoices.jobs import FINISHED, whole_day_came_again
from clearfacts_assets.storage.invoices.tables import Delivery, InvoiceRow, Job

REASONS = 50  # kinds of reason that are counted
SHOWN = 50  # deliveries that are named

OPEN = (State.READY, State.WAITING, State.SENDING, State.UNKNOWN)

_deliveries = cast(Table, Delivery.__table__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """All deliveries that wait for a person."""

    parked: int
    held: int
    reasons: Mapping[str, int]  # the most frequent ones, and how many wait for each
    longest: Sequence[DeliveryRecord]  # those that wait longest, the first first
    since: datetime | None  # when the first of them began to wait
    newest: datetime | None  # when the last of them did


def waiting_for_a_person(engine: Engine) -> Waiting:
    """What is parked or held now, read in one transaction."""
    waits = _deliveries.c.state.in_(WAITS_FOR_A_PERSON)
    counted = select(_deliveries.c.state, func.count()).where(waits).group_by(_deliveries.c.state)
    span = select(func.min(_deliveries.c.updated_at), func.max(_deliveries.c.updated_at)).where(waits)
    number = func.count().label("number")
    reasons = (
        select(_deliveries.c.reason, number)
        .where(waits)
        .group_by(_deliveries.c.reason)
        .order_by(number.desc())
        .limit(REASONS)
    )
    first = select(_deliveries).where(waits).order_by(_deliveries.c.updated_at, _deliveries.c.id).limit(SHOWN)
    with reading(engine) as connection:
        counts = {State(state): count for state, count in connection.execute(counted)}
        since, newest = connection.execute(span).one()
        return Waiting(
            counts.get(State.PARKED, 0),
            counts.get(State.HELD, 0),
            {reason or "no reason was noted": count for reason, count in connection.execute(reasons)},
            [record_of(row) for row in connection.execute(first).mappings()],
            since,
            newest,
        )


def days_due(engine: Engine) -> dict[str, int]:
    """Days of which a run has something to do now, with the number of invoices.

    By the ledger: a version that is ready, or waits and is due; one in doubt that the next run looks up or gives to a
    person. By the rows: what a run that is over left before the ledger met it, and the ERP has not withdrawn. What is
    parked or held is a person's, and never due.
    """
    with reading(engine) as connection:
        versions = connection.execute(_versions_due(), {"now": database_now(connection)})
        due = Counter({day: count for day, count in versions.tuples() if day is not None})
        due.update({day: count for day, count in connection.execute(_never_met()).tuples() if day is not None})
        return dict(due)


# Written once: to make these statements takes several times what any database takes to answer them.
@cache
def _versions_due() -> Select[Any]:
    now = bindparam("now", type_=_deliveries.c.not_before.type)
    may_leave = and_(
        _deliveries.c.state.in_(before(Event.CLAIMED)),
        or_(_deliveries.c.not_before.is_(None), _deliveries.c.not_before <= now),
    )
    run_died = and_(_deliveries.c.state == State.SENDING, _deliveries.c.lease_until < now)
    in_doubt = or_(_deliveries.c.state == State.UNKNOWN, run_died)
    is_open = _deliveries.c.state.in_(OPEN)  # so that only these are looked at, however many there are
    versions = select(_deliveries.c.day, func.count()).where(is_open, or_(may_leave, in_doubt))
    return versions.group_by(_deliveries.c.day)


@cache
def _never_met() -> Select[Any]:
    """Days with rows that the ledger has not met and no later row of the same invoice and day stands for."""
    newer, its_job = aliased(InvoiceRow), aliased(Job)
    age = [tuple_(func.coalesce(row.source_updated_at, row.created_at), row.created_at) for row in (newer, InvoiceRow)]
    superseded = exists().where(
        newer.invoice_id == InvoiceRow.invoice_id,
        its_job.id == newer.job_id,
        its_job.partition_key == Job.partition_key,
        age[0] > age[1],  # the order in which takeover.py chooses
    )
    return (
        select(Job.partition_key, func.count(InvoiceRow.invoice_id.distinct()))
        .select_from(InvoiceRow)
        .join(Job, Job.id == InvoiceRow.job_id)
        .where(
            InvoiceRow.status == InvoiceStatus.PENDING,
            InvoiceRow.delivery_id.is_(None),
            not_(superseded),
            not_(whole_day_came_again()),
        )
        .group_by(Job.partition_key)
    )


def newest_jobs_of(engine: Engine, days: Sequence[str]) -> dict[str, tuple[UUID, bool]]:
    """Each day's newest job, and whether all jobs of the day are over."""
    query = (
        select(Job.partition_key, Job.id, Job.status)
        .where(Job.partition_key.in_(days))
        .order_by(Job.created_at, Job.id)
    )
    found: dict[str, tuple[UUID, bool]] = {}
    with reading(engine) as connection:
        for day, job_id, status in connection.execute(query).tuples():
            if day is not None:
                over = found[day][1] if day in found else True
                found[day] = job_id, over and status in FINISHED
    return found

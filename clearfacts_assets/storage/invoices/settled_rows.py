"""Rows that follow their deliveries: what a settled delivery means for the rows of every job that waited for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Row, Table, and_, bindparam, or_, select, update

from clearfacts_assets.invoices.ledger.model import DeliveryResult
from clearfacts_assets.invoices.lifecycle import OVER, ROW_MEANING, Event, State
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.storage.invoices.jobs import FINISHED
from clearfacts_assets.storage.invoices.tables import Delivery, DeliveryAttempt, InvoiceRow, Job

SETTLES_EARLIER_ROWS = frozenset({InvoiceStatus.SENT, InvoiceStatus.FAILED})
MAY_HAVE_SENT = (Event.ACCEPTED, Event.LOST)  # outcomes of attempts by which a delivered version got there

_rows = cast(Table, InvoiceRow.__table__)
_deliveries = cast(Table, Delivery.__table__)


def jobs_behind(connection: Connection, job_id: UUID) -> list[UUID]:
    """Jobs with pending rows whose deliveries are settled: this one, and all that are over."""
    # By the rows' status alone: with the deliveries' states in the question, SQLite walks through all of those.
    query = (
        select(_rows.c.job_id, Job.status, _deliveries.c.state)
        .distinct()
        .join(_deliveries, _deliveries.c.id == _rows.c.delivery_id)
        .join(Job, Job.id == _rows.c.job_id)
        .where(_rows.c.status == InvoiceStatus.PENDING)
    )
    behind = {
        row.job_id
        for row in connection.execute(query)
        if row.state in OVER and (row.job_id == job_id or row.status in FINISHED)
    }
    return sorted(behind)


def followed(connection: Connection, job_id: UUID) -> list[DeliveryResult]:
    """What became of the job's pending rows whose deliveries are settled."""
    query = (
        select(_rows.c.id, _deliveries.c.id.label("delivery_id"), _deliveries.c.state, _deliveries.c.reason)
        .add_columns(DeliveryAttempt.response, DeliveryAttempt.id.label("attempt_id"))
        .join(_deliveries, _deliveries.c.id == _rows.c.delivery_id)
        .outerjoin(
            DeliveryAttempt,
            and_(
                DeliveryAttempt.delivery_id == _deliveries.c.id,
                DeliveryAttempt.fence == _deliveries.c.fence,
                DeliveryAttempt.run_id == job_id,
                or_(DeliveryAttempt.outcome.is_(None), DeliveryAttempt.outcome.in_(MAY_HAVE_SENT)),
            ),
        )
        .where(
            _rows.c.job_id == job_id,
            _rows.c.status == InvoiceStatus.PENDING,
            _deliveries.c.state.in_(OVER),
        )
        .order_by(_rows.c.invoice_id)
    )
    counted = select(_rows.c.delivery_id).where(_rows.c.job_id == job_id, _rows.c.status == InvoiceStatus.SENT)
    sent = set(connection.execute(counted).scalars())
    results = []
    for row in connection.execute(query):
        results.append(_followed(row, counted=row.delivery_id in sent))
        sent.add(row.delivery_id)
    return results


def waiting_elsewhere(
    connection: Connection, job_id: UUID, settling: Mapping[UUID | None, DeliveryResult], now: datetime
) -> list[dict[str, Any]]:
    """What becomes of earlier jobs' rows that waited for deliveries which this job has settled."""
    # By the delivery alone: with the status in the question, SQLite walks through all pending rows.
    query = select(_rows.c.id, _rows.c.status, _rows.c.delivery_id).where(
        _rows.c.delivery_id.in_(settling), _rows.c.job_id != job_id
    )
    waited = []
    for row in connection.execute(query) if settling else ():
        if row.status != InvoiceStatus.PENDING:
            continue
        became, why = settling[row.delivery_id].status, settling[row.delivery_id].message
        if became is InvoiceStatus.SENT:
            became, why = InvoiceStatus.DUPLICATE, f"delivered by the later job {job_id}"
        waited.append({"row": row.id, "status": became, "error_message": why, "processed_at": now, "updated_at": now})
    return waited


def follow_verdicts(connection: Connection, versions: Mapping[UUID, tuple[State, str | None]], now: datetime) -> None:
    """Settle the rows that waited for versions which a person's verdict has settled, or say why they wait on."""
    for delivery_id, (state, reason) in versions.items():
        meaning = ROW_MEANING[state]
        status = meaning.waited
        processed = None if status is InvoiceStatus.PENDING else now
        connection.execute(
            _WAITED,
            {"which": delivery_id, "became": status, "why": reason, "done": processed, "at": now},
        )


def sent_by(connection: Connection, delivery_id: UUID, job_id: UUID | None, now: datetime) -> None:
    """It was the last job to try that got it there: its first row is the one that was sent."""
    first = (
        select(_rows.c.id)
        .where(
            _rows.c.delivery_id == delivery_id,
            _rows.c.job_id == job_id,
            _rows.c.status == InvoiceStatus.PENDING,
        )
        .order_by(_rows.c.invoice_id)
        .limit(1)
        .scalar_subquery()
    )
    sent = {"status": InvoiceStatus.SENT, "error_message": None, "processed_at": now, "updated_at": now}
    connection.execute(update(_rows).where(_rows.c.id == first).values(sent))


_WAITED = (
    update(_rows)
    .where(_rows.c.delivery_id == bindparam("which"), _rows.c.status == InvoiceStatus.PENDING)
    .values(
        status=bindparam("became"),
        error_message=bindparam("why"),
        processed_at=bindparam("done"),
        updated_at=bindparam("at"),
    )
)


def _followed(row: Row[Any], *, counted: bool) -> DeliveryResult:
    """What a settled delivery means for a row; ``counted`` if another row of the job is the one that was sent."""
    state = State(row.state)
    if state is State.DELIVERED and row.attempt_id is not None and not counted:
        return DeliveryResult(row.id, InvoiceStatus.SENT, row.delivery_id, response=row.response or {})
    meaning = ROW_MEANING[state]
    words = "delivered by another row, job or person" if state is State.DELIVERED else row.reason or meaning.words
    return DeliveryResult(row.id, meaning.waited, row.delivery_id, words)

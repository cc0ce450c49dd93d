"""Rows that follow their deliveries: what a settled delivery means for the rows of every job that waited for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Row, Table, and_, select

from clearfacts_assets.invoices.lifecycle import FINAL, State
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.invoices.ports import DeliveryResult
from clearfacts_assets.storage.jobs import FINISHED
from clearfacts_assets.storage.tables import Delivery, DeliveryAttempt, InvoiceRow, Job

SETTLED = FINAL | {State.REJECTED}
SETTLES_EARLIER_ROWS = frozenset({InvoiceStatus.SENT, InvoiceStatus.FAILED})

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
        if row.state in SETTLED and (row.job_id == job_id or row.status in FINISHED)
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
            ),
        )
        .where(
            _rows.c.job_id == job_id,
            _rows.c.status == InvoiceStatus.PENDING,
            _deliveries.c.state.in_(SETTLED),
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
    query = select(_rows.c.id, _rows.c.job_id, _rows.c.status, _rows.c.delivery_id).where(
        _rows.c.delivery_id.in_(settling)
    )
    waited = []
    for row in connection.execute(query) if settling else ():
        if row.job_id == job_id or row.status != InvoiceStatus.PENDING:
            continue
        became, why = settling[row.delivery_id].status, settling[row.delivery_id].message
        if became is InvoiceStatus.SENT:
            became, why = InvoiceStatus.DUPLICATE, f"delivered by the later job {job_id}"
        waited.append({"row": row.id, "status": became, "error_message": why, "processed_at": now, "updated_at": now})
    return waited


def _followed(row: Row[Any], *, counted: bool) -> DeliveryResult:
    """What a settled delivery means for a row; ``counted`` if another row of the job is the one that was sent."""
    if row.state == State.REJECTED:
        return DeliveryResult(row.id, InvoiceStatus.FAILED, row.delivery_id, row.reason or "refused")
    if row.state == State.WAIVED:
        return DeliveryResult(row.id, InvoiceStatus.FAILED, row.delivery_id, row.reason or "a person waived it")
    if row.attempt_id is not None and not counted:
        return DeliveryResult(row.id, InvoiceStatus.SENT, row.delivery_id, response=row.response or {})
    return DeliveryResult(row.id, InvoiceStatus.DUPLICATE, row.delivery_id, "delivered by another row, job or person")

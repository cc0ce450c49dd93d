"""Documents of invoices that need not be kept any longer: found, and emptied in small transactions.

What goes is the document, its report and its parties' identifiers. The row stays (which job saw it, its number, what
became of it), and so does the delivery: that an invoice was accepted is never forgotten, or it would be sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Row,
    Select,
    Table,
    and_,
    func,
    not_,
    null,
    or_,
    select,
    update,
)

from clearfacts_assets.invoices.lifecycle import OVER
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.accounts.holds import Hold, Kept, in_force
from clearfacts_assets.storage.database import reading, write
from clearfacts_assets.storage.invoices.kept_documents import emptying
from clearfacts_assets.storage.invoices.tables import Delivery, InvoiceRow, Job

BATCH = 500  # documents of one transaction, which the log's entry names one by one
_ENDED = ("completed", "failed")  # jobs that will not touch their rows any more
_rows, _jobs, _deliveries = (cast(Table, one.__table__) for one in (InvoiceRow, Job, Delivery))


@dataclass(slots=True)
class Documents:
    """What was found, or done."""

    found: int = 0  # that may go
    held: int = 0  # that would go, but for a hold
    bytes: int = 0  # of the documents that may go, as text
    deleted: int = 0


def expire(engine: Engine, before: datetime, *, dry_run: bool, actor: Actor, now: datetime) -> Documents:
    """Empty every settled document that is dated before, and came before; or, in a dry run, count them."""
    told, last = Documents(), UUID(int=0)
    while True:
        if dry_run:
            with reading(engine) as connection:
                batch = _batch(connection, before, last)
                _count(told, batch, in_force(connection))
        else:
            batch, done = write(engine, partial(_empty, before=before, last=last, actor=actor, now=now))
            told.found, told.held = told.found + done.found, told.held + done.held
            told.bytes, told.deleted = told.bytes + done.bytes, told.deleted + done.deleted
        if len(batch) < BATCH:
            return told
        last = batch[-1].id


def _batch(connection: Connection, before: datetime, last: UUID) -> Sequence[Row[Any]]:
    return connection.execute(_candidates(before).where(_rows.c.id > last).order_by(_rows.c.id).limit(BATCH)).all()


def _candidates(before: datetime) -> Select[Any]:
    """Rows with a document that nobody needs: old, of a job that is over, settled, and so is every other row of the
    content, for a document is kept once and found by its hash."""
    others, other_jobs, other_deliveries = _rows.alias(), _jobs.alias(), _deliveries.alias()
    needed = (
        select(others.c.id)
        .join(other_jobs, other_jobs.c.id == others.c.job_id)
        .outerjoin(other_deliveries, other_deliveries.c.id == others.c.delivery_id)
        .where(others.c.content_sha256 == _rows.c.content_sha256)
        .where(not_(_is_over(others, other_jobs, other_deliveries, before)))
        .correlate(_rows)
        .exists()
    )
    names = ("id", "invoice_id", "number", "issue_date", "supplier", "customer", "parties", "content_sha256")
    return (
        select(*(_rows.c[name] for name in names), func.length(_rows.c.ubl_data).label("size"))
        .join(_jobs, _jobs.c.id == _rows.c.job_id)
        .outerjoin(_deliveries, _deliveries.c.id == _rows.c.delivery_id)
        .where(_rows.c.ubl_data.is_not(None), _is_over(_rows, _jobs, _deliveries, before), not_(needed))
    )


def _is_over(rows: FromClause, jobs: FromClause, deliveries: FromClause, before: datetime) -> ColumnElement[bool]:
    """Whether a row is old, and neither its job nor a person nor the destination will ask for its document."""
    settled = and_(deliveries.c.state.in_(OVER), not_(deliveries.c.in_doubt))
    return and_(
        rows.c.created_at < before,
        or_(rows.c.issue_date.is_(None), rows.c.issue_date < before.date()),
        rows.c.status != InvoiceStatus.PENDING,
        jobs.c.status.in_(_ENDED),
        or_(rows.c.delivery_id.is_(None), settled),
    )


def _count(told: Documents, batch: Sequence[Row[Any]], holds: Sequence[Hold]) -> list[Row[Any]]:
    about = [hold for hold in holds if hold.covers(Kept.DOCUMENTS)]
    going = [row for row in batch if not any(hold.holds_document(row.issue_date, _words(row)) for hold in about)]
    told.found += len(going)
    told.held += len(batch) - len(going)
    told.bytes += sum(row.size for row in going)
    return going


def _words(row: Row[Any]) -> list[str | None]:
    return [row.supplier, row.customer, str(row.parties or ""), row.invoice_id, row.number]


def _empty(
    connection: Connection, before: datetime, last: UUID, actor: Actor, now: datetime
) -> tuple[Sequence[Row[Any]], Documents]:
    emptying(connection)
    told, holds = Documents(), in_force(connection)
    batch = _batch(connection, before, last)
    going = _count(told, batch, holds)
    if going:
        nothing = dict.fromkeys(("ubl_data", "report", "parties", "clearfacts_response"), null())
        connection.execute(update(_rows).where(_rows.c.id.in_([row.id for row in going])).values(nothing))
        told.deleted = len(going)
        record(
            connection,
            actor=actor,
            action="documents.deleted",
            resource_type="invoice",
            resource_id=None,
            after={
                "before": before.isoformat(),
                "documents": len(going),
                "each": [[str(row.id), row.invoice_id, row.content_sha256] for row in going],
            },
            now=now,
        )
    return batch, told

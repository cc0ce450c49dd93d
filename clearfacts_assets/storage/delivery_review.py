"""People and the ledger: what waits for them, all evidence there is, and their verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Engine, Table, select, update

from clearfacts_assets.invoices.inquiries import DocumentState
from clearfacts_assets.invoices.lifecycle import (
    MAY_BE_ACCEPTED,
    AnotherVersionIsOpen,
    Event,
    ForbiddenTransition,
    State,
    Verdict,
    after,
    before,
)
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.invoices.ports import DeliveryRecord
from clearfacts_assets.storage.audit import Actor
from clearfacts_assets.storage.database import reading, write
from clearfacts_assets.storage.delivered_documents import document_of
from clearfacts_assets.storage.delivery_rows import audit, record_of, resent
from clearfacts_assets.storage.paging import NEWEST_FIRST, Page, Span, page_of, page_size
from clearfacts_assets.storage.tables import AuditLog, Delivery, DeliveryAttempt, InvoiceRow, Job

UNSENT = frozenset({State.READY, State.WAITING, State.HELD})  # versions that never leave once another one is resent

_deliveries = cast(Table, Delivery.__table__)


class DeliveryNotFound(LookupError):
    """There is no delivery with this id."""

    def __init__(self, delivery_id: UUID) -> None:
        super().__init__(f"there is no delivery {delivery_id}")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at the destination; without an outcome it is under way, or its run died."""

    fence: int
    run_id: UUID | None
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    reason: str | None
    response: dict[str, Any] | None
    content_sha256: str
    correlation_id: str | None
    transport: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided before."""

    action: str
    created_at: datetime
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """An invoice row that led to the delivery: in which job, of which day, under which of the source's ids."""

    job_id: UUID
    partition_key: str | None
    row_id: UUID
    invoice_id: str
    status: str


@dataclass(frozen=True, slots=True)
class DeliveryDetail:
    """All evidence there is of one delivery, each list oldest first."""

    record: DeliveryRecord
    attempts: Sequence[Attempt]
    decisions: Sequence[Decision]
    seen: Sequence[Seen]
    document: DocumentState | None  # what Clearfacts said of it later; None where it was never asked


class DeliveryReview:
    """What people see of the ledger, and what they may do to it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(
        self,
        *,
        states: Sequence[State] = (),
        number: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        span: Span = NEWEST_FIRST,
    ) -> Page[DeliveryRecord]:
        """Deliveries in the states asked for (all without any), newest first unless the span says otherwise.

        Raises BadCursor.
        """
        limit = page_size(limit)
        query = span.of(select(_deliveries), _deliveries.c.created_at, _deliveries.c.id, cursor, limit)
        if states:
            query = query.where(_deliveries.c.state.in_(states))
        if number is not None:
            query = query.where(_deliveries.c.number == number)
        with reading(self._engine) as connection:
            found = [record_of(row) for row in connection.execute(query).mappings()]
        return page_of(found, limit, attrgetter("created_at"), attrgetter("id"))

    def get(self, delivery_id: UUID) -> DeliveryDetail:
        """All evidence of a delivery. Raises DeliveryNotFound."""
        with reading(self._engine) as connection:
            record = _read(connection, delivery_id)
            attempts = connection.execute(
                select(*(getattr(DeliveryAttempt, name) for name in Attempt.__dataclass_fields__))
                .where(DeliveryAttempt.delivery_id == delivery_id)
                .order_by(DeliveryAttempt.fence)
            ).mappings()
            decisions = connection.execute(
                select(AuditLog.action, AuditLog.created_at, AuditLog.details)
                .where(AuditLog.resource_type == "delivery", AuditLog.resource_id == str(delivery_id))
                .order_by(AuditLog.created_at)
            ).mappings()
            seen = connection.execute(
                select(
                    InvoiceRow.job_id,
                    Job.partition_key,
                    InvoiceRow.id.label("row_id"),
                    InvoiceRow.invoice_id,
                    InvoiceRow.status,
                )
                .join(Job, Job.id == InvoiceRow.job_id)
                .where(InvoiceRow.delivery_id == delivery_id)
                .order_by(InvoiceRow.created_at)
            ).mappings()
            return DeliveryDetail(
                record,
                [Attempt(**dict(row)) for row in attempts],
                [Decision(**dict(row)) for row in decisions],
                [Seen(**dict(row)) for row in seen],
                document_of(connection, delivery_id),
            )

    def resolve(
        self, delivery_id: UUID, verdict: Verdict, *, reason: str, actor: Actor | str, now: datetime
    ) -> DeliveryRecord:
        """Carry out a person's verdict, in one transaction with its audit entry.

        ``delivered``: it has arrived; the row of the job that tried last is sent, others are duplicates. ``resend``:
        it leaves with the next run that meets it, under a new idempotency key; older versions of it that have not
        left never will. ``waive``: it will not be sent, the rows that waited for it are failed. Raises
        DeliveryNotFound; ForbiddenTransition where the life cycle knows no such edge, as while it is being sent;
        AnotherVersionIsOpen where another version may be accepted just now; ValueError without a reason or an actor.
        """
        who = Actor(actor) if isinstance(actor, str) else actor
        if not reason.strip() or not who.name.strip():
            raise ValueError("a verdict needs a reason and somebody who gives it")

        def work(connection: Connection) -> DeliveryRecord:
            record = _read(connection, delivery_id, lock=True)
            _apply(connection, record, verdict.event, who, reason, now)
            if verdict is Verdict.RESEND:
                why = f"revision {record.revision} is sent instead: {reason}"
                for other in _other_versions(connection, record):
                    if other.state in MAY_BE_ACCEPTED:
                        raise AnotherVersionIsOpen(other.revision, other.state)
                    if other.state in UNSENT:
                        _apply(connection, other, Event.DISMISSED, who, why, now)
            return _read(connection, delivery_id)

        return write(self._engine, work)


def _read(connection: Connection, delivery_id: UUID, *, lock: bool = False) -> DeliveryRecord:
    query = select(_deliveries).where(_deliveries.c.id == delivery_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise DeliveryNotFound(delivery_id)
    return record_of(row)


def _other_versions(connection: Connection, record: DeliveryRecord) -> list[DeliveryRecord]:
    # All of them are locked, whatever their state: none can be claimed or settled while this is decided.
    query = (
        select(_deliveries)
        .where(_deliveries.c.key_digest == record.key.digest, _deliveries.c.id != record.id)
        .order_by(_deliveries.c.revision)
        .with_for_update()
    )
    return [record_of(row) for row in connection.execute(query).mappings()]


def _apply(
    connection: Connection, record: DeliveryRecord, event: Event, actor: Actor, reason: str, now: datetime
) -> None:
    if record.state not in before(event):
        raise ForbiddenTransition(record.state, event)
    note = f"{event} by {actor.name}: {reason}"
    if event is Event.RESENT:
        values = resent(record, note, now)
    else:
        values = {"state": after(record.state, event), "not_before": None, "reason": note, "updated_at": now}
        values["held_for"] = None
    if event is Event.CONFIRMED:
        values["delivered_at"] = now
    connection.execute(update(_deliveries).where(_deliveries.c.id == record.id).values(values))
    audit(connection, record, event, actor, reason, now)
    _settle_rows(connection, record, event, note, now)


def _settle_rows(connection: Connection, record: DeliveryRecord, event: Event, note: str, now: datetime) -> None:
    """The rows that waited for the delivery follow the verdict."""
    waiting = update(InvoiceRow).where(InvoiceRow.delivery_id == record.id, InvoiceRow.status == InvoiceStatus.PENDING)
    if event is Event.RESENT:
        message = f"leaves with the next run of its day; {note}"
        connection.execute(waiting.values(error_message=message, updated_at=now))
        return
    if event is Event.CONFIRMED:
        # It was the last job to try that got it there; every other row is one of a delivery that is counted already.
        first = (
            select(InvoiceRow.id)
            .where(
                InvoiceRow.delivery_id == record.id,
                InvoiceRow.job_id == record.run_id,
                InvoiceRow.status == InvoiceStatus.PENDING,
            )
            .order_by(InvoiceRow.invoice_id)
            .limit(1)
            .scalar_subquery()
        )
        sent = {"status": InvoiceStatus.SENT, "error_message": None, "processed_at": now, "updated_at": now}
        connection.execute(update(InvoiceRow).where(InvoiceRow.id == first).values(sent))
    status = InvoiceStatus.DUPLICATE if event is Event.CONFIRMED else InvoiceStatus.FAILED
    connection.execute(waiting.values(status=status, error_message=note, processed_at=now, updated_at=now))

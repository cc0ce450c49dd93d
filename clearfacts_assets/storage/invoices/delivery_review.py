"""People and the ledger: what waits for them, all evidence there is, and their verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Table, select

from clearfacts_assets.invoices.delivery.status_polling import DocumentState
from clearfacts_assets.invoices.ledger.model import AsSeen, DeliveryRecord, Shown
from clearfacts_assets.invoices.lifecycle import State, Verdict
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets.storage.accounts.tables import AuditLog
from clearfacts_assets.storage.database import reading, write
from clearfacts_assets.storage.invoices.delivery_rows import PersonsDecision, audit, record_of
from clearfacts_assets.storage.invoices.document_status import document_of
from clearfacts_assets.storage.invoices.histories import Loaded, load, shown_of, wishes_of
from clearfacts_assets.storage.invoices.settled_rows import follow_verdicts, sent_by
from clearfacts_assets.storage.invoices.tables import Delivery, DeliveryAttempt, InvoiceRow, Job
from clearfacts_assets.storage.paging import NEWEST_FIRST, Page, Span, page_of, page_size

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
    proof: str | None  # accepted, where that was said after the outcome had been written
    proof_response: dict[str, Any] | None
    proved_at: datetime | None


@dataclass(frozen=True, slots=True)
class PastDecision:
    """What a person decided before."""

    action: str
    created_at: datetime
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OriginRow:
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
    decisions: Sequence[PastDecision]
    seen: Sequence[OriginRow]
    document: DocumentState | None  # what Clearfacts said of it later; None where it was never asked
    versions: Sequence[DeliveryRecord]  # of the same invoice, this one among them
    shown: Sequence[Shown]  # under which of the source's ids the source has shown it


class DeliveryReview:
    """What people see of the ledger, and what they may do to it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

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
        with reading(self.engine) as connection:
            found = [record_of(row) for row in connection.execute(query).mappings()]
        return page_of(found, limit, attrgetter("created_at"), attrgetter("id"))

    def get(self, delivery_id: UUID) -> DeliveryDetail:
        """All evidence of a delivery. Raises DeliveryNotFound."""
        with reading(self.engine) as connection:
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
                [PastDecision(**dict(row)) for row in decisions],
                [OriginRow(**dict(row)) for row in seen],
                document_of(connection, delivery_id),
                _versions(connection, record),
                shown_of(connection, [delivery_id]),
            )

    def resolve(
        self,
        delivery_id: UUID,
        verdict: Verdict,
        *,
        reason: str,
        actor: Actor | str,
        now: datetime,
        seen: AsSeen | None = None,
        wish: str | None = None,
    ) -> DeliveryRecord:
        """Carry out a person's verdict, in one transaction with its audit entry.

        ``delivered``: it has arrived; the row of the job that tried last is sent, others are duplicates. ``resend``:
        it leaves with the next run of its day, under a new idempotency key; other versions of it that have not left
        never will. ``send_again``: the same for what is delivered. ``waive``: it will not be sent, the rows that
        waited for it are failed. ``seen`` is how the person saw it, ``wish`` an id under which this verdict is carried
        out once: when it comes again, nothing changes.

        Raises DeliveryNotFound; Outdated where it is not as it was seen any more; ForbiddenTransition where the life
        cycle knows no such edge, as while it is being sent; AnotherVersionIsOpen where another version may be accepted
        just now; ValueError without a reason or an actor.
        """
        who = Actor(actor) if isinstance(actor, str) else actor
        if not reason.strip() or not who.name.strip():
            raise ValueError("a verdict needs a reason and somebody who gives it")

        def work(connection: Connection) -> DeliveryRecord:
            loaded = load(connection, now, delivery_ids=[delivery_id])
            if delivery_id not in loaded.versions:
                raise DeliveryNotFound(delivery_id)
            was, digest = loaded.batch.version(delivery_id), loaded.batch.of(delivery_id).key.digest
            if wish is not None and wishes_of(connection, wish, [digest]):
                return was
            name = wish or f"verdict:{uuid4()}"
            note = f"{verdict.event} by {who.name}: {reason}"
            loaded.batch.of(delivery_id).judge(delivery_id, verdict, seen=seen, note=note, wish=name)
            loaded.batch.granted.append((name, digest, delivery_id))
            loaded.save(connection)
            _settle_rows(connection, loaded, delivery_id, now)
            others = {one.id: one.state for one in loaded.changed() if one.id != delivery_id}
            became = loaded.batch.version(delivery_id)
            decision = PersonsDecision(verdict.event, who, reason)
            audit(connection, was, decision, now, became=became.state, others=others)
            return became

        return write(self.engine, work)


def _read(connection: Connection, delivery_id: UUID) -> DeliveryRecord:
    row = connection.execute(select(_deliveries).where(_deliveries.c.id == delivery_id)).mappings().one_or_none()
    if row is None:
        raise DeliveryNotFound(delivery_id)
    return record_of(row)


def _versions(connection: Connection, record: DeliveryRecord) -> list[DeliveryRecord]:
    query = select(_deliveries).where(_deliveries.c.key_digest == record.key.digest).order_by(_deliveries.c.revision)
    return [record_of(row) for row in connection.execute(query).mappings()]


def _settle_rows(connection: Connection, loaded: Loaded, delivery_id: UUID, now: datetime) -> None:
    """The rows that waited for the versions follow the verdict."""
    changed = {one.id: (one.state, one.reason) for one in loaded.changed()}
    state, reason = changed[delivery_id]
    if state is State.READY:
        changed[delivery_id] = state, f"leaves with the next run of its day; {reason}"
    if state is State.DELIVERED:
        sent_by(connection, delivery_id, loaded.batch.version(delivery_id).run_id, now)
    follow_verdicts(connection, changed, now)

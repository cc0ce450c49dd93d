"""Between a delivery and its rows: what the ledger and people's decisions write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import Connection, Table, update

from clearfacts_assets.invoices.lifecycle import Event, State, after, before
from clearfacts_assets.invoices.model import DocumentType, InvoiceKey
from clearfacts_assets.invoices.ports import HELD_FOR_RECEIVER, DeliveryRecord
from clearfacts_assets.storage.audit import Actor, record
from clearfacts_assets.storage.tables import Delivery

_deliveries = cast(Table, Delivery.__table__)

KEY = ("destination", "receiver", "supplier", "document_type", "number", "issue_year")
PLAIN = (
    *("id", "revision", "content_sha256", "generation", "attempts", "fence", "run_id", "lease_until", "not_before"),
    *("document_id", "reason", "created_at", "updated_at", "delivered_at", "held_for", "wire_key"),
)


def first_event(revisions: Sequence[DeliveryRecord]) -> Event:
    """What brings a key with content that none of its revisions has."""
    if not revisions:
        return Event.REGISTERED
    refused = all(record.state is State.REJECTED for record in revisions)
    return Event.CORRECTED if refused else Event.CHANGED


def new_record(
    key: InvoiceKey, content_sha256: str, revisions: Sequence[DeliveryRecord], event: Event, now: datetime
) -> DeliveryRecord:
    """The delivery that a new key, or new content under a known key, begins."""
    reason = None
    if event is Event.CHANGED:
        earlier = revisions[-1]
        reason = f"this number came before with other content (revision {earlier.revision}, {earlier.state})"
    return DeliveryRecord(
        id=uuid4(),
        key=key,
        revision=len(revisions) + 1,
        content_sha256=content_sha256,
        state=after(None, event),
        generation=1,
        attempts=0,
        fence=0,
        run_id=None,
        lease_until=None,
        not_before=None,
        document_id=None,
        reason=reason,
        created_at=now,
        updated_at=now,
        delivered_at=None,
    )


def attempt_of(record: DeliveryRecord, transport: str, correlation_id: str, now: datetime) -> dict[str, Any]:
    """The row of the attempt that a claim begins."""
    return {
        "id": uuid4(),
        "delivery_id": record.id,
        "fence": record.fence,
        "generation": record.generation,
        "run_id": record.run_id,
        "content_sha256": record.content_sha256,
        "correlation_id": correlation_id or None,
        "transport": transport,
        "started_at": now,
    }


def resent(delivery: DeliveryRecord, reason: str, now: datetime) -> dict[str, Any]:
    """What a person's resend changes: another generation, which may be accepted beside an earlier one."""
    return {
        "state": after(delivery.state, Event.RESENT),
        "generation": delivery.generation + 1,
        "attempts": 0,
        "not_before": None,
        "held_for": None,
        "document_id": None,
        "delivered_at": None,
        "reason": reason,
        "updated_at": now,
    }


def hold(connection: Connection, reasons: Mapping[UUID, str], now: datetime) -> None:
    """Hold for their receivers what may be claimed of these."""
    for reason in sorted(set(reasons.values())):  # one for each receiver
        delivery_ids = [delivery_id for delivery_id, why in reasons.items() if why == reason]
        connection.execute(
            update(_deliveries)
            .where(_deliveries.c.id.in_(delivery_ids), _deliveries.c.state.in_(before(Event.UNRECOGNISED)))
            .values(
                state=after(State.READY, Event.UNRECOGNISED),
                held_for=HELD_FOR_RECEIVER,
                reason=reason,
                not_before=None,
                updated_at=now,
            )
        )


def release(connection: Connection, delivery_ids: Sequence[UUID], now: datetime) -> None:
    """Make ready what is held for its receiver of these."""
    connection.execute(
        update(_deliveries)
        .where(
            _deliveries.c.id.in_(delivery_ids),
            _deliveries.c.state.in_(before(Event.RECOGNISED)),
            _deliveries.c.held_for == HELD_FOR_RECEIVER,
        )
        .values(state=after(State.HELD, Event.RECOGNISED), held_for=None, reason=None, updated_at=now)
    )


def audit(
    connection: Connection, delivery: DeliveryRecord, event: Event, actor: Actor, reason: str, now: datetime
) -> None:
    """Record a person's decision about a delivery, with what it was before."""
    then = {
        "number": delivery.key.number,
        "state": delivery.state,
        "revision": delivery.revision,
        "generation": delivery.generation,
        "document_id": delivery.document_id,
    }
    record(
        connection,
        actor=actor,
        action=f"delivery.{event}",
        resource_type="delivery",
        resource_id=str(delivery.id),
        before=then,
        after={"state": after(delivery.state, event)},
        reason=reason,
        now=now,
    )


def record_of(row: Mapping[str, Any] | Any) -> DeliveryRecord:
    """A delivery from its row."""
    key = {name: row[name] for name in KEY}
    key["document_type"] = DocumentType(key["document_type"])
    return DeliveryRecord(key=InvoiceKey(**key), state=State(row["state"]), **{name: row[name] for name in PLAIN})


def values_of(record: DeliveryRecord) -> dict[str, Any]:
    """The row of a delivery."""
    values: dict[str, Any] = {name: getattr(record, name) for name in PLAIN}
    return (
        values
        | {name: getattr(record.key, name) for name in KEY}
        | {
            "key_digest": record.key.digest,
            "state": record.state,
        }
    )

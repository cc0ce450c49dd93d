"""Between the ledger's words and its rows: deliveries, attempts, what the source shows, and audited decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection

from clearfacts_assets.invoices.ledger.history import Attempt, Shown
from clearfacts_assets.invoices.ledger.model import DeliveryRecord
from clearfacts_assets.invoices.lifecycle import Event, State
from clearfacts_assets.invoices.model import DocumentType, InvoiceKey
from clearfacts_assets.storage.accounts.audit import Actor, record

KEY = ("destination", "receiver", "supplier", "document_type", "number", "issue_year")
PLAIN = tuple(name for name in DeliveryRecord.__dataclass_fields__ if name not in ("key", "state"))
CHANGEABLE = (
    "state",
    *(name for name in PLAIN if name not in ("id", "revision", "content_sha256", "created_at", "fence", "run_id")),
)
SHOWN = tuple(Shown.__dataclass_fields__)


def record_of(row: Mapping[str, Any] | Any) -> DeliveryRecord:
    """A delivery from its row."""
    key = {name: row[name] for name in KEY}
    key["document_type"] = DocumentType(key["document_type"])
    return DeliveryRecord(key=InvoiceKey(**key), state=State(row["state"]), **{name: row[name] for name in PLAIN})


def values_of(record: DeliveryRecord) -> dict[str, Any]:
    """The row of a delivery."""
    return {
        **{name: getattr(record, name) for name in PLAIN},
        **{name: getattr(record.key, name) for name in KEY},
        "key_digest": record.key.digest,
        "state": record.state,
    }


def changes_of(record: DeliveryRecord, before: DeliveryRecord) -> dict[str, Any]:
    """What has changed of a delivery, of all that may, by the names of its columns."""
    new = ((name, getattr(record, name)) for name in CHANGEABLE)
    return {name: value for name, value in new if value != getattr(before, name)}


def attempt_row(record: DeliveryRecord, transport: str, correlation_id: str, now: datetime) -> dict[str, Any]:
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


def attempt_of(row: Mapping[str, Any] | Any) -> Attempt:
    """An attempt from its row."""
    outcome, proof = row["outcome"], row["proof"]
    return Attempt(
        row["delivery_id"],
        row["fence"],
        row["generation"],
        Event(outcome) if outcome else None,
        Event(proof) if proof else None,
    )


def shown_from(row: Mapping[str, Any] | Any) -> Shown:
    """What the source shows, from its row."""
    return Shown(**{name: row[name] for name in SHOWN})


def shown_row(shown: Shown) -> dict[str, Any]:
    return {name: getattr(shown, name) for name in SHOWN}


@dataclass(frozen=True, slots=True)
class PersonsDecision:
    """What a person has decided about a delivery, and why."""

    event: Event
    actor: Actor
    reason: str


def audit(
    connection: Connection,
    delivery: DeliveryRecord,
    decision: PersonsDecision,
    now: datetime,
    *,
    became: State,
    others: Mapping[UUID, str] | None = None,
) -> None:
    """Record it, with what the delivery was before and what became of other versions."""
    then = {
        "number": delivery.key.number,
        "state": delivery.state,
        "revision": delivery.revision,
        "generation": delivery.generation,
        "document_id": delivery.document_id,
    }
    record(
        connection,
        actor=decision.actor,
        action=f"delivery.{decision.event}",
        resource_type="delivery",
        resource_id=str(delivery.id),
        before=then,
        after={"state": became, **({"other_versions": dict(others)} if others else {})},
        reason=decision.reason,
        now=now,
    )

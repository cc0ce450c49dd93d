"""Between the ledger's words and its rows: deliveries, attempts, what the source shows, and audited decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection

from clearfacts_assets.invoices.ledger.model import Attempt, DeliveryRecord, Shown
from clearfacts_assets.invoices.lifecycle import Event, State
from clearfacts_assets.invoices.model import DocumentType, InvoiceKey
from clearfacts_assets.storage.accounts.audit import Actor, record

KEY = ("destination", "receiver", "supplier", "document_type", "number", "issue_year")
PLAIN = tuple(name for name in DeliveryRecord.__dataclass_fields__ if name not in ("key", "state"))
# What most new deliveries have. As constants of the statement they cost nothing; NULLs need not be said at all.
CONSTANT: Mapping[str, int | bool] = {
    **dict.fromkeys(("attempts", "fence"), 0),
    "generation": 1,
    **dict.fromkeys(("waived", "replaced", "refused", "in_doubt", "in_doubt_before", "may_repeat", "given_up"), False),
}
CHANGEABLE = (
    "state",
    *(name for name in PLAIN if name not in ("id", "revision", "content_sha256", "created_at", "fence", "run_id")),
)
SHOWN = tuple(Shown.__dataclass_fields__)

# All values at once: one after the other, they cost as much as the database does.
_key_from, _plain_from, _shown_values_from = itemgetter(*KEY), itemgetter(*PLAIN), itemgetter(*SHOWN)
_shown_values_beside = itemgetter(*(f"shown_{name}" for name in SHOWN))
_key_of, _plain_of, _changeable_of = attrgetter(*KEY), attrgetter(*PLAIN), attrgetter(*CHANGEABLE)
_shown_values_of = attrgetter(*SHOWN)


def record_of(row: Mapping[str, Any] | Any) -> DeliveryRecord:
    """A delivery from its row."""
    destination, receiver, supplier, document_type, number, issue_year = _key_from(row)
    key = InvoiceKey(destination, receiver, supplier, DocumentType(document_type), number, issue_year)
    values = dict(zip(PLAIN, _plain_from(row), strict=True))
    return DeliveryRecord(key=key, state=State(row["state"]), **values)


def new_values_of(record: DeliveryRecord) -> dict[str, Any]:
    """The row of a delivery that was just made, without what is not said of it yet: the database knows that."""
    return {
        **{name: value for name, value in zip(PLAIN, _plain_of(record), strict=True) if value != CONSTANT.get(name)},
        **dict(zip(KEY, _key_of(record.key), strict=True)),
        "key_digest": record.key.digest,
        "state": record.state,
    }


def changes_of(record: DeliveryRecord, before: DeliveryRecord) -> dict[str, Any]:
    """What has changed of a delivery, of all that may, by the names of its columns."""
    pairs = zip(CHANGEABLE, _changeable_of(record), _changeable_of(before), strict=True)
    return {name: new for name, new, old in pairs if new != old}


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
    return Shown(*_shown_values_from(row))


def shown_beside(row: Mapping[str, Any] | Any) -> Shown:
    """The same, where its columns stand beside those of its delivery."""
    return Shown(*_shown_values_beside(row))


def shown_row(shown: Shown) -> dict[str, Any]:
    return dict(zip(SHOWN, _shown_values_of(shown), strict=True))


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

"""What the destination said of delivered documents: one row for each delivery that was asked about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, func, or_, select, update

from clearfacts_assets.invoices.delivery.status_polling import (
    FINAL_PAYMENT_STATES,
    DocumentState,
    DocumentStatus,
    DueDocument,
    Reply,
)
from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.database import insert_into, reading, write
from clearfacts_assets.storage.invoices.tables import DeliveredDocument, Delivery

_deliveries = cast(Table, Delivery.__table__)
_documents = cast(Table, DeliveredDocument.__table__)
_STATE = [_documents.c[name] for name in DocumentState.__dataclass_fields__]
_NAMES = tuple(DocumentState.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Missing:
    """A delivered document that the destination does not know any more."""

    delivery_id: UUID
    number: str
    supplier: str
    document_id: str
    answered_at: datetime | None


class NotMissing(Exception):
    """The delivery has no document that is known to be gone."""

    def __init__(self, delivery_id: UUID, document: DocumentState | None) -> None:
        self.status = document.in_words if document else "not asked yet"
        super().__init__(f"the document of delivery {delivery_id} is not missing at Clearfacts: {self.status}")


class DeliveredDocuments:
    """The table ``delivered_documents``, over the deliveries to one destination.

    What was said of a document that was sent anew since is as good as nothing: the newer one has another id.
    """

    def __init__(self, engine: Engine, destination: str = "clearfacts") -> None:
        self._engine, self._destination = engine, destination

    def due(self, *, now: datetime, again_after: float, followed_days: int, limit: int) -> list[DueDocument]:
        """Delivered documents to ask about, those that were not asked about for longest first.

        Not those that are paid, that were answered less than ``again_after`` seconds ago, or that were delivered more
        than ``followed_days`` ago. A question without an answer goes to the end of the queue, not out of it.
        """
        waits = or_(
            _documents.c.delivery_id.is_(None),
            and_(
                or_(
                    _documents.c.payment_state.is_(None),
                    func.upper(_documents.c.payment_state).not_in(FINAL_PAYMENT_STATES),
                ),
                or_(
                    _documents.c.answered_at.is_(None), _documents.c.answered_at < now - timedelta(seconds=again_after)
                ),
            ),
        )
        query = (
            select(_deliveries.c.id, _deliveries.c.document_id.label("asked_for"), _deliveries.c.number)
            .add_columns(_deliveries.c.supplier, *_STATE)
            .select_from(_deliveries.outerjoin(_documents, self._is_of_this_delivery()))
            .where(*self._delivered(), waits, _deliveries.c.delivered_at > now - timedelta(days=followed_days))
            .order_by(_documents.c.asked_at.is_not(None), _documents.c.asked_at)
            .order_by(_deliveries.c.delivered_at, _deliveries.c.id)
            .limit(limit)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [DueDocument(row["id"], row["asked_for"], row["number"], row["supplier"], _state(row)) for row in rows]

    def record(self, replies: Sequence[Reply], *, now: datetime) -> None:
        """Keep what was said, and that it was asked where nothing was."""
        values = [_row(reply, now) for reply in replies]
        if not values:
            return

        def work(connection: Connection) -> None:
            statement = insert_into(connection, _documents)
            new = {name: statement.excluded[name] for name in _NAMES}
            connection.execute(
                statement.on_conflict_do_update(index_elements=[_documents.c.delivery_id], set_=new), values
            )

        write(self._engine, work, repeatable=True)

    def of(self, delivery_id: UUID) -> DocumentState | None:
        """What was said of a delivery's document; None where it was never asked about."""
        with reading(self._engine) as connection:
            return document_of(connection, delivery_id)

    def counts(self) -> dict[tuple[DocumentStatus, str | None], int]:
        """Documents by status and payment state, of all that were ever answered."""
        query = (
            select(_documents.c.status, _documents.c.payment_state, func.count())
            .select_from(_deliveries.join(_documents, self._is_of_this_delivery()))
            .where(*self._delivered(), _documents.c.status.is_not(None))
            .group_by(_documents.c.status, _documents.c.payment_state)
        )
        with reading(self._engine) as connection:
            return {(DocumentStatus(status), payment): int(n) for status, payment, n in connection.execute(query)}

    def missing(self, *, followed_days: int, now: datetime, limit: int) -> list[Missing]:
        """Documents that are gone, of those that are still asked about; the longest known first.

        Not those of which a person has acknowledged it, unless they came back and went again since.
        """
        query = (
            select(_deliveries.c.id, _deliveries.c.number, _deliveries.c.supplier, _documents.c.document_id)
            .add_columns(_documents.c.answered_at)
            .select_from(_deliveries.join(_documents, self._is_of_this_delivery()))
            .where(
                *self._delivered(),
                _documents.c.status == DocumentStatus.MISSING,
                or_(_documents.c.acknowledged_at.is_(None), _documents.c.acknowledged_at < _documents.c.changed_at),
                _deliveries.c.delivered_at > now - timedelta(days=followed_days),
            )
            .order_by(_documents.c.changed_at, _deliveries.c.id)
            .limit(limit)
        )
        with reading(self._engine) as connection:
            return [Missing(*row) for row in connection.execute(query)]

    def acknowledge(self, delivery_id: UUID, *, reason: str, actor: Actor, now: datetime) -> DocumentState:
        """A person has seen that the document is gone, and that nothing is to be done: the check stops asking.

        Recorded in the audit log. Raises NotMissing for a delivery whose document is not known to be gone; ValueError
        without a reason.
        """
        if not reason.strip():
            raise ValueError("an acknowledgement needs a reason")

        def work(connection: Connection) -> DocumentState:
            document = document_of(connection, delivery_id)
            if document is None or document.status is not DocumentStatus.MISSING:
                raise NotMissing(delivery_id, document)
            of_it = _documents.c.delivery_id == delivery_id
            connection.execute(update(_documents).where(of_it).values(acknowledged_at=now))
            record(
                connection,
                actor=actor,
                action="delivery.missing_acknowledged",
                resource_type="delivery",
                resource_id=str(delivery_id),
                after={"document_id": document.document_id},
                reason=reason,
                now=now,
            )
            return document

        return write(self._engine, work)

    def _delivered(self) -> Iterator[ColumnElement[bool]]:
        yield _deliveries.c.state == State.DELIVERED
        yield _deliveries.c.destination == self._destination
        yield _deliveries.c.document_id.is_not(None)

    def _is_of_this_delivery(self) -> ColumnElement[bool]:
        same = _documents.c.document_id == _deliveries.c.document_id
        return and_(_documents.c.delivery_id == _deliveries.c.id, same)


def document_of(connection: Connection, delivery_id: UUID) -> DocumentState | None:
    """What was said of the document that the delivery has now; None where it was never asked about."""
    query = (
        select(*_STATE)
        .join(_deliveries, _deliveries.c.id == _documents.c.delivery_id)
        .where(_documents.c.delivery_id == delivery_id, _documents.c.document_id == _deliveries.c.document_id)
    )
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _state(row)


def _state(row: Mapping[str, Any] | Any) -> DocumentState | None:
    if row["document_id"] is None:
        return None
    values = {name: row[name] for name in _NAMES}
    return DocumentState(**{**values, "status": DocumentStatus(row["status"]) if row["status"] else None})


def _row(reply: Reply, now: datetime) -> dict[str, Any]:
    known = reply.document.known
    head = {"delivery_id": reply.document.delivery_id, "document_id": reply.document.document_id, "asked_at": now}
    if reply.problem:
        kept = {name: getattr(known, name) if known else None for name in _NAMES}
        return kept | head
    status, document_type, document_date, payment_state = reply.facts
    return head | {
        "status": status,
        "document_type": document_type,
        "document_date": document_date,
        "payment_state": payment_state,
        "answered_at": now,
        "changed_at": now if reply.changed or known is None or reply.is_first else known.changed_at,
    }

"""The tables of invoices. Columns of ``jobs`` and ``invoices`` are a contract; the rest is ours."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column

import clearfacts_assets.storage.accounts.tables  # noqa: F401 - jobs refer to users
from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.invoices.model import Decision, InvoiceStatus
from clearfacts_assets.storage.base import Base, one_of
from clearfacts_assets.storage.types import Words

JOB_TYPES = ("scheduled", "manual")
JOB_STATUSES = ("pending", "running", "completed", "failed")
DOCUMENT_STATUSES = ("found", "missing")
_IS_CURRENT = text("is_current")
_IN_PARTS = text("part IS NOT NULL")
# The same for questions: SQLite takes its index for no other spelling of it, and SQLAlchemy would write "= 1" there.
SHOWN_NOW = text("source_versions.is_current")

# Text from outside is indexed by so much of it as fits: a row of PostgreSQL's index holds 2,704 bytes.
NUMBER_BEGINS = "substr(number, 1, 250)"


def _filled(column: str, what: str = "") -> Index:
    """An index of invoices by a column that is NULL at first: a row enters it once, when it has a value."""
    filled, held = text(f"{what or column} IS NOT NULL"), text(what) if what else column
    return Index(f"ix_invoices_{column}", held, sqlite_where=filled, postgresql_where=filled)


class Job(Base):
    """One Dagster run of the invoice assets; its id is the run's id."""

    __tablename__ = "jobs"
    __table_args__ = (
        one_of("status", JOB_STATUSES),
        one_of("job_type", JOB_TYPES),
        Index(None, "status"),
        Index(None, "created_at", "id"),  # pages of the list
        Index(None, "job_type"),
        Index(None, "partition_key"),
        Index("ix_jobs_part", "partition_key", "part", sqlite_where=_IN_PARTS, postgresql_where=_IN_PARTS),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    job_type: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20), default="pending")
    triggered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    error_message: Mapped[str | None] = mapped_column(Words)
    # "metadata" is taken on declarative classes; the column has the contract's name.
    details: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)  # job_notes.py has its names
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    # ours
    partition_key: Mapped[str | None] = mapped_column(String(10))  # the day, YYYY-MM-DD in Europe/Brussels
    correlation_id: Mapped[str | None] = mapped_column(Words)
    whole_day: Mapped[bool] = mapped_column(default=False, server_default=false())  # the source gave all of the day
    part: Mapped[str | None] = mapped_column(String(10))  # 3/10: it gave all of this part of the day


class InvoiceRow(Base):
    """What one job saw of one invoice, and what it did with it."""

    __tablename__ = "invoices"
    __table_args__ = (
        one_of("status", InvoiceStatus),
        one_of("decision", Decision),
        UniqueConstraint("job_id", "invoice_id"),
        Index(None, "job_id", "status"),  # a job's counts
        Index(None, "status"),
        Index(None, "invoice_id"),
        _filled("processed_at"),
        Index(None, "created_at", "id"),  # pages of the list; a page of the source is stored at one moment
        Index(None, "content_sha256"),
        _filled("delivery_id"),
        _filled("number", NUMBER_BEGINS),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    invoice_id: Mapped[str] = mapped_column(Words)  # the source's id
    ubl_data: Mapped[str | None] = mapped_column(Words)  # the document; NULL where an earlier row keeps it
    status: Mapped[str] = mapped_column(String(20), default="pending")
    clearfacts_response: Mapped[dict[str, Any] | None]
    error_message: Mapped[str | None] = mapped_column(Words)
    processed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    # ours
    source_updated_at: Mapped[datetime | None]
    retrieved_at: Mapped[datetime | None]  # when the source gave it; rows that changed hands keep it. NULL: created_at
    content_sha256: Mapped[str | None] = mapped_column(String(64))  # of ubl_data in UTF-8: what is delivered
    decision: Mapped[str | None] = mapped_column(String(10))  # accept, hold, reject; NULL until validated
    report: Mapped[dict[str, Any] | None]  # findings and rule-set versions
    delivery_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("deliveries.id"))
    document_type: Mapped[str | None] = mapped_column(String(20))
    number: Mapped[str | None] = mapped_column(Words)  # BT-1
    issue_date: Mapped[date | None]  # BT-2
    supplier: Mapped[str | None] = mapped_column(Words)  # BT-27
    customer: Mapped[str | None] = mapped_column(Words)  # BT-44
    parties: Mapped[dict[str, Any] | None]  # all identifiers of both: {"supplier": {...}, "customer": {...}}
    payable_amount: Mapped[Decimal | None]  # BT-115
    currency: Mapped[str | None] = mapped_column(Words)  # BT-5


class Delivery(Base):
    """The one truth of whether a document has been delivered; its states are invoices/lifecycle.py.

    One row per business key and revision: a version of an invoice. Where it stands follows from all versions
    (invoices/ledger/decisions.py); the flags are what was noted, ``state`` is what follows from them.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("key_digest", "revision"),
        one_of("state", State),
        CheckConstraint("state <> 'sending' OR (run_id IS NOT NULL AND lease_until IS NOT NULL)", name="sending"),
        CheckConstraint("state <> 'delivered' OR delivered_at IS NOT NULL", name="delivered"),
        Index(None, "state", "not_before"),
        Index(None, "created_at"),  # sums for metrics, by slices of time
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    key_digest: Mapped[str] = mapped_column(String(64))  # SHA-256 of the six parts below
    revision: Mapped[int] = mapped_column(default=1)
    destination: Mapped[str] = mapped_column(String(50))
    receiver: Mapped[str] = mapped_column(Words)
    supplier: Mapped[str] = mapped_column(Words)
    document_type: Mapped[str] = mapped_column(String(20))
    number: Mapped[str] = mapped_column(Words)
    issue_year: Mapped[int]
    content_sha256: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(20))
    generation: Mapped[int] = mapped_column(default=1)  # part of the idempotency key; +1 when a person resends
    wire_key: Mapped[str | None] = mapped_column(String(80))  # digest and revision as what it left, if they were others
    attempts: Mapped[int] = mapped_column(default=0)  # charged attempts of this generation
    not_before: Mapped[datetime | None]  # when a waiting delivery is due
    run_id: Mapped[uuid.UUID | None]  # the run that claimed it, while it is sending
    fence: Mapped[int] = mapped_column(default=0)  # +1 at every claim: a late settlement of an old claim is refused
    lease_until: Mapped[datetime | None]
    document_id: Mapped[str | None] = mapped_column(Words)  # the destination's id
    reason: Mapped[str | None] = mapped_column(Words)  # why it is where it is, for a person
    held_for: Mapped[str | None] = mapped_column(String(20))  # delivery_model.HELD_FOR_...
    held_because: Mapped[str | None] = mapped_column(Words)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]  # when it was first known to be accepted: never forgotten
    day: Mapped[str | None] = mapped_column(String(10))  # the partition in which the source showed it last
    ordered: Mapped[str | None] = mapped_column(String(100))  # the wish by which it is to be sent
    waived: Mapped[bool] = mapped_column(default=False, server_default=false())
    replaced: Mapped[bool] = mapped_column(default=False, server_default=false())
    refused: Mapped[bool] = mapped_column(default=False, server_default=false())
    in_doubt: Mapped[bool] = mapped_column(default=False, server_default=false())
    in_doubt_before: Mapped[bool] = mapped_column(default=False, server_default=false())
    may_repeat: Mapped[bool] = mapped_column(default=False, server_default=false())
    given_up: Mapped[bool] = mapped_column(default=False, server_default=false())


class DeliveryAttempt(Base):
    """One try at the destination: written before the first byte leaves, completed once, never changed after.

    What proves an acceptance after that stands beside the outcome.
    """

    __tablename__ = "delivery_attempts"
    __table_args__ = (
        UniqueConstraint("delivery_id", "fence"),
        Index(None, "started_at"),  # sums for metrics, by slices of time
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    delivery_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"))
    fence: Mapped[int]
    generation: Mapped[int]
    run_id: Mapped[uuid.UUID | None]
    content_sha256: Mapped[str] = mapped_column(String(64))
    correlation_id: Mapped[str | None] = mapped_column(Words)
    transport: Mapped[str | None] = mapped_column(String(20))  # by which it left; NULL where it was not noted yet
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(20))  # the lifecycle event it ended in
    reason: Mapped[str | None] = mapped_column(Words)
    response: Mapped[dict[str, Any] | None]
    proof: Mapped[str | None] = mapped_column(String(20))  # accepted, where that was said after the outcome
    proof_response: Mapped[dict[str, Any] | None]
    proved_at: Mapped[datetime | None]


class FinishedFile(Base):
    """A file of the source's folder of which nothing will be taken any more, by its name, size and times."""

    __tablename__ = "finished_files"

    mark: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of all these
    finished_at: Mapped[datetime]


class SourceVersion(Base):
    """Which versions the source has shown under each of its ids, and which one it shows now."""

    __tablename__ = "source_versions"
    __table_args__ = (
        UniqueConstraint("delivery_id", "source_id"),
        Index(
            "uq_source_versions_current",
            "source_id",
            unique=True,
            sqlite_where=_IS_CURRENT,
            postgresql_where=_IS_CURRENT,
        ),
        Index(None, "day"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    source_id: Mapped[str] = mapped_column(Words)  # as invoices.invoice_id
    delivery_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"))
    source_updated_at: Mapped[datetime | None]
    seen_at: Mapped[datetime]
    day: Mapped[str | None] = mapped_column(String(10))  # the partition in which it came
    is_current: Mapped[bool] = mapped_column(default=True, server_default=true())
    withdrawn_at: Mapped[datetime | None]  # since when the source does not have the id any more


class DeliveryWish(Base):
    """That a wish (a forced job with all its retries, a person's click) has had one version of an invoice sent."""

    __tablename__ = "delivery_wishes"

    wish: Mapped[str] = mapped_column(String(100), primary_key=True)
    key_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    delivery_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]


class DeliveredDocument(Base):
    """What the destination said last of a delivered document; one that was never asked about has no row."""

    __tablename__ = "delivered_documents"
    __table_args__ = (one_of("status", DOCUMENT_STATUSES),)

    delivery_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True)
    document_id: Mapped[str] = mapped_column(Words)  # that was asked for: another one after a resend
    status: Mapped[str | None] = mapped_column(String(10))  # NULL until it was answered once
    document_type: Mapped[str | None] = mapped_column(Words)
    document_date: Mapped[str | None] = mapped_column(Words)  # as it was told
    payment_state: Mapped[str | None] = mapped_column(Words)
    asked_at: Mapped[datetime]  # whether or not an answer came
    answered_at: Mapped[datetime | None]
    changed_at: Mapped[datetime | None]  # when an answer last differed from the one before
    acknowledged_at: Mapped[datetime | None]  # when a person has seen that it is missing

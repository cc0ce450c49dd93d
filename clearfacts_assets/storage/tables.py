"""The tables. Names of the first five are a contract (spec.md, section 2); the rest is ours beside them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.invoices.model import Decision, InvoiceStatus
from clearfacts_assets.storage.types import ExactDecimal, IpAddress, Json, UtcDateTime, Words

JOB_TYPES = ("scheduled", "manual")
JOB_STATUSES = ("pending", "running", "completed", "failed")
SESSION_KINDS = ("browser", "api")
ALERT_STATES = ("pending", "sent", "given_up")
DOCUMENT_STATUSES = ("found", "missing")


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(str(value)) for value in values)})", name=column)


class Base(DeclarativeBase):
    """All our tables; constraint names are fixed so that migrations can name them on both databases."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        datetime: UtcDateTime,
        uuid.UUID: Uuid,
        dict[str, Any]: Json,
        list[Any]: Json,
        Decimal: ExactDecimal,
        date: Date,
        bool: Boolean,
        int: Integer,
    }


class User(Base):
    """A person or a service that may do something."""

    __tablename__ = "users"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    username: Mapped[str] = mapped_column(String(150), unique=True)
    email: Mapped[str] = mapped_column(String(320), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20), default="user", server_default="user")
    is_active: Mapped[bool] = mapped_column(default=True, server_default=true())
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


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
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    job_type: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20), default="pending")
    triggered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    error_message: Mapped[str | None] = mapped_column(Words)
    # "metadata" is taken on declarative classes; the column has the contract's name.
    details: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    # ours
    partition_key: Mapped[str | None] = mapped_column(String(10))  # the day, YYYY-MM-DD in Europe/Brussels
    correlation_id: Mapped[str | None] = mapped_column(Words)


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
        Index(None, "processed_at"),
        Index(None, "created_at", "id"),  # pages of the list; a page of the source is stored at one moment
        Index(None, "content_sha256"),
        Index(None, "delivery_id"),
        Index(None, "number"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    invoice_id: Mapped[str] = mapped_column(Words)  # the source's id
    ubl_data: Mapped[str | None] = mapped_column(Words)  # the document; NULL where its content was delivered before
    status: Mapped[str] = mapped_column(String(20), default="pending")
    clearfacts_response: Mapped[dict[str, Any] | None]
    error_message: Mapped[str | None] = mapped_column(Words)
    processed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    # ours
    source_updated_at: Mapped[datetime | None]
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


class AuditLog(Base):
    """Who changed what, when and from where. Rows are only added: triggers refuse to change or delete one."""

    __tablename__ = "audit_logs"
    __table_args__ = (
        UniqueConstraint("position"),
        Index(None, "user_id"),
        Index(None, "action"),
        Index(None, "created_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    action: Mapped[str] = mapped_column(String(100))
    resource_type: Mapped[str] = mapped_column(String(100))
    resource_id: Mapped[str | None] = mapped_column(String(255))
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    ip_address: Mapped[str | None] = mapped_column(IpAddress)
    user_agent: Mapped[str | None] = mapped_column(Words)
    created_at: Mapped[datetime]
    # ours: the chain
    position: Mapped[int]  # 1, 2, 3, ... without a gap
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))  # storage/audit.py says over what


class Session(Base):
    """A login, until it ends: behind a browser's cookie, or behind a family of refresh tokens."""

    __tablename__ = "sessions"
    __table_args__ = (
        one_of("kind", SESSION_KINDS),
        UniqueConstraint("token_hash"),
        Index(None, "user_id"),
        Index(None, "expires_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str] = mapped_column(String(10))
    token_hash: Mapped[str | None] = mapped_column(String(64))  # SHA-256 of the cookie's value
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_because: Mapped[str | None] = mapped_column(String(50))
    seen_at: Mapped[datetime | None]  # when it was used last, within storage/sessions.py's NOTED_EVERY


class RefreshToken(Base):
    """One refresh token of a session; used once. A second use ends the session."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index(None, "session_id"),)

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256
    session_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    issued_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class ApiKey(Base):
    """A service's key: what it may do and until when. The key itself is shown once and not kept."""

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("name"), UniqueConstraint("key_hash"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str] = mapped_column(String(150))
    key_hash: Mapped[str] = mapped_column(String(64))  # SHA-256
    scopes: Mapped[list[Any]]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class ConfigurationEntry(Base):
    """A setting that may change while the system runs."""

    __tablename__ = "configuration"
    __table_args__ = (Index(None, "key"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    key: Mapped[str] = mapped_column(String(255), unique=True)
    value: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    is_encrypted: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Delivery(Base):
    """The one truth of whether a document has been delivered; its states are invoices/lifecycle.py.

    One row per business key and revision. Revision 1 is the invoice; a later one exists only because the same key came
    with other content: it is held for a person, or ready where the revision before it was refused.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("key_digest", "revision"),
        one_of("state", State),
        CheckConstraint("state <> 'sending' OR (run_id IS NOT NULL AND lease_until IS NOT NULL)", name="sending"),
        CheckConstraint("state <> 'delivered' OR delivered_at IS NOT NULL", name="delivered"),
        Index(None, "state", "not_before"),
        Index(None, "content_sha256"),
        Index(None, "run_id"),
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
    forced_by: Mapped[str | None] = mapped_column(Words)  # the forced job that resent it last: it does so only once
    attempts: Mapped[int] = mapped_column(default=0)  # charged attempts of this generation
    not_before: Mapped[datetime | None]  # when a waiting delivery is due
    run_id: Mapped[uuid.UUID | None]  # the run that claimed it, while it is sending
    fence: Mapped[int] = mapped_column(default=0)  # +1 at every claim: a late settlement of an old claim is refused
    lease_until: Mapped[datetime | None]
    document_id: Mapped[str | None] = mapped_column(Words)  # the destination's id
    reason: Mapped[str | None] = mapped_column(Words)  # why it is where it is, for a person
    held_for: Mapped[str | None] = mapped_column(String(20))  # receiver: held until Clearfacts knows its receiver
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]


class DeliveryAttempt(Base):
    """One try at the destination: written before the first byte leaves, completed once, never changed after."""

    __tablename__ = "delivery_attempts"
    __table_args__ = (UniqueConstraint("delivery_id", "fence"), Index(None, "started_at"))

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


class Lease(Base):
    """Who alone may do something for a while, among all processes."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    holder: Mapped[uuid.UUID]
    until: Mapped[datetime]


class Alert(Base):
    """The outbox: what must be told, until it has been told."""

    __tablename__ = "alerts"
    __table_args__ = (
        one_of("state", ALERT_STATES),
        Index(None, "state", "not_before"),
        Index(None, "created_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    subject: Mapped[str] = mapped_column(String(255), unique=True)  # what it is about: told once, however often seen
    channel: Mapped[str] = mapped_column(String(100))
    message: Mapped[dict[str, Any]]  # Slack's text and blocks
    state: Mapped[str] = mapped_column(String(20), default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None] = mapped_column(Words)
    not_before: Mapped[datetime | None]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]

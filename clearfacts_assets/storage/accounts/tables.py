"""The tables of people and services: who may come in, what they changed, and what the system is set to.

Names of columns are a contract for ``users``, ``audit_logs`` and ``configuration``; the rest is ours beside them.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, false, true
from sqlalchemy.orm import Mapped, mapped_column

from clearfacts_assets.storage.base import Base, one_of
from clearfacts_assets.storage.types import IpAddress, Words

SESSION_KINDS = ("browser", "api")


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
    # ours: the investigator (an address of the registry) whose charges are all that the user sees
    investigator: Mapped[str | None] = mapped_column(String(320))


class AuditLog(Base):
    """Who changed what, when and from where. Rows are only added: triggers refuse to change one, or to
    delete one that is behind the newest cut."""

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
    hash: Mapped[str] = mapped_column(String(64))  # audit.py says over what


class AuditCut(Base):
    """Up to where retention cut the audit log's beginning off. Rows are only added."""

    __tablename__ = "audit_cuts"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # of the last entry that went
    hash: Mapped[str] = mapped_column(String(64))  # of that entry: the chain goes on from it
    entries: Mapped[int]  # that went with this cut
    at: Mapped[datetime]


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
    seen_at: Mapped[datetime | None]  # when it was used last, within sessions.py's NOTED_EVERY


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


class LegalHold(Base):
    """What must not be deleted, however old it is, until the hold is released. Rows stay."""

    __tablename__ = "legal_holds"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    kind: Mapped[str | None] = mapped_column(String(20))  # of what is kept; NULL: everything
    party: Mapped[str | None] = mapped_column(Words)  # documents alone: part of a name or an identifier
    since: Mapped[date | None]  # documents alone: dated from this day on
    until: Mapped[date | None]  # ... to this day
    reason: Mapped[str] = mapped_column(Words)
    placed_by: Mapped[str] = mapped_column(Words)
    placed_at: Mapped[datetime]
    released_by: Mapped[str | None] = mapped_column(Words)
    released_at: Mapped[datetime | None]


class KeyInUse(Base):
    """With which key all processes of this database sign or encrypt: its fingerprint, never the key."""

    __tablename__ = "keys_in_use"

    purpose: Mapped[str] = mapped_column(String(20), primary_key=True)  # signing, encryption
    name: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[str] = mapped_column(String(64))  # SHA-256
    since: Mapped[datetime]

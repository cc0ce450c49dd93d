"""The tables that keep the system running: leases, signs of life of runs, the outbox of alerts, files that wait."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from clearfacts_assets.storage.base import Base, one_of
from clearfacts_assets.storage.types import Words

ALERT_STATES = ("pending", "sent", "given_up")


class Lease(Base):
    """Who alone may do something for a while, among all processes."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    holder: Mapped[uuid.UUID]
    until: Mapped[datetime]


class RunHeartbeat(Base):
    """The last sign of life of a run of any job; the row goes when the run ends."""

    __tablename__ = "run_heartbeats"

    run_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    process: Mapped[dict[str, Any]]  # host, number, and what tells it from any other: see orchestration/process.py
    number: Mapped[int]  # of the beat; whoever watches compares this, and no times
    began_at: Mapped[datetime]
    beat_at: Mapped[datetime]
    lost_at: Mapped[datetime | None]  # when the run was taken for dead


class HeldPiece(Base):
    """A piece of a file that was uploaded and waits for a person to say yes, compressed; gone after a day."""

    __tablename__ = "held_files"
    __table_args__ = (Index(None, "held_at"),)

    token: Mapped[str] = mapped_column(String(32), primary_key=True)  # of all files of one upload
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # of the file among them, from 0
    piece: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # of the file, from 0
    owner: Mapped[str] = mapped_column(Words)
    name: Mapped[str] = mapped_column(String(255))
    content: Mapped[bytes]  # zlib
    held_at: Mapped[datetime]


class Alert(Base):
    """The outbox: what must be told, until it has been told."""

    __tablename__ = "alerts"
    __table_args__ = (
        one_of("state", ALERT_STATES),
        Index(None, "state", "not_before"),
        Index(None, "created_at"),
        Index(None, "kind", "number"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    subject: Mapped[str] = mapped_column(String(255), unique=True)  # what it is about: told once, however often seen
    kind: Mapped[str] = mapped_column(String(20), server_default="other")
    about: Mapped[str | None] = mapped_column(Words)  # a job, a day, a system
    at: Mapped[datetime | None]  # the moment that is told of
    members: Mapped[list[Any] | None]  # what it tells of, one by one, where that is several things
    number: Mapped[int] = mapped_column(server_default="0")  # the order of writing, whatever clocks said
    channel: Mapped[str] = mapped_column(String(100))
    message: Mapped[dict[str, Any]]  # Slack's text and blocks
    state: Mapped[str] = mapped_column(String(20), default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None] = mapped_column(Words)
    not_before: Mapped[datetime | None]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    traceparent: Mapped[str | None] = mapped_column(String(60))  # of the trace in which it was written

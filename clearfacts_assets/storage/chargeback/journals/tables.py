"""The tables of journals. Amounts are whole numbers of the currency's smallest units, so that any database adds them
exactly. Triggers hold that a batch balances before it leaves, and that it never changes afterwards."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from clearfacts_assets.chargeback.journals.lifecycle import BatchState
from clearfacts_assets.chargeback.journals.model import BatchKind, Side
from clearfacts_assets.storage.base import Base, one_of
from clearfacts_assets.storage.chargeback.tables import Identifier
from clearfacts_assets.storage.types import Json, Words

STANDS = text("kind = 'accrual' AND state <> 'reversed'")
BOOKED = text("sign = 1 AND released_by IS NULL")
TAKES_BACK = text("kind = 'reversal' AND state <> 'reversed'")


class JournalBatch(Base):
    """A batch. What it says never changes once it has left; its state goes along ``life.TRANSITIONS``."""

    __tablename__ = "journal_batches"
    __table_args__ = (
        UniqueConstraint("period", "position"),
        one_of("kind", BatchKind),
        one_of("state", BatchState),
        Index("uq_journal_batches_accrual", "period", "currency", unique=True, sqlite_where=STANDS,
              postgresql_where=STANDS),
        Index("uq_journal_batches_reverses", "reverses", unique=True, sqlite_where=TAKES_BACK,
              postgresql_where=TAKES_BACK),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    number: Mapped[str] = mapped_column(String(30), unique=True)
    period: Mapped[str] = mapped_column(String(7))
    position: Mapped[int]
    kind: Mapped[str] = mapped_column(String(10))
    currency: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(10))
    journal_date: Mapped[date]
    accounting_date: Mapped[date]
    fiscal_year: Mapped[int]
    fiscal_period: Mapped[int]
    description: Mapped[str] = mapped_column(Words)
    reverses: Mapped[int | None] = mapped_column(Identifier)  # the batch whose exact negative this one is
    lines: Mapped[int]
    debit: Mapped[int] = mapped_column(BigInteger)
    credit: Mapped[int] = mapped_column(BigInteger)
    suspended: Mapped[dict[str, Any]] = mapped_column(Json)
    sha256: Mapped[str] = mapped_column(String(64))  # of what it says
    created_by: Mapped[str] = mapped_column(Words)
    created_at: Mapped[datetime]
    # What became of it, written as it happens.
    format: Mapped[str] = mapped_column(String(20))
    file_name: Mapped[str] = mapped_column(String(100))
    file_sha256: Mapped[str] = mapped_column(String(64))
    posted_reference: Mapped[str] = mapped_column(Words)


class JournalLine(Base):
    """One line. ``units`` are above zero; of each pair they are equal on both sides."""

    __tablename__ = "journal_lines"
    __table_args__ = (
        one_of("side", Side),
        CheckConstraint("units > 0", name="units"),
    )

    batch_id: Mapped[int] = mapped_column(ForeignKey("journal_batches.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    pair: Mapped[int]
    side: Mapped[str] = mapped_column(String(1))
    units: Mapped[int] = mapped_column(BigInteger)
    fund_org: Mapped[str] = mapped_column(Words)
    account: Mapped[str] = mapped_column(Words)
    segments: Mapped[str] = mapped_column(Text)  # a JSON object
    description: Mapped[str] = mapped_column(Words)
    reference: Mapped[str] = mapped_column(String(40))
    statement: Mapped[str] = mapped_column(String(30))
    source: Mapped[str] = mapped_column(String(60))
    pi_email: Mapped[str] = mapped_column(Words)
    project_id: Mapped[str] = mapped_column(Words)
    instead_of: Mapped[str] = mapped_column(Words)


class JournalStatement(Base):
    """A statement that a batch books. Whatever its version, a number is booked by one batch at a time: the other one
    has to release it first. ``sign`` is -1 where the batch takes out what another one had booked."""

    __tablename__ = "journal_statements"
    __table_args__ = (
        Index("uq_journal_statements_booked", "number", unique=True, sqlite_where=BOOKED, postgresql_where=BOOKED),
        Index("ix_journal_statements_released_by", "released_by"),
    )  # fmt: skip

    batch_id: Mapped[int] = mapped_column(ForeignKey("journal_batches.id"), primary_key=True)
    statement_id: Mapped[int] = mapped_column(ForeignKey("statements.id"), primary_key=True, index=True)
    sign: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(30))
    version: Mapped[int]
    units: Mapped[int] = mapped_column(BigInteger)  # that are due by it
    released_by: Mapped[int | None] = mapped_column(Identifier)  # the batch since which it is booked no more


class JournalAnswer(Base):
    """What the general ledger said of a batch, or of a line of it. Append-only."""

    __tablename__ = "journal_answers"

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("journal_batches.id"), index=True)
    line: Mapped[int | None]
    verdict: Mapped[str] = mapped_column(String(10))  # posted or refused
    message: Mapped[str] = mapped_column(Words)
    actor: Mapped[str] = mapped_column(Words)
    at: Mapped[datetime]


class JournalEvent(Base):
    """What happened to a batch, by whom, why. Append-only."""

    __tablename__ = "journal_events"

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("journal_batches.id"), index=True)
    event: Mapped[str] = mapped_column(String(15))
    actor: Mapped[str] = mapped_column(Words)
    reason: Mapped[str] = mapped_column(Words)
    at: Mapped[datetime]

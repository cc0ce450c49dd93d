"""The tables of statements. What was issued never changes; triggers hold that. Amounts are as they were printed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from clearfacts_assets.chargeback.statements.lifecycle import StatementState
from clearfacts_assets.chargeback.statements.mail_lifecycle import MailState
from clearfacts_assets.chargeback.statements.model import StatementKind
from clearfacts_assets.storage.base import Base, one_of
from clearfacts_assets.storage.chargeback.tables import Identifier
from clearfacts_assets.storage.types import Json, Words

LIVE = text("state IN ('proposed', 'issued')")


class StatementNumber(Base):
    """The number of a subject, kept from the first time that it was asked for: a crash makes no second one."""

    __tablename__ = "statement_numbers"
    __table_args__ = (UniqueConstraint("series", "position"),)

    subject_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    series: Mapped[str] = mapped_column(String(20))  # S-2025-03
    position: Mapped[int]
    number: Mapped[str] = mapped_column(String(30), unique=True)


class StatementRow(Base):
    """One version of one statement."""

    __tablename__ = "statements"
    __table_args__ = (
        Index(
            "uq_statements_version",
            "number",
            "version",
            unique=True,
            sqlite_where=text("version > 0"),
            postgresql_where=text("version > 0"),
        ),
        one_of("state", StatementState),
        one_of("kind", StatementKind),
        Index("uq_statements_live", "subject_key", unique=True, sqlite_where=LIVE, postgresql_where=LIVE),
        Index("ix_statements_period_kind", "period", "kind"),
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    number: Mapped[str] = mapped_column(String(30))
    version: Mapped[int]  # 0 of drafts
    kind: Mapped[str] = mapped_column(String(15))
    period: Mapped[str] = mapped_column(String(7))
    subject_key: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(Words, index=True)  # the investigator's address, the sponsor, the cost centre
    project: Mapped[str] = mapped_column(Words)
    fund: Mapped[str] = mapped_column(Words)
    currency: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(10))
    listed: Mapped[Decimal]
    discount: Mapped[Decimal]
    subsidy: Mapped[Decimal]
    credit: Mapped[Decimal]
    due: Mapped[Decimal]
    exact: Mapped[Decimal]  # what is due before it was rounded
    lines: Mapped[int]
    charges: Mapped[int]
    basis: Mapped[dict[str, Any]] = mapped_column(Json)
    rules: Mapped[dict[str, Any]] = mapped_column(Json)  # versions of what decided: program, templates, rules
    charges_hash: Mapped[str] = mapped_column(String(64))  # of what it is about; another one makes another version
    inputs_hash: Mapped[str] = mapped_column(String(64))  # of all that is printed
    pdf_sha256: Mapped[str] = mapped_column(String(64))
    stand_ins: Mapped[str] = mapped_column(Words)  # characters that no font had
    file_name: Mapped[str] = mapped_column(String(200))
    replaces: Mapped[int | None] = mapped_column(Identifier)
    issued_on: Mapped[str] = mapped_column(String(10))
    dispute_by: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime]


class StatementFile(Base):
    """All that is printed, packed, and the PDF that was made of it."""

    __tablename__ = "statement_files"

    statement_id: Mapped[int] = mapped_column(ForeignKey("statements.id"), primary_key=True)
    inputs: Mapped[bytes] = mapped_column(LargeBinary)
    pdf: Mapped[bytes] = mapped_column(LargeBinary)


class StatementCharge(Base):
    """A charge's share on an investigator's statement. It is on at most one that is live."""

    __tablename__ = "statement_charges"
    __table_args__ = (
        Index(
            "uq_statement_charges_live",
            "charge_id",
            "share",
            unique=True,
            # What belongs to a bill and to no charge has the charge 0, and is known by its bill alone.
            sqlite_where=text("live AND charge_id <> 0"),
            postgresql_where=text("live AND charge_id <> 0"),
        ),
        Index("ix_statement_charges_statement", "statement_id", "line"),
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    statement_id: Mapped[int] = mapped_column(ForeignKey("statements.id"))
    charge_id: Mapped[int] = mapped_column(Identifier)
    share: Mapped[int]
    line: Mapped[int]
    fund: Mapped[str] = mapped_column(Words)
    cost_center: Mapped[str] = mapped_column(Words)
    service: Mapped[str] = mapped_column(Words)
    listed: Mapped[Decimal]
    exact: Mapped[Decimal]
    cents: Mapped[Decimal]
    live: Mapped[bool]


class StatementEventRow(Base):
    """What happened to a statement, by whom, why. Append-only."""

    __tablename__ = "statement_events"

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    statement_id: Mapped[int] = mapped_column(ForeignKey("statements.id"), index=True)
    event: Mapped[str] = mapped_column(String(15))
    actor: Mapped[str] = mapped_column(Words)
    reason: Mapped[str] = mapped_column(Words)
    at: Mapped[datetime]


class StatementRemark(Base):
    """What an investigator objects to, and what was answered. Append-only."""

    __tablename__ = "statement_remarks"

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    statement_id: Mapped[int] = mapped_column(ForeignKey("statements.id"), index=True)
    line: Mapped[int | None]
    answers: Mapped[int | None] = mapped_column(Identifier, unique=True)  # the remark that this one answers
    verdict: Mapped[str] = mapped_column(String(10))  # of an answer: agreed, declined
    text: Mapped[str] = mapped_column(Words)
    actor: Mapped[str] = mapped_column(Words)
    at: Mapped[datetime]


class InvestigatorDelegate(Base):
    """Who gets a copy of an investigator's mails."""

    __tablename__ = "investigator_delegates"

    email: Mapped[str] = mapped_column(String(320), primary_key=True)
    delegate: Mapped[str] = mapped_column(String(320), primary_key=True)


class MailRow(Base):
    """One mail, from being wanted to being settled."""

    __tablename__ = "mails"
    __table_args__ = (one_of("state", MailState), Index("ix_mails_state_not_before", "state", "not_before"))

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    wish: Mapped[str] = mapped_column(String(64), unique=True)  # the same wish makes one mail
    period: Mapped[str] = mapped_column(String(7), index=True)
    recipient: Mapped[str] = mapped_column(Words, index=True)
    name: Mapped[str] = mapped_column(Words)
    copies: Mapped[list[Any]] = mapped_column(Json)
    subject: Mapped[str] = mapped_column(Words)
    message_id: Mapped[str] = mapped_column(String(200), index=True)  # the same where it is sent again
    test: Mapped[bool]  # in test mode it goes to the tester alone, and counts for nothing
    state: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(Words)
    attempts: Mapped[int]
    not_before: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    repeats: Mapped[int | None] = mapped_column(Identifier)  # the mail that it was knowingly sent again for
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    bytes_sha256: Mapped[str] = mapped_column(String(64))  # of the message as it left last


class MailStatement(Base):
    """Which statements a mail brings. Without being wished, a statement is brought once."""

    __tablename__ = "mail_statements"

    mail_id: Mapped[int] = mapped_column(ForeignKey("mails.id"), primary_key=True)
    statement_id: Mapped[int] = mapped_column(ForeignKey("statements.id"), primary_key=True, index=True)


class MailAttempt(Base):
    """One try to hand over a mail, or what was heard of it later. Append-only."""

    __tablename__ = "mail_attempts"

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    mail_id: Mapped[int] = mapped_column(ForeignKey("mails.id"), index=True)
    event: Mapped[str] = mapped_column(String(15))
    code: Mapped[int | None]
    answer: Mapped[str] = mapped_column(Words)
    actor: Mapped[str] = mapped_column(Words)
    at: Mapped[datetime]

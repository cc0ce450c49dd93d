"""Chargeback's tables: cost sources, months, what was imported, and the wishes that were carried out.

The charges themselves stand in charge_tables.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from clearfacts_assets.chargeback.lifecycle import State
from clearfacts_assets.storage.base import Base, one_of
from clearfacts_assets.storage.types import Json, Words

Identifier = BigInteger().with_variant(Integer, "sqlite")


class CostSourceRow(Base):
    """Where cost exports come from, and how they are charged on."""

    __tablename__ = "cost_sources"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    display_name: Mapped[str] = mapped_column(Words, default="")
    pattern: Mapped[str] = mapped_column(Words, default="")  # of file names, to guess the source by
    basis: Mapped[str] = mapped_column(String(20))
    credit_fund_org: Mapped[str] = mapped_column(Words, default="")
    account_code: Mapped[str] = mapped_column(Words, default="")
    decimal_comma: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]


class Period(Base):
    """A month, from open to finalized. Finalization writes the hash of all that counts, chained to the one before."""

    __tablename__ = "billing_periods"
    __table_args__ = (
        one_of("state", State),
        # Asked for each new charge.
        Index(
            "ix_billing_periods_finalized",
            "name",
            unique=True,
            sqlite_where=text("state = 'finalized'"),
            postgresql_where=text("state = 'finalized'"),
        ),
    )

    name: Mapped[str] = mapped_column(String(7), primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    finalized_position: Mapped[int | None] = mapped_column(unique=True)
    finalized_rows: Mapped[int | None] = mapped_column(BigInteger)
    previous_hash: Mapped[str | None] = mapped_column(String(64))
    hash: Mapped[str | None] = mapped_column(String(64))


class PeriodEvent(Base):
    """What was done to a period, by whom, why. Append-only."""

    __tablename__ = "billing_period_events"

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    period: Mapped[str] = mapped_column(ForeignKey("billing_periods.name"), index=True)
    event: Mapped[str] = mapped_column(String(20))
    actor: Mapped[str] = mapped_column(Words)
    reason: Mapped[str] = mapped_column(Words, default="")
    details: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    at: Mapped[datetime]


class CostImport(Base):
    """One delivery that was applied: one or several files, atomically."""

    __tablename__ = "cost_imports"

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    source: Mapped[str] = mapped_column(ForeignKey("cost_sources.name"), index=True)
    mode: Mapped[str] = mapped_column(String(10))
    period: Mapped[str | None] = mapped_column(String(7))  # that the delivery was said to be for
    rules_digest: Mapped[str] = mapped_column(String(64))  # of the settings that decide what a row says
    content_digest: Mapped[str] = mapped_column(String(64), index=True)  # of its files' digests
    actor: Mapped[str] = mapped_column(Words)
    at: Mapped[datetime]
    rows: Mapped[int] = mapped_column(BigInteger)
    refused: Mapped[int] = mapped_column(BigInteger)
    difference: Mapped[dict[str, Any]] = mapped_column(Json)
    scopes: Mapped[list[Any]] = mapped_column(Json)  # [period, account] that it was about
    last_charge: Mapped[int | None] = mapped_column(BigInteger, index=True)  # of the ledger when it was applied
    withdrawn_at: Mapped[datetime | None]
    withdrawn_reason: Mapped[str | None] = mapped_column(Words)


class CostImportFile(Base):
    """One file of a delivery."""

    __tablename__ = "cost_import_files"

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("cost_imports.id"), index=True)
    number: Mapped[int]
    name: Mapped[str] = mapped_column(Words)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    dialect: Mapped[str] = mapped_column(Words)
    dataset: Mapped[str] = mapped_column(String(30))
    version: Mapped[str] = mapped_column(String(10))
    header: Mapped[list[Any]] = mapped_column(Json)
    rows: Mapped[int] = mapped_column(BigInteger)
    refused: Mapped[int] = mapped_column(BigInteger)
    tie_out: Mapped[list[Any]] = mapped_column(
        Json
    )  # per invoice, issuer and currency: rows and billed, refused ones apart


class RowChunk(Base):
    """The original records of a file, compressed, some 2,000 a chunk."""

    __tablename__ = "cost_row_chunks"

    import_file: Mapped[int] = mapped_column(ForeignKey("cost_import_files.id"), primary_key=True)
    first_row: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    rows: Mapped[int]
    data: Mapped[bytes] = mapped_column(LargeBinary)


class CostRefusal(Base):
    """A record that cannot be billed."""

    __tablename__ = "cost_refusals"

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    import_file: Mapped[int] = mapped_column(ForeignKey("cost_import_files.id"), index=True)
    line: Mapped[int] = mapped_column(BigInteger)
    column: Mapped[str] = mapped_column(Words)
    value: Mapped[str] = mapped_column(Words)
    code: Mapped[str] = mapped_column(String(40))
    message: Mapped[str] = mapped_column(Words)
    record: Mapped[str] = mapped_column(Words)


class ChargebackWish(Base):
    """A change that was asked for under an id, so that it is carried out once."""

    __tablename__ = "chargeback_wishes"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of who asks for what under which key
    digest: Mapped[str] = mapped_column(String(64))
    answer: Mapped[dict[str, Any]]
    at: Mapped[datetime]

"""Chargeback's tables of what was imported: deliveries, their files, the original records and the refused ones."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from clearfacts_assets.storage.base import Base
from clearfacts_assets.storage.chargeback.tables import Identifier
from clearfacts_assets.storage.types import Json, Words


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

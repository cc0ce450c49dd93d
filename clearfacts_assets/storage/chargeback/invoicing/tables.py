"""The table of invoices that were made of statements. Rows are only added."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from clearfacts_assets.chargeback.invoicing.model import DocumentKind
from clearfacts_assets.storage.base import Base, one_of
from clearfacts_assets.storage.chargeback.tables import Identifier
from clearfacts_assets.storage.types import Json, Words

ASKS = text("names = ''")
NAMES = text("names <> ''")


class StatementInvoice(Base):
    """One invoice or credit note. A version of a statement is asked for once, and a document taken back once."""

    __tablename__ = "statement_invoices"
    __table_args__ = (
        one_of("kind", DocumentKind),
        Index("uq_statement_invoices_asked", "statement_id", unique=True, sqlite_where=ASKS, postgresql_where=ASKS),
        Index("uq_statement_invoices_names", "names", unique=True, sqlite_where=NAMES, postgresql_where=NAMES),
        Index("ix_statement_invoices_statement", "statement", "id"),
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    number: Mapped[str] = mapped_column(String(40), unique=True)
    kind: Mapped[str] = mapped_column(String(12))
    statement_id: Mapped[int] = mapped_column(ForeignKey("statements.id"))
    statement: Mapped[str] = mapped_column(String(30))
    version: Mapped[int]
    period: Mapped[str] = mapped_column(String(7), index=True)
    currency: Mapped[str] = mapped_column(String(20))
    customer: Mapped[str] = mapped_column(Words)
    issued: Mapped[date]
    due_by: Mapped[date]
    lines: Mapped[list[Any]] = mapped_column(Json)  # [name, note, amount]
    net: Mapped[Decimal]
    vat: Mapped[Decimal]
    gross: Mapped[Decimal]
    vat_category: Mapped[str] = mapped_column(String(2))
    vat_percent: Mapped[Decimal]
    vat_reason: Mapped[str] = mapped_column(String(40))
    names: Mapped[str] = mapped_column(String(40))  # the document that it takes back
    names_issued: Mapped[date | None]
    sha256: Mapped[str] = mapped_column(String(64))
    file_name: Mapped[str] = mapped_column(String(100))
    document: Mapped[bytes] = mapped_column(LargeBinary)  # the XML, packed
    created_by: Mapped[str] = mapped_column(Words)
    created_at: Mapped[datetime]

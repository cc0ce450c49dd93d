"""Invoices as people look at them: rows in lists and alone, with the state of their deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, cast
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Engine, Select, Table, and_, func, literal_column, select

from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.invoice_rows import bounded_id
from clearfacts_assets.storage.invoices.tables import NUMBER_BEGINS, Delivery, InvoiceRow, Job
from clearfacts_assets.storage.paging import NEWEST_FIRST, Filter, Listing, Page, Span, page_of, page_size

_rows = cast(Table, InvoiceRow.__table__)
_deliveries = cast(Table, Delivery.__table__)
_holds = _rows.alias("holds_the_document")
# A document stands once; rows of later jobs with the same content find it by its hash.
CONTENT_OF = func.coalesce(
    _rows.c.ubl_data,
    select(_holds.c.ubl_data)
    .where(_holds.c.content_sha256 == _rows.c.content_sha256, _holds.c.ubl_data.is_not(None))
    .limit(1)
    .scalar_subquery(),
)


@dataclass(frozen=True, slots=True)
class InvoiceRecord:
    """A row as people look at it, with the state of its delivery and without the document."""

    id: UUID
    job_id: UUID
    invoice_id: str
    status: str
    error_message: str | None
    decision: str | None
    document_type: str | None
    number: str | None
    issue_date: date | None
    supplier: str | None
    customer: str | None
    payable_amount: Decimal | None
    currency: str | None
    content_sha256: str | None
    clearfacts_response: dict[str, Any] | None
    processed_at: datetime | None
    source_updated_at: datetime | None
    created_at: datetime
    updated_at: datetime
    delivery_id: UUID | None
    delivery_state: str | None
    partition_key: str | None


@dataclass(frozen=True, slots=True)
class InvoiceDetail:
    """All there is of one row."""

    record: InvoiceRecord
    report: dict[str, Any] | None
    document: str | None  # the XML; None where its content was delivered before, or never came


class InvoiceViews:
    """The ``invoices`` table, for who only reads it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(
        self,
        *,
        job_id: UUID | None = None,
        status: str | None = None,
        invoice_id: str | None = None,
        number: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        span: Span = NEWEST_FIRST,
    ) -> Page[InvoiceRecord]:
        """Rows, newest first unless the span says otherwise. Raises BadCursor."""
        limit = page_size(limit)
        source_id = bounded_id(invoice_id) if invoice_id is not None else None
        wanted = {"job_id": job_id, "status": status, "invoice_id": source_id, "number": number}
        with reading(self._engine) as connection:
            found = [InvoiceRecord(*row) for row in _RECORDS.rows(connection, span, cursor, limit, wanted)]
        return page_of(found, limit, attrgetter("created_at"), attrgetter("id"))

    def get(self, identifier: UUID | str) -> InvoiceDetail | None:
        """A row by its id, or the newest row of an invoice by the source's id."""
        by_id = isinstance(identifier, UUID)
        condition = _rows.c.id == identifier if by_id else _rows.c.invoice_id == bounded_id(str(identifier))
        query = _select_records().where(condition).order_by(_rows.c.created_at.desc(), _rows.c.id.desc()).limit(1)
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().one_or_none()
            if row is None:
                return None
            content = select(_rows.c.report, CONTENT_OF.label("content")).where(_rows.c.id == row["id"])
            more = connection.execute(content).one()
        return InvoiceDetail(InvoiceRecord(**row), more.report, more.content)

    def amounts_sent(self, job_id: UUID) -> dict[tuple[str, str], Decimal]:
        """What the job delivered, summed exactly by document type and currency."""
        query = select(_rows.c.document_type, _rows.c.currency, _rows.c.payable_amount).where(
            _rows.c.job_id == job_id, _rows.c.status == InvoiceStatus.SENT, _rows.c.payable_amount.is_not(None)
        )
        sums: dict[tuple[str, str], Decimal] = {}
        with reading(self._engine) as connection:
            # Summed here, because SQLite would sum as floats.
            for document_type, currency, amount in connection.execute(query):
                sums[document_type, currency] = sums.get((document_type, currency), Decimal(0)) + amount
        return sums


def _select_records() -> Select[Any]:
    names = [name for name in InvoiceRecord.__dataclass_fields__ if name not in ("delivery_state", "partition_key")]
    return (
        select(*(_rows.c[name] for name in names), _deliveries.c.state.label("delivery_state"), Job.partition_key)
        .outerjoin(_deliveries, _deliveries.c.id == _rows.c.delivery_id)
        .join(Job, Job.id == _rows.c.job_id)
    )


def _has_number(number: BindParameter[str]) -> ColumnElement[bool]:
    """Found by its beginning, which is indexed, and compared as a whole."""
    begins: ColumnElement[str] = literal_column(NUMBER_BEGINS.replace("number", "invoices.number"))
    # Concatenated: SQLite would put what it must be equal to into the first condition, and lose sight of its index.
    whole = _rows.c.number.concat(literal_column("''"))
    return and_(begins == func.substr(number, literal_column("1"), literal_column("250")), whole == number)


_FILTERS: dict[str, Filter] = {name: _rows.c[name].__eq__ for name in ("job_id", "status", "invoice_id")}
_FILTERS["number"] = _has_number
_RECORDS = Listing(_select_records(), _rows.c.created_at, _rows.c.id, _FILTERS)

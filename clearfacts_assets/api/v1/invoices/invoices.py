"""``/invoices``: what jobs saw of each invoice, what validation found in it, and what became of its delivery."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field

from clearfacts_assets.api.auth.dependencies import require
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads
from clearfacts_assets.api.services import Services, services, watched_job
from clearfacts_assets.api.v1.invoices.deliveries import DeliverySummary, DocumentView, document_view, summary_of
from clearfacts_assets.api.v1.invoices.jobs import JobResults, JobStatus, found, results_of
from clearfacts_assets.api.v1.lists import LONGEST_WORD, ListQuery, Word
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.document_status import DeliveredDocuments
from clearfacts_assets.storage.invoices.invoice_views import InvoiceDetail, InvoiceRecord
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository

router = APIRouter(prefix="/invoices", tags=["invoices"])

InvoiceStatus = Literal["pending", "sent", "failed", "duplicate"]
Reads = Annotated[Principal, Depends(require(Permission.INVOICES_READ))]
Served = Annotated[Services, Depends(services)]
WatchedJob = Annotated[Services, Depends(watched_job)]
InvoiceIdentifier = Annotated[
    str, Path(min_length=1, max_length=LONGEST_WORD, description="the id of a row, or the ERP's id for its newest row")
]


class ProcessingStatus(BaseModel):
    """How far a job is."""

    job_id: UUID
    status: JobStatus
    partition: str | None = Field(description="the day, in Brussels")
    started_at: datetime | None
    completed_at: datetime | None
    results: JobResults
    pending: int = Field(ge=0, description="on their way, or waiting for a person")
    error_message: str | None = Field(description="why the job as a whole failed")
    correlation_id: str | None


class InvoiceSummary(BaseModel):
    """What one job saw of one invoice, and what it did with it."""

    id: UUID
    invoice_id: str = Field(description="the ERP's id")
    job_id: UUID
    partition: str | None
    status: InvoiceStatus
    decision: Literal["accept", "hold", "reject"] | None = Field(description="of validation; null before it")
    error_message: str | None
    document_type: str | None
    number: str | None = Field(description="BT-1")
    issue_date: date | None = Field(description="BT-2")
    supplier: str | None = Field(description="BT-27")
    customer: str | None = Field(description="BT-44")
    payable_amount: str | None = Field(description="BT-115, an exact decimal as text", examples=["1210.00"])
    currency: str | None = Field(description="BT-5")
    delivery_id: UUID | None
    delivery_state: str | None
    processed_at: datetime | None
    created_at: datetime


class FindingView(BaseModel):
    """What one rule has to say of the document."""

    rule: str
    layer: str
    severity: str
    message: str
    location: str | None = None
    line: int | None = None
    hint: str | None = None


class InvoiceView(InvoiceSummary):
    """An invoice with its findings and its delivery."""

    findings: list[FindingView]
    delivery: DeliverySummary | None
    document: DocumentView | None = Field(description="what became of it at Clearfacts; null before the first question")
    clearfacts_response: dict[str, Any] | None


class InvoiceReport(BaseModel):
    """All that validation said of the document."""

    invoice_id: str
    row_id: UUID
    report: dict[str, Any] = Field(description="decision, findings, rule-set versions and the document's head")


class HistoryQuery(ListQuery):
    """Which rows."""

    status: InvoiceStatus | None = None
    job_id: UUID | None = None
    invoice_id: Word | None = Field(None, description="the ERP's id")
    number: Word | None = Field(None, description="the invoice's number, BT-1")


@router.get("/status/{job_id}", responses=errors(ErrorCode.JOB_NOT_FOUND), summary="How far a job is")
@reads
def get_processing_status(job_id: UUID, _: Reads, served: WatchedJob) -> Success[ProcessingStatus]:
    """Counts so far; they move while the job runs."""
    job, jobs = found(job_id, served)
    counts = jobs.counts(job_id)
    return Success(
        data=ProcessingStatus(
            job_id=job.id,
            status=job.status,
            partition=job.partition_key,
            started_at=job.started_at,
            completed_at=job.completed_at,
            results=results_of(counts),
            pending=counts.pending,
            error_message=job.error_message,
            correlation_id=job.correlation_id,
        )
    )


@router.get("/history", responses=errors(ErrorCode.INVALID_CURSOR), summary="What jobs did with which invoices")
@reads
def list_invoices(query: Annotated[HistoryQuery, Query()], _: Reads, served: Served) -> Success[Listed[InvoiceSummary]]:
    """One row per job and invoice, newest first."""
    page = InvoiceRepository(served.engine).list(
        job_id=query.job_id,
        status=query.status,
        invoice_id=query.invoice_id,
        number=query.number,
        limit=query.limit,
        cursor=query.cursor,
        span=query.span,
    )
    items = [InvoiceSummary(**_fields_of(record)) for record in page.items]
    return Success(data=Listed(items=items, next_cursor=page.next_cursor))


@router.get("/{invoice_id}", responses=errors(ErrorCode.INVOICE_NOT_FOUND), summary="One invoice")
@reads
def get_invoice(invoice_id: InvoiceIdentifier, _: Reads, served: Served) -> Success[InvoiceView]:
    """With what validation found in it, and where its delivery stands."""
    detail = _detail(invoice_id, served)
    record, delivery, document = detail.record, None, None
    if record.delivery_id is not None:
        delivery = SqlDeliveryLedger(served.engine).states([record.delivery_id]).get(record.delivery_id)
        document = DeliveredDocuments(served.engine).of(record.delivery_id)
    return Success(
        data=InvoiceView(
            **_fields_of(record),
            findings=[FindingView(**finding) for finding in (detail.report or {}).get("findings", [])],
            delivery=summary_of(delivery) if delivery else None,
            document=document_view(document),
            clearfacts_response=record.clearfacts_response,
        )
    )


@router.get(
    "/{invoice_id}/report", responses=errors(ErrorCode.INVOICE_NOT_FOUND), summary="The validation report of an invoice"
)
@reads
def get_invoice_report(invoice_id: InvoiceIdentifier, _: Reads, served: Served) -> Success[InvoiceReport]:
    """404 also where the document was never validated: refused before it, or known as delivered."""
    detail = _detail(invoice_id, served)
    if detail.report is None:
        raise ApiError(ErrorCode.INVOICE_NOT_FOUND, "This invoice was not validated by that job.")
    record = detail.record
    return Success(data=InvoiceReport(invoice_id=record.invoice_id, row_id=record.id, report=detail.report))


def _detail(identifier: str, served: Services) -> InvoiceDetail:
    rows = InvoiceRepository(served.engine)
    try:
        detail = rows.get(UUID(identifier))
    except ValueError:
        detail = None
    detail = detail or rows.get(identifier)
    if detail is None:
        raise ApiError(ErrorCode.INVOICE_NOT_FOUND)
    return detail


def _fields_of(record: InvoiceRecord) -> dict[str, Any]:
    fields = {name: getattr(record, name) for name in InvoiceSummary.model_fields if name != "partition"}
    amount = record.payable_amount
    return fields | {
        "partition": record.partition_key,
        "payable_amount": None if amount is None else format(amount, "f"),
    }

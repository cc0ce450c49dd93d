"""Between the trade's words and an ``invoices`` row: what a document, a report or an earlier row becomes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from clearfacts_assets.invoices.ledger.model import HELD_FOR_VALIDATION, Barrier
from clearfacts_assets.invoices.lifecycle import ROW_MEANING, State
from clearfacts_assets.invoices.model import (
    Decision,
    DocumentType,
    Invoice,
    InvoiceStatus,
    Party,
    Report,
    SourceDocument,
)
from clearfacts_assets.money import Money
from clearfacts_assets.storage.invoices.documents import StoredDocument
from clearfacts_assets.storage.types import bounded

LONGEST_INVOICE_ID = 255  # characters; a longer one is cut and ends in a digest of the whole
LARGEST_AMOUNT_DIGITS = 30  # an amount beyond it is no amount; it is not kept for display

HEAD = ("document_type", "number", "issue_date", "supplier", "customer", "parties", "payable_amount", "currency")
VERDICT = ("decision", "report", *HEAD)
LONGEST_ADDITION = 24  # characters of " (revision 12)", and such


def newest_of_each(documents: Sequence[SourceDocument]) -> tuple[dict[str, SourceDocument], int]:
    """One document an invoice, the one changed last, and how many rows were left out for it."""
    newest: dict[str, SourceDocument] = {}
    for document in documents:
        invoice_id = bounded_id(document.invoice_id)
        before = newest.get(invoice_id)
        if before is None or document.updated_at >= before.updated_at:
            newest[invoice_id] = document
    return newest, len(documents) - len(newest)


def bounded_id(invoice_id: str) -> str:
    """The source's id, cut where it is too long to be looked up by."""
    return bounded(invoice_id, LONGEST_INVOICE_ID)


def new_row(
    job_id: UUID,
    document: SourceDocument,
    text: StoredDocument,
    sha256: str,
    settled: tuple[UUID, State] | None,
    now: datetime,
) -> dict[str, Any]:
    """The row of a document without a verdict; ``sha256`` is that of its text, ``settled`` the final delivery of the
    same content, if there is one."""
    problem = document.problem or text.problem
    status, message, delivery_id = InvoiceStatus.PENDING, None, None
    if problem:
        status, message = InvoiceStatus.FAILED, problem
    elif settled:
        delivery_id, meaning = settled[0], ROW_MEANING[settled[1]]
        status, message = meaning.met, meaning.same_content
    return {
        "id": uuid4(),
        "job_id": job_id,
        "invoice_id": bounded_id(document.invoice_id),
        "ubl_data": text.text if document.content and status is not InvoiceStatus.DUPLICATE else None,
        "status": status,
        "error_message": message,
        "processed_at": None if status is InvoiceStatus.PENDING else now,
        "created_at": now,
        "updated_at": now,
        "source_updated_at": document.updated_at,
        "retrieved_at": now,
        "content_sha256": sha256 if document.content else None,
        "delivery_id": delivery_id,
    }


def replaces(row: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether a row takes the place of what the same job stored for the same invoice before."""
    under_way = before["delivery_id"] is not None and before["status"] != InvoiceStatus.DUPLICATE
    older = before["source_updated_at"] is not None and row["source_updated_at"] < before["source_updated_at"]
    return not under_way and not older and row["content_sha256"] != before["content_sha256"]


def verdict_of(report: Report, as_json: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """What a report changes in its row."""
    rejected = report.decision is Decision.REJECT
    return {
        "decision": report.decision,
        "report": dict(as_json),
        "status": InvoiceStatus.FAILED if rejected else InvoiceStatus.PENDING,
        "error_message": report.reason or None,
        "processed_at": now if rejected else None,
        "updated_at": now,
        **head_of(report.invoice),
    }


_REFUSABLE = {
    "error_message": "reason",
    "report": "list of findings",
    "number": "number (BT-1)",
    "issue_date": "issue date (BT-2)",
    "supplier": "supplier (BT-27)",
    "customer": "customer (BT-44)",
    "parties": "identifiers of its parties",
    "payable_amount": "amount due (BT-115)",
    "currency": "currency (BT-5)",
    "source_updated_at": "time of change",
    "ubl_data": "document",
}


def without_what_is_refused(row: Mapping[str, Any], why: str) -> Iterator[dict[str, Any]]:
    """The row as a failed one that says what the database cannot hold of it: without one value, or without all."""
    named = [name for name in _REFUSABLE if row.get(name) is not None]
    for name in named:
        size = f", {len(row[name]):,} characters" if isinstance(row[name], str) else ""
        yield _refused(row, [name], f"the database cannot hold its {_REFUSABLE[name]}{size}: {why}")
    yield _refused(row, named, f"the database cannot hold it: {why}")


def _refused(row: Mapping[str, Any], names: Sequence[str], message: str) -> dict[str, Any]:
    changed = {**row, **dict.fromkeys(names), "status": InvoiceStatus.FAILED, "error_message": message}
    changed["processed_at"] = row["updated_at"]
    if row.get("decision") is not None:
        changed["decision"] = Decision.REJECT  # or a later run would send what it cannot keep
    if row.get("delivery_id") is not None:
        changed["delivery_id"] = None
    return changed


def without_the_answer(row: Mapping[str, Any], why: str) -> Iterator[dict[str, Any]]:
    """A delivery's result without what the destination said, which the database cannot hold. Its status stays."""
    yield {**row, "clearfacts_response": None}
    yield {**row, "clearfacts_response": None, "error_message": f"the database cannot hold what was answered: {why}"}


def head_of(invoice: Invoice | None) -> dict[str, Any]:
    if invoice is None:
        return dict.fromkeys(HEAD)
    amount = invoice.payable.amount
    digits = len(amount.as_tuple().digits)
    showable = amount.is_finite() and max(abs(amount.adjusted()), digits) <= LARGEST_AMOUNT_DIGITS
    return {
        "document_type": invoice.document_type,
        "number": invoice.number,
        "issue_date": invoice.issue_date,
        "supplier": invoice.supplier.name,
        "customer": invoice.customer.name,
        "parties": {"supplier": _as_json(invoice.supplier), "customer": _as_json(invoice.customer)},
        "payable_amount": amount if showable else None,
        "currency": invoice.payable.currency,
    }


def _as_json(party: Party) -> dict[str, Any]:
    return dict(zip(_OF_A_PARTY, _values_of_a_party(party), strict=True))


_OF_A_PARTY = tuple(Party.__dataclass_fields__)
_values_of_a_party = attrgetter(*_OF_A_PARTY)  # a tenth of what dataclasses.asdict takes, which copies each value


def barrier_of(row: Row[Any]) -> Barrier | None:
    """What validation put in the way: a person decides."""
    if row.decision != Decision.HOLD:
        return None
    return Barrier(
        HELD_FOR_VALIDATION, f"validation leaves it to a person: {row.error_message or 'no reason was noted'}"
    )


def invoice_of(row: Row[Any]) -> Invoice:
    """The head as far as a delivery needs it: profile and customization stay in the document."""
    return Invoice(
        document_type=DocumentType(row.document_type),
        number=row.number,
        issue_date=row.issue_date,
        type_code=None,
        payable=Money(row.payable_amount if row.payable_amount is not None else Decimal(0), row.currency),
        supplier=Party(**row.parties["supplier"]),
        customer=Party(**row.parties["customer"]),
        customization_id=None,
        profile_id=None,
    )


def row_of_version(
    row: Mapping[str, Any], job_id: UUID, revision: int, taken: Collection[str], now: datetime
) -> dict[str, Any]:
    """The row under which a job sends a version that the ledger has: as the newest row of that version has it."""
    invoice_id = row["invoice_id"]
    if invoice_id in taken:  # the job has another version under the same id
        invoice_id = f"{invoice_id[: LONGEST_INVOICE_ID - LONGEST_ADDITION]} (revision {revision})"
    return {
        **row,
        "id": uuid4(),
        "job_id": job_id,
        "invoice_id": invoice_id,
        "ubl_data": None,
        "status": InvoiceStatus.PENDING,
        "decision": Decision.ACCEPT,
        "error_message": None,
        "clearfacts_response": None,
        "processed_at": None,
        "created_at": now,
        "updated_at": now,
        "retrieved_at": row["retrieved_at"] or row["created_at"],
    }


def copy_of(row: Mapping[str, Any], job_id: UUID, now: datetime, *, validated: bool) -> dict[str, Any]:
    """An earlier job's row as a later job starts with it."""
    copy = {**row, "id": uuid4(), "job_id": job_id, "created_at": now, "updated_at": now, "clearfacts_response": None}
    copy["retrieved_at"] = row["retrieved_at"] or row["created_at"]  # the source has said nothing since
    copy["ubl_data"] = None  # the document stays where it is, and is found there by its hash
    if row["status"] == InvoiceStatus.DUPLICATE and row["ubl_data"] is None:
        return copy
    refused_before_validation = row["status"] == InvoiceStatus.FAILED and row["report"] is None
    if refused_before_validation and row["delivery_id"] is None:
        return copy
    if not validated:
        copy |= dict.fromkeys(VERDICT)
    rejected = copy["decision"] == Decision.REJECT
    return copy | {
        "delivery_id": row["delivery_id"] if validated else None,
        "status": InvoiceStatus.FAILED if rejected else InvoiceStatus.PENDING,
        "error_message": row["error_message"] if rejected or copy["decision"] == Decision.HOLD else None,
        "processed_at": now if rejected else None,
    }

"""How a delivery is addressed and named at the destination."""

from __future__ import annotations

import re

from clearfacts_assets.invoices.company_numbers import compact
from clearfacts_assets.invoices.ledger.model import Candidate, DeliveryRecord
from clearfacts_assets.invoices.model import DocumentType, Invoice
from clearfacts_assets.invoices.parties import normal_form
from clearfacts_assets.invoices.ports import Submission

PURCHASE, SALE = "PURCHASE", "SALE"  # Clearfacts' InvoiceTypeArgument
DIGEST_IN_NAME = 16  # hexadecimal digits of the key's digest in a file name
LONGEST_NUMBER_IN_NAME = 60

_BELGIAN = re.compile(r"(?:BE)?(\d{9,10})", re.ASCII)
_UNFIT_FOR_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def submission_of(candidate: Candidate, delivery: DeliveryRecord, invoice_type: str, correlation_id: str) -> Submission:
    """The submission in which a candidate leaves. The same delivery always gets the same name and idempotency key."""
    return Submission(
        key=delivery.key,
        content=candidate.content,
        content_sha256=candidate.content_sha256,
        file_name=file_name(delivery),
        administration=administration(candidate.invoice, invoice_type),
        invoice_type=invoice_type,
        idempotency_key=delivery.idempotency_key,
        correlation_id=correlation_id,
    )


def look_up_of(delivery: DeliveryRecord, invoice_type: str, correlation_id: str) -> Submission:
    """A submission without content: enough to ask the destination whether it has the delivery."""
    return Submission(
        key=delivery.key,
        content=b"",
        content_sha256=delivery.content_sha256,
        file_name=file_name(delivery),
        administration=delivery.key.receiver if invoice_type == PURCHASE else delivery.key.supplier,
        invoice_type=invoice_type,
        idempotency_key=delivery.idempotency_key,
        correlation_id=correlation_id,
    )


def file_name(delivery: DeliveryRecord) -> str:
    """``F-2026-7-3f0a1c22d4e5b697.xml``: the number for people, the start of its digest to be unmistakable."""
    number = _UNFIT_FOR_A_NAME.sub("-", delivery.key.number).strip("-.")[:LONGEST_NUMBER_IN_NAME]
    kind = "credit-" if delivery.key.document_type is DocumentType.CREDIT_NOTE else ""
    return f"{kind}{number or 'invoice'}-{delivery.wire[:DIGEST_IN_NAME]}.xml"


def administration(invoice: Invoice, invoice_type: str) -> str:
    """Under whom Clearfacts files the document, in normal form: the customer, or for sales the supplier.

    A Belgian one's is its VAT number. No other one's is the name of a company there, however Clearfacts reads it.
    """
    return normal_form(invoice.customer if invoice_type == PURCHASE else invoice.supplier)


def company_number(vat_number: str) -> str:
    """A Belgian VAT or enterprise number, however it is written, as Clearfacts names a company: ten digits without BE.

    Old numbers of nine digits begin with a 0 today. Other numbers keep their letters and digits.
    """
    number = compact(vat_number)
    belgian = _BELGIAN.fullmatch(number)
    return belgian.group(1).zfill(10) if belgian else number

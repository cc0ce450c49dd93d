"""``/desk/invoices/...``: one invoice as a person reads it, beside what validation found in it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.desk.rendering import page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.invoices.validation.reports.page import invoice_html, shown_findings
from clearfacts_assets.invoices.validation.ubl import Unreadable, from_text, parse
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository

router = APIRouter(prefix="/desk/invoices", include_in_schema=False, route_class=DeskRoute)
Reads = Annotated[Visit, Depends(opens(Permission.INVOICES_READ))]
LONGEST_ID = 200


@router.get("/{invoice_id:path}")
def get_invoice(invoice_id: str, visit: Reads) -> Response:
    """The row of that id, or the newest one of the ERP's id, with the findings of the day it was validated."""
    rows = InvoiceRepository(visit.engine)
    try:
        detail = rows.get(UUID(invoice_id))
    except ValueError:
        detail = None
    if detail is None and 0 < len(invoice_id) <= LONGEST_ID and "\0" not in invoice_id:
        detail = rows.get(invoice_id)
    if detail is None:
        raise ApiError(ErrorCode.INVOICE_NOT_FOUND)
    root = None
    if detail.document is not None:
        try:
            root = parse(from_text(detail.document)).root
        except Unreadable:
            root = None
    report = detail.report or {}
    language = visit.words.language
    findings = shown_findings(report.get("findings", []), root, language)
    return page(
        visit,
        "invoice.html",
        one=detail.record,
        report=report,
        readable=root is not None,
        piece=invoice_html(root, findings, language),
    )

"""``/desk/customers``: statements of external customers as Peppol invoices and credit notes, seen before they
are made."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.route_threads import takes_long
from clearfacts_assets.desk.changes import done_or_shown
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.storage.chargeback.invoicing.making import InvoiceMaker, Made, StatementInvoiceRepository
from clearfacts_assets.storage.chargeback.periods import PeriodRepository

router = APIRouter(prefix="/desk/customers", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]
Issues = Annotated[Visit, Depends(opens(Permission.STATEMENTS_ISSUE))]

MOST_SHOWN = 200  # documents, the newest first


@router.get("")
def list_invoices(visit: Sees) -> Response:
    """Newest first, of one month or of all."""
    return _page(visit)


@router.post("")
async def make(visit: Issues) -> Response:
    """What is missing for a month is shown first; ``apply`` makes it. Twice makes nothing anew."""

    def work() -> str | Response:
        known, dry = visit.served.configured, visit.said("apply") != "yes"
        maker = InvoiceMaker(visit.engine, known.customers, known.invoice_folder)
        try:
            found = maker.make(visit.said("period"), actor=visit.caller.actor, now=visit.served.clock(), dry_run=dry)
        except OSError as error:
            message = "Nothing was made: a file cannot be written ({why}). Its folder is the setting customers.folder."
            raise Refused(message, ErrorCode.CONFLICT, why=error.strerror) from error
        if dry or found.problems:
            return _page(visit, made=found)
        return address("/desk/customers", done="invoices", period=found.period)

    return await takes_long.run(done_or_shown, visit, work, partial(_page, visit))


def _page(visit: Visit, problem: ApiError | None = None, made: Made | None = None) -> Response:
    period = visit.said("period") or visit.asked("period")
    found = list(reversed(StatementInvoiceRepository(visit.engine).list(period or None)))
    return page(
        visit,
        "customers.html",
        problem=problem,
        made=made,
        invoices=found[:MOST_SHOWN],
        period=period,
        periods=[one.name for one in PeriodRepository(visit.engine).list()],
    )

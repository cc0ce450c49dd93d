"""``/chargeback/charges``: look at them, a page at a time, one in full, or all of them in a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads
from clearfacts_assets.api.services import Services
from clearfacts_assets.api.v1.chargeback.dependencies import (
    Amount,
    Exports,
    Id,
    Month,
    PageQuery,
    SeesCharges,
    Served,
    SourceName,
    Text,
    own,
    told,
)
from clearfacts_assets.chargeback.model import Flag, Kind, Status
from clearfacts_assets.storage.chargeback.charges import COLUMNS, LARGEST_ID, ChargeFilter, ChargeRepository
from clearfacts_assets.storage.chargeback.imports import ImportRepository
from clearfacts_assets.storage.chargeback.summaries import charge_rows

router = APIRouter(prefix="/chargeback/charges", tags=["chargeback"])

WRITTEN_AT_ONCE = 500  # lines of CSV
ChargeId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


class ChargeSummary(BaseModel):
    """A charge: what it says, where it stands, who pays."""

    model_config = ConfigDict(serialize_by_alias=True)

    id: int
    period: str = Field(description="in which it is billed")
    origin_period: str = Field(description="the month of its BillingPeriodStart")
    kind: Kind
    status: Status
    flags: tuple[Flag, ...]
    source: str
    account: str
    sub_account: str
    category: str
    charge_class: str
    currency: str
    billed: Amount | None
    effective: Amount | None
    contracted: Amount | None
    list_: Amount | None = Field(alias="list")
    listed: Amount = Field(description="the list price that a statement shows beside the amount")
    amount: Amount = Field(description="on the source's cost basis")
    charge_start: str
    charge_end: str
    service: str
    service_category: str = Field(description="FOCUS' ServiceCategory; empty: not said")
    resource_id: str
    resource_name: str
    sku: str
    quantity: str
    unit: str
    invoice_id: str
    issuer: str
    corrects: int | None
    withdrawn_by: int | None
    import_id: int
    file: str
    line: int
    pi_email: str
    project_id: str
    fund_org: str
    cost_center: str
    account_code: str
    reference_1: str
    reference_2: str
    origin: str = Field(description="what said who pays: tag, allocated, registry, person, or override and its id")


class ChargeDecisionView(BaseModel):
    """What was decided about a charge."""

    verdict: str
    note: str
    actor: str
    at: datetime
    flags: str = Field(description="at that time")
    before: Status
    status: Status
    carried_from: int | None = Field(description="the charge whose decision went over to this one")


class OverrideOfCharge(BaseModel):
    """The override by which a charge is attributed."""

    id: int
    resource: str
    reason: str
    actor: str
    at: datetime
    words: str = Field(description="the same in a sentence")


class Original(BaseModel):
    """The record that a charge comes from."""

    header: list[str]
    record: str = Field(description="as it stands in the file")


class ChargeView(ChargeSummary):
    """A charge with its tags, its source line, and what was decided."""

    tags: str = Field(description="in their normal form, as JSON")
    decisions: list[ChargeDecisionView]
    override: OverrideOfCharge | None = Field(description="where an override of the resource says who pays")
    original: Original


class ChargeChoice(BaseModel):
    """Which charges."""

    model_config = ConfigDict(extra="forbid")

    period: Month | None = None
    source: SourceName | None = None
    status: list[Status] = Field([], max_length=len(Status), description="any of these")
    flag: Flag | None = Field(None, description="only with this flag")
    pi_email: Text | None = None
    project_id: Text | None = None
    fund_org: Text | None = None
    account: Text | None = None
    resource_id: Text | None = None
    import_id: Id | None = None
    search: Text | None = Field(None, description="only where service or resource has this text in it")

    def filter(self, payers: tuple[str, ...] | None) -> ChargeFilter:
        """The same for storage."""
        said = {name: getattr(self, name) for name in ChargeChoice.model_fields if name not in ("status", "flag")}
        return ChargeFilter(
            **said,
            status=tuple(one.value for one in self.status),
            flag=self.flag.value if self.flag else None,
            payers=payers,
        )


class ChargesQuery(PageQuery, ChargeChoice):
    """Which charges, and how many of them."""


@router.get("", responses=errors(ErrorCode.INVALID_CURSOR), summary="Charges in the order in which they came")
@reads
def list_charges(
    query: Annotated[ChargesQuery, Query()], caller: SeesCharges, served: Served
) -> Success[Listed[ChargeSummary]]:
    """A page of charges. A user who is bound to an investigator gets that one's, whatever is asked for."""
    return page_of(query, query.filter(own(caller, served)), served)


@router.get(
    "/export",
    responses={**errors(), 200: {"description": "The charges, a line each.", "content": {"text/csv": {}}}},
    response_class=StreamingResponse,
    summary="All charges that are asked for, as CSV",
)
def export_charges(query: Annotated[ChargeChoice, Query()], caller: Exports, served: Served) -> StreamingResponse:
    """With every column. Texts that a spreadsheet would run are made harmless."""
    rows = charge_rows(served.engine, query.filter(own(caller, served)), COLUMNS)
    return csv_answer(rows, f"charges{'-' + query.period if query.period else ''}.csv")


@router.get("/{charge_id}", responses=errors(ErrorCode.CHARGE_NOT_FOUND), summary="One charge")
@reads
def get_charge(charge_id: ChargeId, caller: SeesCharges, served: Served) -> Success[ChargeView]:
    """With its tags, the record that it comes from, and all that was decided. Other people's are not found."""
    with told():
        one = ChargeRepository(served.engine).show(charge_id, own(caller, served))
    header, record = ImportRepository(served.engine).original(one.pop("import_file"), one.pop("row"))
    return Success(data=ChargeView.model_validate(one | {"original": {"header": header, "record": record}}))


def page_of(query: PageQuery, which: ChargeFilter, served: Services) -> Success[Listed[ChargeSummary]]:
    """A page. Raises BadCursor."""
    page = ChargeRepository(served.engine).list(which, limit=query.limit, cursor=query.cursor)
    items = [ChargeSummary.model_validate(one) for one in page.items]
    return Success(data=Listed(items=items, next_cursor=page.next_cursor))


def csv_answer(rows: Iterable[Iterable[Any]], name: str) -> StreamingResponse:
    """Rows as a file to be kept, written as they are read."""
    return StreamingResponse(
        _lines(rows),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )


def _lines(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    written, held = io.StringIO(newline=""), 0
    writer = csv.writer(written)
    for row in rows:
        writer.writerow(row)
        held += 1
        if held == WRITTEN_AT_ONCE:
            yield written.getvalue()
            written.seek(0)
            written.truncate()
            held = 0
    yield written.getvalue()

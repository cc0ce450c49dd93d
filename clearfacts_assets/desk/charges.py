"""``/desk/charges``: look at charges with filters in the address, one in full, or all of them in a file."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError
from clearfacts_assets.api.v1.chargeback.charges import csv_answer
from clearfacts_assets.api.v1.chargeback.dependencies import own, told
from clearfacts_assets.chargeback.model import Flag, Status
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.storage.chargeback.charges import COLUMNS, LARGEST_ID, ChargeFilter, ChargeRepository
from clearfacts_assets.storage.chargeback.imports import ImportRepository
from clearfacts_assets.storage.chargeback.periods import PeriodRepository
from clearfacts_assets.storage.chargeback.rates.explaining import explain
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets.storage.chargeback.summaries import charge_rows
from clearfacts_assets.storage.paging import Page

router = APIRouter(prefix="/desk/charges", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGES_READ))]
TakesAway = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_EXPORT))]
ChargeId = Annotated[int, Path(ge=1, le=LARGEST_ID)]

A_PAGE = 50
TEXTS = ("period", "source", "pi_email", "project_id", "fund_org", "account", "resource_id", "search")
OPTIONAL = ("source", "resource_id", "account", "list", "listed", "category", "charge_start", "quantity", "file")
SHOWN = ("service", "resource_name", "pi_email", "project_id", "fund_org")


def filter_of(visit: Visit, payers: tuple[str, ...] | None = None, **forced: Any) -> ChargeFilter:
    """What the address asks for. Raises ApiError VALIDATION_ERROR for a status or flag that there is none of."""
    asked = visit.request.query_params
    status = tuple(one for one in asked.getlist("status") if one)
    flag, number = visit.asked("flag") or None, visit.asked("import_id")
    if not set(status) <= set(Status) or (flag is not None and flag not in set(Flag)):
        raise Refused("There is no such status or flag: choose from the lists.")
    if number and not (number.isascii() and number.isdecimal() and len(number) < 20 and int(number) <= LARGEST_ID):
        raise Refused("An import has a number.")
    said: dict[str, Any] = {name: visit.asked(name) or None for name in TEXTS}
    said |= {"status": status, "flag": flag, "import_id": int(number) if number else None, "payers": payers}
    return ChargeFilter(**{**said, **forced})


def parameters_of(visit: Visit) -> dict[str, Any]:
    """The filters as they stand in the address, without where the page begins."""
    asked = visit.request.query_params
    names = [*TEXTS, "flag", "import_id"]
    found: dict[str, Any] = {name: visit.asked(name) for name in names if visit.asked(name)}
    for name in ("status", "columns"):
        if values := [one for one in asked.getlist(name) if one]:
            found[name] = values
    return found


def choices(visit: Visit) -> dict[str, Any]:
    """What the filters' lists offer. Sources are told to those who see everything."""
    sources = [] if visit.caller.investigator else [one["name"] for one in RegistryRepository(visit.engine).sources()]
    periods = [one.name for one in PeriodRepository(visit.engine).list()]
    return {"periods": periods, "sources": sources, "statuses": list(Status), "flags": list(Flag)}


@router.get("")
def list_charges(visit: Sees) -> Response:
    """A page of them."""
    found: Page[dict[str, Any]] = Page([], None)
    problem = None
    try:
        which = filter_of(visit, own(visit.caller, visit.served))
        found = ChargeRepository(visit.engine).list(which, limit=A_PAGE, cursor=visit.asked("cursor") or None)
    except ApiError as error:
        problem = error
    wanted = visit.request.query_params.getlist("columns")
    extra = [one for one in OPTIONAL if one in wanted]
    return page(
        visit,
        "charges.html",
        problem=problem,
        charges=found.items,
        next_cursor=found.next_cursor,
        parameters=parameters_of(visit),
        columns=[*SHOWN, *extra],
        optional=OPTIONAL,
        extra=extra,
        **choices(visit),
    )


@router.get("/export")
def export_charges(visit: TakesAway) -> Response:
    """All that the filters find, as CSV, streamed."""
    which = filter_of(visit, own(visit.caller, visit.served))
    name = f"charges{'-' + which.period if which.period and which.period.replace('-', '').isdecimal() else ''}.csv"
    return csv_answer(charge_rows(visit.engine, which, COLUMNS), name)


@router.get("/{charge_id}")
def get_charge(charge_id: ChargeId, visit: Sees) -> Response:
    """Where it comes from, every line to what is due, and what was decided."""
    with told():
        one = ChargeRepository(visit.engine).show(charge_id, own(visit.caller, visit.served))
        lines = explain(visit.engine, charge_id)
    header, record = ImportRepository(visit.engine).original(one.pop("import_file"), one.pop("row"))
    return page(visit, "charge.html", charge=one, lines=lines, header=header, record=record)

"""``/desk/periods``: begin, close, reopen and finalize a month, each with its confirmation and its history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from starlette.responses import RedirectResponse

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError
from clearfacts_assets.api.v1.chargeback.dependencies import LONGEST_NOTE, told
from clearfacts_assets.chargeback.lifecycle import TRANSITIONS, Event, State
from clearfacts_assets.desk.month import sums_of
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, late_page, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.storage.chargeback.periods import PeriodRecord, PeriodRepository
from clearfacts_assets.storage.chargeback.rates.month_due import billed_as_due, due_of_month
from clearfacts_assets.storage.chargeback.summaries import reconciliation
from clearfacts_assets.storage.database import reading

router = APIRouter(prefix="/desk/periods", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]
Closes = Annotated[Visit, Depends(opens(Permission.PERIODS_CLOSE))]
Finalizes = Annotated[Visit, Depends(opens(Permission.PERIODS_FINALIZE))]


@router.get("")
def list_periods(visit: Sees) -> Response:
    """All months, newest first."""
    return _list(visit)


@router.post("")
def open_period(visit: Closes) -> Response:
    """Begin a month before anything is imported for it."""
    period = visit.said("period")
    try:
        with told():
            PeriodRepository(visit.engine).open(period, actor=visit.caller.actor, now=visit.served.clock())
    except ApiError as problem:
        return _list(visit, problem)
    return RedirectResponse(address(f"/desk/periods/{period}", done="opened"), 303)


@router.get("/{period}")
def get_period(period: str, visit: Sees) -> Response:
    """Its totals, what can be done to it, and what was."""
    return _whole(visit, period)


@router.get("/{period}/reconcile")
def reconcile_period(period: str, visit: Sees) -> Response:
    """From the provider's totals to what is due."""
    with told():
        PeriodRepository(visit.engine).get(period)

    def late() -> Mapping[str, Any]:
        found, _, balanced = reconciliation(visit.engine, period)
        billed = sums_of((one.currency, one.due) for one in found)
        with reading(visit.engine) as connection:
            due = due_of_month(connection, period, billed)
        return {"sources": found, "balanced": balanced, "billed": billed, "due": due}

    return late_page(visit, "reconcile.html", late, period=period)


@router.post("/{period}/close")
def close_period(period: str, visit: Closes) -> Response:
    """No more imports."""
    return _change(visit, period, Event.CLOSE)


@router.post("/{period}/reopen")
def reopen_period(period: str, visit: Closes) -> Response:
    """With a reason."""
    return _change(visit, period, Event.REOPEN)


@router.post("/{period}/finalize")
def finalize_period(period: str, visit: Finalizes) -> Response:
    """For ever: the month's name has to be typed."""
    return _change(visit, period, Event.FINALIZE)


def _change(visit: Visit, period: str, event: Event) -> Response:
    try:
        reason = visit.said("reason")
        if len(reason) > LONGEST_NOTE:
            raise Refused("A reason has at most {most} characters.", most=LONGEST_NOTE)
        if event is Event.FINALIZE and visit.said("confirmation") != period:
            raise Refused("Type {period} to confirm: nobody can undo this.", period=period)
        with told():
            PeriodRepository(visit.engine).change(
                period,
                event,
                actor=visit.caller.actor,
                now=visit.served.clock(),
                reason=reason,
                two_people=visit.served.configured.chargeback.two_people,
            )
    except ApiError as problem:
        return _whole(visit, period, problem, event)
    return RedirectResponse(address(f"/desk/periods/{period}", done=event.value), 303)


def _list(visit: Visit, problem: ApiError | None = None) -> Response:
    rows = [(one, _sums(visit, one)) for one in PeriodRepository(visit.engine).list()]
    return page(visit, "periods.html", problem=problem, rows=rows, typed=visit.said("period"))


@dataclass(frozen=True, slots=True)
class Sums:
    """A month in one currency, as it is listed."""

    charges: int
    due: Decimal
    waits: Decimal


def _sums(visit: Visit, one: PeriodRecord) -> dict[str, Sums]:
    """By currency. A finalized month is not added up again: what was sealed with it is told."""
    periods = PeriodRepository(visit.engine)
    sealed = _sealed(periods, one)
    if sealed:
        counted = {currency: (int(sums["charges"]), Decimal(0)) for currency, sums in sealed.items()}
        billed = {currency: Decimal(sums["due"]) for currency, sums in sealed.items()}
    else:
        totals = periods.totals(one.name)
        counted = {currency: (sums.charges, sums.flagged) for currency, sums in totals.items()}
        billed = billed_as_due(totals)
    with reading(visit.engine) as connection:
        due = due_of_month(connection, one.name, billed)
    return {currency: Sums(charges, due[currency].amount, waits) for currency, (charges, waits) in counted.items()}


def _sealed(periods: PeriodRepository, one: PeriodRecord) -> dict[str, Any]:
    if one.state != State.FINALIZED:
        return {}
    told = [event["details"].get("totals") for event in periods.events(one.name) if event["event"] == Event.FINALIZE]
    return told[-1] or {} if told else {}


def _whole(visit: Visit, period: str, problem: ApiError | None = None, tried: Event | None = None) -> Response:
    repository = PeriodRepository(visit.engine)
    with told():
        record, totals = repository.get(period), repository.totals(period)
    with reading(visit.engine) as connection:
        due = due_of_month(connection, period, billed_as_due(totals))
    possible = [event for state, event in TRANSITIONS if state == State(record.state)]
    return page(
        visit,
        "period.html",
        problem=problem,
        record=record,
        totals=totals,
        due=due,
        events=list(reversed(repository.events(period))),
        possible=possible,
        tried=tried,
        typed=visit.said("reason"),
        waiting=sum(one.flagged_charges for one in totals.values()),
    )

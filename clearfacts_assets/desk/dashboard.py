"""``/desk``: the month as a checklist; for an investigator, the own costs. And what no page belongs to."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from starlette.responses import RedirectResponse

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.v1.chargeback.dependencies import own, told
from clearfacts_assets.desk import rendering
from clearfacts_assets.desk.month import current, largest, month_of, months_before
from clearfacts_assets.desk.own import own_page
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.translations import LANGUAGES
from clearfacts_assets.desk.visits import LANGUAGE_COOKIE, Visit, opens
from clearfacts_assets.storage.chargeback.periods import PeriodRepository

router = APIRouter(prefix="/desk", include_in_schema=False, route_class=DeskRoute)
last = APIRouter(prefix="/desk", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGES_READ))]

YEAR = 365 * 24 * 3600  # seconds


@router.get("")
def dashboard(visit: Sees) -> Response:
    """Where the month stands, and the next step."""
    payers = own(visit.caller, visit.served)
    with told():
        period = visit.asked("period") or current(visit.engine, visit.served.clock())
        if payers is not None:
            return own_page(visit, period, payers)
        month = month_of(visit.engine, period)
    return page(
        visit,
        "dashboard.html",
        month=month,
        steps=month.steps,
        periods=[one.name for one in PeriodRepository(visit.engine).list()],
        past=months_before(visit.engine, period, {currency: one.amount for currency, one in month.due.items()}),
        services={currency: largest(one.by_service) for currency, one in month.totals.items()},
        people={currency: largest(one.by_pi) for currency, one in month.totals.items()},
    )


@router.get("/help")
def help_page(visit: Sees) -> Response:
    """What each page is for."""
    return page(visit, "help.html")


@router.post("/language")
def choose_language(visit: Sees) -> Response:
    """Kept in the browser."""
    back = visit.said("back", "/desk")
    answer = RedirectResponse(back if back.startswith("/desk") and back.isprintable() else "/desk", 303)
    if visit.said("language") in LANGUAGES:
        secure = visit.request.app.state.authentication.cookie.secure
        answer.set_cookie(
            LANGUAGE_COOKIE,
            visit.said("language"),
            max_age=YEAR,
            path="/desk",
            secure=secure,
            httponly=True,
            samesite="lax",
        )
    return answer


@router.get("/static/{name}")
def static_file(name: str, visit: Sees) -> Response:
    """A file of ours under the name of its content: a browser never asks for it twice."""
    for one in rendering.ASSETS:
        known, content = rendering.asset(one)
        if known == name:
            kind = rendering.KINDS[one.rpartition(".")[2]]
            headers = {"Cache-Control": f"private, max-age={YEAR}, immutable"}
            return Response(content, media_type=kind, headers=headers)
    raise ApiError(ErrorCode.NOT_FOUND)


@last.get("/{rest:path}")
def nowhere(rest: str, visit: Sees) -> Any:
    """No page has this address."""
    raise Refused("No page of the desk is called {name}.", ErrorCode.NOT_FOUND, name=repr(rest[:100]))

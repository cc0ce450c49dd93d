"""``/desk/budgets``: each fund's budget against what was charged to it, and until when its award runs."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.desk.rendering import page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.storage.chargeback.budgets import FundSpending, spending_of_funds

router = APIRouter(prefix="/desk/budgets", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]

A_PAGE = 100
SOON = 90  # days before its end in which an award is marked


@router.get("")
def list_budgets(visit: Sees) -> Response:
    """What needs somebody's eye first: overspent funds, then awards that end, then the rest by name."""
    today = visit.served.clock().date()
    found = sorted(spending_of_funds(visit.engine), key=lambda one: (_rank(one, today), one.fund_org))
    start = visit.asked("from")
    offset = int(start) if start.isascii() and start.isdecimal() and len(start) < 10 else 0
    return page(
        visit,
        "budgets.html",
        funds=[(one, _warning(one, today)) for one in found[offset : offset + A_PAGE]],
        following=offset + A_PAGE if len(found) > offset + A_PAGE else None,
    )


def _rank(one: FundSpending, today: date) -> int:
    return {"overspent": 0, "ended": 1, "ends": 2, "": 3}[_warning(one, today)]


def _warning(one: FundSpending, today: date) -> str:
    if one.left is not None and one.left < 0:
        return "overspent"
    if not one.award_end:
        return ""
    days = (date.fromisoformat(one.award_end) - today).days
    return "ended" if days < 0 else "ends" if days <= SOON else ""

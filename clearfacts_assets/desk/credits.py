"""``/desk/credits``: who pays for others, what is left of it, and what pools share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.v1.chargeback.dependencies import told
from clearfacts_assets.chargeback.model import period_of
from clearfacts_assets.desk.month import current
from clearfacts_assets.desk.rendering import late_page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.storage.chargeback.periods import PeriodRepository
from clearfacts_assets.storage.chargeback.rates.balances import credits, paid_by
from clearfacts_assets.storage.chargeback.rates.pools import pools_of

router = APIRouter(prefix="/desk/credits", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]

MOST_SHOWN = 200  # rows of what sponsors paid, of one month


@router.get("")
def list_credits(visit: Sees) -> Response:
    """As of a month: balances in its window, and what was paid and shared in it."""
    with told():
        period = period_of(visit.asked("period") or current(visit.engine, visit.served.clock()))

    def late() -> Mapping[str, Any]:
        paid = paid_by(visit.engine, None, period)
        return {
            "credits": credits(visit.engine, period),
            "pools": pools_of(visit.engine, period)["pools"],
            "paid": paid[:MOST_SHOWN],
            "hidden": max(0, len(paid) - MOST_SHOWN),
        }

    periods = [one.name for one in PeriodRepository(visit.engine).list()]
    return late_page(visit, "credits.html", late, period=period, periods=periods)

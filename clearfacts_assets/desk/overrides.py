"""``/desk/overrides``: who pays for a resource, whatever its tags say."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError
from clearfacts_assets.api.route_threads import waits
from clearfacts_assets.api.v1.chargeback.dependencies import asked_again
from clearfacts_assets.chargeback.attribution.entries import COLUMNS, checked, day_of
from clearfacts_assets.desk.changes import done_or_shown
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens, position_of
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID
from clearfacts_assets.storage.chargeback.overriding import OverrideRepository

router = APIRouter(prefix="/desk/overrides", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]
Registers = Annotated[Visit, Depends(opens(Permission.REGISTRY_WRITE))]
OverrideId = Annotated[int, Path(ge=1, le=LARGEST_ID)]

A_PAGE = 100


@router.get("")
def list_overrides(visit: Sees) -> Response:
    """Those that have ended too, newest first."""
    return _page(visit)


@router.post("")
async def add_override(visit: Registers) -> Response:
    """It comes before tags. Who pays is asked again in every month that is not finalized."""

    def work() -> str:
        entry = checked("overrides", {name: visit.said(name) for name in COLUMNS["overrides"]})
        OverrideRepository(visit.engine).add([entry], actor=visit.caller.actor, now=visit.served.clock())
        asked_again(visit.served)
        return address("/desk/overrides", done="saved")

    return await waits.run(done_or_shown, visit, work, partial(_page, visit))


@router.post("/{override_id}/end")
async def end_override(override_id: OverrideId, visit: Registers) -> Response:
    """From a day on the tags count again."""

    def work() -> str:
        day, now = day_of(visit.said("valid_to")), visit.served.clock()
        if not day:
            raise Refused("Say from which day on the tags count again.")
        OverrideRepository(visit.engine).end(override_id, day, actor=visit.caller.actor, now=now)
        asked_again(visit.served)
        return address("/desk/overrides", done="saved")

    return await waits.run(done_or_shown, visit, work, partial(_page, visit))


def _page(visit: Visit, problem: ApiError | None = None) -> Response:
    search, start = visit.asked("search").lower(), position_of(visit, "from")
    found = [
        one
        for one in reversed(OverrideRepository(visit.engine).list())
        if not search or search in " ".join(map(str, one.values())).lower()
    ]
    return page(
        visit,
        "overrides.html",
        problem=problem,
        overrides=found[start : start + A_PAGE],
        following=start + A_PAGE if len(found) > start + A_PAGE else None,
        search=visit.asked("search"),
        typed={name: visit.said(name) for name in COLUMNS["overrides"]},
    )

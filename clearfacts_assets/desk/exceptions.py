"""``/desk/exceptions``: who and what is not billed, from when to when, why, and what that comes to."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError
from clearfacts_assets.api.route_threads import waits
from clearfacts_assets.api.v1.chargeback.dependencies import LONGEST_TEXT, asked_again, wish_of
from clearfacts_assets.chargeback.attribution.entries import day_of
from clearfacts_assets.chargeback.attribution.registry import NotBilled
from clearfacts_assets.desk.changes import done_or_shown
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens, reason_of
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID
from clearfacts_assets.storage.chargeback.comparing import not_billed
from clearfacts_assets.storage.chargeback.registry import RegistryRepository

router = APIRouter(prefix="/desk/exceptions", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]
Registers = Annotated[Visit, Depends(opens(Permission.REGISTRY_WRITE))]
ExceptionId = Annotated[int, Path(ge=1, le=LARGEST_ID)]

KINDS = ("person", "project", "resource")
FIELDS = ("kind", "name", "reason", "valid_from", "valid_to")
MOST_SHOWN = 200  # of what is not billed, the newest months first


@router.get("")
def list_exceptions(visit: Sees) -> Response:
    """All of them, and what they keep from being billed."""
    return _page(visit)


@router.post("")
async def add_exception(visit: Registers) -> Response:
    """Who pays is asked again in every month that is not finalized."""

    def work() -> str:
        kind, name = visit.said("kind"), visit.said("name")
        if kind not in KINDS or not 0 < len(name) <= LONGEST_TEXT:
            raise Refused("Say who or what is not billed.")
        first, last = day_of(visit.said("valid_from")), day_of(visit.said("valid_to"))
        one = NotBilled(kind, name, reason_of(visit), first, last)
        wish = wish_of(visit.caller, visit.said("once") or None, "desk-exception", name=name, kind=kind)
        RegistryRepository(visit.engine).add_exception(
            one, actor=visit.caller.actor, now=visit.served.clock(), wish=wish
        )
        asked_again(visit.served)
        return address("/desk/exceptions", done="saved")

    return await waits.run(done_or_shown, visit, work, partial(_page, visit))


@router.post("/{exception_id}/end")
async def end_exception(exception_id: ExceptionId, visit: Registers) -> Response:
    """From a day on it is billed again."""

    def work() -> str:
        day, now = day_of(visit.said("valid_to")), visit.served.clock()
        if not day:
            raise Refused("Say from which day on it is billed again.")
        RegistryRepository(visit.engine).end_exception(exception_id, day, actor=visit.caller.actor, now=now)
        asked_again(visit.served)
        return address("/desk/exceptions", done="saved")

    return await waits.run(done_or_shown, visit, work, partial(_page, visit))


def _page(visit: Visit, problem: ApiError | None = None) -> Response:
    found = sorted(not_billed(visit.engine), key=lambda one: str(one["period"]), reverse=True)
    return page(
        visit,
        "exceptions.html",
        problem=problem,
        exceptions=list(reversed(RegistryRepository(visit.engine).exceptions())),
        found=found[:MOST_SHOWN],
        kinds=KINDS,
        once=visit.said("once") or visit.served.clock().isoformat(),
        typed={name: visit.said(name) for name in FIELDS},
    )

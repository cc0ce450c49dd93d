"""``/desk/deliveries``: invoices on their way that wait for a person, decided with the evidence seen."""

from __future__ import annotations

import json
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from starlette.responses import RedirectResponse

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.v1.invoices.deliveries import LONGEST_REASON
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.invoices.ledger.model import AsSeen
from clearfacts_assets.invoices.lifecycle import ForbiddenTransition, Outdated, State, Verdict
from clearfacts_assets.storage.invoices.delivery_review import DeliveryNotFound, DeliveryReview

router = APIRouter(prefix="/desk/deliveries", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.DELIVERIES_READ))]
Resolves = Annotated[Visit, Depends(opens(Permission.DELIVERIES_RESOLVE))]

WAITING = (State.PARKED, State.HELD)
A_PAGE = 30


@router.get("")
def list_deliveries(visit: Sees) -> Response:
    """What waits for a person; all others with ``state=all``."""
    state = visit.asked("state")
    states = () if state == "all" else (State(state),) if state in set(State) else WAITING
    number, cursor = visit.asked("number") or None, visit.asked("cursor") or None
    found = DeliveryReview(visit.engine).list(
        states=() if number else states, number=number, limit=A_PAGE, cursor=cursor
    )
    return page(
        visit,
        "deliveries.html",
        deliveries=found.items,
        next_cursor=found.next_cursor,
        states=list(State),
        state=state,
        number=number or "",
    )


@router.get("/{delivery_id}")
def get_delivery(delivery_id: UUID, visit: Sees) -> Response:
    """All evidence there is."""
    return _whole(visit, delivery_id)


@router.post("/{delivery_id}")
def resolve(delivery_id: UUID, visit: Resolves) -> Response:
    """A verdict about the delivery as it was seen."""
    try:
        verdict, seen, reason = _said(visit)
        DeliveryReview(visit.engine).resolve(
            delivery_id, verdict, reason=reason, actor=visit.caller.actor, now=visit.served.clock(), seen=seen
        )
    except DeliveryNotFound:
        raise ApiError(ErrorCode.DELIVERY_NOT_FOUND) from None
    except (Outdated, ForbiddenTransition) as error:
        outdated = isinstance(error, Outdated)
        code = ErrorCode.DELIVERY_CHANGED if outdated else ErrorCode.DELIVERY_NOT_RESOLVABLE
        return _whole(visit, delivery_id, Refused("Nothing was decided: {why}.", code, why=error))
    except ApiError as problem:
        return _whole(visit, delivery_id, problem)
    return RedirectResponse(address(f"/desk/deliveries/{delivery_id}", done="decided"), 303)


def _said(visit: Visit) -> tuple[Verdict, AsSeen, str]:
    reason = visit.said("reason")
    if not reason or len(reason) > LONGEST_REASON:
        raise Refused("Say why, in at most {most} characters; it is kept.", most=LONGEST_REASON)
    try:
        generation = int(visit.said("generation"))
        return Verdict(visit.said("verdict")), AsSeen(State(visit.said("state")), generation), reason
    except ValueError:
        raise Refused("Choose one of the verdicts.") from None


def _whole(visit: Visit, delivery_id: UUID, problem: ApiError | None = None) -> Response:
    try:
        detail = DeliveryReview(visit.engine).get(delivery_id)
    except DeliveryNotFound:
        raise ApiError(ErrorCode.DELIVERY_NOT_FOUND) from None
    typed = {"verdict": visit.said("verdict"), "reason": visit.said("reason")}
    return page(
        visit,
        "delivery.html",
        problem=problem,
        detail=detail,
        one=detail.record,
        pretty=_pretty,
        typed=typed,
        verdicts=list(Verdict),
    )


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) if value else ""

"""``/desk/statements/generate``: a month's statements, seen before they are issued."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from starlette.responses import RedirectResponse

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.read_routes import takes_long
from clearfacts_assets.api.v1.chargeback.callers import told
from clearfacts_assets.chargeback.statements.model import StatementKind
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.storage.chargeback.issuing import by_settings
from clearfacts_assets.storage.chargeback.issuing.generated import Generated
from clearfacts_assets.storage.chargeback.issuing.orders import Issuance
from clearfacts_assets.storage.chargeback.issuing.shelf import StatementShelf
from clearfacts_assets.storage.chargeback.periods import PeriodRepository

router = APIRouter(prefix="/desk/statements", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]
Issues = Annotated[Visit, Depends(opens(Permission.STATEMENTS_ISSUE))]

OF_A_MONTH = [one for one in StatementKind if one is not StatementKind.YEAR]
NUMBERS_SHOWN = 100


@router.get("/generate")
def begin(visit: Sees) -> Response:
    """Of which month, for whom."""
    return _page(visit)


@router.post("/generate")
async def generate(visit: Issues) -> Response:
    """What would be issued is shown first; ``apply`` issues it. Twice issues nothing anew."""

    def work() -> Response:
        applied = visit.said("apply") == "yes"
        try:
            found = _generated(visit, dry_run=not applied)
        except ApiError as problem:
            return _page(visit, problem)
        if not applied or found.problems or found.stand_ins:
            return _page(visit, found=found)
        return RedirectResponse(address("/desk/statements", done="issued", period=found.period), 303)

    return await takes_long.run(work)


def _generated(visit: Visit, *, dry_run: bool) -> Generated:
    """Raises ApiError."""
    kind, draft = visit.said("kind") or StatementKind.INVESTIGATOR.value, visit.said("draft") == "yes"
    if kind not in OF_A_MONTH:
        raise ApiError(ErrorCode.VALIDATION_ERROR, "There are no such statements of a month: choose from the list.")
    if draft and kind != StatementKind.INVESTIGATOR:
        raise ApiError(ErrorCode.VALIDATION_ERROR, "There are drafts of investigators' statements only.")
    with told(visit.caller):
        return by_settings.generate(
            visit.engine,
            visit.served.configured.statements,
            visit.said("period"),
            StatementKind(kind),
            Issuance(visit.caller.actor.name, visit.served.clock(), draft, dry_run),
            least_workers=1,
        )


def _page(visit: Visit, problem: ApiError | None = None, found: Generated | None = None) -> Response:
    period = visit.said("period") or visit.asked("period")
    tie_out = StatementShelf(visit.engine).tie_out(period) if found is not None and not found.dry_run else []
    return page(
        visit,
        "generate.html",
        problem=problem,
        found=found,
        tie_out=tie_out,
        period=period,
        periods=[one.name for one in PeriodRepository(visit.engine).list() if one.state != "open"],
        kinds=OF_A_MONTH,
        typed={"kind": visit.said("kind"), "draft": visit.said("draft")},
        shown=NUMBERS_SHOWN,
    )

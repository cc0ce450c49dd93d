"""``/desk/statements/generate`` and ``/year``: statements of a month, or of a year for a grant report, seen before they
are issued."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError
from clearfacts_assets.api.route_threads import takes_long
from clearfacts_assets.chargeback.statements.model import StatementKind
from clearfacts_assets.desk.changes import done_or_shown
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.storage.chargeback.issuing import configured_issuer
from clearfacts_assets.storage.chargeback.issuing.issue_plan import Issuance
from clearfacts_assets.storage.chargeback.issuing.issue_result import Generated
from clearfacts_assets.storage.chargeback.issuing.repository import StatementRepository
from clearfacts_assets.storage.chargeback.issuing.summaries import SummaryIssuer
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

    def work() -> str | Response:
        found = _generated(visit)
        return _to_be_seen(visit, found) or address("/desk/statements", done="issued", period=found.period)

    return await takes_long.run(done_or_shown, visit, work, partial(_page, visit))


@router.post("/year")
async def generate_year(visit: Issues) -> Response:
    """One investigator's year: it repeats what the months' statements say. Seen first, as those of a month."""

    def work() -> str | Response:
        found, of = _of_a_year(visit), visit.said("pi_email").lower()
        issued = address("/desk/statements", done="issued", kind=StatementKind.YEAR, subject=of)
        return _to_be_seen(visit, found) or issued

    return await takes_long.run(done_or_shown, visit, work, partial(_page, visit))


def _to_be_seen(visit: Visit, found: Generated) -> Response | None:
    """The page with what was found, where a person has to look at it: before it is applied, or for what went wrong."""
    return _page(visit, found=found) if found.dry_run or found.problems or found.stand_ins else None


def _dry(visit: Visit) -> bool:
    return visit.said("apply") != "yes"


def _of_a_year(visit: Visit) -> Generated:
    """Raises ApiError, ChargebackError."""
    person = visit.said("pi_email").lower()
    if not person:
        raise Refused("Say whose year it is.")
    issuer = configured_issuer.issuer_of(visit.engine, visit.served.configured.statements, least_workers=1)
    return SummaryIssuer(issuer, visit.engine).year(
        visit.said("year"),
        person,
        visit.said("project") or None,
        Issuance(visit.caller.actor.name, visit.served.clock(), dry_run=_dry(visit)),
    )


def _generated(visit: Visit) -> Generated:
    """Raises ApiError, ChargebackError."""
    kind, draft = visit.said("kind") or StatementKind.INVESTIGATOR.value, visit.said("draft") == "yes"
    if kind not in OF_A_MONTH:
        raise Refused("There are no such statements of a month: choose from the list.")
    if draft and kind != StatementKind.INVESTIGATOR:
        raise Refused("There are drafts of investigators' statements only.")
    return configured_issuer.generate(
        visit.engine,
        visit.served.configured.statements,
        visit.said("period"),
        StatementKind(kind),
        Issuance(visit.caller.actor.name, visit.served.clock(), draft, _dry(visit)),
        least_workers=1,
    )


def _page(visit: Visit, problem: ApiError | None = None, found: Generated | None = None) -> Response:
    period = visit.said("period") or visit.asked("period")
    tie_out = (
        StatementRepository(visit.engine).tie_out(period) if found is not None and period and not found.dry_run else []
    )
    return page(
        visit,
        "generate.html",
        problem=problem,
        found=found,
        tie_out=tie_out,
        period=period,
        periods=[one.name for one in PeriodRepository(visit.engine).list() if one.state != "open"],
        kinds=OF_A_MONTH,
        yearly=found.kind == StatementKind.YEAR if found else bool(visit.said("year")),
        typed={name: visit.said(name) for name in ("kind", "draft", "year", "pi_email", "project")},
        shown=NUMBERS_SHOWN,
    )

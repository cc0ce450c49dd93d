"""``/desk/statements``: look at them with their PDF in the page, their versions, remarks and answers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from starlette.responses import RedirectResponse

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.v1.chargeback.dependencies import own, told
from clearfacts_assets.chargeback.statements.model import NoSuchStatement, StatementKind
from clearfacts_assets.desk.own import STANDING, own_statements
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID
from clearfacts_assets.storage.chargeback.issuing.remarks import Remarks
from clearfacts_assets.storage.chargeback.issuing.repository import StatementFilter, StatementRepository
from clearfacts_assets.storage.chargeback.periods import PeriodRepository

router = APIRouter(prefix="/desk/statements", include_in_schema=False, route_class=DeskRoute)
SeesOwn = Annotated[Visit, Depends(opens(Permission.STATEMENTS_READ))]
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]
TakesAway = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_EXPORT))]
Objects = Annotated[Visit, Depends(opens(Permission.STATEMENTS_DISPUTE))]
Decides = Annotated[Visit, Depends(opens(Permission.STATEMENTS_ISSUE))]
Reviews = Annotated[Visit, Depends(opens(Permission.CHARGES_REVIEW))]

A_PAGE = 50
REMARKS_SHOWN = 100  # the open ones first
FRAMED = "frame-ancestors 'self'"  # more would keep the browser's own viewer from showing it


@router.get("")
def list_statements(visit: SeesOwn) -> Response:
    """A page of them; an investigator's own ones."""
    payers = own(visit.caller, visit.served)
    if payers is not None:
        return page(
            visit, "statements.html", statements=own_statements(visit, payers), more=None, tie_out=[], **_choices(visit)
        )
    after = visit.asked("after")
    position = int(after) if after.isascii() and after.isdecimal() and len(after) < 19 else 0
    kind, period = visit.asked("kind"), visit.asked("period")
    states = () if visit.asked("all") else ("draft", *STANDING)
    which = StatementFilter(
        period or None, kind if kind in set(StatementKind) else None, visit.asked("subject") or None, states=states
    )
    repository = StatementRepository(visit.engine)
    found = repository.list(which, after=position, limit=A_PAGE + 1)
    return page(
        visit,
        "statements.html",
        statements=found[:A_PAGE],
        more=found[A_PAGE - 1]["id"] if len(found) > A_PAGE else None,
        tie_out=repository.tie_out(period) if period and visit.asked("tie_out") else [],
        **_choices(visit),
    )


@router.get("/remarks")
def list_remarks(visit: Sees) -> Response:
    """What investigators object to, the open ones first."""
    return _remarks(visit)


def _remarks(visit: Visit, problem: ApiError | None = None, typed: dict[int, Any] | None = None) -> Response:
    found = sorted(Remarks(visit.engine).list(), key=lambda one: (one["verdict"] is not None, -one["id"]))
    return page(visit, "remarks.html", remarks=found[:REMARKS_SHOWN], problem=problem, typed=typed or {})


@router.post("/remarks/{remark}")
def answer_remark(remark: Annotated[int, Path(ge=1, le=LARGEST_ID)], visit: Reviews) -> Response:
    """Once, agreed or declined."""
    said = {"text": visit.said("text"), "verdict": visit.said("verdict")}
    try:
        with told(visit.caller):
            Remarks(visit.engine).answer(
                remark, said["text"], said["verdict"], actor=visit.caller.name, now=visit.served.clock()
            )
    except ApiError as problem:
        return _remarks(visit, problem, {remark: said})
    return RedirectResponse(address("/desk/statements/remarks", done="answered"), 303)


@router.get("/{number}")
def get_statement(number: str, visit: SeesOwn) -> Response:
    """Its sums, its PDF, its versions and what happened to it."""
    return _whole(visit, number)


@router.get("/{number}/pdf")
def statement_pdf(number: str, visit: TakesAway) -> Response:
    """As it was issued; shown in a frame of our own pages and nowhere else."""
    _one(visit, number)
    name, content = StatementRepository(visit.engine).pdf(number, _version(visit))
    way = "attachment" if visit.asked("download") else "inline"
    headers = {
        "Content-Disposition": f'{way}; filename="{name}"',
        "Content-Security-Policy": FRAMED,
        "X-Frame-Options": "SAMEORIGIN",
    }
    return Response(content, media_type="application/pdf", headers=headers)


@router.get("/{number}/lines")
def statement_lines(number: str, visit: TakesAway) -> Response:
    """Every charge of it as CSV: exact amounts, harmless in a spreadsheet."""
    one = _one(visit, number)
    text = StatementRepository(visit.engine).whole(number, one["version"])["lines"]
    headers = {"Content-Disposition": f'attachment; filename="{number}-v{one["version"]}-lines.csv"'}
    return Response(text.encode("utf-8", "replace"), media_type="text/csv; charset=utf-8", headers=headers)


@router.post("/{number}/remark")
def remark(number: str, visit: Objects) -> Response:
    """An investigator objects to the own statement; the team may do it for somebody who calls."""
    try:
        _one(visit, number)
        line = visit.said("line")
        if line and not (line.isascii() and line.isdecimal() and len(line) < 10):
            raise Refused("A line has a number.")
        with told(visit.caller):
            Remarks(visit.engine).object(
                number,
                visit.said("text"),
                line=int(line) if line else None,
                actor=visit.caller.name,
                now=visit.served.clock(),
                owners=own(visit.caller, visit.served),
            )
    except ApiError as problem:
        return _whole(visit, number, problem)
    return RedirectResponse(address(f"/desk/statements/{number}", done="remark"), 303)


@router.post("/{number}/accept")
def accept(number: str, visit: Decides) -> Response:
    """A proposed one is issued before its days are over."""
    return _decided(visit, number, "accepted")


@router.post("/{number}/void")
def void(number: str, visit: Decides) -> Response:
    """It counts no more, and its charges are free for the next one."""
    return _decided(visit, number, "voided")


def _decided(visit: Visit, number: str, what: str) -> Response:
    repository, who, now = StatementRepository(visit.engine), visit.caller.name, visit.served.clock()
    try:
        _one(visit, number)
        with told(visit.caller):
            if what == "accepted":
                repository.accept(number, actor=who, now=now)
            elif not visit.said("reason"):
                raise Refused("Say why; it is kept.")
            else:
                repository.void(number, actor=who, reason=visit.said("reason"), now=now)
    except ApiError as problem:
        return _whole(visit, number, problem)
    return RedirectResponse(address(f"/desk/statements/{number}", done=what), 303)


def _version(visit: Visit) -> int | None:
    text = visit.asked("version")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else None


def _one(visit: Visit, number: str) -> dict[str, Any]:
    """The statement, where this person may see it. Other people's, and drafts, are as if they were not there."""
    missing = Refused("There is no statement {number}.", ErrorCode.NOT_FOUND, number=repr(number[:40]))
    if not number.isprintable():
        raise missing
    try:
        found = StatementRepository(visit.engine).get(number, _version(visit))
    except NoSuchStatement:
        raise missing from None
    payers = own(visit.caller, visit.served)
    theirs = payers is None or (found["kind"] == StatementKind.INVESTIGATOR and found["subject"] in payers)
    if not theirs or (payers is not None and found["state"] == "draft"):
        raise missing
    return found


def _whole(visit: Visit, number: str, problem: ApiError | None = None) -> Response:
    _one(visit, number)
    repository = StatementRepository(visit.engine)
    one = repository.whole(number, _version(visit))
    versions = [
        other
        for other in repository.list(StatementFilter(number=number))
        if visit.caller.investigator is None or other["state"] != "draft"
    ]
    changed = repository.difference(number, one["version"] - 1, one["version"]) if _has_before(versions, one) else []
    typed = {"text": visit.said("text"), "reason": visit.said("reason"), "line": visit.said("line")}
    return page(visit, "statement.html", problem=problem, one=one, versions=versions, changed=changed, typed=typed)


def _has_before(versions: list[dict[str, Any]], one: dict[str, Any]) -> bool:
    return any(other["version"] == one["version"] - 1 and other["version"] > 0 for other in versions)


def _choices(visit: Visit) -> dict[str, Any]:
    return {
        "periods": [one.name for one in PeriodRepository(visit.engine).list()],
        "kinds": list(StatementKind),
        "asked": {name: visit.asked(name) for name in ("period", "kind", "subject", "all")},
    }

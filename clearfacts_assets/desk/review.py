"""``/desk/review``: decide about charges that wait, one, many or all at once; take a decision back; the log."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from starlette.responses import RedirectResponse

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError
from clearfacts_assets.api.v1.chargeback.dependencies import LONGEST_NOTE, LONGEST_TEXT, told, wish_of
from clearfacts_assets.chargeback.attribution.review import ReviewDecision, Verdict
from clearfacts_assets.chargeback.model import Status
from clearfacts_assets.desk.charges import choices, filter_of, parameters_of
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID, ChargeFilter, ChargeRepository
from clearfacts_assets.storage.chargeback.decisions import last_decisions
from clearfacts_assets.storage.chargeback.review import ReviewRepository

router = APIRouter(prefix="/desk/review", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]
Reviews = Annotated[Visit, Depends(opens(Permission.CHARGES_REVIEW))]

A_PAGE = 50
LONGEST_NUMBER = 20  # digits
MOST_UNDONE = 200  # charges whose decision one press of U takes back
PAYER = ("pi_email", "project_id", "fund_org", "cost_center", "account_code")


@router.get("")
def list_waiting(visit: Sees) -> Response:
    """A page of what waits."""
    return _page(visit)


@router.get("/log")
def log(visit: Sees) -> Response:
    """Who decided what, newest first."""
    before = visit.asked("before")
    position = int(before) if before.isascii() and before.isdecimal() and len(before) < 19 else None
    period = visit.asked("period") or None
    found = last_decisions(visit.engine, period=period, before=position, limit=A_PAGE + 1)
    more = found[A_PAGE - 1]["id"] if len(found) > A_PAGE else None
    return page(visit, "review_log.html", decisions=found[:A_PAGE], more=more, period=period or "")


@router.post("")
def decide(visit: Reviews) -> Response:
    """The same about all that were selected, or all that the filters find. The form's fields stay where it fails."""
    try:
        verdict, which = _verdict(visit), _chosen(visit)
        note = visit.said("note")
        if len(note) > LONGEST_NOTE:
            raise Refused("A note has at most {most} characters.", most=LONGEST_NOTE)
        said = {name: visit.said(f"to_{name}") for name in PAYER if visit.said(f"to_{name}")}
        if verdict is Verdict.CORRECT and not said:
            raise Refused("Say who pays: at least one field of the correction.")
        if any(len(value) > LONGEST_TEXT for value in said.values()):
            raise Refused("A field has at most {most} characters.", most=LONGEST_TEXT)
        asked = {"verdict": verdict.value, "ids": which.ids, "note": note, "to": said}
        with told():
            decided = ReviewRepository(visit.engine).decide(
                which,
                ReviewDecision(verdict, note, said if verdict is Verdict.CORRECT else {}, _seen(visit) or {}),
                actor=visit.caller.actor,
                now=visit.served.clock(),
                wish=wish_of(visit.caller, visit.said("once") or None, "desk-review", **asked),
            )
    except ApiError as problem:
        return _page(visit, problem)
    undoable = decided if verdict is not Verdict.UNDO and len(decided) <= MOST_UNDONE else []
    back = {**parameters_of(visit), "done": verdict.value, "count": len(decided)}
    return RedirectResponse(address("/desk/review", **back, undo=".".join(map(str, undoable))), 303)


def _verdict(visit: Visit) -> Verdict:
    try:
        return Verdict(visit.said("verdict"))
    except ValueError:
        raise Refused("Say what is decided: approve, reject, correct or undo.") from None


def _chosen(visit: Visit) -> ChargeFilter:
    ids = _ids(visit.form.get("ids", []))
    if ids:
        return ChargeFilter(ids=ids)
    if visit.said("all") != "yes":
        raise Refused("Select at least one charge.")
    which = filter_of(visit, status=(Status.FLAGGED.value,))
    if which.period is None:
        raise Refused("Choose the month first: all of every month is too much at once.")
    return which


def _seen(visit: Visit) -> dict[int, str] | None:
    """In which status each charge was shown: ``seen=17 flagged``. What changed meanwhile is not decided over."""
    pairs = [one.partition(" ") for one in visit.form.get("seen", [])]
    return {int(number): status for number, _, status in pairs if number.isascii() and number.isdecimal()} or None


def _ids(given: list[str]) -> tuple[int, ...]:
    numbers = [one for text in given for one in text.split(".") if one]
    if not all(
        one.isascii() and one.isdecimal() and len(one) < LONGEST_NUMBER and 0 < int(one) <= LARGEST_ID
        for one in numbers
    ):
        raise Refused("A charge has a number.")
    return tuple(int(one) for one in numbers)


def _page(visit: Visit, problem: ApiError | None = None) -> Response:
    repository = ChargeRepository(visit.engine)
    which = filter_of(visit, status=(Status.FLAGGED.value,))
    found = repository.list(which, limit=A_PAGE, cursor=visit.asked("cursor") or None)
    typed: dict[str, Any] = {name: visit.said(f"to_{name}") for name in PAYER} | {"note": visit.said("note")}
    count = visit.asked("count")
    return page(
        visit,
        "review.html",
        problem=problem,
        charges=found.items,
        next_cursor=found.next_cursor,
        parameters=parameters_of(visit),
        selected=set(visit.form.get("ids", [])),
        typed=typed,
        undo=visit.asked("undo"),
        count=count if count.isdecimal() else "",
        payer=PAYER,
        once=visit.served.clock().isoformat(),
        correcting=bool(problem) and visit.said("verdict") == Verdict.CORRECT,
        **choices(visit),
    )

"""``/desk/journals``: a month for the general ledger. Made after it was seen, fetched, answered, taken back; and the
whole way from the provider's bill to what was posted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError
from clearfacts_assets.api.route_threads import waits
from clearfacts_assets.api.v1.chargeback.dependencies import LONGEST_NOTE, told, wish_of
from clearfacts_assets.api.v1.chargeback.journal_fields import MOST_REFUSED
from clearfacts_assets.api.v1.chargeback.journals import attached
from clearfacts_assets.chargeback.journals.answers import POSTED, REFUSED, AnswerRow
from clearfacts_assets.chargeback.journals.formats import FORMATS
from clearfacts_assets.chargeback.journals.lifecycle import BatchState
from clearfacts_assets.desk.changes import done_or_shown
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, late_page, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens, position_of, reason_of
from clearfacts_assets.storage.chargeback.journals.batch_options import batch_options_of, file_to_fetch
from clearfacts_assets.storage.chargeback.journals.batches import Asked, Done
from clearfacts_assets.storage.chargeback.journals.booking import JournalService
from clearfacts_assets.storage.chargeback.journals.checking import check
from clearfacts_assets.storage.chargeback.journals.repository import JournalRepository
from clearfacts_assets.storage.chargeback.periods import PeriodRepository

router = APIRouter(prefix="/desk/journals", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]
Writes = Annotated[Visit, Depends(opens(Permission.JOURNALS_WRITE))]
Fetches = Annotated[Visit, Depends(opens(Permission.JOURNALS_FETCH))]

Number = Annotated[str, Path(max_length=30, pattern=r"^[A-Za-z0-9-]+$")]

A_PAGE = 50
LINES_SHOWN = 200  # of one journal; its file has all of them
KINDS = ("charges", "transfer", "accrual")


@router.get("")
def list_journals(visit: Sees) -> Response:
    """Newest first; with a month, the form that makes its journals."""
    return _list(visit)


@router.post("")
async def make(visit: Writes) -> Response:
    """What would be written is shown first; ``apply`` writes it, once."""

    def work() -> str | Response:
        kind, period, applied = visit.said("kind") or KINDS[0], visit.said("period"), visit.said("apply") == "yes"
        if kind not in KINDS:
            raise Refused("There is no such kind of journal.")
        wish = wish_of(visit.caller, visit.said("once") or None, "desk-journals", kind=kind, period=period)
        asked = Asked(
            visit.caller.actor,
            visit.served.clock(),
            accounting_date=_day(visit),
            draft=visit.said("draft") == "yes",
            dry_run=not applied,
            wish=wish if applied else None,
        )
        service = _service(visit)
        done = {"charges": service.export, "transfer": service.transfer, "accrual": service.accrue}[kind](period, asked)
        return address("/desk/journals", done="journals", period=period) if applied else _list(visit, would=done)

    return await waits.run(done_or_shown, visit, work, partial(_list, visit))


@router.get("/check/{period}")
def check_month(period: str, visit: Sees) -> Response:
    """Every difference between the provider's bill and the general ledger, by name."""
    with told():
        PeriodRepository(visit.engine).get(period)
    return late_page(visit, "journal_check.html", lambda: {"found": check(visit.engine, period)}, period=period)


@router.get("/{number}")
def get_journal(number: Number, visit: Sees) -> Response:
    """Its lines, what it books, what happened, what the general ledger answered."""
    return _whole(visit, number)


@router.get("/{number}/file")
def get_file(number: Number, visit: Fetches) -> Response:
    """As the general ledger fetches it. A draft has none."""
    said, wanted = visit.served.configured.journals, visit.asked("format")
    if wanted and wanted not in FORMATS:
        raise Refused("There is no such format: choose from the list.")
    with told():
        name, content = file_to_fetch(JournalRepository(visit.engine), number, said, wanted)
    return attached(name, content)


@router.post("/{number}/export")
async def export(number: Number, visit: Writes) -> Response:
    """A draft leaves."""
    asked = Asked(visit.caller.actor, visit.served.clock())
    return await _changed(visit, number, "exported", lambda: _service(visit).rewrite(number, asked))


@router.post("/{number}/posted")
async def answer(number: Number, visit: Fetches) -> Response:
    """What the general ledger said: all of it is posted, or these lines are refused."""

    def work() -> Any:
        reference = visit.said("reference")[:200]
        if visit.said("verdict") == "refused":
            answers = [AnswerRow(number, line, REFUSED, why, reference) for line, why in _refused(visit)]
        else:
            answers = [AnswerRow(number, None, POSTED, "", reference)]
        return JournalRepository(visit.engine).answered(answers, actor=visit.caller.actor, now=visit.served.clock())

    return await _changed(visit, number, "ledger", work)


@router.post("/{number}/reverse")
async def reverse(number: Number, visit: Writes) -> Response:
    """Taken back by its exact negative; a draft by itself. Its statements are free for another one."""

    def work() -> Any:
        asked = Asked(visit.caller.actor, visit.served.clock(), accounting_date=_day(visit), reason=reason_of(visit))
        return _service(visit).reverse(number, asked)

    return await _changed(visit, number, "reversed", work)


async def _changed(visit: Visit, number: str, done: str, work: Callable[[], Any]) -> Response:
    def kept() -> str:
        work()
        return address(f"/desk/journals/{number}", done=done)

    return await waits.run(done_or_shown, visit, kept, partial(_whole, visit, number))


def _service(visit: Visit) -> JournalService:
    """Files go to the folder for the general ledger alone, where there is one."""
    return JournalService(visit.engine, batch_options_of(visit.served.configured.journals))


def _day(visit: Visit) -> date | None:
    text = visit.said("accounting_date")
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Refused("The accounting date is a day, as 2025-03-31.") from None


def _refused(visit: Visit) -> list[tuple[int | None, str]]:
    """A line of the form each: ``3 the fund is closed``; without a number it is about the journal as a whole."""
    found: list[tuple[int | None, str]] = []
    for text in visit.said("refused").splitlines()[:MOST_REFUSED]:
        number, _, why = text.strip().partition(" ")
        if number.isascii() and number.isdecimal() and len(number) < 10:
            found.append((int(number), why.strip()[:LONGEST_NOTE]))
        elif text.strip():
            found.append((None, text.strip()[:LONGEST_NOTE]))
    if not found:
        raise Refused("Say which lines were refused, and why.")
    return found


def _list(visit: Visit, problem: ApiError | None = None, would: list[Done] | None = None) -> Response:
    period = visit.said("period") or visit.asked("period")
    state = visit.asked("state")
    found = JournalRepository(visit.engine).list(
        period or None,
        states=(state,) if state in set(BatchState) else (),
        after=position_of(visit, "after"),
        limit=A_PAGE + 1,
        newest_first=True,
    )
    return page(
        visit,
        "journals.html",
        problem=problem,
        journals=found[:A_PAGE],
        more=found[A_PAGE - 1]["id"] if len(found) > A_PAGE else None,
        periods=[one.name for one in PeriodRepository(visit.engine).list()],
        period=period,
        state=state,
        states=list(BatchState),
        kinds=KINDS,
        would=[one.journal for one in would] if would is not None else None,
        lines_shown=LINES_SHOWN,
        once=visit.said("once") or visit.served.clock().isoformat(),
        typed={name: visit.said(name) for name in ("kind", "accounting_date", "draft")},
    )


def _whole(visit: Visit, number: str, problem: ApiError | None = None) -> Response:
    with told():
        one = JournalRepository(visit.engine).whole(number)
    typed = {name: visit.said(name) for name in ("reference", "refused", "reason", "accounting_date")}
    said: dict[str, Any] = {"one": one, "lines_shown": LINES_SHOWN, "formats": sorted(FORMATS), "typed": typed}
    return page(visit, "journal.html", problem=problem, format=visit.served.configured.journals.format, **said)

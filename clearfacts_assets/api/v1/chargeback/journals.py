"""``/chargeback/journals``: batches for the general ledger, made, read, checked, answered and taken back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import StreamingResponse

from clearfacts_assets.api.auth.dependencies import require
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads, waits
from clearfacts_assets.api.services import Services
from clearfacts_assets.api.v1.chargeback.dependencies import SeesAll, Served, told, wish_of
from clearfacts_assets.api.v1.chargeback.journal_fields import (
    AnswerView,
    FileQuery,
    JournalQuery,
    JournalView,
    LedgerAnswer,
    MadeList,
    MadeView,
    NewJournal,
    Reversal,
    VerdictView,
    WholeJournal,
)
from clearfacts_assets.api.v1.chargeback.periods import PeriodName
from clearfacts_assets.api.v1.fields import IdempotencyKey
from clearfacts_assets.chargeback.journals.answers import POSTED, REFUSED, AnswerRow
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID
from clearfacts_assets.storage.chargeback.journals.batch_options import batch_options_of, file_to_fetch
from clearfacts_assets.storage.chargeback.journals.batches import Asked, Done
from clearfacts_assets.storage.chargeback.journals.booking import JournalService
from clearfacts_assets.storage.chargeback.journals.checking import check
from clearfacts_assets.storage.chargeback.journals.repository import JournalRepository

router = APIRouter(prefix="/chargeback/journals", tags=["chargeback"])

Writes = Annotated[Principal, Depends(require(Permission.JOURNALS_WRITE))]
Fetches = Annotated[Principal, Depends(require(Permission.JOURNALS_FETCH))]
JournalNumber = Annotated[str, Path(max_length=30, examples=["J-2025-03-0001"], description="the journal's number")]

_MAKING = errors(ErrorCode.CONFLICT, ErrorCode.IDEMPOTENCY_KEY_REUSED)
_OF_ONE = errors(ErrorCode.JOURNAL_NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.IDEMPOTENCY_KEY_REUSED)


@router.get("", responses=errors(ErrorCode.INVALID_CURSOR), summary="Journals, oldest first")
@reads
def list_journals(query: Annotated[JournalQuery, Query()], _: SeesAll, served: Served) -> Success[Listed[JournalView]]:
    """Batches of all months, or of one."""
    after = _after(query.cursor)
    states = (query.state.value,) if query.state else ()
    found = JournalRepository(served.engine).list(
        query.period, currency=query.currency, states=states, after=after, limit=query.limit + 1
    )
    shown = found[: query.limit]
    more = str(shown[-1]["id"]) if len(found) > query.limit else None
    return Success(data=Listed(items=[JournalView.model_validate(one) for one in shown], next_cursor=more))


@router.post("", status_code=201, responses=_MAKING, summary="Make a month's journals")
@waits
def make_journals(body: NewJournal, caller: Writes, served: Served, key: IdempotencyKey = None) -> Success[MadeList]:
    """Of statements that are in none yet; each statement once. The file goes to the setting journals.drop; it can be
    fetched below."""
    said = body.model_dump(mode="json")
    asked = Asked(
        caller.actor, served.clock(), body.currency, body.accounting_date, body.draft, body.dry_run,
        wish=None if body.dry_run else wish_of(caller, key, "journals", **said),
    )  # fmt: skip
    with told():
        service = _service(served)
        make = {"charges": service.export, "transfer": service.transfer, "accrual": service.accrue}[body.kind]
        done = make(body.period, asked)
    return _made(done)


@router.get("/check/{period}", responses=errors(), summary="From the provider's bill to the general ledger")
@waits
def check_journals(period: PeriodName, _: SeesAll, served: Served) -> Success[VerdictView]:
    """Every difference named, none left over."""
    with told():
        found = check(served.engine, period)
    return Success(data=VerdictView.model_validate(found.as_result()))


@router.get("/{number}", responses=errors(ErrorCode.JOURNAL_NOT_FOUND), summary="One journal with its lines")
@reads
def get_journal(number: JournalNumber, _: SeesAll, served: Served) -> Success[WholeJournal]:
    """What it says, what it books, what happened, what the general ledger answered."""
    with told():
        return Success(data=WholeJournal.model_validate(JournalRepository(served.engine).whole(number)))


@router.get(
    "/{number}/file",
    responses={
        **errors(ErrorCode.JOURNAL_NOT_FOUND, ErrorCode.CONFLICT),
        200: {"description": "The journal's file.", "content": {"text/csv": {}}},
    },
    response_class=StreamingResponse,
    summary="A journal's file",
)
def get_journal_file(
    number: JournalNumber, query: Annotated[FileQuery, Query()], _: Fetches, served: Served
) -> StreamingResponse:
    """As the general ledger fetches it; the state stays. A draft has none."""
    with told():
        repository, said = JournalRepository(served.engine), served.configured.journals
        name, content = file_to_fetch(repository, number, said, query.format or "")
    return attached(name, content)


def attached(name: str, content: bytes) -> StreamingResponse:
    """A journal's file to be kept under its name."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(iter([content]), media_type="text/csv; charset=utf-8", headers=headers)


@router.post("/{number}/export", responses=_OF_ONE, summary="Let a draft leave")
@waits
def export_draft(number: JournalNumber, caller: Writes, served: Served) -> Success[MadeView]:
    """One that has left is written again, and stays as it is."""
    with told():
        done = _service(served).rewrite(number, Asked(caller.actor, served.clock()))
    return Success(data=_view(done))


@router.post("/{number}/posted", responses=_OF_ONE, summary="What the general ledger made of a journal")
def answer_journal(
    number: JournalNumber, body: LedgerAnswer, caller: Fetches, served: Served, key: IdempotencyKey = None
) -> Success[AnswerView]:
    """A journal with refused lines stays exported: take it back, mend what is wrong, export anew."""
    answers = [AnswerRow(number, one.line, REFUSED, one.message, body.reference) for one in body.refused]
    wish = wish_of(caller, key, f"posted {number}", **body.model_dump(mode="json"))
    with told():
        found = JournalRepository(served.engine).answered(
            answers or [AnswerRow(number, None, POSTED, "", body.reference)],
            actor=caller.actor,
            now=served.clock(),
            wish=wish,
        )
    return Success(data=AnswerView.model_validate(found))


@router.post("/{number}/reverse", responses=_OF_ONE, summary="Take a journal back")
@waits
def reverse_journal(
    number: JournalNumber, body: Reversal, caller: Writes, served: Served, key: IdempotencyKey = None
) -> Success[MadeList]:
    """By its exact negative; a draft by itself. Its statements are free for another one."""
    wish = wish_of(caller, key, f"reverse {number}", **body.model_dump(mode="json"))
    asked = Asked(caller.actor, served.clock(), accounting_date=body.accounting_date, reason=body.reason, wish=wish)
    with told():
        done = _service(served).reverse(number, asked)
    return _made(done)


def _service(served: Services) -> JournalService:
    """Files go to the folder for the general ledger alone, where there is one."""
    return JournalService(served.engine, batch_options_of(served.configured.journals))


def _made(done: list[Done]) -> Success[MadeList]:
    return Success(data=MadeList(journals=[_view(one) for one in done]))


def _view(one: Done) -> MadeView:
    return MadeView.model_validate({name: one.as_result()[name] for name in MadeView.model_fields})


def _after(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal()) or not 0 < int(cursor) <= LARGEST_ID:
        raise ApiError(ErrorCode.INVALID_CURSOR)
    return int(cursor)

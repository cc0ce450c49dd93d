"""``/chargeback/disputes``: what investigators object to, and what was answered. Both stay on record."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads, waits
from clearfacts_assets.api.v1.chargeback.dependencies import (
    Month,
    Objects,
    PageQuery,
    Reviews,
    SeesStatements,
    Served,
    Text,
    after,
    own,
    told,
    wish_of,
)
from clearfacts_assets.api.v1.chargeback.statements import NUMBER
from clearfacts_assets.api.v1.fields import Body, IdempotencyKey
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID
from clearfacts_assets.storage.chargeback.issuing.remarks import MOST_CHARACTERS, Remarks

router = APIRouter(prefix="/chargeback/disputes", tags=["chargeback"])

MOST_LINES = 2**31 - 1
DisputeId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Remark = Annotated[
    str, Field(min_length=1, max_length=MOST_CHARACTERS, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")
]
Verdict = Literal["agreed", "declined"]


class DisputeView(BaseModel):
    """An objection, with its answer where there is one."""

    id: int
    number: str = Field(description="the statement's")
    version: int
    period: str
    subject: str
    line: int | None = Field(description="of its lines as CSV; null: all of it")
    text: str
    actor: str
    at: datetime
    verdict: Verdict | None
    answer: str | None
    answered_by: str | None
    answered_at: datetime | None


class DisputesQuery(PageQuery):
    """Which objections."""

    period: Month | None = None
    subject: Text | None = Field(None, description="of this investigator")
    open: bool = Field(False, description="only those without an answer")


class Objection(Body):
    """What is wrong."""

    number: Annotated[str, Field(pattern=NUMBER, examples=["S-2025-03-0001"])]
    line: Annotated[int, Field(ge=1, le=MOST_LINES)] | None = Field(None, description="all of the statement without it")
    text: Remark


class Answer(Body):
    """What is answered."""

    verdict: Verdict = Field(description="agreed: mend the charges, then generate issues another version")
    text: Remark


class Objected(BaseModel):
    """The objection that is kept."""

    id: int
    number: str
    line: int | None


class Answered(BaseModel):
    """The objection, and its answer."""

    id: int
    verdict: Verdict


@router.get("", responses=errors(ErrorCode.INVALID_CURSOR), summary="Objections, oldest first")
@reads
def list_disputes(
    query: Annotated[DisputesQuery, Query()], caller: SeesStatements, served: Served
) -> Success[Listed[DisputeView]]:
    """A user who is bound to an investigator gets those to the own statements."""
    found = Remarks(served.engine).list(
        period=query.period,
        subject=query.subject,
        unanswered=query.open,
        owners=own(caller, served),
        after=after(query.cursor),
        limit=query.limit + 1,
    )
    items = [DisputeView.model_validate(one) for one in found[: query.limit]]
    more = str(items[-1].id) if len(found) > query.limit else None
    return Success(data=Listed(items=items, next_cursor=more))


@router.post(
    "",
    status_code=201,
    responses=errors(ErrorCode.STATEMENT_NOT_FOUND, ErrorCode.DISPUTE_NOT_ALLOWED, ErrorCode.IDEMPOTENCY_KEY_REUSED),
    summary="Object to a statement, or to a line of it",
)
@waits
def open_dispute(body: Objection, caller: Objects, served: Served, key: IdempotencyKey = None) -> Success[Objected]:
    """A user who is bound to an investigator objects to the own ones only. What is proposed is not issued by silence
    while an objection is open."""
    with told(caller):
        id_ = Remarks(served.engine).object(
            body.number,
            body.text,
            line=body.line,
            actor=caller.actor.name,
            now=served.clock(),
            owners=own(caller, served),
            wish=wish_of(caller, key, "dispute", body=body.model_dump()),
        )
    return Success(data=Objected(id=id_, number=body.number, line=body.line))


@router.post(
    "/{dispute_id}/answer",
    responses=errors(ErrorCode.DISPUTE_NOT_FOUND, ErrorCode.DISPUTE_NOT_ALLOWED),
    summary="Answer an objection, once",
)
@waits
def answer_dispute(dispute_id: DisputeId, body: Answer, caller: Reviews, served: Served) -> Success[Answered]:
    """A statement changes by another version, never by an answer."""
    with told(caller):
        Remarks(served.engine).answer(dispute_id, body.text, body.verdict, actor=caller.actor.name, now=served.clock())
    return Success(data=Answered(id=dispute_id, verdict=body.verdict))

"""``/chargeback/statements``: look at them, take them away as PDF or CSV, compare their versions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads
from clearfacts_assets.api.services import Services
from clearfacts_assets.api.v1.chargeback.dependencies import (
    Amount,
    Exports,
    MaybeText,
    Month,
    PageQuery,
    SeesAll,
    SeesStatements,
    Served,
    Text,
    after,
    own,
    told,
)
from clearfacts_assets.chargeback.statements.lifecycle import StatementState
from clearfacts_assets.chargeback.statements.model import StatementKind
from clearfacts_assets.storage.chargeback.issuing.investigator_view import version_shown, versions_compared
from clearfacts_assets.storage.chargeback.issuing.repository import StatementFilter, StatementRepository

router = APIRouter(prefix="/chargeback/statements", tags=["chargeback"])

STANDING = (StatementState.DRAFT, StatementState.PROPOSED, StatementState.ISSUED)
LARGEST_VERSION = 2**31 - 1
Number = Annotated[str, Path(pattern=r"^[A-Za-z0-9-]{1,30}$", examples=["S-2025-03-0001"])]
NUMBER = r"^[A-Za-z0-9-]{1,30}$"
VersionNumber = Annotated[int, Field(ge=0, le=LARGEST_VERSION)]
_FILES = errors(ErrorCode.STATEMENT_NOT_FOUND)


class StatementSummary(BaseModel):
    """One version of one statement."""

    id: int
    number: str
    version: int = Field(description="0 of drafts")
    kind: StatementKind
    period: str
    subject: str = Field(description="the investigator's address, the sponsor, the cost centre")
    project: str
    fund: str
    currency: str
    state: StatementState
    listed: Amount
    discount: Amount
    subsidy: Amount
    credit: Amount
    due: Amount
    exact: Amount = Field(description="what is due before it was rounded")
    lines: int
    charges: int
    basis: dict[str, Any]
    rules: dict[str, Any] = Field(description="versions of what decided: program, templates")
    inputs_hash: str
    pdf_sha256: str
    stand_ins: str = Field(description="characters that no font had")
    file_name: str
    replaces: int | None
    issued_on: str
    dispute_by: str
    created_at: datetime


class StatementEventView(BaseModel):
    """What happened to a statement."""

    event: str
    actor: str
    reason: str
    at: datetime


class RemarkView(BaseModel):
    """What was objected to, or answered."""

    id: int
    line: int | None
    answers: int | None
    verdict: str
    text: str
    actor: str
    at: datetime


class StatementView(StatementSummary):
    """A statement with its sums by fund and service, and its story."""

    by_line: dict[str, Amount]
    events: list[StatementEventView] = Field(description="oldest first; none for a user who sees the own ones only")
    remarks: list[RemarkView]


class StatementsQuery(PageQuery):
    """Which statements."""

    period: Annotated[str, Field(pattern=r"^(19|20|21)[0-9][0-9](-(0[1-9]|1[0-2]))?$")] | None = Field(
        None, description="a month, or a year", examples=["2025-03"]
    )
    kind: StatementKind | None = None
    subject: Text | None = Field(None, description="of this investigator, sponsor or cost centre")
    project: MaybeText | None = None
    state: list[StatementState] = Field(
        [], max_length=len(StatementState), description="any of these; without it those that stand"
    )


class VersionQuery(BaseModel):
    """Which version."""

    model_config = ConfigDict(extra="forbid")

    version: VersionNumber | None = Field(None, description="the one that stands by default, else the newest")


class DiffQuery(BaseModel):
    """Which two versions."""

    model_config = ConfigDict(extra="forbid")

    old: VersionNumber | None = Field(None, description="the one before the newer")
    new: VersionNumber | None = Field(None, description="the one that stands")


class DifferenceRow(BaseModel):
    """One fund and service, or all of it."""

    what: str
    before: Amount
    now: Amount
    difference: Amount


class StatementDifference(BaseModel):
    """What is different between two versions."""

    number: str
    difference: list[DifferenceRow]


class TieOutQuery(BaseModel):
    """Of which month."""

    model_config = ConfigDict(extra="forbid")

    period: Month


class TieOutView(BaseModel):
    """What statements say against what the ledger says, in one currency."""

    currency: str
    statements: int
    printed: Amount
    exact: Amount
    ledger: Amount
    rounding: Amount
    balanced: bool = Field(description="every exact amount of the ledger is on a statement, and no other is")


class TieOuts(BaseModel):
    """A currency at a time."""

    period: str
    tie_out: list[TieOutView]


@router.get("", responses=errors(ErrorCode.INVALID_CURSOR), summary="Statements, oldest first")
@reads
def list_statements(
    query: Annotated[StatementsQuery, Query()], caller: SeesStatements, served: Served
) -> Success[Listed[StatementSummary]]:
    """A user who is bound to an investigator gets that one's, whatever is asked for, and never a draft."""
    which = StatementFilter(
        query.period,
        query.kind.value if query.kind else None,
        query.subject,
        query.project,
        tuple(one.value for one in query.state or STANDING),
        owners=own(caller, served),
    )
    found = StatementRepository(served.engine).list(which, after=after(query.cursor), limit=query.limit + 1)
    items = [StatementSummary.model_validate(one) for one in found[: query.limit]]
    more = str(items[-1].id) if len(found) > query.limit else None
    return Success(data=Listed(items=items, next_cursor=more))


@router.get("/tie-out", responses=errors(), summary="Statements against the ledger")
@reads
def tie_out_statements(query: Annotated[TieOutQuery, Query()], _: SeesAll, served: Served) -> Success[TieOuts]:
    """Whether every exact amount of the ledger is on a statement, and no other is."""
    found = StatementRepository(served.engine).tie_out(query.period)
    rows = [TieOutView.model_validate(one.as_result()) for one in found]
    return Success(data=TieOuts(period=query.period, tie_out=rows))


@router.get("/{number}", responses=errors(ErrorCode.STATEMENT_NOT_FOUND), summary="One statement")
@reads
def get_statement(
    number: Number, query: Annotated[VersionQuery, Query()], caller: SeesStatements, served: Served
) -> Success[StatementView]:
    """Its sums, what happened to it, what was objected to. Other people's are not found."""
    with told():
        repository, version = StatementRepository(served.engine), _shown(number, query.version, caller, served)
        one = repository.whole(number, version)
        one |= repository.get(number, one["version"])  # its count of lines, in place of the lines themselves
    if caller.investigator is not None:
        one["events"] = []
    return Success(data=StatementView.model_validate(one))


@router.get(
    "/{number}/pdf",
    responses={**_FILES, 200: {"description": "The PDF, as it was issued.", "content": {"application/pdf": {}}}},
    response_class=Response,
    summary="A statement as PDF",
)
def get_statement_pdf(
    number: Number, query: Annotated[VersionQuery, Query()], caller: Exports, served: Served
) -> Response:
    """The very bytes that were issued; their SHA-256 is the statement's `pdf_sha256`."""
    with told():
        name, pdf = StatementRepository(served.engine).pdf(number, _shown(number, query.version, caller, served))
    return _file(pdf, name, "application/pdf")


@router.get(
    "/{number}/lines",
    responses={**_FILES, 200: {"description": "Every charge, a line each.", "content": {"text/csv": {}}}},
    response_class=Response,
    summary="A statement's lines as CSV",
)
def get_statement_lines(
    number: Number, query: Annotated[VersionQuery, Query()], caller: Exports, served: Served
) -> Response:
    """What is attached to the PDF: exact amounts, harmless in a spreadsheet."""
    with told():
        one = StatementRepository(served.engine).whole(number, _shown(number, query.version, caller, served))
    name = f"{one['number']}-v{one['version']}-lines.csv"
    return _file(one["lines"].encode("utf-8", "replace"), name, "text/csv; charset=utf-8")


@router.get(
    "/{number}/diff", responses=errors(ErrorCode.STATEMENT_NOT_FOUND), summary="What is different between two versions"
)
@reads
def compare_statements(
    number: Number, query: Annotated[DiffQuery, Query()], caller: SeesStatements, served: Served
) -> Success[StatementDifference]:
    """By fund and service; the last two versions, where none is named."""
    with told():
        versions = versions_compared(served.engine, number, query.old, query.new, own(caller, served))
        found = StatementRepository(served.engine).difference(number, *versions)
    names = ("what", "before", "now", "difference")
    rows = [DifferenceRow.model_validate(dict(zip(names, row, strict=True))) for row in found]
    return Success(data=StatementDifference(number=number, difference=rows))


def _shown(number: str, version: int | None, caller: Principal, served: Services) -> int | None:
    return version_shown(served.engine, number, version, own(caller, served))


def _file(content: bytes, name: str, kind: str) -> Response:
    """A file to be kept, under a name that is plain ASCII."""
    plain = "".join(one if one.isascii() and (one.isalnum() or one in "._-@") else "_" for one in name)
    headers = {"Content-Disposition": f'attachment; filename="{plain}"', "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=kind, headers=headers)

"""``/chargeback/statements``: issue them, take them out, make them anew."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field, model_validator

from clearfacts_assets.api.envelope import Success
from clearfacts_assets.api.errors import ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import takes_long, waits
from clearfacts_assets.api.v1.chargeback.dependencies import (
    Amount,
    Issues,
    Month,
    Reason,
    SeesAll,
    Served,
    Text,
    told,
)
from clearfacts_assets.api.v1.chargeback.statements import (
    NUMBER,
    Number,
    StatementSummary,
    TieOutView,
    VersionNumber,
)
from clearfacts_assets.api.v1.fields import Body
from clearfacts_assets.chargeback.statements.model import StatementKind
from clearfacts_assets.storage.chargeback.issuing import configured_issuer
from clearfacts_assets.storage.chargeback.issuing.issue_plan import Issuance
from clearfacts_assets.storage.chargeback.issuing.issue_result import Generated
from clearfacts_assets.storage.chargeback.issuing.repository import StatementRepository
from clearfacts_assets.storage.chargeback.issuing.summaries import SummaryIssuer

router = APIRouter(prefix="/chargeback/statements", tags=["chargeback"])

_ISSUING = errors(ErrorCode.PERIOD_NOT_FOUND, ErrorCode.PERIOD_NOT_ALLOWED, ErrorCode.CONFLICT)
_DECIDING = errors(ErrorCode.STATEMENT_NOT_FOUND, ErrorCode.STATEMENT_NOT_ALLOWED)


class Wanted(Body):
    """A month's statements of one kind."""

    period: Month
    kind: StatementKind = Field(StatementKind.INVESTIGATOR, strict=False)
    draft: bool = Field(False, description="only drafts, which say so and do not count; of investigators' statements")
    dry_run: bool = Field(False, description="say what would be issued, and issue nothing")

    @model_validator(mode="after")
    def _drafts_are_investigators(self) -> Wanted:
        if self.draft and self.kind in (StatementKind.SPONSOR, StatementKind.DEPARTMENT):
            raise ValueError("there are drafts of investigators' statements only")
        if self.kind is StatementKind.YEAR:
            raise ValueError("a year's statement is one investigator's: POST /chargeback/statements/year")
        return self


class YearWanted(Body):
    """The statement of a year, for a grant report."""

    pi_email: Text
    year: Annotated[str, Field(pattern=r"^(19|20|21)[0-9][0-9]$", examples=["2025"])]
    project: Text | None = Field(None, description="only of this project")
    dry_run: bool = False


class ProblemView(BaseModel):
    """A statement that could not be made; the others were."""

    of: str
    problem: str


class GeneratedView(BaseModel):
    """What was issued, or with `dry_run` would be."""

    period: str
    kind: StatementKind
    new: list[str] = Field(description="their numbers")
    corrected: list[str]
    unchanged: int
    accepted: list[str] = Field(description="proposed ones to which nobody objected, now issued")
    problems: list[ProblemView]
    stand_ins: dict[str, str] = Field(description="by number: characters that no font had")
    difference: dict[str, Amount] = Field(description="of what is due, by currency")
    dry_run: bool
    tie_out: list[TieOutView] = Field(description="against the ledger, where they are investigators' statements")


class VoidWanted(Body):
    """Why a statement is taken out."""

    reason: Reason


class RecomputeWanted(Body):
    """One statement, or all of a month."""

    number: Annotated[str, Field(pattern=NUMBER)] | None = None
    version: VersionNumber | None = None
    period: Month | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> RecomputeWanted:
        if (self.number is None) == (self.period is None):
            raise ValueError("name a statement, or a period")
        return self


class RecomputedView(BaseModel):
    """A statement's bytes, made anew."""

    number: str
    version: int
    pdf_sha256: str
    found: str
    problem: str = Field(description="empty where they are the same")


class Recomputed(BaseModel):
    """Those that were asked for."""

    statements: list[RecomputedView]
    different: int


@router.post("/generate", responses=_ISSUING, summary="Issue the statements of a closed or finalized month")
@takes_long
def generate_statements(body: Wanted, caller: Issues, served: Served) -> Success[GeneratedView]:
    """All of them or none; twice issues nothing anew. Seconds for hundreds: other requests are answered meanwhile.
    Their mails leave by POST /chargeback/emails/send."""
    said = served.configured.statements
    with told(caller):
        found = configured_issuer.generate(
            served.engine,
            said,
            body.period,
            body.kind,
            Issuance(caller.actor.name, served.clock(), body.draft, body.dry_run),
            least_workers=1,
        )
        tie_out = StatementRepository(served.engine).tie_out(body.period)
    rows = [TieOutView.model_validate(one.as_result()) for one in tie_out]
    return Success(data=_generated(found, rows if body.kind is StatementKind.INVESTIGATOR else []))


@router.post("/year", responses=_ISSUING, summary="Issue the statement of a year")
@takes_long
def generate_year(body: YearWanted, caller: Issues, served: Served) -> Success[GeneratedView]:
    """It repeats what the months say."""
    with told(caller):
        issuer = configured_issuer.issuer_of(served.engine, served.configured.statements, least_workers=1)
        found = SummaryIssuer(issuer, served.engine).year(
            body.year,
            body.pi_email.strip().lower(),
            body.project,
            Issuance(caller.actor.name, served.clock(), dry_run=body.dry_run),
        )
    return Success(data=_generated(found, []))


@router.post("/recompute", responses=errors(ErrorCode.STATEMENT_NOT_FOUND), summary="Make PDFs anew, compare the bytes")
@takes_long
def recompute_statements(body: RecomputeWanted, _: SeesAll, served: Served) -> Success[Recomputed]:
    """From what was kept with each. Nothing is written."""
    wanted = body.model_dump()
    with told():
        found = configured_issuer.recompute(served.engine, served.configured.statements, **wanted)
    rows = [RecomputedView.model_validate(one, from_attributes=True) for one in found]
    return Success(data=Recomputed(statements=rows, different=sum(bool(one.problem) for one in rows)))


@router.post("/{number}/void", responses=_DECIDING, summary="Take a statement out")
@waits
def void_statement(number: Number, body: VoidWanted, caller: Issues, served: Served) -> Success[StatementSummary]:
    """It counts no more, and its charges are free for the next one."""
    repository = StatementRepository(served.engine)
    with told(caller):
        one = repository.void(number, actor=caller.actor.name, reason=body.reason, now=served.clock())
    return Success(data=StatementSummary.model_validate(one))


@router.post("/{number}/accept", responses=_DECIDING, summary="Issue a proposed statement")
@waits
def accept_statement(number: Number, caller: Issues, served: Served) -> Success[StatementSummary]:
    """Before its days are over: the investigator said yes."""
    with told(caller):
        one = StatementRepository(served.engine).accept(number, actor=caller.actor.name, now=served.clock())
    return Success(data=StatementSummary.model_validate(one))


def _generated(found: Generated, tie_out: list[TieOutView]) -> GeneratedView:
    said = found.as_result()
    said["problems"] = [{"of": of, "problem": problem} for of, problem in found.problems]
    return GeneratedView.model_validate(said | {"tie_out": tie_out})

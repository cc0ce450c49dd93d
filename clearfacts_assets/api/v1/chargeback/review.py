"""``/chargeback/review``: what waits for a person, and what people decide about it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads, waits
from clearfacts_assets.api.services import Services
from clearfacts_assets.api.v1.chargeback.charges import ChargeSummary, page_of
from clearfacts_assets.api.v1.chargeback.dependencies import (
    Id,
    Month,
    Note,
    PageQuery,
    Reviews,
    SeesAll,
    Served,
    SourceName,
    Text,
    told,
    wish_of,
)
from clearfacts_assets.api.v1.fields import Body, IdempotencyKey
from clearfacts_assets.chargeback.attribution import review as attribution
from clearfacts_assets.chargeback.attribution.review import Verdict
from clearfacts_assets.chargeback.model import Flag, Status
from clearfacts_assets.storage.chargeback.charges import ChargeFilter
from clearfacts_assets.storage.chargeback.review import ReviewRepository

router = APIRouter(prefix="/chargeback/review", tags=["chargeback"])

MOST_IDS = 1000  # of one decision, and of those that an answer names

_REFUSALS = errors(
    ErrorCode.CHARGE_NOT_FOUND,
    ErrorCode.PERIOD_NOT_ALLOWED,
    ErrorCode.CHARGE_NOT_DECIDABLE,
    ErrorCode.CHARGE_CHANGED,
    ErrorCode.IDEMPOTENCY_KEY_REUSED,
)
Ids = Annotated[list[Id], Field(max_length=MOST_IDS)]


class WaitingQuery(PageQuery):
    """Which of the charges that wait."""

    period: Month | None = None
    source: SourceName | None = None
    flag: Flag | None = Field(None, description="only with this flag")
    pi_email: Text | None = None
    project_id: Text | None = None
    fund_org: Text | None = None
    search: Text | None = Field(None, description="only where service or resource has this text in it")


class SeenCharge(Body):
    """A charge as it was read by whoever decides."""

    id: Id
    status: Status = Field(strict=False)


class Decision(Body):
    """About which charges, and why. Those named by id have to allow it; of others, those that wait are taken."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"ids": [17, 18], "note": "the pool pays"},
                {"period": "2025-03", "flag": "missing_fund_org", "note": "the pool pays"},
            ]
        }
    )

    ids: Ids = []
    period: Month | None = None
    flag: Flag | None = Field(None, strict=False, description="of the period, those with this flag")
    source: SourceName | None = None
    pi_email: Text | None = Field(None, description="of the period, those of this investigator")
    project_id: Text | None = Field(None, description="of the period, those of this project")
    fund_org: Text | None = Field(None, description="of the period, those of this fund")
    search: Text | None = Field(None, description="of the period, where service or resource has this text in it")
    all: bool = Field(False, description="all that wait in the period")
    note: Note = Field("", description="kept with your name")
    seen: list[SeenCharge] = Field(
        [],
        max_length=MOST_IDS,
        description="where one of these stands elsewhere now, nothing is decided (409 CHARGE_CHANGED)",
    )

    @model_validator(mode="after")
    def _says_which(self) -> Decision:
        if self.ids:
            return self
        if self.period is None:
            raise ValueError("say which charges: ids, or a period and which of its charges")
        if not self.all and not any(self._narrowing().values()):
            raise ValueError("say which of the period: flag, source, pi_email, project_id, fund_org, search or all")
        return self

    def _narrowing(self) -> dict[str, Any]:
        names = ("source", "pi_email", "project_id", "fund_org", "search")
        return {name: getattr(self, name) for name in names} | {"flag": self.flag.value if self.flag else None}

    def filter(self) -> ChargeFilter:
        """The same for storage."""
        waiting = () if self.ids else (Status.FLAGGED.value,)
        return ChargeFilter(period=self.period, ids=tuple(self.ids), status=waiting, **self._narrowing())


class Correction(Decision):
    """The same, and who pays; an empty text takes a field away."""

    to: PayerChange


class PayerChange(Body):
    """Who pays: what is left out stays."""

    pi_email: Annotated[str, Field(max_length=500)] | None = None
    project_id: Annotated[str, Field(max_length=500)] | None = None
    fund_org: Annotated[str, Field(max_length=500)] | None = None
    cost_center: Annotated[str, Field(max_length=500)] | None = None
    account_code: Annotated[str, Field(max_length=500)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> PayerChange:
        if not self.said():
            raise ValueError("say who pays: pi_email, project_id, fund_org, cost_center or account_code")
        return self

    def said(self) -> dict[str, str]:
        return {name: value for name, value in self.model_dump().items() if value is not None}


class Undoing(Body):
    """Whose last decision is taken back."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=MOST_IDS)]
    note: Note = Field("", description="kept with your name")


class Decided(BaseModel):
    """What came of it."""

    verdict: Verdict
    decided: int
    charges: list[int] = Field(description=f"their ids, the first {MOST_IDS}")


@router.get("", responses=errors(ErrorCode.INVALID_CURSOR), summary="Charges that wait for a person, and why")
@reads
def list_waiting(query: Annotated[WaitingQuery, Query()], _: SeesAll, served: Served) -> Success[Listed[ChargeSummary]]:
    """Nothing flagged or rejected ever counts in a bill."""
    which = ChargeFilter(
        period=query.period,
        source=query.source,
        status=(Status.FLAGGED.value,),
        flag=query.flag.value if query.flag else None,
        pi_email=query.pi_email,
        project_id=query.project_id,
        fund_org=query.fund_org,
        search=query.search,
    )
    return page_of(query, which, served)


@router.post("/approve", responses=_REFUSALS, summary="Bill it as it is")
@waits
def approve_charges(body: Decision, caller: Reviews, served: Served, key: IdempotencyKey = None) -> Success[Decided]:
    """With an `Idempotency-Key`, a decision that comes again under the same key changes nothing."""
    return _decided(Verdict.APPROVE, body, caller, served, key)


@router.post("/reject", responses=_REFUSALS, summary="Do not bill it")
@waits
def reject_charges(body: Decision, caller: Reviews, served: Served, key: IdempotencyKey = None) -> Success[Decided]:
    """It stays to be seen."""
    return _decided(Verdict.REJECT, body, caller, served, key)


@router.post("/correct", responses=_REFUSALS, summary="Say who pays, and bill it")
@waits
def correct_charges(body: Correction, caller: Reviews, served: Served, key: IdempotencyKey = None) -> Success[Decided]:
    """What the tags and the registry said is kept beside it."""
    return _decided(Verdict.CORRECT, body, caller, served, key, body.to.said())


@router.post("/undo", responses=_REFUSALS, summary="Take the last decision back")
@waits
def undo_decisions(body: Undoing, caller: Reviews, served: Served, key: IdempotencyKey = None) -> Success[Decided]:
    """Before the period is finalized."""
    return _decided(Verdict.UNDO, Decision(ids=body.ids, note=body.note), caller, served, key)


def _decided(
    verdict: Verdict,
    body: Decision,
    caller: Principal,
    served: Services,
    key: str | None,
    fields: dict[str, str] | None = None,
) -> Success[Decided]:
    with told():
        ids = ReviewRepository(served.engine).decide(
            body.filter(),
            attribution.ReviewDecision(
                verdict, body.note, fields or {}, {one.id: one.status.value for one in body.seen}
            ),
            actor=caller.actor,
            now=served.clock(),
            wish=wish_of(caller, key, verdict, body=body.model_dump(mode="json")),
        )
    return Success(data=Decided(verdict=verdict, decided=len(ids), charges=ids[:MOST_IDS]))

"""``/chargeback/periods``: the months with their totals, from open to finalized."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads, waits
from clearfacts_assets.api.services import Services
from clearfacts_assets.api.v1.chargeback.dependencies import (
    PERIOD,
    Amount,
    Closes,
    Finalizes,
    Month,
    Note,
    Reason,
    SeesAll,
    SeesCharges,
    Served,
    own,
    told,
    wish_of,
)
from clearfacts_assets.api.v1.fields import Body, IdempotencyKey
from clearfacts_assets.chargeback.lifecycle import Event, State
from clearfacts_assets.storage.chargeback.periods import PeriodRecord, PeriodRepository
from clearfacts_assets.storage.chargeback.summaries import period_as_result, period_summary

router = APIRouter(prefix="/chargeback/periods", tags=["chargeback"])

PeriodName = Annotated[str, Path(pattern=PERIOD, examples=["2025-03"], description="the month")]


class Period(BaseModel):
    """A month. The last three are null before it is finalized, and for a user who sees the own charges only."""

    period: str
    state: State
    created_at: datetime
    changed_at: datetime
    finalized_position: int | None = Field(description="in the chain of finalized periods")
    finalized_rows: int | None = Field(description="charges that were sealed")
    previous_hash: str | None
    hash: str | None = Field(description="of all that counts in the period, chained to the one before")


class TotalsView(BaseModel):
    """What a period adds up to in one currency."""

    charges: int
    list: Amount
    discount: Amount
    billed: Amount = Field(description="of what is not rejected; flagged ones included")
    effective: Amount
    amount: Amount = Field(description="on each source's own cost basis")
    flagged: Amount = Field(description="the part that waits for a person")
    flagged_charges: int
    rejected: Amount
    not_billed: Amount
    due: Amount
    unattributed: Amount
    by_source: dict[str, Amount]
    by_pi: dict[str, Amount]
    by_project: dict[str, Amount]
    by_fund: dict[str, Amount]
    by_service: dict[str, Amount]
    flags: dict[str, int]


class PeriodEventView(BaseModel):
    """What was done to a period."""

    event: str
    actor: str
    reason: str
    details: dict[str, Any]
    at: datetime


class PeriodView(Period):
    """A month with its totals, a currency at a time; where it has one currency, its totals stand beside them too."""

    model_config = ConfigDict(serialize_by_alias=True)

    basis: dict[str, str] = Field(description="on which of its costs each source is charged")
    totals: dict[str, TotalsView] = Field(description="by currency")
    events: list[PeriodEventView] = Field(description="oldest first; none for a user who sees the own charges only")
    currency: str | None = None
    charges: int | None = None
    list_: Amount | None = Field(None, alias="list")
    discount: Amount | None = None
    billed: Amount | None = None
    effective: Amount | None = None
    amount: Amount | None = None
    flagged: Amount | None = None
    flagged_charges: int | None = None
    rejected: Amount | None = None
    not_billed: Amount | None = None
    due: Amount | None = None
    unattributed: Amount | None = None
    by_source: dict[str, Amount] | None = None
    by_pi: dict[str, Amount] | None = None
    by_project: dict[str, Amount] | None = None
    by_fund: dict[str, Amount] | None = None
    by_service: dict[str, Amount] | None = None
    flags: dict[str, int] | None = None


class VerifiedView(BaseModel):
    """One finalized period, its hash computed anew."""

    period: str
    position: int
    rows: int
    hash: str
    problem: str = Field(description="empty where everything holds")


class Chain(BaseModel):
    """All finalized periods in the order of the chain."""

    periods: list[VerifiedView]
    broken: int


class NewPeriod(Body):
    """A month to begin before anything is imported for it."""

    period: Month


class Why(Body):
    """Why it is done."""

    reason: Note = Field("", description="kept with your name")


class Reopening(Body):
    """Why a closed period is opened again."""

    reason: Reason


@router.get("", responses=errors(), summary="All periods, newest first")
@reads
def list_periods(caller: SeesCharges, served: Served) -> Success[Listed[Period]]:
    """The months with their states."""
    found = [_period(one, caller) for one in PeriodRepository(served.engine).list()]
    return Success(data=Listed(items=found, next_cursor=None))


@router.post("", status_code=201, responses=errors(), summary="Begin a period")
def open_period(body: NewPeriod, caller: Closes, served: Served) -> Success[Period]:
    """Nothing happens to one that is there."""
    with told():
        record = PeriodRepository(served.engine).open(body.period, actor=caller.actor, now=served.clock())
    return Success(data=_period(record, caller))


@router.get("/verify", responses=errors(), summary="Compute the hash of every finalized period anew")
@waits
def verify_periods(_: SeesAll, served: Served) -> Success[Chain]:
    """Reads every finalized charge: minutes for many millions."""
    found = [VerifiedView(**asdict(one)) for one in PeriodRepository(served.engine).verify()]
    return Success(data=Chain(periods=found, broken=sum(bool(one.problem) for one in found)))


@router.get("/{period}", responses=errors(ErrorCode.PERIOD_NOT_FOUND), summary="One period with its totals")
@reads
def get_period(period: PeriodName, caller: SeesCharges, served: Served) -> Success[PeriodView]:
    """Exact sums, never of two currencies. A user who is bound to an investigator gets that one's totals."""
    payers = own(caller, served)
    with told():
        said = period_summary(served.engine, period, payers)
        events = [] if payers else PeriodRepository(served.engine).events(period)
    if payers:
        said |= _UNTOLD
    return Success(data=PeriodView.model_validate(said | {"events": [dict(one) for one in events]}))


@router.post(
    "/{period}/close",
    responses=errors(ErrorCode.PERIOD_NOT_FOUND, ErrorCode.PERIOD_NOT_ALLOWED, ErrorCode.IDEMPOTENCY_KEY_REUSED),
    summary="Close a period",
)
def close_period(
    period: PeriodName, body: Why, caller: Closes, served: Served, key: IdempotencyKey = None
) -> Success[Period]:
    """No more imports; charges can still be reviewed."""
    return _changed(period, Event.CLOSE, body.reason, caller, served, key)


@router.post(
    "/{period}/reopen",
    responses=errors(ErrorCode.PERIOD_NOT_FOUND, ErrorCode.PERIOD_NOT_ALLOWED, ErrorCode.IDEMPOTENCY_KEY_REUSED),
    summary="Open a closed period again",
)
def reopen_period(
    period: PeriodName, body: Reopening, caller: Closes, served: Served, key: IdempotencyKey = None
) -> Success[Period]:
    """Not a finalized one: that never changes again."""
    return _changed(period, Event.REOPEN, body.reason, caller, served, key)


@router.post(
    "/{period}/finalize",
    responses=errors(
        ErrorCode.PERIOD_NOT_FOUND,
        ErrorCode.PERIOD_NOT_ALLOWED,
        ErrorCode.CHARGES_WAITING,
        ErrorCode.IDEMPOTENCY_KEY_REUSED,
    ),
    summary="Seal a closed period for ever",
)
@waits
def finalize_period(
    period: PeriodName, body: Why, caller: Finalizes, served: Served, key: IdempotencyKey = None
) -> Success[Period]:
    """With the setting `chargeback.two_people`, somebody else has to do it than who closed the period."""
    return _changed(period, Event.FINALIZE, body.reason, caller, served, key)


def _changed(
    period: str, event: Event, reason: str, caller: Principal, served: Services, key: str | None
) -> Success[Period]:
    with told():
        record = PeriodRepository(served.engine).change(
            period,
            event,
            actor=caller.actor,
            now=served.clock(),
            reason=reason,
            two_people=served.configured.chargeback.two_people,
            wish=wish_of(caller, key, f"{event} {period}", reason=reason),
        )
    return Success(data=_period(record, caller))


_UNTOLD = {"finalized_rows": None, "previous_hash": None, "hash": None}


def _period(record: PeriodRecord, caller: Principal) -> Period:
    """What speaks of everybody's charges is not for who sees the own ones."""
    return Period(**period_as_result(record) | (_UNTOLD if caller.investigator else {}))

"""``/chargeback/credits``, ``/pools``, ``/budgets``: who pays for others, who shares what nobody's tag covers, what is
left of funds."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads, waits
from clearfacts_assets.api.v1.chargeback.dependencies import (
    PERIOD,
    Amount,
    Month,
    SeesAll,
    Served,
    Text,
    WritesRules,
    told,
)
from clearfacts_assets.api.v1.chargeback.rules import NewVersion, RuleName, RuleVersionView, added
from clearfacts_assets.chargeback.notifications.budgets import tell_of_budgets
from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.storage.chargeback.rates.balances import credits, paid_by, sums_by_currency
from clearfacts_assets.storage.chargeback.rates.pools import pools_of
from clearfacts_assets.storage.chargeback.rates.spending import budgets_of

router = APIRouter(prefix="/chargeback", tags=["chargeback"])

PeriodName = Annotated[str, Path(pattern=PERIOD, examples=["2025-03"], description="the month")]


class CreditsQuery(BaseModel):
    """Which credits, as of which month."""

    model_config = ConfigDict(extra="forbid")

    period: Month | None = Field(None, description="this month without it")
    name: RuleName | None = None


class BalanceView(BaseModel):
    """What a credit paid in the window, and has left, for one of those that it is counted for."""

    of: str = Field(description="a person, project, fund or institution; empty: all together")
    used: Amount
    left: Amount
    by_period: dict[str, Amount]


class CreditView(BaseModel):
    """A credit as of a month."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    name: str
    payer: str
    prepayment: bool
    amount: Amount = Field(description="what there is in a window")
    currency: str
    window: str
    per: str
    carry: bool
    valid_from: str
    valid_to: str
    period: str
    paid: Amount = Field(description="in all months")
    balances: list[BalanceView]


class PaidQuery(BaseModel):
    """What who paid for others, and when."""

    model_config = ConfigDict(extra="forbid")

    payer: Text | None = None
    period: Month | None = None


class PaidRow(BaseModel):
    """What a sponsor paid by one rule for one investigator's project in a month."""

    payer: str
    period: str
    kind: str
    rule: str
    version: int
    pi_email: str
    project_id: str
    fund_org: str
    currency: str
    lines: int
    amount: Amount


class Paid(BaseModel):
    """A sponsor's own statement."""

    payer: str | None
    period: str | None
    totals: dict[str, Amount] = Field(description="by currency")
    rows: list[PaidRow]


class Pools(BaseModel):
    """What pools took, gave and kept in a month."""

    period: str
    pools: list[dict[str, Any]] = Field(description="each with currency, pool, taken, given and left")
    given: list[dict[str, Any]] = Field(description="pool, pi_email, project_id, fund_org, currency, amount")


class Budgets(BaseModel):
    """Every fund with a budget or an award's end."""

    budgets: list[dict[str, Any]]


class Told(BaseModel):
    """How many notices are new in the outbox."""

    told: int


@router.get("/credits", responses=errors(ErrorCode.RULE_NOT_FOUND), summary="Credits, and what is left of them")
@reads
def list_credits(query: Annotated[CreditsQuery, Query()], _: SeesAll, served: Served) -> Success[Listed[CreditView]]:
    """Prepayments, grants to new investigators, what sponsors pay up to a cap: in a month's window."""
    period = query.period or served.clock().strftime("%Y-%m")
    with told():
        found = credits(served.engine, period, query.name)
    return Success(data=Listed(items=[CreditView.model_validate(one) for one in found], next_cursor=None))


@router.post("/credits", status_code=201, responses=errors(), summary="Add a credit, or its next version")
@waits
def add_credit(body: NewVersion, caller: WritesRules, served: Served) -> Success[RuleVersionView]:
    """Its definition names payer, amount, currency and, where they differ from what is usual, window, per, percent,
    months, carry, prepayment, year_begins, order and scope."""
    return added(RuleKind.CREDIT, body, caller, served)


@router.get("/credits/paid", responses=errors(), summary="What sponsors paid for others")
@reads
def list_paid(query: Annotated[PaidQuery, Query()], _: SeesAll, served: Served) -> Success[Paid]:
    """For whom, by which rule, a month and currency at a time."""
    found = paid_by(served.engine, query.payer, query.period)
    rows = [PaidRow.model_validate(one) for one in found]
    return Success(data=Paid(payer=query.payer, period=query.period, totals=sums_by_currency(found), rows=rows))


@router.get("/pools/{period}", responses=errors(), summary="What pools took, gave and kept in a month")
@reads
def get_pools(period: PeriodName, _: SeesAll, served: Served) -> Success[Pools]:
    """As the newest run of the rules says."""
    with told():
        return Success(data=Pools.model_validate(pools_of(served.engine, period)))


@router.post("/pools", status_code=201, responses=errors(), summary="Add a pool, or its next version")
@waits
def add_pool(body: NewVersion, caller: WritesRules, served: Served) -> Success[RuleVersionView]:
    """Its definition names scope, method and, where they are chosen, base and recipients."""
    return added(RuleKind.POOL, body, caller, served)


@router.get("/budgets", responses=errors(), summary="Budgets of funds: spent, left, burn, and when awards end")
@reads
def list_budgets(_: SeesAll, served: Served) -> Success[Budgets]:
    """Of every fund with a budget or an award's end."""
    found = [one.as_result() for one in budgets_of(served.engine, served.clock().date())]
    return Success(data=Budgets(budgets=found))


@router.post("/budgets/check", responses=errors(), summary="Tell of thresholds that were passed")
@waits
def check_budgets(_: WritesRules, served: Served) -> Success[Told]:
    """What has to be told is put into the outbox, each mark once."""
    return Success(data=Told(told=tell_of_budgets(served.engine, served.configured, now=served.clock())))

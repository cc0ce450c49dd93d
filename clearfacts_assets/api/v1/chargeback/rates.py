"""``/chargeback/rates``: what in-house services cost, for whom, from when; and what a wish would cost."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads, waits
from clearfacts_assets.api.v1.chargeback.dependencies import (
    Amount,
    MaybeText,
    Note,
    SeesAll,
    SeesCharges,
    Served,
    Text,
    WritesRules,
    told,
)
from clearfacts_assets.api.v1.chargeback.rules import (
    DayAfter,
    FirstDay,
    NewVersion,
    RuleVersionListed,
    RuleVersionView,
    added,
)
from clearfacts_assets.api.v1.fields import Body
from clearfacts_assets.chargeback.attribution.entries import day_of
from clearfacts_assets.chargeback.rates.definitions import Per, RuleKind
from clearfacts_assets.storage.chargeback.rates.estimating import estimate
from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository

router = APIRouter(prefix="/chargeback/rates", tags=["chargeback"])

MOST_TIERS = 100
Short = Annotated[str, Field(min_length=1, max_length=90, pattern=r"^[^\x00-\x1f\x7f]*$")]
Number = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[0-9][0-9.,]*$", examples=["0.05"])]


class RatesQuery(BaseModel):
    """Which rates."""

    model_config = ConfigDict(extra="forbid")

    service: Text | None = None


class TierBody(Body):
    """Another price beyond so many units in a month."""

    beyond: Number
    price: Number


class RateBody(Body):
    """A price from a day on. A price that is there already is not changed: this is its next version."""

    service: Short = Field(description="as its charges name it", examples=["HPC cpu"])
    unit: Short = Field(examples=["core-hour"])
    price: Number = Field(description="for as many units as `per` says, an exact decimal as text")
    currency: Annotated[str, Field(max_length=10, pattern=r"^[A-Za-z]*$")] = Field(
        "", description="of the price; else chargeback.currency"
    )
    rate_class: Short = Field("internal", description="internal, external_academic, commercial, or a word of yours")
    per: Number = "1"
    tiers: list[TierBody] = Field([], max_length=MOST_TIERS)
    tiers_per: Per | None = Field(None, strict=False, description="whose units count")
    minimum: Number | None = Field(None, description="the least that one charge costs")
    valid_from: FirstDay = ""
    valid_to: DayAfter = ""
    note: Note = ""


class ClassBody(Body):
    """Which class an institution's people are charged by. Everybody else is internal."""

    institution: Short = Field(description="as the registry names it, or a domain", examples=["example.com"])
    rate_class: Short
    valid_from: FirstDay = ""
    note: Note = ""


class EstimateQuery(BaseModel):
    """A wish."""

    model_config = ConfigDict(extra="forbid")

    service: Text
    quantity: Number
    unit: Text | None = Field(None, description="of the quantity; else the rate's own")
    day: MaybeText = Field("", description="on which day; else today", examples=["2025-03-01"])
    rate_class: Text | None = Field(None, description="for this class")
    pi_email: Text | None = Field(None, description="for this investigator's class")


class Estimate(BaseModel):
    """What a wish would cost, before subsidies and credits."""

    model_config = ConfigDict(serialize_by_alias=True)

    service: str
    rate_class: str
    day: str
    rate_version: int
    quantity: Amount
    unit: str
    list_: Amount = Field(alias="list")
    discount: Amount
    cost: Amount
    currency: str


@router.get("", responses=errors(), summary="All versions of all prices, and of who belongs to which class")
@reads
def list_rates(query: Annotated[RatesQuery, Query()], _: SeesAll, served: Served) -> Success[Listed[RuleVersionListed]]:
    """By name and number."""
    rules = RuleRepository(served.engine)
    found = [*rules.list(RuleKind.RATE), *([] if query.service else rules.list(RuleKind.RATE_CLASS))]
    if query.service is not None:
        found = [one for one in found if one["definition"].get("service") == query.service]
    return Success(data=Listed(items=[RuleVersionListed.model_validate(one) for one in found], next_cursor=None))


@router.post("", status_code=201, responses=errors(), summary="Add a price, or its next version")
@waits
def add_rate(body: RateBody, caller: WritesRules, served: Served) -> Success[RuleVersionView]:
    """With the setting `rates.two_people` it counts once somebody else approves it: POST /rules/{version}/approve."""
    said = body.model_dump(exclude={"valid_from", "valid_to", "note", "tiers"}, mode="json")
    said["currency"] = (body.currency or served.configured.chargeback.currency).upper()
    said["per"] = "" if body.per == "1" else body.per
    said["tiers"] = [{"from": one.beyond, "price": one.price} for one in body.tiers]
    dated = {"valid_from": body.valid_from, "valid_to": body.valid_to, "note": body.note}
    version = NewVersion(name=f"{body.service} / {body.rate_class}", definition=said, **dated)
    return added(RuleKind.RATE, version, caller, served)


@router.post("/classes", status_code=201, responses=errors(), summary="Which class an institution is charged by")
@waits
def add_rate_class(body: ClassBody, caller: WritesRules, served: Served) -> Success[RuleVersionView]:
    """From a day on."""
    said: dict[str, JsonValue] = {"institution": body.institution, "rate_class": body.rate_class}
    version = NewVersion(name=body.institution, definition=said, valid_from=body.valid_from, note=body.note)
    return added(RuleKind.RATE_CLASS, version, caller, served)


@router.get("/estimate", responses=errors(ErrorCode.RULE_NOT_FOUND), summary="What a wish would cost")
@reads
def estimate_wish(query: Annotated[EstimateQuery, Query()], caller: SeesCharges, served: Served) -> Success[Estimate]:
    """Nothing is written. A user who is bound to an investigator gets the price of that one's class."""
    with told():
        day = day_of(query.day) or served.clock().strftime("%Y-%m-%d")
        bound = caller.investigator is not None
        found = estimate(
            served.engine,
            query.service,
            query.quantity,
            day=day,
            unit=query.unit,
            rate_class=None if bound else query.rate_class,
            pi=caller.investigator if bound else query.pi_email,
        )
    return Success(data=Estimate.model_validate(found))

"""``/chargeback/rules``: what is split, marked up, free or subsidised; applied to a month, explained line by line."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads, takes_long, waits
from clearfacts_assets.api.services import Services
from clearfacts_assets.api.v1.chargeback.dependencies import (
    LONGEST_TEXT,
    Amount,
    ApprovesRules,
    MaybeText,
    Month,
    Note,
    SeesAll,
    SeesCharges,
    Served,
    Text,
    WritesRules,
    own,
    told,
)
from clearfacts_assets.api.v1.fields import Body
from clearfacts_assets.chargeback.attribution.entries import day_of
from clearfacts_assets.chargeback.notifications.budgets import tell_of_budgets
from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID
from clearfacts_assets.storage.chargeback.rates.explaining import explain
from clearfacts_assets.storage.chargeback.rates.rule_runs import apply_rules
from clearfacts_assets.storage.chargeback.rates.rules import LONGEST_NAME, RuleRepository

router = APIRouter(prefix="/chargeback/rules", tags=["chargeback"])

MOST_VALUES = 10_000  # of one definition
_UNSEEN = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
VersionId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
ChargeId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
RuleName = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, pattern=r"^[^\x00-\x1f\x7f]*$")]
FirstDay = Annotated[MaybeText, Field(description="the first day on which it holds", examples=["2025-03-01"])]
DayAfter = Annotated[MaybeText, Field(description="the day after the last one; empty: without end")]


def _readable(said: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Texts that a database holds, amounts as texts, so that nothing rounds them."""
    left: list[JsonValue] = [said]
    for _ in range(MOST_VALUES + 1):
        if not left:
            return said
        one = left.pop()
        if isinstance(one, float):
            raise ValueError("write amounts as text, as '0.05': a JSON number may be rounded on its way")
        if isinstance(one, str) and (len(one) > LONGEST_TEXT or _UNSEEN.search(one)):
            raise ValueError(f"texts have at most {LONGEST_TEXT} characters, and none that nobody can see")
        left += [*one, *one.values()] if isinstance(one, dict) else one if isinstance(one, list) else []
    raise ValueError(f"a definition has at most {MOST_VALUES} values")


Definition = Annotated[
    dict[str, JsonValue],
    AfterValidator(_readable),
    Field(
        description="what it says; docs/rates.md has each kind's words",
        examples=[{"payer": "Provost", "percent": "20", "scope": {"services": ["HPC*"]}}],
    ),
]


class RuleVersionView(BaseModel):
    """One version of a rule or rate."""

    id: int
    rule_id: int
    kind: RuleKind
    name: str
    number: int
    valid_from: str = Field(description="first day; empty: since ever")
    valid_to: str = Field(description="the day after the last one; empty: without end")
    definition: dict[str, Any]
    note: str
    actor: str = Field(description="who wrote it")
    at: datetime
    approved_by: str | None = Field(description="null: it does not count yet")
    approved_at: datetime | None


class RuleVersionListed(RuleVersionView):
    """One version, and whether anything rests on it."""

    used: bool = Field(description="whether a line of the ledger rests on it")


class RulesQuery(BaseModel):
    """Which rules."""

    model_config = ConfigDict(extra="forbid")

    kind: RuleKind | None = None
    name: RuleName | None = None


class NewVersion(Body):
    """A rule's next version; what is there already is not changed."""

    name: RuleName
    definition: Definition
    valid_from: FirstDay = ""
    valid_to: DayAfter = ""
    note: Note = Field("", description="kept with your name")


class NewRule(NewVersion):
    """The same, of a kind."""

    kind: RuleKind = Field(strict=False)


class EndOfRule(Body):
    """From when on a rule says nothing."""

    kind: RuleKind = Field(strict=False)
    name: RuleName
    day: Text = Field(description="the first day on which it says nothing", examples=["2025-07-01"])
    note: Note = Field("", description="kept with your name")


class RunWanted(Body):
    """A month to which the rules are applied."""

    period: Month
    dry_run: bool = Field(False, description="the same figures; nothing is written")


class RunView(BaseModel):
    """What became of one month."""

    period: str
    run_id: int | None = Field(description="null where nothing has changed")
    charges: int
    added: int = Field(description="lines that were written")
    withdrawn: int = Field(description="lines that hold no more")
    totals: dict[str, Any] = Field(description="by currency")
    findings: list[dict[str, Any]] = Field(description="what a person should look at")
    frozen: bool = Field(description="the month is finalized: its lines stay as they are")


class RunsView(RunView):
    """The month that was asked for, and the later ones whose lines follow from it."""

    dry_run: bool
    later: list[RunView]


class LineView(BaseModel):
    """One effect of one rule on a charge."""

    share: int
    step: str
    kind: str
    amount: Amount
    then: Amount = Field(description="what stands after it")
    payer: str
    rule: str
    rule_version: int | None
    note: str


class Explained(BaseModel):
    """The way of one charge from list price to due."""

    model_config = ConfigDict(serialize_by_alias=True)

    id: int
    period: str
    status: str
    service: str
    charge_start: str
    pi_email: str
    project_id: str
    currency: str
    amount: Amount
    run: int | None
    why: str = Field(description="why there are no lines; empty where there are")
    lines: list[LineView]
    list_: Amount = Field(alias="list")
    due: Amount
    shares: list[dict[str, Any]]
    payers: dict[str, Amount]


@router.get("", responses=errors(), summary="All versions of all rules, rates and credits")
@reads
def list_rules(query: Annotated[RulesQuery, Query()], _: SeesAll, served: Served) -> Success[Listed[RuleVersionListed]]:
    """By kind, name and number."""
    found = RuleRepository(served.engine).list(query.kind, query.name)
    return Success(data=Listed(items=[RuleVersionListed.model_validate(one) for one in found], next_cursor=None))


@router.post("", status_code=201, responses=errors(), summary="Add a rule, or its next version")
@waits
def add_rule(body: NewRule, caller: WritesRules, served: Served) -> Success[RuleVersionView]:
    """What the newest version says already adds nothing. With the setting `rates.two_people` it counts once somebody
    else approves it."""
    return added(body.kind, body, caller, served)


@router.post(
    "/{version}/approve",
    responses=errors(ErrorCode.RULE_NOT_FOUND, ErrorCode.CONFLICT),
    summary="Approve what somebody else wrote",
)
@waits
def approve_rule(version: VersionId, caller: ApprovesRules, served: Served) -> Success[RuleVersionView]:
    """409 for its author, and where it is approved already."""
    with told(caller):
        found = RuleRepository(served.engine).approve(version, actor=caller.actor.name, now=served.clock())
    return Success(data=RuleVersionView.model_validate(found))


@router.post("/end", responses=errors(ErrorCode.RULE_NOT_FOUND), summary="From a day on a rule says nothing")
@waits
def end_rule(body: EndOfRule, caller: WritesRules, served: Served) -> Success[RuleVersionView]:
    """A version of its own: what was before that day stays."""
    said: dict[str, Any] = {"actor": caller.actor.name, "now": served.clock(), "note": body.note}
    two = served.configured.rates.two_people
    with told(caller):
        found = RuleRepository(served.engine).end(body.kind, body.name, day_of(body.day), **said, two_people=two)
    return Success(data=RuleVersionView.model_validate(found))


@router.post("/run", responses=errors(ErrorCode.PERIOD_NOT_FOUND), summary="Apply the rules to a month")
@takes_long
def run_rules(body: RunWanted, caller: WritesRules, served: Served) -> Success[RunsView]:
    """Only what differs is written; the same run twice writes nothing. A finalized month stays as it is."""
    with told(caller):
        first, *later = apply_rules(
            served.engine, body.period, actor=caller.actor.name, now=served.clock(), dry_run=body.dry_run
        )
    if not body.dry_run and any(one.run_id for one in (first, *later)):
        tell_of_budgets(served.engine, served.configured, now=served.clock())
    told_of = {"dry_run": body.dry_run, "later": [one.as_result() for one in later]}
    return Success(data=RunsView.model_validate(first.as_result() | told_of))


@router.get("/explain/{charge_id}", responses=errors(ErrorCode.CHARGE_NOT_FOUND), summary="One charge, line by line")
@reads
def explain_charge(charge_id: ChargeId, caller: SeesCharges, served: Served) -> Success[Explained]:
    """Every line, what stands after it, who bears it, and by which version of which rule. Other people's charges are
    not found."""
    with told():
        return Success(data=Explained.model_validate(explain(served.engine, charge_id, own(caller, served))))


def added(kind: RuleKind, body: NewVersion, caller: Principal, served: Services) -> Success[RuleVersionView]:
    """The version that now stands there."""
    said = {key: value for key, value in body.definition.items() if value not in (None, "", [], {})}
    with told(caller):
        found = RuleRepository(served.engine).add(
            kind,
            body.name,
            said,
            actor=caller.actor.name,
            now=served.clock(),
            valid_from=day_of(body.valid_from),
            valid_to=day_of(body.valid_to),
            note=body.note,
            two_people=served.configured.rates.two_people,
        )
    return Success(data=RuleVersionView.model_validate(found))

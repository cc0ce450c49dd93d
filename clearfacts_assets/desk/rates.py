"""``/desk/rates``: prices and rules in their versions, written, approved, tried on a month, applied to it."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError
from clearfacts_assets.api.route_threads import takes_long
from clearfacts_assets.chargeback.attribution.entries import day_of
from clearfacts_assets.chargeback.notifications.budgets import tell_of_budgets
from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.desk.changes import done_or_shown
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID
from clearfacts_assets.storage.chargeback.periods import PeriodRepository
from clearfacts_assets.storage.chargeback.rates.rule_dry_run import Tried, Wished, try_rule
from clearfacts_assets.storage.chargeback.rates.rule_runs import RunResult, apply_rules
from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository

router = APIRouter(prefix="/desk/rates", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]
Writes = Annotated[Visit, Depends(opens(Permission.RULES_WRITE))]
Approves = Annotated[Visit, Depends(opens(Permission.RULES_APPROVE))]

PRICE = ("service", "unit", "price", "currency", "rate_class")
FIELDS = (*PRICE, "kind", "name", "definition", "valid_from", "valid_to", "note", "form")
MOVED_SHOWN = 100  # investigators who would owe something else, the most moved first


@router.get("")
def list_rules(visit: Sees) -> Response:
    """All versions, the newest of each first."""
    return _page(visit)


@router.post("")
async def add_version(visit: Writes) -> Response:
    """A version is never changed: what is written is the next one. With ``try`` it is computed on a month and
    shown, and not kept."""
    return await takes_long.run(done_or_shown, visit, partial(_added, visit), partial(_page, visit))


def _added(visit: Visit) -> str | Response:
    kind, name, definition = _price(visit) if visit.said("form") == "price" else _rule(visit)
    valid_from, valid_to = day_of(visit.said("valid_from")), day_of(visit.said("valid_to"))
    if visit.said("try") == "yes":
        wished = Wished(kind, name, definition, valid_from, valid_to)
        return _page(visit, trial=try_rule(visit.engine, visit.said("period"), wished))
    RuleRepository(visit.engine).add(
        kind,
        name,
        definition,
        actor=visit.caller.actor.name,
        now=visit.served.clock(),
        valid_from=valid_from,
        valid_to=valid_to,
        note=visit.said("note"),
        two_people=visit.served.configured.rates.two_people,
    )
    return address("/desk/rates", done="kept", period=visit.said("period"))


@router.post("/approve/{version}")
def approve(version: Annotated[int, Path(ge=1, le=LARGEST_ID)], visit: Approves) -> Response:
    """By somebody else than who wrote it."""

    def work() -> str:
        RuleRepository(visit.engine).approve(version, actor=visit.caller.actor.name, now=visit.served.clock())
        return address("/desk/rates", done="kept")

    return done_or_shown(visit, work, partial(_page, visit))


@router.post("/end")
def end(visit: Writes) -> Response:
    """From a day on the rule says nothing: that too is a version."""

    def work() -> str:
        kind, _, name = visit.said("rule").partition(" ")
        day = day_of(visit.said("valid_from"))
        if not day or kind not in set(RuleKind):
            raise Refused("Say which rule ends, and from which day on it says nothing.")
        who, two = visit.caller.actor.name, visit.served.configured.rates.two_people
        said: dict[str, Any] = {"actor": who, "now": visit.served.clock(), "two_people": two}
        RuleRepository(visit.engine).end(RuleKind(kind), name, day, note=visit.said("note"), **said)
        return address("/desk/rates", done="kept")

    return done_or_shown(visit, work, partial(_page, visit))


@router.post("/run")
async def run(visit: Writes) -> Response:
    """Apply the rules to a month; without ``apply`` the figures are shown and nothing is written."""
    return await takes_long.run(done_or_shown, visit, partial(_run, visit), partial(_page, visit))


def _run(visit: Visit) -> str | Response:
    period, applied = visit.said("period"), visit.said("apply") == "yes"
    who, now = visit.caller.actor.name, visit.served.clock()
    results = apply_rules(visit.engine, period, actor=who, now=now, dry_run=not applied)
    if not applied:
        return _page(visit, tried=results)
    if any(one.run_id for one in results):
        tell_of_budgets(visit.engine, visit.served.configured, now=now)
    return address("/desk/rates", done="rules", period=period)


def _price(visit: Visit) -> tuple[RuleKind, str, dict[str, Any]]:
    said = {name: visit.said(name) for name in PRICE}
    said["rate_class"] = said["rate_class"] or "internal"
    said["currency"] = (said["currency"] or visit.served.configured.chargeback.currency).upper()
    missing = [name for name in PRICE if not said[name]]
    if missing:
        raise Refused("A price needs {fields}.", fields=", ".join(missing))
    return RuleKind.RATE, f"{said['service']} / {said['rate_class']}", said


def _rule(visit: Visit) -> tuple[RuleKind, str, dict[str, Any]]:
    try:
        kind, definition = RuleKind(visit.said("kind")), json.loads(visit.said("definition"))
    except ValueError as error:
        raise Refused("What the rule says is JSON: {error}.", error=error) from None
    if not isinstance(definition, dict):
        raise Refused("What the rule says is a JSON object, as {example}.", example='{"percent": "10"}')
    return kind, visit.said("name"), definition


def _page(
    visit: Visit,
    problem: ApiError | None = None,
    tried: list[RunResult] | None = None,
    trial: Tried | None = None,
) -> Response:
    versions = RuleRepository(visit.engine).list()
    shown = [one | {"words": in_words(one["definition"])} for one in versions]
    shown.sort(key=lambda one: (one["kind"] != "rate", one["kind"], one["name"], -one["number"]))
    return page(
        visit,
        "rates.html",
        problem=problem,
        versions=shown,
        kinds=[one for one in RuleKind if one is not RuleKind.RATE],
        periods=[one.name for one in PeriodRepository(visit.engine).list() if one.state != "finalized"],
        period=visit.said("period") or visit.asked("period"),
        tried=tried or [],
        trial=trial,
        moved_shown=MOVED_SHOWN,
        rules=sorted({(one["kind"], one["name"]) for one in versions}),
        typed={name: visit.said(name) for name in FIELDS},
    )


def in_words(value: Any) -> str:
    """A definition on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {in_words(one)}" for key, one in value.items())
    return " + ".join(map(in_words, value)) if isinstance(value, list) else str(value)

"""``/desk/settings``: what holds, what can be changed while the system runs, and a place to try a pattern on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from starlette.responses import RedirectResponse

from clearfacts_assets import configuration
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.route_threads import waits
from clearfacts_assets.desk.patterns import BadPattern, Matched, try_pattern
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.storage.chargeback.registry import RegistryRepository

router = APIRouter(prefix="/desk/settings", include_in_schema=False, route_class=DeskRoute)
Reads = Annotated[Visit, Depends(opens(Permission.CONFIGURATION_READ))]
Writes = Annotated[Visit, Depends(opens(Permission.CONFIGURATION_WRITE))]

LONGEST_VALUE = 4096  # characters
SECTIONS = ("chargeback", "statements", "journals", "email")
FUNDS_TRIED = 50  # of the registry, where no text was typed


@router.get("")
def show_settings(visit: Reads) -> Response:
    """What holds for chargeback."""
    return _page(visit)


@router.post("/try")
async def try_it(visit: Reads) -> Response:
    """A pattern on texts, a line each; on the registry's funds where there are none. Nothing is kept."""

    def work() -> Response:
        texts = [one.strip() for one in visit.said("texts").splitlines() if one.strip()]
        texts = texts or [str(one["fund_org"]) for one in RegistryRepository(visit.engine).list("funds")[:FUNDS_TRIED]]
        try:
            found = try_pattern(visit.said("pattern"), texts)
        except BadPattern as error:
            return _page(visit, ApiError(ErrorCode.VALIDATION_ERROR, error.said))
        return _page(visit, tried=found)

    return await waits.run(work)


@router.post("/{key}")
def change(key: str, visit: Writes) -> Response:
    """In force within seconds; ``reset`` brings back what the process was started with."""
    access = visit.request.app.state.access
    if key not in configuration.CHANGEABLE:
        raise ApiError(ErrorCode.CONFIGURATION_KEY_NOT_FOUND)
    repository = configuration.repository(access.engine, access.configured)
    try:
        if visit.said("reset") == "yes":
            repository.reset(key, actor=visit.caller.actor, now=datetime.now(UTC))
        else:
            value = configuration.as_json(key, _value(visit, key), configuration.effective_settings())
            repository.set(
                key,
                value,
                secret=configuration.is_secret(key),
                description=configuration.field_of(key).description or "",
                actor=visit.caller.actor,
                now=datetime.now(UTC),
            )
    except configuration.BadValue as error:
        return _page(visit, Refused("{key}: {why}", key=key, why=error))
    return RedirectResponse(address("/desk/settings", done="kept"), 303)


def _value(visit: Visit, key: str) -> Any:
    """What was typed as the setting's own type: JSON where it is JSON, else a text."""
    text = visit.said("value")[:LONGEST_VALUE]
    if configuration.is_secret(key) and not text:
        raise configuration.BadValue("type the new secret; Back brings the first one back")
    if configuration.is_secret(key) or configuration.field_of(key).annotation is str:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _page(visit: Visit, problem: ApiError | None = None, tried: list[Matched] | None = None) -> Response:
    access = visit.request.app.state.access
    changed = configuration.repository(access.engine, access.configured).entries()
    known = visit.served.configured
    held = {name: getattr(known, name).model_dump(mode="json") for name in SECTIONS}
    return page(
        visit,
        "settings.html",
        problem=problem,
        sections=held,
        descriptions={name: _descriptions(getattr(known, name)) for name in SECTIONS},
        changeable=[_shown(key, changed.get(key), access.configured) for key in configuration.CHANGEABLE],
        patterns=_patterns(visit),
        tried=tried,
        typed={name: visit.said(name) for name in ("pattern", "texts")},
    )


def _descriptions(section: Any) -> dict[str, str]:
    return {name: field.description or "" for name, field in type(section).model_fields.items()}


def _shown(key: str, changed: Any, configured: Any) -> dict[str, Any]:
    """One setting that can be changed. What is secret is never told."""
    value, problem = configuration.default_of(key, configured), ""
    if changed is not None and changed.value is not None:
        problem = configuration.problem_of(key, changed.value, configured)
        value = value if problem else json.loads(changed.value)
    told = {"key": key, "is_changed": changed is not None, "problem": problem, "secret": configuration.is_secret(key)}
    description = configuration.field_of(key).description or ""
    shown = "" if told["secret"] or value is None else value if isinstance(value, str) else json.dumps(value)
    return told | {"value": shown, "description": description}


def _patterns(visit: Visit) -> list[tuple[str, str]]:
    """(what it is for, pattern) of those that hold now."""
    known = visit.served.configured
    found = [("chargeback.fund_org_patterns", one) for one in known.chargeback.fund_org_patterns]
    found += [("chargeback.flag_patterns", one) for one in known.chargeback.flag_patterns]
    found += [("journals.fund_org_regex", known.journals.fund_org_regex)]
    found += [("journals.account_code_regex", known.journals.account_code_regex)]
    sources = RegistryRepository(visit.engine).sources()
    found += [(f"{one['name']}", str(one["pattern"])) for one in sources if one["pattern"]]
    return [(name, pattern) for name, pattern in found if pattern]

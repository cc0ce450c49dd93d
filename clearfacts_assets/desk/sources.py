"""``/desk/sources``: where cost exports come from, on which of FOCUS' costs each is charged, and its books."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic import ValidationError

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.v1.chargeback.sources import SourceBody
from clearfacts_assets.chargeback.model import Basis
from clearfacts_assets.desk.changes import done_or_shown
from clearfacts_assets.desk.form_problems import invalid_form
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.storage.chargeback.imports import ImportRepository
from clearfacts_assets.storage.chargeback.registry import RegistryRepository

router = APIRouter(prefix="/desk/sources", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]
Registers = Annotated[Visit, Depends(opens(Permission.REGISTRY_WRITE))]

TEXTS = ("display_name", "pattern", "basis", "credit_fund_org", "account_code")
FIELDS = ("name", *TEXTS, "decimal_comma")


@router.get("")
def list_sources(visit: Sees) -> Response:
    """By name, each with its last import; the form has the one that the address names."""
    return _page(visit)


@router.post("")
def put_source(visit: Registers) -> Response:
    """Add, or change. Its basis stays once a month with its charges was finalized."""

    def work() -> str:
        body, registry = _body(visit), RegistryRepository(visit.engine)
        if visit.said("new") == "yes" and any(one["name"] == body.name for one in registry.sources()):
            raise Refused("There is a source {name} already: change that one.", ErrorCode.CONFLICT, name=body.name)
        registry.set_source(body.name, body.values(), actor=visit.caller.actor, now=visit.served.clock())
        return address("/desk/sources", done="kept")

    return done_or_shown(visit, work, partial(_page, visit))


def _body(visit: Visit) -> SourceBody:
    """As the API takes it. Raises ApiError VALIDATION_ERROR."""
    said: dict[str, Any] = {name: visit.said(name) for name in ("name", *TEXTS)}
    said["basis"] = said["basis"] or Basis.BILLED.value
    try:
        return SourceBody.model_validate(said | {"decimal_comma": visit.said("decimal_comma") == "yes"})
    except ValidationError as error:
        raise invalid_form(error.errors()) from None


def _page(visit: Visit, problem: ApiError | None = None) -> Response:
    sources, imports = RegistryRepository(visit.engine).sources(), ImportRepository(visit.engine)
    edited: dict[str, Any] = next((dict(one) for one in sources if one["name"] == visit.asked("edit")), {})
    last = {one["name"]: next(iter(imports.list(source=one["name"], limit=1)), None) for one in sources}
    said = edited | {"decimal_comma": "yes" if edited.get("decimal_comma") else ""}
    typed = {name: visit.said(name) if problem else said.get(name, "") for name in FIELDS}
    editing = bool(edited) or (bool(problem) and visit.said("new") != "yes")
    shown: dict[str, Any] = {"sources": sources, "last": last, "typed": typed, "editing": editing, "bases": list(Basis)}
    return page(visit, "sources.html", problem=problem, **shown)

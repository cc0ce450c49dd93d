"""``/chargeback/investigators``, ``/projects``, ``/funds``: what the group knows. After each change, who pays is asked
again in every period that is not finalized."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads, waits
from clearfacts_assets.api.services import Services
from clearfacts_assets.api.uploads import received, wrong
from clearfacts_assets.api.v1.chargeback.dependencies import (
    Amount,
    MaybeText,
    Registers,
    SeesAll,
    Served,
    Text,
    asked_again,
    told,
)
from clearfacts_assets.api.v1.fields import Body
from clearfacts_assets.chargeback.attribution.entries import checked, entries_of
from clearfacts_assets.storage.chargeback.registry import RegistryRepository

router = APIRouter(prefix="/chargeback", tags=["chargeback"])

V = TypeVar("V", bound=BaseModel)

FILE_BYTES = 16 * 2**20  # of a registry's CSV file
MOST_NAMES = 100  # aliases, or people who may charge a fund
_CONFLICT, _UNKNOWN = errors(ErrorCode.CONFLICT), errors(ErrorCode.REGISTRY_ENTRY_NOT_FOUND)
_UPLOAD = errors(ErrorCode.STORAGE_FULL)
FILE_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "minItems": 1,
                            "maxItems": 1,
                            "description": "CSV in UTF-8; its header names the columns; aliases with ; between",
                        }
                    },
                }
            }
        },
    }
}


class Investigator(BaseModel):
    """A principal investigator."""

    email: str
    name: str
    institution: str
    aliases: list[str]


class Project(BaseModel):
    """Who pays for a project in a span of days."""

    project_id: str
    pi_email: str
    fund_org: str
    account_code: str
    cost_center: str
    overrides: bool = Field(description="whatever the tags say; else only what they leave out")
    valid_from: str = Field(description="first day; empty: since ever")
    valid_to: str = Field(description="the day after the last one; empty: without end")
    aliases: list[str]


class Fund(BaseModel):
    """A fund in a span of days."""

    fund_org: str
    name: str
    budget: Amount | None
    currency: str
    award_end: str
    may_charge: list[str] = Field(description="nobody named: everybody")
    valid_from: str
    valid_to: str


class InvestigatorBody(Body):
    """An investigator; what is left out stays."""

    email: str = Field(min_length=1, max_length=320, pattern=r"^[^\x00-\x20\x7f]+$", examples=["ada@bio.example.edu"])
    name: MaybeText | None = None
    institution: MaybeText | None = None


class ProjectBody(Body):
    """A project's entry from a day on; what is left out stays."""

    project_id: Text
    pi_email: MaybeText | None = None
    fund_org: MaybeText | None = None
    account_code: MaybeText | None = None
    cost_center: MaybeText | None = None
    overrides: bool | None = None
    valid_from: MaybeText = Field("", examples=["2025-03-01"])
    valid_to: MaybeText | None = None


class FundBody(Body):
    """A fund's entry from a day on; what is left out stays."""

    fund_org: Text
    name: MaybeText | None = None
    budget: MaybeText | None = Field(None, description="an exact decimal as text; empty: none", examples=["50000.00"])
    currency: str | None = Field(None, max_length=10, pattern=r"^[^\x00-\x1f\x7f]*$")
    award_end: MaybeText | None = None
    may_charge: list[Text] | None = Field(None, max_length=MOST_NAMES)
    valid_from: MaybeText = ""
    valid_to: MaybeText | None = None


class AliasBody(Body):
    """Another name of somebody or something."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ada@bio.example.edu", "alias": "alovelace"}]})

    name: Text
    alias: Text


class RegistryChanged(BaseModel):
    """How many entries were written, and how many charges stand elsewhere now."""

    entries: int
    charges_changed: int


@router.get("/investigators", responses=errors(), summary="All investigators")
@reads
def list_investigators(_: SeesAll, served: Served) -> Success[Listed[Investigator]]:
    """By address, with their other names."""
    return _listed(Investigator, "investigators", served)


@router.get("/projects", responses=errors(), summary="All projects")
@reads
def list_projects(_: SeesAll, served: Served) -> Success[Listed[Project]]:
    """One entry a span of days."""
    return _listed(Project, "projects", served)


@router.get("/funds", responses=errors(), summary="All funds")
@reads
def list_funds(_: SeesAll, served: Served) -> Success[Listed[Fund]]:
    """One entry a span of days."""
    return _listed(Fund, "funds", served)


@router.post("/investigators", status_code=201, responses=_CONFLICT, summary="Add an investigator")
@waits
def add_investigator(body: InvestigatorBody, caller: Registers, served: Served) -> Success[RegistryChanged]:
    """409 where the address is known."""
    return _put("investigators", body, caller, served, new=True)


@router.put("/investigators", responses=_UNKNOWN, summary="Change an investigator")
@waits
def set_investigator(body: InvestigatorBody, caller: Registers, served: Served) -> Success[RegistryChanged]:
    """What is left out stays."""
    return _put("investigators", body, caller, served, new=False)


@router.post("/projects", status_code=201, responses=_CONFLICT, summary="Add a project's entry")
@waits
def add_project(body: ProjectBody, caller: Registers, served: Served) -> Success[RegistryChanged]:
    """409 where the project has an entry from that day on."""
    return _put("projects", body, caller, served, new=True)


@router.put("/projects", responses=_UNKNOWN, summary="Change a project's entry")
@waits
def set_project(body: ProjectBody, caller: Registers, served: Served) -> Success[RegistryChanged]:
    """The one that begins on this day."""
    return _put("projects", body, caller, served, new=False)


@router.post("/funds", status_code=201, responses=_CONFLICT, summary="Add a fund's entry")
@waits
def add_fund(body: FundBody, caller: Registers, served: Served) -> Success[RegistryChanged]:
    """409 where the fund has an entry from that day on."""
    return _put("funds", body, caller, served, new=True)


@router.put("/funds", responses=_UNKNOWN, summary="Change a fund's entry")
@waits
def set_fund(body: FundBody, caller: Registers, served: Served) -> Success[RegistryChanged]:
    """The one that begins on this day."""
    return _put("funds", body, caller, served, new=False)


@router.post("/investigators/aliases", responses=_UNKNOWN, summary="Another name of an investigator")
@waits
def alias_investigator(body: AliasBody, caller: Registers, served: Served) -> Success[RegistryChanged]:
    """An address, a login or a name: it means the same person from now on."""
    return _alias("investigators", body.name.strip().lower(), body.alias, caller, served)


@router.post("/projects/aliases", responses=_UNKNOWN, summary="Another name of a project")
@waits
def alias_project(body: AliasBody, caller: Registers, served: Served) -> Success[RegistryChanged]:
    """It means the same project from now on."""
    return _alias("projects", body.name, body.alias, caller, served)


@router.post("/investigators/import", responses=_UPLOAD, openapi_extra=FILE_FORM, summary="Many at once")
async def import_investigators(request: Request, caller: Registers, served: Served) -> Success[RegistryChanged]:
    """Columns: email, name, institution, aliases. All rows or none."""
    return await _import("investigators", request, caller, served)


@router.post("/projects/import", responses=_UPLOAD, openapi_extra=FILE_FORM, summary="Many at once")
async def import_projects(request: Request, caller: Registers, served: Served) -> Success[RegistryChanged]:
    """Columns: project_id, pi_email, fund_org, account_code, cost_center, overrides, valid_from, valid_to, aliases."""
    return await _import("projects", request, caller, served)


@router.post("/funds/import", responses=_UPLOAD, openapi_extra=FILE_FORM, summary="Many at once")
async def import_funds(request: Request, caller: Registers, served: Served) -> Success[RegistryChanged]:
    """Columns: fund_org, name, budget, currency, award_end, may_charge, valid_from, valid_to."""
    return await _import("funds", request, caller, served)


def _listed(view: type[V], kind: str, served: Services) -> Success[Listed[V]]:
    found = [view.model_validate(one) for one in RegistryRepository(served.engine).list(kind)]
    return Success(data=Listed(items=found, next_cursor=None))


def _put(kind: str, body: Body, caller: Principal, served: Services, *, new: bool) -> Success[RegistryChanged]:
    given = {name: value for name, value in body.model_dump().items() if value is not None}
    with told():
        entry = checked(kind, {name: _written(value) for name, value in given.items()})
        registry = RegistryRepository(served.engine)
        if registry.has(kind, entry) == new:
            code = ErrorCode.CONFLICT if new else ErrorCode.REGISTRY_ENTRY_NOT_FOUND
            raise ApiError(code, "There is such an entry already." if new else None)
        registry.put(kind, [entry], actor=caller.actor, now=served.clock())
    return _changed(1, served)


def _written(value: Any) -> str:
    """As the same value stands in a CSV file, so that both are read in one way."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ";".join(value) if isinstance(value, list) else str(value)


def _alias(kind: str, name: str, alias: str, caller: Principal, served: Services) -> Success[RegistryChanged]:
    with told():
        RegistryRepository(served.engine).alias(kind, name, alias, actor=caller.actor, now=served.clock())
    return _changed(1, served)


async def _import(kind: str, request: Request, caller: Principal, served: Services) -> Success[RegistryChanged]:
    bounds: Mapping[str, Any] = {"most_bytes": FILE_BYTES, "setting": "no setting changes that"}
    async with received(request, folder=served.configured.home / "uploads", **bounds) as upload:
        if len(upload.files) != 1 or upload.fields:
            raise wrong("body.files", "one file is wanted, and nothing beside it")
        return await to_thread.run_sync(partial(_taken, kind, upload.files[0], caller, served))


def _taken(kind: str, file: Path, caller: Principal, served: Services) -> Success[RegistryChanged]:
    with told(), file.open(newline="", encoding="utf-8-sig") as lines:
        rows = entries_of(kind, lines)
        RegistryRepository(served.engine).put(kind, rows, actor=caller.actor, now=served.clock())
    return _changed(len(rows), served)


def _changed(entries: int, served: Services) -> Success[RegistryChanged]:
    return Success(data=RegistryChanged(entries=entries, charges_changed=asked_again(served)))

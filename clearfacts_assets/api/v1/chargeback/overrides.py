"""``/chargeback/overrides``: who pays for a resource, whatever its tags say. After each change, who pays is asked again
in every period that is not finalized."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path as File
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads, waits
from clearfacts_assets.api.services import Services
from clearfacts_assets.api.uploads import received, wrong
from clearfacts_assets.api.v1.chargeback.dependencies import (
    MaybeText,
    Registers,
    SeesAll,
    Served,
    Text,
    asked_again,
    told,
)
from clearfacts_assets.api.v1.chargeback.registry import FILE_BYTES, FILE_FORM, RegistryChanged
from clearfacts_assets.api.v1.fields import Body
from clearfacts_assets.chargeback.attribution.entries import checked, day_of, entries_of
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID
from clearfacts_assets.storage.chargeback.overriding import OverrideRepository

router = APIRouter(prefix="/chargeback/overrides", tags=["chargeback"])

OverrideId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


class OverrideView(BaseModel):
    """Who pays for a resource in a span of days. What is empty the project's entry fills, then the tags."""

    id: int
    resource: str = Field(description="an id, or a pattern with * and ?")
    pi_email: str
    project_id: str
    fund_org: str
    account_code: str
    cost_center: str
    valid_from: str = Field(description="first day; empty: since ever")
    valid_to: str = Field(description="the day after the last one; empty: without end")
    reason: str
    actor: str
    at: datetime


class OverridesQuery(BaseModel):
    """Which overrides."""

    model_config = ConfigDict(extra="forbid")

    resource: Text | None = Field(None, description="as it was given")


class NewOverride(Body):
    """Say who pays for a resource; at least one of the five."""

    resource: Text = Field(description="an id, or a pattern with * and ?", examples=["vm-genome-*"])
    pi_email: MaybeText = ""
    project_id: MaybeText = ""
    fund_org: MaybeText = ""
    account_code: MaybeText = ""
    cost_center: MaybeText = ""
    valid_from: MaybeText = Field("", description="first day", examples=["2025-03-01"])
    valid_to: MaybeText = Field("", description="the day after the last one")
    reason: Text = Field(pattern=r"\S", description="why; it is kept, and stands on the charge")


class EndOfOverride(Body):
    """From when on the tags count again."""

    valid_to: Text = Field(description="the day after its last one", examples=["2025-07-01"])


class OverrideChanged(BaseModel):
    """The override, and how many charges stand elsewhere now."""

    id: int
    charges_changed: int


@router.get("", responses=errors(), summary="All overrides, oldest first")
@reads
def list_overrides(
    query: Annotated[OverridesQuery, Query()], _: SeesAll, served: Served
) -> Success[Listed[OverrideView]]:
    """Those that have ended too."""
    found = OverrideRepository(served.engine).list(query.resource)
    return Success(data=Listed(items=[OverrideView.model_validate(one) for one in found], next_cursor=None))


@router.post("", status_code=201, responses=errors(), summary="Say who pays for a resource")
@waits
def add_override(body: NewOverride, caller: Registers, served: Served) -> Success[OverrideChanged]:
    """It comes before tags. An exact id comes before a pattern; of several the last one counts. What is laid down
    already is not laid down twice."""
    with told():
        entry = checked("overrides", body.model_dump() | {"resource": body.resource.strip()})
        (id_,) = OverrideRepository(served.engine).add([entry], actor=caller.actor, now=served.clock())
    return Success(data=OverrideChanged(id=id_, charges_changed=asked_again(served)))


@router.post("/{override_id}/end", responses=errors(ErrorCode.REGISTRY_ENTRY_NOT_FOUND), summary="The tags count again")
@waits
def end_override(
    override_id: OverrideId, body: EndOfOverride, caller: Registers, served: Served
) -> Success[OverrideChanged]:
    """From a day on."""
    with told():
        repository = OverrideRepository(served.engine)
        repository.end(override_id, day_of(body.valid_to), actor=caller.actor, now=served.clock())
    return Success(data=OverrideChanged(id=override_id, charges_changed=asked_again(served)))


@router.post("/import", responses=errors(ErrorCode.STORAGE_FULL), openapi_extra=FILE_FORM, summary="Many at once")
async def import_overrides(request: Request, caller: Registers, served: Served) -> Success[RegistryChanged]:
    """Columns: resource, pi_email, project_id, fund_org, account_code, cost_center, valid_from, valid_to, reason. All
    rows or none."""
    bounds: Mapping[str, Any] = {"most_bytes": FILE_BYTES, "setting": "no setting changes that"}
    async with received(request, folder=served.configured.home / "uploads", **bounds) as upload:
        if len(upload.files) != 1 or upload.fields:
            raise wrong("body.files", "one file is wanted, and nothing beside it")
        return await to_thread.run_sync(partial(_taken, upload.files[0], caller, served))


def _taken(file: File, caller: Principal, served: Services) -> Success[RegistryChanged]:
    with told(), file.open(newline="", encoding="utf-8-sig") as lines:
        entries = entries_of("overrides", lines)
        OverrideRepository(served.engine).add(entries, actor=caller.actor, now=served.clock())
    return Success(data=RegistryChanged(entries=len(entries), charges_changed=asked_again(served)))

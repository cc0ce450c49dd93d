"""``/chargeback/sources``: where cost exports come from, and on which of FOCUS' costs each is charged."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads
from clearfacts_assets.api.services import Services
from clearfacts_assets.api.v1.chargeback.dependencies import MaybeText, Registers, SeesAll, Served, SourceName, told
from clearfacts_assets.api.v1.fields import Body
from clearfacts_assets.chargeback.model import Basis
from clearfacts_assets.messages import Message
from clearfacts_assets.storage.chargeback.imports import ImportRepository
from clearfacts_assets.storage.chargeback.registry import RegistryRepository

router = APIRouter(prefix="/chargeback/sources", tags=["chargeback"])


class Source(BaseModel):
    """A cost source."""

    name: str
    display_name: str
    pattern: str = Field(description="of its files' names")
    basis: Basis = Field(description="billed (cash), effective (use), contracted or list")
    credit_fund_org: str = Field(description="the fund that journals credit")
    account_code: str = Field(description="of charges that name none")
    decimal_comma: bool = Field(description="how its files write numbers")
    created_at: datetime
    last_import: datetime | None


class SourceBody(Body):
    """A source; what is left out stays, or begins as it does for everybody."""

    name: SourceName
    display_name: MaybeText | None = None
    pattern: MaybeText | None = Field(None, description="aws_*.csv, or a regular expression")
    basis: Basis | None = Field(None, strict=False)
    credit_fund_org: MaybeText | None = None
    account_code: MaybeText | None = None
    decimal_comma: bool | None = None

    def values(self) -> dict[str, Any]:
        """What is given."""
        return {
            name: value for name, value in self.model_dump(exclude={"name"}, mode="json").items() if value is not None
        }


@router.get("", responses=errors(), summary="All sources, with their last import")
@reads
def list_sources(_: SeesAll, served: Served) -> Success[Listed[Source]]:
    """By name."""
    found = [_shown(one, served) for one in RegistryRepository(served.engine).sources()]
    return Success(data=Listed(items=found, next_cursor=None))


@router.post("", status_code=201, responses=errors(ErrorCode.CONFLICT), summary="Add a source")
def add_source(body: SourceBody, caller: Registers, served: Served) -> Success[Source]:
    """Without a basis it is charged on what is billed."""
    if _is_there(body, served):
        raise ApiError(ErrorCode.CONFLICT, Message("There is a source {name} already.", {"name": body.name}))
    return _put(body, caller, served)


@router.put("", responses=errors(ErrorCode.REGISTRY_ENTRY_NOT_FOUND, ErrorCode.CONFLICT), summary="Change a source")
def set_source(body: SourceBody, caller: Registers, served: Served) -> Success[Source]:
    """Its basis stays once a period with its charges was finalized."""
    if not _is_there(body, served):
        raise ApiError(ErrorCode.REGISTRY_ENTRY_NOT_FOUND, Message("There is no source {name}.", {"name": body.name}))
    return _put(body, caller, served)


def _is_there(body: SourceBody, served: Services) -> bool:
    return any(one["name"] == body.name for one in RegistryRepository(served.engine).sources())


def _put(body: SourceBody, caller: Principal, served: Services) -> Success[Source]:
    with told():
        registry = RegistryRepository(served.engine)
        source = registry.set_source(body.name, body.values(), actor=caller.actor, now=served.clock())
    return Success(data=_shown(source, served))


def _shown(source: dict[str, Any], served: Services) -> Source:
    last = ImportRepository(served.engine).list(source=source["name"], limit=1)
    return Source.model_validate(source | {"last_import": last[0].at if last else None})

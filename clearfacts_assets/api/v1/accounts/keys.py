"""``/keys``: API keys of services, for admins."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from clearfacts_assets.api.auth import tokens
from clearfacts_assets.api.auth.access import Access, access
from clearfacts_assets.api.auth.dependencies import require
from clearfacts_assets.api.auth.permissions import ALLOWED, Permission, Role
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.v1.fields import Body
from clearfacts_assets.api.v1.lists import ListQuery
from clearfacts_assets.storage.accounts.api_keys import ApiKeyRecord, ApiKeyRepository, KeyExists, KeyNotFound

router = APIRouter(prefix="/keys", tags=["keys"])

AccessControl = Annotated[Access, Depends(access)]
Manages = Annotated[Principal, Depends(require(Permission.KEYS_MANAGE))]

LONGEST_LIFE_DAYS = 365


class NewKey(Body):
    """A key that shall be."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$", description="the service's", examples=["erp"])
    scopes: list[Annotated[Permission, Field(strict=False)]] = Field(
        min_length=1, max_length=len(Permission), description="what it may do: some of what the role service may"
    )
    expires_in_days: int = Field(90, ge=1, le=LONGEST_LIFE_DAYS)


class Key(BaseModel):
    """A key, without the key."""

    key_id: UUID
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class MadeKey(Key):
    """A key that was just made."""

    key: str = Field(description="shown now and never again; goes into Authorization: Bearer ...")


@router.get("", responses=errors(ErrorCode.INVALID_CURSOR), summary="API keys, newest first")
def list_keys(query: Annotated[ListQuery, Query()], _: Manages, control: AccessControl) -> Success[Listed[Key]]:
    """A page of keys, expired and revoked ones too."""
    page = ApiKeyRepository(control.engine).list(span=query.span, limit=query.limit, cursor=query.cursor)
    return Success(data=Listed(items=[Key(**_shown(key)) for key in page.items], next_cursor=page.next_cursor))


@router.post("", status_code=201, responses=errors(ErrorCode.CONFLICT), summary="Make an API key")
def add_key(body: NewKey, admin: Manages, response: Response, control: AccessControl) -> Success[MadeKey]:
    """The key is in the answer, this one time."""
    beyond = sorted(set(body.scopes) - ALLOWED[Role.SERVICE])
    if beyond:
        raise ApiError(ErrorCode.VALIDATION_ERROR, f"No service may have the scopes {', '.join(beyond)}.")
    secret, now = tokens.new_secret(tokens.API_KEY_PREFIX), datetime.now(UTC)
    try:
        key = ApiKeyRepository(control.engine).add(
            body.name,
            tokens.hash_of(secret),
            sorted(set(body.scopes)),
            expires_at=now + timedelta(days=body.expires_in_days),
            actor=admin.actor,
            now=now,
        )
    except KeyExists as error:
        raise ApiError(ErrorCode.CONFLICT, f"{error}.") from None
    response.headers["Cache-Control"] = "no-store"
    return Success(data=MadeKey(key=secret, **_shown(key)))


@router.delete("/{key_id}", responses=errors(ErrorCode.API_KEY_NOT_FOUND), summary="Revoke an API key")
def revoke_key(key_id: UUID, admin: Manages, control: AccessControl) -> Success[Key]:
    """At once in this process, and within seconds in every other one."""
    try:
        key = ApiKeyRepository(control.engine).revoke(key_id, actor=admin.actor, now=datetime.now(UTC))
    except KeyNotFound:
        raise ApiError(ErrorCode.API_KEY_NOT_FOUND) from None
    control.authentication.forget()
    return Success(data=Key(**_shown(key)))


def _shown(key: ApiKeyRecord) -> dict[str, object]:
    values = asdict(key)
    return {"key_id": values.pop("id"), **values}

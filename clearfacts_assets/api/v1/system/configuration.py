"""``/configuration``: settings that can be changed while the system runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from clearfacts_assets import configuration
from clearfacts_assets.api.auth.access import Access, access
from clearfacts_assets.api.auth.dependencies import require
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Success
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.v1.fields import Body
from clearfacts_assets.storage.accounts.configuration import ChangedSetting

router = APIRouter(prefix="/configuration", tags=["configuration"])

AccessControl = Annotated[Access, Depends(access)]
Reads = Annotated[Principal, Depends(require(Permission.CONFIGURATION_READ))]
Writes = Annotated[Principal, Depends(require(Permission.CONFIGURATION_WRITE))]

LONGEST_VALUE = 4096  # characters
Value = Annotated[str, Field(max_length=LONGEST_VALUE)] | bool | int | float


class NewValue(Body):
    """What shall hold from now on."""

    value: Value


class ConfigurationItem(BaseModel):
    """One thing that can be changed."""

    key: str
    description: str
    is_secret: bool
    is_changed: bool = Field(description="whether it differs from the process's own settings")
    value: Value | None = Field(description="what holds now; null for a secret")
    default: Value | None = Field(description="what holds without a change; null for a secret, and for nothing")
    updated_at: datetime | None
    problem: str | None = Field(description="why the stored change is passed over; null where it holds")


class ConfigurationItems(BaseModel):
    """All that can be changed."""

    items: list[ConfigurationItem]


@router.get("", responses=errors(), summary="What can be changed, and what holds")
def list_configuration(_: Reads, control: AccessControl) -> Success[ConfigurationItems]:
    """Secrets are never shown."""
    changed = configuration.repository(control.engine, control.configured).entries()
    items = [_shown(key, changed.get(key), control) for key in configuration.CHANGEABLE]
    return Success(data=ConfigurationItems(items=items))


@router.get("/{key}", responses=errors(ErrorCode.CONFIGURATION_KEY_NOT_FOUND), summary="One of them")
def get_configuration(key: str, _: Reads, control: AccessControl) -> Success[ConfigurationItem]:
    """Secrets are never shown."""
    return _one(_existing(key), control)


@router.put("/{key}", responses=errors(ErrorCode.CONFIGURATION_KEY_NOT_FOUND), summary="Change it")
def set_configuration(key: str, body: NewValue, admin: Writes, control: AccessControl) -> Success[ConfigurationItem]:
    """In force within seconds, without a restart; a run that has begun keeps what it began with."""
    key = _existing(key)
    try:
        value = configuration.as_json(key, body.value, configuration.effective_settings())
    except configuration.BadValue as error:
        fields = [{"field": "body.value", "problem": str(error)}]
        raise ApiError(ErrorCode.VALIDATION_ERROR, f"body.value: {error}", details={"fields": fields}) from None
    configuration.repository(control.engine, control.configured).set(
        key,
        value,
        secret=configuration.is_secret(key),
        description=configuration.field_of(key).description or "",
        actor=admin.actor,
        now=datetime.now(UTC),
    )
    return _one(key, control)


@router.delete(
    "/{key}", responses=errors(ErrorCode.CONFIGURATION_KEY_NOT_FOUND), summary="Back to the process's own setting"
)
def reset_configuration(key: str, admin: Writes, control: AccessControl) -> Success[ConfigurationItem]:
    """What was not changed stays as it is."""
    key = _existing(key)
    configuration.repository(control.engine, control.configured).reset(key, actor=admin.actor, now=datetime.now(UTC))
    return _one(key, control)


def _existing(key: str) -> str:
    if key not in configuration.CHANGEABLE:
        raise ApiError(ErrorCode.CONFIGURATION_KEY_NOT_FOUND)
    return key


def _one(key: str, control: Access) -> Success[ConfigurationItem]:
    changed = configuration.repository(control.engine, control.configured).entries()
    return Success(data=_shown(key, changed.get(key), control))


def _shown(key: str, changed: ChangedSetting | None, control: Access) -> ConfigurationItem:
    default = value = configuration.default_of(key, control.configured)
    problem = ""
    if changed is not None and changed.value is not None:
        # What somebody stored under other limits is not in force, and is not shown as if it were.
        problem = configuration.problem_of(key, changed.value, control.configured)
        value = default if problem else json.loads(changed.value)
    return ConfigurationItem(
        key=key,
        description=configuration.field_of(key).description or "",
        is_secret=configuration.is_secret(key),
        is_changed=changed is not None,
        value=value,
        default=default,
        updated_at=changed.updated_at if changed else None,
        problem=problem or None,
    )

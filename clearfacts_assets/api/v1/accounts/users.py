"""``/users``: who may log in, for admins."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field, SecretStr
from starlette.concurrency import run_in_threadpool

from clearfacts_assets.api.auth import passwords
from clearfacts_assets.api.auth.access import Access, access
from clearfacts_assets.api.auth.dependencies import require
from clearfacts_assets.api.auth.permissions import Permission, Role
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.v1.fields import Body, Email, Password, UserName
from clearfacts_assets.api.v1.lists import ListQuery
from clearfacts_assets.storage.accounts.users import (
    BadUser,
    LastAdmin,
    UserError,
    UserExists,
    UserNotFound,
    UserRecord,
    UserRepository,
)
from clearfacts_assets.storage.chargeback.registry import RegistryRepository

router = APIRouter(prefix="/users", tags=["users"])

AccessControl = Annotated[Access, Depends(access)]
Manages = Annotated[Principal, Depends(require(Permission.USERS_MANAGE))]

_CODES = {
    UserNotFound: ErrorCode.USER_NOT_FOUND,
    UserExists: ErrorCode.CONFLICT,
    BadUser: ErrorCode.VALIDATION_ERROR,
    LastAdmin: ErrorCode.LAST_ADMIN,
}


class NewUser(Body):
    """Somebody who shall be able to log in."""

    username: UserName
    email: Email
    role: Role = Field(Role.USER, strict=False)
    password: Password


class UserChange(Body):
    """What shall be different; what is left out stays."""

    email: Email | None = None
    role: Role | None = Field(None, strict=False)
    is_active: bool | None = Field(None, description="false: cannot log in, and every session ends")
    investigator: str | None = Field(
        None,
        max_length=320,
        description="the investigator whose charges are all that the user sees; empty: ends the binding",
    )


class PasswordOf(Body):
    """A user's new password."""

    password: Password


class User(BaseModel):
    """A user."""

    user_id: UUID
    username: str
    email: str
    role: Role
    is_active: bool
    created_at: datetime
    updated_at: datetime
    investigator: str | None = Field(description="the investigator whose charges are all that the user sees")


@router.get("", responses=errors(ErrorCode.INVALID_CURSOR), summary="Users, newest first")
def list_users(query: Annotated[ListQuery, Query()], _: Manages, control: AccessControl) -> Success[Listed[User]]:
    """A page of users, the disabled ones too."""
    page = UserRepository(control.engine).list(span=query.span, limit=query.limit, cursor=query.cursor)
    return Success(data=Listed(items=[_shown(user) for user in page.items], next_cursor=page.next_cursor))


@router.post("", status_code=201, responses=errors(ErrorCode.CONFLICT, ErrorCode.WEAK_PASSWORD), summary="Add a user")
async def add_user(body: NewUser, admin: Manages, control: AccessControl) -> Success[User]:
    """Names and addresses are kept in small letters, and are somebody's only once."""
    password = good_password(body.password, body.username, body.email)
    try:
        user = await run_in_threadpool(
            UserRepository(control.engine).add,
            body.username,
            email=body.email,
            role=body.role,
            password_hash=await passwords.hashed_aside(password),
            actor=admin.actor,
            now=datetime.now(UTC),
        )
    except UserError as error:
        raise told(error) from None
    return Success(data=_shown(user))


@router.get("/{user_id}", responses=errors(ErrorCode.USER_NOT_FOUND), summary="One user")
def get_user(user_id: UUID, _: Manages, control: AccessControl) -> Success[User]:
    """A user as things are."""
    try:
        return Success(data=_shown(UserRepository(control.engine).get(user_id)))
    except UserError as error:
        raise told(error) from None


@router.patch(
    "/{user_id}",
    responses=errors(ErrorCode.USER_NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.LAST_ADMIN),
    summary="Change a user's role or address; disable or enable",
)
def change_user(user_id: UUID, body: UserChange, admin: Manages, control: AccessControl) -> Success[User]:
    """In effect at once in this process, and within seconds in every other one."""
    try:
        user = UserRepository(control.engine).change(
            user_id,
            email=body.email,
            role=body.role,
            is_active=body.is_active,
            investigator=_person(body.investigator, control),
            actor=admin.actor,
            now=datetime.now(UTC),
        )
    except UserError as error:
        raise told(error) from None
    control.authentication.forget()
    return Success(data=_shown(user))


@router.put(
    "/{user_id}/password",
    responses=errors(ErrorCode.USER_NOT_FOUND, ErrorCode.WEAK_PASSWORD),
    summary="Set a user's password",
)
async def set_password(user_id: UUID, body: PasswordOf, admin: Manages, control: AccessControl) -> Success[User]:
    """Ends every session of the user."""
    users = UserRepository(control.engine)
    try:
        user = await run_in_threadpool(users.get, user_id)
        password = good_password(body.password, user.username, user.email)
        password_hash = await passwords.hashed_aside(password)
        await run_in_threadpool(users.set_password, user_id, password_hash, actor=admin.actor, now=datetime.now(UTC))
    except UserError as error:
        raise told(error) from None
    control.authentication.forget()
    return Success(data=_shown(user))


def good_password(offered: SecretStr, username: str, email: str) -> str:
    """The password. Raises ApiError WEAK_PASSWORD, with all that is missing."""
    password = offered.get_secret_value()
    missing = passwords.problems(password, names=[username, email.partition("@")[0]])
    if missing:
        fields = [{"field": "body.password", "problem": problem} for problem in missing]
        raise ApiError(ErrorCode.WEAK_PASSWORD, details={"fields": fields})
    return password


def told(error: UserError) -> ApiError:
    """The API's word for it."""
    return ApiError(_CODES[type(error)], error.said.as_sentence())


def _person(named: str | None, control: Access) -> str | None:
    """The registry's address of whom this means."""
    return named and RegistryRepository(control.engine).load().person(named.strip()).lower()


def _shown(user: UserRecord) -> User:
    values = asdict(user)
    return User(user_id=values.pop("id"), **values)

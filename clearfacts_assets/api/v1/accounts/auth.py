"""``/auth``: from a name and a password to tokens, and out again. Served at the root too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from clearfacts_assets.api.auth import passwords
from clearfacts_assets.api.auth.access import Access, access
from clearfacts_assets.api.auth.dependencies import anybody, anybody_known
from clearfacts_assets.api.auth.logins import Tokens
from clearfacts_assets.api.auth.permissions import Permission, Role
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Success
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.v1.accounts.users import good_password
from clearfacts_assets.api.v1.fields import Body, Password, Token, UserName
from clearfacts_assets.storage.accounts.users import UserRepository

router = APIRouter(prefix="/auth", tags=["auth"])

AccessControl = Annotated[Access, Depends(access)]
Known = Annotated[Principal, Depends(anybody_known)]


class Login(Body):
    """Who logs in."""

    username: UserName
    password: Password


class Refresh(Body):
    """The refresh token that came last."""

    refresh_token: Token


class NewPassword(Body):
    """One's own new password."""

    current_password: Password
    new_password: Password


class TokenPair(BaseModel):
    """Two tokens: the first goes with every request, the second, once, for the next two."""

    access_token: str = Field(description="goes into Authorization: Bearer ...")
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: int = Field(description="seconds that the access token lasts")
    refresh_token: str = Field(description="for POST /auth/refresh, once; using it twice ends the session")
    role: Role


class Myself(BaseModel):
    """Who the caller is to us."""

    name: str
    role: Role
    kind: Literal["person", "api_key"]
    user_id: UUID | None
    permissions: list[Permission]


class Done(BaseModel):
    """It is done; there is nothing more to say."""

    done: Literal[True] = True


@router.post(
    "/login",
    dependencies=[Depends(anybody)],
    responses=errors(ErrorCode.INVALID_CREDENTIALS),
    summary="Log in",
)
async def login(body: Login, request: Request, response: Response, control: AccessControl) -> Success[TokenPair]:
    """An unknown name, a wrong password and a disabled account are answered alike. Five wrong passwords in a quarter
    of an hour, and the account has to wait."""
    tokens = await control.logins.for_program(request, body.username, body.password.get_secret_value())
    return _pair(tokens, response)


@router.post(
    "/refresh",
    dependencies=[Depends(anybody)],
    responses=errors(ErrorCode.INVALID_REFRESH_TOKEN),
    summary="Fresh tokens",
)
async def refresh(body: Refresh, request: Request, response: Response, control: AccessControl) -> Success[TokenPair]:
    """A refresh token works once. If it comes a second time somebody has a copy of it, and the session ends."""
    return _pair(await control.logins.refresh(request, body.refresh_token.get_secret_value()), response)


@router.post("/logout", responses=errors(ErrorCode.CONFLICT), summary="Log out")
async def logout(principal: Known, request: Request, control: AccessControl) -> Success[Done]:
    """End the session that the access token belongs to, with its refresh token."""
    if principal.session_id is None:
        raise ApiError(ErrorCode.CONFLICT, "An API key has no session; an admin can revoke it.")
    await control.logins.end(request, principal.session_id, principal.name, principal.user_id)
    return Success(data=Done())


@router.get("/me", responses=errors(), summary="Who am I?")
async def me(principal: Known) -> Success[Myself]:
    """The caller's name, role and permissions."""
    return Success(
        data=Myself(
            name=principal.name,
            role=principal.role,
            kind=principal.kind.value,
            user_id=principal.user_id,
            permissions=sorted(principal.permissions),
        )
    )


@router.post(
    "/password",
    responses=errors(ErrorCode.INVALID_CREDENTIALS, ErrorCode.WEAK_PASSWORD, ErrorCode.CONFLICT),
    summary="Change one's own password",
)
async def change_password(
    body: NewPassword, principal: Known, request: Request, control: AccessControl
) -> Success[Done]:
    """Ends every session of the caller, this one too."""
    if principal.user_id is None:
        raise ApiError(ErrorCode.CONFLICT, "An API key has no password.")
    users = UserRepository(control.engine)
    user = await control.logins.check(request, principal.name, body.current_password.get_secret_value())
    fresh = good_password(body.new_password, user.username, user.email)
    await run_in_threadpool(
        users.set_password,
        user.id,
        await passwords.hashed_aside(fresh),
        actor=principal.actor,
        now=datetime.now(UTC),
    )
    control.authentication.forget()
    return Success(data=Done())


def _pair(tokens: Tokens, response: Response) -> Success[TokenPair]:
    response.headers["Cache-Control"] = "no-store"
    return Success(
        data=TokenPair(
            access_token=tokens.access_token,
            expires_in=tokens.expires_in,
            refresh_token=tokens.refresh_token,
            role=tokens.role,
        )
    )

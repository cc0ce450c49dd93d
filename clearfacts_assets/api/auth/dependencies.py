"""What a route says about who may call it: ``Depends(require(...))``, ``Depends(anybody_known)`` or
``Depends(anybody)``. A route that says nothing fails the tests.

Errors: ApiError UNAUTHENTICATED (401), FORBIDDEN (403).
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.messages import Message

_bearer = HTTPBearer(
    scheme_name="bearer",
    bearerFormat="JWT or API key",
    description="An access token of POST /auth/login, or an API key.",
    auto_error=False,
)
UNKNOWN = {"WWW-Authenticate": "Bearer"}


async def anybody_known(request: Request, _shown: Annotated[Any, Security(_bearer)] = None) -> Principal:
    """Whoever showed who it is, whatever its role."""
    principal: Principal | None = await request.app.state.authentication.identify(request)
    if principal is None:
        raise ApiError(ErrorCode.UNAUTHENTICATED, headers=UNKNOWN)
    return principal


async def anybody() -> None:
    """Strangers too: said of a route on purpose."""


class Requires:
    """The dependency that lets pass who has the permission."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, principal: Annotated[Principal, Depends(anybody_known)]) -> Principal:
        if not principal.may(self.permission):
            raise ApiError(
                ErrorCode.FORBIDDEN,
                Message("This needs the permission {name}.", {"name": self.permission.value}),
            )
        return principal


@cache
def require(permission: Permission) -> Requires:
    """For a route: ``principal: Annotated[Principal, Depends(require(Permission.JOBS_READ))]``."""
    return Requires(permission)

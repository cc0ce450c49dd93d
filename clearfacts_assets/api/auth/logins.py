"""Logging in, staying in, logging out: what the API's routes and the login page share.

Errors: ApiError INVALID_CREDENTIALS (the same for an unknown name, a wrong password and a disabled account, in the
same time), RATE_LIMITED, INVALID_REFRESH_TOKEN.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from clearfacts_assets.api.auth import passwords, tokens
from clearfacts_assets.api.auth.authentication import Authentication, actor_of
from clearfacts_assets.api.auth.permissions import Role
from clearfacts_assets.api.auth.rate_limits import LoginLimits
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.settings import AuthSettings
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets.storage.accounts.keyring import Keyring
from clearfacts_assets.storage.accounts.sessions import RefreshRefused, RefreshReused
from clearfacts_assets.storage.accounts.users import UserRecord, UserRepository

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a program gets for a login."""

    access_token: str
    expires_in: int  # seconds
    refresh_token: str
    role: Role


class Logins:
    """Opens and ends sessions."""

    def __init__(
        self,
        engine: Engine,
        signing: Keyring,
        authentication: Authentication,
        configured: AuthSettings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        # The same sessions for both: what one takes for over, the other could not end.
        self._users, self._sessions = UserRepository(engine), authentication.sessions
        self.signing, self._authentication, self._clock = signing, authentication, clock
        self.limits = LoginLimits(configured)
        self._access_life = timedelta(minutes=configured.access_minutes)
        self.session_life = timedelta(hours=configured.session_hours)

    async def for_program(self, connection: HTTPConnection, username: str, password: str) -> Tokens:
        """A session behind an access and a refresh token."""
        user = await self.check(connection, username, password)
        now, refresh = self._clock(), tokens.new_secret()
        session_id = await run_in_threadpool(
            self._sessions.open_api,
            user.id,
            tokens.hash_of(refresh),
            until=now + self.session_life,
            actor=_acting(connection, user),
            now=now,
        )
        return self._tokens(user.id, session_id, Role(user.role), refresh, now)

    async def for_browser(self, connection: HTTPConnection, username: str, password: str) -> str:
        """A session behind a cookie: its value, never one that was there before the login."""
        user = await self.check(connection, username, password)
        now, cookie = self._clock(), tokens.new_secret()
        await run_in_threadpool(
            self._sessions.open_browser,
            user.id,
            tokens.hash_of(cookie),
            until=now + self.session_life,
            actor=_acting(connection, user),
            now=now,
        )
        await self.end_cookie(connection, connection.cookies.get(self._authentication.cookie.name, ""))
        return cookie

    async def refresh(self, connection: HTTPConnection, refresh_token: str) -> Tokens:
        """Fresh tokens for a refresh token that was not used before."""
        fresh, now = tokens.new_secret(), self._clock()
        actor = actor_of(connection, "refresh token")
        try:
            standing = await run_in_threadpool(
                self._sessions.refresh,
                tokens.hash_of(refresh_token),
                tokens.hash_of(fresh),
                actor=actor,
                now=now,
            )
        except RefreshReused:
            self._authentication.forget()
            logger.warning("a refresh token came twice: its session was ended (from %s)", actor.ip_address)
            raise ApiError(ErrorCode.INVALID_REFRESH_TOKEN) from None
        except RefreshRefused:
            raise ApiError(ErrorCode.INVALID_REFRESH_TOKEN) from None
        return self._tokens(standing.user_id, standing.session_id, Role(standing.role), fresh, now)

    async def end(self, connection: HTTPConnection, session_id: UUID, name: str, user_id: UUID | None) -> None:
        """Log out."""
        actor = replace(actor_of(connection, name), user_id=user_id)
        await run_in_threadpool(self._sessions.end, session_id, "logout", actor=actor, now=self._clock())
        self._authentication.forget()

    async def end_cookie(self, connection: HTTPConnection, cookie: str) -> None:
        """End the session behind a cookie, if there is one."""
        if not cookie:
            return
        standing = await run_in_threadpool(self._sessions.by_cookie, tokens.hash_of(cookie), self._clock())
        if standing is not None:
            await self.end(connection, standing.session_id, standing.username, standing.user_id)

    async def check(self, connection: HTTPConnection, username: str, password: str) -> UserRecord:
        """The user whose name and password these are."""
        address = connection.client.host if connection.client else ""
        await run_in_threadpool(self.limits.count, username, address)
        found = await run_in_threadpool(self._users.with_hash, username)
        user, known_hash = found or (None, None)
        right, better = await passwords.matches(password, known_hash)
        if user is None or not right or not user.is_active:
            # The name is not logged: people type their password into the wrong field.
            logger.warning("a login from %s was refused", address)
            raise ApiError(ErrorCode.INVALID_CREDENTIALS)
        await run_in_threadpool(self.limits.was_right, username, address)
        if better is not None and known_hash is not None:
            await run_in_threadpool(self._users.renew_hash, user.id, known_hash, better)
        return user

    def _tokens(self, user_id: UUID, session_id: UUID, role: Role, refresh: str, now: datetime) -> Tokens:
        access = tokens.issue(self.signing, user_id=user_id, session_id=session_id, now=now, life=self._access_life)
        return Tokens(access, int(self._access_life.total_seconds()), refresh, role)


def _acting(connection: HTTPConnection, user: UserRecord) -> Actor:
    return replace(actor_of(connection, user.username), user_id=user.id)

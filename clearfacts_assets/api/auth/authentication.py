"""From what a request shows (access token, API key, cookie) to who it is.

What the database said of a session or a key is believed for TRUST_SECONDS: so long a logout, a disabled account, a
revoked key or another role may need to be noticed by another process. In this one it is at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import NamedTuple

from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from clearfacts_assets.api.auth import tokens
from clearfacts_assets.api.auth.permissions import ALLOWED, BOUND, Permission, Role
from clearfacts_assets.api.auth.principal import Kind, Principal
from clearfacts_assets.api.correlation import correlation_id
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.storage.accounts.api_keys import ApiKeyRecord, ApiKeyRepository
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets.storage.accounts.keyring import Keyring
from clearfacts_assets.storage.accounts.sessions import LONGEST_PAUSE, SessionRepository, Standing

logger = logging.getLogger(__name__)

TRUST_SECONDS = 5.0
MOST_REMEMBERED = 10_000  # sessions and keys; then all are asked for again
LONGEST_CREDENTIAL = 4096  # characters
READS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "X-CSRF-Token"


class _Known(NamedTuple):
    principal: Principal
    until: float  # on the monotonic clock
    expires_at: float = inf  # of an access token, in seconds since 1970


@dataclass(slots=True)
class Cookie:
    """The session cookie. Over https its name makes browsers insist on Secure, on our host and on all paths
    (RFC 6265bis, section 4.1.3.2)."""

    secure: bool

    @property
    def name(self) -> str:
        return "__Host-clearfacts" if self.secure else "clearfacts"


class Authentication:
    """Tells who asks."""

    def __init__(
        self,
        engine: Engine,
        signing: Keyring,
        cookie: Cookie,
        *,
        public_origin: str | None = None,
        longest_pause: timedelta = LONGEST_PAUSE,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``public_origin`` is where browsers see us when that is not what the Host header says."""
        self.sessions, self._keys = SessionRepository(engine, longest_pause=longest_pause), ApiKeyRepository(engine)
        self._signing, self._origin, self.cookie = signing, public_origin, cookie
        self._clock, self._monotonic = clock, monotonic
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Future[Principal | None]] = {}

    async def identify(self, connection: HTTPConnection, *, csrf: bool = True) -> Principal | None:
        """Who asks; None for a stranger, and for everybody whose token, key or cookie is not good.

        Raises ApiError CROSS_SITE_REQUEST for a change that comes with a cookie but without the CSRF token
        (unless ``csrf`` is false), or from another site.
        """
        credentials = connection.headers.get("authorization")
        if credentials is not None:
            principal = await self._of_header(credentials)
        else:
            cookie = connection.cookies.get(self.cookie.name, "")
            principal = await self._of_cookie(cookie)
            if principal is not None:
                self._refuse_other_sites(connection, cookie, csrf=csrf)
        if principal is None:
            return None
        return replace(principal, actor=actor_of(connection, principal.name, principal))

    async def of_cookie(self, cookie: str) -> Principal | None:
        """Whose session the cookie holds."""
        return await self._of_cookie(cookie)

    async def still_good(self, principal: Principal) -> bool:
        """Whether a person's session holds, for connections that stay open."""
        if principal.session_id is None:
            return False
        standing = await run_in_threadpool(self.sessions.by_id, principal.session_id, self._clock())
        return standing is not None and standing.role == principal.role

    def forget(self) -> None:
        """Ask the database anew about everybody."""
        self._known, self._asking = {}, {}

    def same_origin(self, connection: HTTPConnection) -> bool:
        """Whether the page that sent this is one of ours. Browsers name it with every change and every websocket."""
        origin = connection.headers.get("origin")
        if origin is None:
            return connection.headers.get("sec-fetch-site") == "same-origin"
        scheme = {"ws": "http", "wss": "https"}.get(connection.url.scheme, connection.url.scheme)
        return origin in (f"{scheme}://{connection.headers.get('host', '')}", self._origin)

    def csrf_token(self, cookie: str) -> str:
        """The token that belongs to a session cookie: another site cannot know it."""
        return hmac.new(cookie.encode("utf-8", "surrogatepass"), b"csrf", hashlib.sha256).hexdigest()

    def csrf_matches(self, cookie: str, offered: str) -> bool:
        return hmac.compare_digest(self.csrf_token(cookie).encode(), offered.encode("utf-8", "surrogatepass"))

    def _refuse_other_sites(self, connection: HTTPConnection, cookie: str, *, csrf: bool) -> None:
        reads = connection.scope["type"] == "http" and connection.scope["method"] in READS
        if reads:
            return
        if not self.same_origin(connection):
            raise ApiError(ErrorCode.CROSS_SITE_REQUEST)
        if csrf and not self.csrf_matches(cookie, connection.headers.get(CSRF_HEADER, "")):
            raise ApiError(ErrorCode.CROSS_SITE_REQUEST)

    async def _of_header(self, credentials: str) -> Principal | None:
        scheme, _, shown = credentials.partition(" ")
        shown = shown.strip()
        if scheme.lower() != "bearer" or not shown or len(shown) > LONGEST_CREDENTIAL:
            return None
        digest = tokens.hash_of(shown)
        if shown.startswith(tokens.API_KEY_PREFIX):
            return await self._remembered(f"key {digest}", lambda: self._ask_key(digest))
        return await self._of_token(f"token {digest}", shown)

    async def _of_token(self, name: str, shown: str) -> Principal | None:
        known = self._believed(name)
        if known is not None:
            return known.principal
        try:
            token = tokens.read(self._signing, shown)
        except tokens.BadToken as bad:
            logger.info("an access token was refused: %s", bad)
            return None
        return await self._remembered(name, lambda: self._ask_session(token), token.expires_at + tokens.CLOCKS_DIFFER)

    async def _of_cookie(self, cookie: str) -> Principal | None:
        if not cookie or len(cookie) > LONGEST_CREDENTIAL:
            return None
        digest = tokens.hash_of(cookie)
        return await self._remembered(
            f"cookie {digest}", lambda: _person(self.sessions.by_cookie(digest, self._clock()))
        )

    def _ask_key(self, key_hash: str) -> Principal | None:
        key = self._keys.by_hash(key_hash, self._clock())
        return None if key is None else _service(key)

    def _ask_session(self, token: tokens.AccessToken) -> Principal | None:
        person = _person(self.sessions.by_id(token.session_id, self._clock()))
        return person if person is not None and person.user_id == token.user_id else None

    def _believed(self, name: str) -> _Known | None:
        known = self._known.get(name)
        if known is None or self._monotonic() >= known.until or self._clock().timestamp() >= known.expires_at:
            return None
        return known

    async def _remembered(
        self, name: str, ask: Callable[[], Principal | None], expires_at: float = inf
    ) -> Principal | None:
        known = self._believed(name)
        if known is not None:
            return known.principal
        # One question for all who come at the same time: else a busy caller's every request would ask when what is
        # believed of it gets old.
        asking = self._asking.get(name)
        if asking is None:
            asking = self._asking[name] = asyncio.ensure_future(self._ask(name, ask, expires_at))
            under_way = self._asking
            asking.add_done_callback(lambda _: under_way.pop(name, None))
        return await asyncio.shield(asking)

    async def _ask(self, name: str, ask: Callable[[], Principal | None], expires_at: float) -> Principal | None:
        asked_at, known = self._monotonic(), self._known
        principal = await run_in_threadpool(ask)
        if len(known) >= MOST_REMEMBERED:
            known.clear()
        if principal is None:  # strangers are not remembered: they could be many
            known.pop(name, None)
        else:
            # Into what was forgotten meanwhile, if it was: the answer may be older than that.
            known[name] = _Known(principal, asked_at + TRUST_SECONDS, expires_at)
        return principal


def actor_of(connection: HTTPConnection, name: str, principal: Principal | None = None) -> Actor:
    """Who asks, from where, as the audit log wants it."""
    return Actor(
        name=name,
        user_id=principal.user_id if principal else None,
        ip_address=connection.client.host if connection.client else None,
        user_agent=connection.headers.get("user-agent"),
        correlation_id=correlation_id() or None,
    )


def _person(standing: Standing | None) -> Principal | None:
    if standing is None:
        return None
    role = Role(standing.role)
    return Principal(
        name=standing.username,
        role=role,
        kind=Kind.PERSON,
        permissions=ALLOWED[role] if standing.investigator is None else BOUND,
        actor=Actor(standing.username, standing.user_id),
        user_id=standing.user_id,
        session_id=standing.session_id,
        investigator=standing.investigator,
    )


def _service(key: ApiKeyRecord) -> Principal:
    name = f"key:{key.name}"
    # A scope that services may have no longer is not one any more.
    scopes = frozenset(Permission(scope) for scope in key.scopes if scope in set(Permission))
    return Principal(
        name=name,
        role=Role.SERVICE,
        kind=Kind.API_KEY,
        permissions=scopes & ALLOWED[Role.SERVICE],
        actor=Actor(name),
        key_id=key.id,
    )

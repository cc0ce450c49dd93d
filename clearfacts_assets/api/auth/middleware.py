"""The door in front of Dagster's UI: pages, static files, GraphQL, websockets, downloads. Who is not known gets in
nowhere; who may only look changes nothing.

With a session cookie a change has to come from one of our own pages (its Origin) and as JSON, which no form of another
site can send; Dagster's own scripts cannot send a CSRF token.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clearfacts_assets.api.auth.authentication import READS, Authentication
from clearfacts_assets.api.auth.dependencies import UNKNOWN
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.auth.webserver import SCOPE_KEY
from clearfacts_assets.api.envelope import answer_of
from clearfacts_assets.api.errors import ApiError, ErrorCode

GRAPHQL = "/graphql"
LOOK_AGAIN = 20.0  # seconds between two looks whether the session behind an open websocket still holds
REFUSED = 1008  # RFC 6455, section 7.4.1: policy violation
HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
HTTPS_ONLY = {"Strict-Transport-Security": "max-age=31536000"}


class AccessMiddleware:
    """Lets in whom the authentication knows, with what they may do."""

    def __init__(self, app: ASGIApp, authentication: Authentication) -> None:
        self._app, self._authentication = app, authentication

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        try:
            principal = await self._admitted(connection)
            _refuse_hidden_changes(connection, principal)
        except ApiError as error:
            answer: Response = answer_of(error, scope["path"])
            if error.code is ErrorCode.UNAUTHENTICATED and is_page(connection):
                answer = to_login(connection)
            await answer(scope, receive, self._guarded(send))
            return
        await self._app({**scope, SCOPE_KEY: principal}, receive, self._guarded(send))

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        try:
            if "cookie" in connection.headers and not self._authentication.same_origin(connection):
                raise ApiError(ErrorCode.CROSS_SITE_REQUEST)
            principal = await self._admitted(connection)
        except ApiError:
            await receive()
            await send({"type": "websocket.close", "code": REFUSED})  # before it is accepted: HTTP 403
            return
        served = asyncio.create_task(self._served({**scope, SCOPE_KEY: principal}, receive, send))
        watch = asyncio.create_task(self._until_it_ends(principal))
        done, _ = await asyncio.wait({served, watch}, return_when=asyncio.FIRST_COMPLETED)
        for task in {served, watch} - done:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if served in done:
            served.result()
        else:
            with suppress(RuntimeError):  # the caller went at the same moment
                await send({"type": "websocket.close", "code": REFUSED})

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def _until_it_ends(self, principal: Principal) -> None:
        """Returns when the principal may be here no longer. API keys have no session: their sockets are not kept."""
        while True:
            await asyncio.sleep(LOOK_AGAIN)
            if not await self._authentication.still_good(principal):
                return

    async def _admitted(self, connection: HTTPConnection) -> Principal:
        principal = await self._authentication.identify(connection, csrf=False)
        if principal is None:
            raise ApiError(ErrorCode.UNAUTHENTICATED, headers=UNKNOWN)
        if not principal.may(Permission.DAGSTER_READ):
            raise ApiError(ErrorCode.FORBIDDEN, f"This needs the permission {Permission.DAGSTER_READ}.")
        return principal

    def _guarded(self, send: Send) -> Send:
        headers = HEADERS | (HTTPS_ONLY if self._authentication.cookie.secure else {})

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                for name, value in headers.items():
                    sent.setdefault(name, value)
            await send(message)

        return guarded


def _refuse_hidden_changes(connection: HTTPConnection, principal: Principal) -> None:
    """No GET changes anything, and what is no GET is a change, unless it is GraphQL, which is looked into later."""
    method, path = connection.scope["method"], connection.scope["path"]
    if path.rstrip("/") == GRAPHQL:
        # Dagster would execute a query, and a mutation, out of the address.
        page = method in READS and is_page(connection) and not connection.query_params
        if not page and method != "POST":
            raise ApiError(ErrorCode.METHOD_NOT_ALLOWED, "GraphQL is asked by POST.", headers={"Allow": "POST"})
        if method == "POST" and not _is_json(connection.headers):
            raise ApiError(ErrorCode.UNSUPPORTED_MEDIA_TYPE)
    elif method not in READS and not principal.may(Permission.DAGSTER_WRITE):
        raise ApiError(ErrorCode.FORBIDDEN, f"This needs the permission {Permission.DAGSTER_WRITE}.")


def _is_json(headers: Headers) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def with_page_headers(response: Response, policy: str, *, secure: bool) -> Response:
    """The response with the headers of every page of ours, where it has no others; ``policy`` is its CSP."""
    kept = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
    for name, value in (HEADERS | (HTTPS_ONLY if secure else {}) | kept).items():
        response.headers.setdefault(name, value)
    return response


def is_page(connection: HTTPConnection) -> bool:
    """Whether somebody looks at a page, and no program asks."""
    return connection.scope["method"] in READS and "text/html" in connection.headers.get("accept", "")


def to_login(connection: HTTPConnection) -> RedirectResponse:
    """To the login, and from there back to what was asked for."""
    wanted = connection.url.path + (f"?{connection.url.query}" if connection.url.query else "")
    return RedirectResponse("/login" if wanted == "/" else f"/login?next={quote(wanted, safe='/')}", 303)

"""A span for each request to our own paths; it goes on with the caller's trace where the caller tells of one."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clearfacts_assets import tracing
from clearfacts_assets.api.correlation import correlation_id

UNTRACED = ("/healthz", "/readyz", "/livez", "/metrics", "/api/v1/health")  # asked every few seconds, for ever


class TraceMiddleware:
    """Stands inside of the correlation's. Dagster's own pages begin no trace: an open one asks every second."""

    def __init__(self, app: ASGIApp, *, prefixes: tuple[str, ...], place_of: Callable[[Scope], str]) -> None:
        """``place_of`` names where a request went: the route's template, or one of a few words."""
        self._app, self._prefixes, self._place_of = app, prefixes, place_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not tracing.is_on() or scope["path"] in UNTRACED:
            await self._app(scope, receive, send)
            return
        method, parent = scope["method"], Headers(scope=scope).get(tracing.TRACEPARENT, "")
        root = scope["path"].startswith(self._prefixes)
        told = {"http.request.method": method, "clearfacts.correlation_id": correlation_id()}
        with tracing.span(method, told, kind="SERVER", parent=parent, root=root) as request:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    request.note({"http.response.status_code": message["status"]})
                    if message["status"] >= 500:
                        request.failed(str(message["status"]))
                await send(message)

            try:
                await self._app(scope, receive, noted)
            finally:
                request.note({"http.route": self._place_of(scope)})
                request.named(f"{method} {self._place_of(scope)}")

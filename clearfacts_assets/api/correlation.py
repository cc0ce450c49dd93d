"""One id from the caller's header through logs, run tags, outgoing calls and alerts, and back in every answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clearfacts_assets.telemetry.logging import correlated

HEADER = "X-Correlation-ID"
LONGEST = 128  # characters of a caller's id
PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}$"  # it stands in headers, tags and log lines
_SANE = re.compile(PATTERN.strip("^$"))

_current: ContextVar[str] = ContextVar("correlation_id", default="")


def correlation_id() -> str:
    """The id of the request that is being answered; empty outside of one."""
    return _current.get()


def accepted(offered: str | None) -> str | None:
    """The caller's id where it can be kept; None where a new one is needed."""
    return offered if offered is not None and _SANE.fullmatch(offered) else None


class CorrelationMiddleware:
    """Keeps the caller's id where it is sane, makes a new one else, and puts it on log lines and on the answer."""

    def __init__(self, app: ASGIApp, new_id: Callable[[], str] = lambda: str(uuid4())) -> None:
        self._app, self._new_id = app, new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        chosen = accepted(Headers(scope=scope).get(HEADER)) or self._new_id()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = chosen
            await send(message)

        token = _current.set(chosen)
        try:
            with correlated(chosen):
                await self._app(scope, receive, send_with_id)
        finally:
            _current.reset(token)

"""What a request's body must be before anybody looks inside: small, JSON, UTF-8, and not a tower of brackets."""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clearfacts_assets.api.envelope import answer_of
from clearfacts_assets.api.errors import ApiError, ErrorCode

DEEPEST = 32  # levels of nesting; what we ask for has two
UPLOADS = re.compile(r"/api/v1/chargeback/(imports|(investigators|projects|funds|overrides)/import)")
_JSON_TYPE = re.compile(r"application/json\s*(;\s*charset=\"?utf-8\"?\s*)?", re.IGNORECASE)
# A string to its end (or to the end of the body), or a bracket. Possessive, and a quote always begins a match: no
# input makes it look at anything twice.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


class RequestLimitsMiddleware:
    """Reads the body of requests below ``prefixes``, refuses what cannot be right, and hands the rest on whole."""

    def __init__(self, app: ASGIApp, *, prefixes: Sequence[str], body_bytes: int) -> None:
        self._app, self._prefixes, self._body_bytes = app, tuple(prefixes), body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self._prefixes):
            await self._app(scope, receive, send)
            return
        if is_upload(scope["method"], scope["path"]):
            # Its route bounds it, and reads it only once it knows who sends it.
            await self._app(scope, *_unread(receive, send))
            return
        headers = Headers(scope=scope)
        if "content-length" not in headers and "transfer-encoding" not in headers:
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(headers, receive)
            if body is not None:
                check(body, headers.get("content-type", ""))
        except ApiError as error:
            await answer_of(error, scope["path"])(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, headers: Headers, receive: Receive) -> bytes | None:
        """The whole body; None when the caller has gone. Raises ApiError as soon as it is too large."""
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._body_bytes:
            raise self._too_large()
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
            if len(body) > self._body_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return bytes(body)

    def _too_large(self) -> ApiError:
        # The rest of the body is not read: this connection is of no more use.
        message = f"The body is larger than {self._body_bytes} bytes."
        return ApiError(ErrorCode.PAYLOAD_TOO_LARGE, message, headers={"Connection": "close"})


def is_upload(method: str, path: str) -> bool:
    """Whether the body is files, which are never held in memory."""
    return method == "POST" and UPLOADS.fullmatch(path) is not None


def _unread(receive: Receive, send: Send) -> tuple[Receive, Send]:
    """Where a body is answered before its end was read, the connection is of no more use, and closed."""
    ended = False

    async def watched_receive() -> Message:
        nonlocal ended
        message = await receive()
        ended = ended or message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def watched_send(message: Message) -> None:
        if message["type"] == "http.response.start" and not ended:
            MutableHeaders(scope=message)["Connection"] = "close"
        await send(message)

    return watched_receive, watched_send


def check(body: bytes, content_type: str) -> None:
    """Raises ApiError for a body that is not JSON in UTF-8, as far as that can be seen without parsing it."""
    if not body:
        return
    if not _JSON_TYPE.fullmatch(content_type.strip()):
        raise ApiError(ErrorCode.UNSUPPORTED_MEDIA_TYPE)
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        raise ApiError(ErrorCode.INVALID_JSON, "The body is not UTF-8.") from None
    if is_deeper(body, DEEPEST):
        raise ApiError(ErrorCode.INVALID_JSON, f"The body is nested more than {DEEPEST} levels deep.")


def is_deeper(body: bytes, levels: int) -> bool:
    """Whether brackets stand more than so many levels deep, those in strings not counted."""
    if body.count(b"[") + body.count(b"{") <= levels:
        return False
    depth = 0
    for token in _TOKEN.finditer(body):
        first = token[0][:1]
        if first in (b"[", b"{"):
            depth += 1
            if depth > levels:
                return True
        elif first in (b"]", b"}"):
            depth -= 1
    return False


def _replay(body: bytes | None, receive: Receive) -> Receive:
    """The body as one message; after it, whatever the server has to say."""
    pending = [{"type": "http.request", "body": body, "more_body": False}] if body is not None else []

    async def replayed() -> Message:
        if pending:
            return pending.pop()
        return await receive() if body is not None else {"type": "http.disconnect"}

    return replayed

"""The HTTP connection of a caller: how large a request's head may be, and how long a request may take to come.

The server reads heads of any size for as long as somebody drips them; RequestLimitsMiddleware sees only what has come
whole.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from clearfacts_assets.api.request_limits import is_upload

HEAD_BYTES = 64 * 2**10  # request line and header fields; browsers send about 2 KiB
HEAD_SECONDS = 10.0  # from the connection, or the first byte of a further request, to the end of its head
BODY_SECONDS = 60.0  # from there to the end of its body
UPLOAD_SECONDS = 1800.0  # the same for uploads of cost exports, which may be large
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's connection with these limits. Answers 431, or closes without an answer when time is over."""

    head_seconds, body_seconds, upload_seconds = HEAD_SECONDS, BODY_SECONDS, UPLOAD_SECONDS
    _deadline: asyncio.TimerHandle | None = None
    _in_head, _come = True, 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._come += len(data)
        super().data_received(data)
        if self._in_head and self._come > HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._in_head:
            self._in_head, self._come = True, 0
            self._wait(self.head_seconds)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._wait(self.upload_seconds if self._brings_files() else self.body_seconds)
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES:
            self._refuse()
            raise ValueError("the head is too large")  # the parser stops
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self._wait(None)  # a websocket, with limits of its own

    def on_message_complete(self) -> None:
        self._wait(None)
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def _brings_files(self) -> bool:
        path = self.url.partition(b"?")[0].decode("latin-1")
        return is_upload(self.parser.get_method().decode("latin-1"), path)

    def _refuse(self) -> None:
        self.transport.write(TOO_LARGE)
        self.transport.close()

    def _wait(self, seconds: float | None) -> None:
        """Close the connection after so many seconds from now, unless this is called again before."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.close)

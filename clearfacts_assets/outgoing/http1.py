"""HTTP/1.1 on one connection that nobody else uses: a request is written whole, its answer is read by llhttp.

Stands where httpcore's pool of one connection would, with its words and its errors, for a sixth of its CPU. What a
call needs of HTTP is little: requests with a body of known length, whose answers may have one, no upgrades, no
trailers. What is not understood is an error of protocol, and its connection is used no more.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import httpcore
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

HEAD_BYTES = 100 * 2**10  # most of a head, and of what follows a body
READ_BYTES = 64 * 2**10  # at once
_PORTS = {b"http": 80, b"https": 443}
# An answer to another one may end elsewhere: HEAD has no body, CONNECT none that ends.
_METHODS = frozenset({b"GET", b"POST", b"PUT", b"PATCH", b"DELETE"})
_CLOSED = "Server disconnected without sending a response."

Origin = tuple[bytes, str, int]  # scheme, host, port


class Connection:
    """To one origin at a time; for one call at a time, from its request to the end of its answer.

    ``idle`` is how many seconds it is kept between two calls.
    """

    def __init__(self, backend: httpcore.NetworkBackend, context: ssl.SSLContext, idle: float) -> None:
        self._backend, self._context, self._idle = backend, context, idle
        self.stream: httpcore.NetworkStream | None = None  # None while there is no connection
        self._origin: Origin | None = None
        self._since = 0.0  # when the last answer was read

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Until the head of the answer has come. Raises httpcore's errors, after any of which it begins anew."""
        timeouts = request.extensions.get("timeout", {})
        head = _head(request)
        content: Any = request.stream
        stream = self._ready(request.url, timeouts)
        answer = _Answer(self, stream, timeouts.get("read"))
        try:
            # Whoever refuses a request may close before it is whole: what it said is read all the same.
            with suppress(httpcore.WriteError):
                for piece in (head, *content):
                    stream.write(piece, timeouts.get("write"))
            answer.read_head()
        except BaseException:
            self.close()
            raise
        response = httpcore.Response(answer.status, content=answer)
        response.headers = answer.headers  # past its look at each of them: llhttp has had one
        return response

    def _ready(self, url: httpcore.URL, timeouts: Mapping[str, float | None]) -> httpcore.NetworkStream:
        """The open connection, if it can be trusted to be open still; else another one."""
        port = url.port or _PORTS.get(url.scheme, 0)
        origin = (url.scheme, url.host.decode("ascii").strip("[]"), port)
        if self.stream is not None:
            idle = time.monotonic() - self._since
            if origin == self._origin and idle < self._idle and not self.stream.get_extra_info("is_readable"):
                return self.stream
            self.close()
        self.stream, self._origin = self._opened(*origin, timeouts.get("connect")), origin
        return self.stream

    def _opened(self, scheme: bytes, host: str, port: int, timeout: float | None) -> httpcore.NetworkStream:
        if scheme not in _PORTS:
            raise httpcore.UnsupportedProtocol(f"{scheme.decode('ascii', 'replace')} is not spoken")
        stream = self._backend.connect_tcp(host, port, timeout)
        if scheme == b"http":
            return stream
        try:
            self._context.set_alpn_protocols(["http/1.1"])
            return stream.start_tls(self._context, host, timeout)
        except BaseException:
            stream.close()
            raise

    def keep(self) -> None:
        """An answer was read whole: the connection may serve the next call."""
        self._since = time.monotonic()

    def close(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.close()


class _Answer:
    """An answer as it comes in. As a stream it is the body, still packed; closed before its end, it ends the
    connection."""

    def __init__(self, connection: Connection, stream: httpcore.NetworkStream, timeout: float | None) -> None:
        self._connection, self._stream, self._timeout = connection, stream, timeout
        self._parser = HttpResponseParser(self)
        self.status, self.headers = 0, list[tuple[bytes, bytes]]()
        self._pieces: list[bytes] = []
        self._quiet = 0  # bytes that came since the last one of the body
        self._whole = self._until_close = self._lasts = self._surplus = False

    # What llhttp tells

    def on_message_begin(self) -> None:
        self._surplus = self._whole  # something follows the answer, which nobody asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:  # a trailer is not looked at
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._whole or self.status:
            return
        if status < 200:
            self.headers.clear()
            return
        self.status, self._lasts = status, self._parser.should_keep_alive()
        names = {name.lower(): value for name, value in self.headers}
        coding = names.get(b"transfer-encoding")
        if coding is not None and coding.strip().lower() != b"chunked":
            raise httpcore.RemoteProtocolError("a transfer coding other than chunked, which was not asked for")
        self._until_close = coding is None and b"content-length" not in names

    def on_body(self, piece: bytes) -> None:
        if not self._whole:
            self._quiet = 0
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        self._whole = self._whole or self.status > 0

    # What is asked of it

    def read_head(self) -> None:
        while not self.status:
            self._read_on()

    def __iter__(self) -> Iterator[bytes]:
        try:
            while True:
                pieces, self._pieces = self._pieces, []
                yield from pieces
                if self._whole:
                    return
                self._read_on()
        except BaseException:
            self._connection.close()
            raise

    def _read_on(self) -> None:
        piece = self._stream.read(READ_BYTES, self._timeout)
        if not piece:
            self._ended()
            return
        self._quiet += len(piece)
        try:
            self._parser.feed_data(piece)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self._whole:
                raise _malformed(error) from None
            self._surplus = True
        if self._quiet > HEAD_BYTES and not self._whole:
            raise httpcore.RemoteProtocolError(f"more than {HEAD_BYTES:,} bytes of headers")

    def _ended(self) -> None:
        """The other side closed: an answer without a length is whole then, any other is not."""
        if not self.status:
            raise httpcore.RemoteProtocolError(_CLOSED)
        if not self._until_close:
            raise httpcore.RemoteProtocolError("peer closed connection without sending complete message body")
        self._whole, self._lasts = True, False

    def close(self) -> None:
        if self._whole and self._lasts and not self._surplus:
            self._connection.keep()
        else:
            self._connection.close()


def _malformed(error: Exception) -> httpcore.RemoteProtocolError:
    if isinstance(error.__context__, httpcore.RemoteProtocolError):  # what we raised while llhttp told us
        return error.__context__
    upgrade = isinstance(error, HttpParserUpgrade)
    return httpcore.RemoteProtocolError("an upgrade that was not asked for" if upgrade else str(error)[:200])


def _head(request: httpcore.Request) -> bytes:
    """What stands before the body. Raises LocalProtocolError for what cannot be said, before anything is."""
    lines = [b"%s %s HTTP/1.1" % (request.method, request.url.target)]
    lines += [b"%s: %s" % header for header in request.headers]
    head, breaks = b"\r\n".join((*lines, b"", b"")), len(lines) + 1
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head:
        raise httpcore.LocalProtocolError("a header holds a line break")
    chunked = any(name.lower() == b"transfer-encoding" for name, _ in request.headers)
    if request.method not in _METHODS or chunked:
        raise httpcore.LocalProtocolError("only GET, POST, PUT, PATCH, DELETE are spoken, with a body of known length")
    return head

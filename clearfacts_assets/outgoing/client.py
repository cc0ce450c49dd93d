"""An httpx client whose calls have one deadline for the whole of each, and know whether anything has left.

httpx's own timeouts bound one read or write, so that a server which drips a byte a second holds a caller for ever.
Here every connect, read and write of a call gets what is left of the call's one budget. The name look-up is not
covered: the operating system's resolver has its own limits.
"""

from __future__ import annotations

import logging
import queue
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

# Idle connections are dropped before the other side drops them (5 s is the shortest default of the common servers): a
# request that meets a closing connection is one of which nobody knows what became.
IDLE_SECONDS = 4.0
USER_AGENT = "clearfacts-assets"


@dataclass(slots=True)
class Call:
    """One call under way."""

    ends: float  # on the monotonic clock
    handed_over: bool = False  # the network took a byte of the request: from then on it may have been understood

    @property
    def remaining(self) -> float:
        """Seconds left; zero or less when the deadline has passed."""
        return self.ends - time.monotonic()


_current: ContextVar[Call | None] = ContextVar("call", default=None)


@contextmanager
def bounded(seconds: float) -> Iterator[Call]:
    """Everything that a client of ``open_client`` does inside, in this thread, ends within so many seconds."""
    call = Call(ends=time.monotonic() + seconds)
    token = _current.set(call)
    try:
        yield call
    finally:
        _current.reset(token)


def open_client(*, connections: int, connect_timeout: float, deadline: float) -> httpx.Client:
    """A client for several threads with a pool of so many connections. Redirects are answers, never followed.

    Environment variables for proxies are not read; ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are.
    """
    # They log whole addresses and headers, and a server may quote our token in them.
    for library in ("httpx", "httpcore"):
        logging.getLogger(library).setLevel(logging.WARNING)
    return httpx.Client(
        transport=_BoundedTransport(connections),
        timeout=httpx.Timeout(deadline, connect=connect_timeout),
        headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
        follow_redirects=False,
    )


class _BoundedTransport(httpx.HTTPTransport):
    def __init__(self, connections: int) -> None:
        context = httpx.create_ssl_context()
        super().__init__(verify=context)
        # httpx has no parameter for the network backend; its pool is replaced by one that has ours.
        self._pool = _Connections(context, connections)  # type: ignore[assignment]


class _Connections:
    """So many pools of one connection each, each in one thread's hands from the request to the end of its answer.

    httpcore's own sharing takes a connection whose answer has just come for one that the server closed, and closes it
    under the thread that reads: an accepted call whose answer is lost.
    """

    def __init__(self, context: ssl.SSLContext, connections: int) -> None:
        self._all = [
            httpcore.ConnectionPool(
                ssl_context=context, max_connections=1, keepalive_expiry=IDLE_SECONDS, network_backend=_Backend()
            )
            for _ in range(connections)
        ]
        self._free: queue.LifoQueue[httpcore.ConnectionPool] = queue.LifoQueue()
        for pool in self._all:
            self._free.put(pool)

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        allowed = request.extensions.get("timeout", {}).get("pool")
        try:
            pool = self._free.get(timeout=_left(allowed, httpcore.PoolTimeout))
        except queue.Empty:
            raise httpcore.PoolTimeout("all connections are in use") from None
        try:
            response = pool.handle_request(request)
        except BaseException:
            self._free.put(pool)
            raise
        response.stream = _Answer(response.stream, lambda: self._free.put(pool))
        return response

    def close(self) -> None:
        for pool in self._all:
            pool.close()

    def __enter__(self) -> _Connections:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Answer:
    """The body of an answer, which gives its connection back once."""

    def __init__(self, stream: Any, give_back: Callable[[], None]) -> None:
        self._stream, self._give_back, self._closed = stream, give_back, False

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._stream.close()
        finally:
            self._give_back()


class _Backend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(host, port, left, local_address, socket_options))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # Not the inner stream's write: it allows the whole timeout anew for every piece that the network takes.
        sock, call, rest = self._inner.get_extra_info("socket"), _current.get(), memoryview(buffer)
        while rest:
            sock.settimeout(_left(timeout, httpcore.WriteTimeout))
            try:
                taken = sock.send(rest)
            except TimeoutError as error:
                raise httpcore.WriteTimeout(str(error)) from error
            except OSError as error:
                raise httpcore.WriteError(str(error)) from error
            if call:
                call.handed_over = True
            rest = rest[taken:]

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout, httpcore.ConnectTimeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(timeout: float | None, passed: type[httpcore.TimeoutException]) -> float | None:
    """The smaller of the operation's own timeout and what is left of the call. Raises ``passed`` if nothing is."""
    call = _current.get()
    if call is None:
        return timeout
    remaining = call.remaining
    if remaining <= 0:
        raise passed("the call's deadline has passed")
    return remaining if timeout is None else min(timeout, remaining)

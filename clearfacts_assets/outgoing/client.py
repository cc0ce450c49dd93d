"""An httpx client whose calls have one deadline for the whole of each, and know whether anything has left.

httpx's own timeouts bound one read or write, so that a server which drips a byte a second holds a caller for ever.
Here every connect, read and write of a call gets what is left of the call's one budget. The name look-up is not
covered: the operating system's resolver has its own limits.
"""

from __future__ import annotations

import logging
import queue
import ssl
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import httpcore
import httpx

from clearfacts_assets import tracing
from clearfacts_assets.outgoing.deadlines import current_call, time_left
from clearfacts_assets.outgoing.evidence import Secrets
from clearfacts_assets.outgoing.http1 import Connection
from clearfacts_assets.outgoing.network import DIRECT, Network, NetworkUnusable, Proxy
from clearfacts_assets.outgoing.wire import BoundedBackend

# Idle connections are dropped before the other side drops them (5 s is the shortest default of the common servers): a
# request that meets a closing connection is one of which nobody knows what became.
IDLE_SECONDS = 4.0
USER_AGENT = "clearfacts-assets"
PROXY_AUTHENTICATION_REQUIRED = 407

FAILURES = (  # of a call, as httpcore names them
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
_ON_THE_WAY = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.ProxyError)


def open_client(
    *, connections: int, connect_timeout: float, deadline: float, network: Network = DIRECT
) -> httpx.Client:
    """A client for several threads with a pool of so many connections. Redirects are answers, never followed.

    Calls leave as ``network`` says; environment variables are not read. Raises NetworkUnusable.
    """
    context = believed(network)
    return httpx.Client(
        transport=_BoundedTransport(Connections(connections, network, context), context),
        timeout=httpx.Timeout(deadline, connect=connect_timeout),
        headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
        follow_redirects=False,
        trust_env=False,
    )


def believed(network: Network) -> ssl.SSLContext:
    """By whose certificates another side is believed to be itself. Raises NetworkUnusable."""
    name, file = "SSL_CERT_FILE", network.usual_ca_file
    try:
        if file is None and network.usual_ca_folder is None:
            context = httpx.create_ssl_context(trust_env=False)
        else:
            context = ssl.create_default_context(cafile=file, capath=network.usual_ca_folder)
        name, file = "network.ca_file", network.ca_file
        if file is not None:
            context.load_verify_locations(cafile=file)
    except OSError as error:  # ssl.SSLError is one
        told = "it holds no certificate (PEM)" if isinstance(error, ssl.SSLError) else error.strerror
        raise NetworkUnusable(f"{name} names {file}, which cannot be used: {told}") from None
    return context


class _BoundedTransport(httpx.HTTPTransport):
    def __init__(self, connections: Connections, context: ssl.SSLContext) -> None:
        super().__init__(verify=context, trust_env=False)
        # httpx has no parameter for the network backend; its pool is replaced by one that has ours.
        self._pool = connections  # type: ignore[assignment]


class Connections:
    """So many lines of one connection each, each in one thread's hands from the request to the end of its answer.

    httpcore's own sharing takes a connection whose answer has just come for one that the server closed, and closes it
    under the thread that reads: an accepted call whose answer is lost. What sends whole requests asks it directly:
    httpx's client costs as much of the processor again.
    """

    def __init__(self, connections: int, network: Network = DIRECT, context: ssl.SSLContext | None = None) -> None:
        """Raises NetworkUnusable."""
        # They log whole addresses and headers, and a server may quote our token in them.
        for library in ("httpx", "httpcore"):
            logging.getLogger(library).setLevel(logging.WARNING)
        context = context or believed(network)
        self._network, self._secrets = network, Secrets(*network.secrets)
        self._all = [_Line(context) for _ in range(connections)]
        self._free: queue.LifoQueue[_Line] = queue.LifoQueue()
        for line in self._all:
            self._free.put(line)

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Until the head of the answer has come: what reads the body is the caller's. Raises httpcore's errors."""
        if not tracing.is_on():
            return self._answered(request)
        host, method = request.url.host.decode("ascii", "replace"), request.method.decode("ascii")
        where = {"server.address": host, "http.request.method": method}
        with tracing.span(f"{method} {host}", where, kind="CLIENT") as call:
            request.headers += [(name.encode(), value.encode()) for name, value in tracing.headers().items()]
            response = self._answered(request)
            call.note({"http.response.status_code": response.status})
            if response.status >= HTTPStatus.BAD_REQUEST:
                call.failed(str(response.status))
            return response

    def _answered(self, request: httpcore.Request) -> httpcore.Response:
        proxy = self._network.proxy_for(bytes(request.url).decode("ascii"))
        tunnel = proxy is not None and request.url.scheme == b"https"
        allowed = request.extensions.get("timeout", {}).get("pool")
        try:
            line = self._free.get(timeout=time_left(allowed, httpcore.PoolTimeout))
        except queue.Empty:
            raise httpcore.PoolTimeout("all connections are in use") from None
        try:
            response = line.pool(proxy, tunnel=tunnel).handle_request(request)
            if proxy is not None and not tunnel and response.status == PROXY_AUTHENTICATION_REQUIRED:
                response.close()
                if (call := current_call()) is not None:
                    call.handed_over = False  # it was for the proxy, which passes on nothing before it knows us
                raise httpcore.ProxyError("it asks who we are (HTTP 407)")
        except BaseException as error:
            self._free.put(line)
            if proxy is None or not isinstance(error, _ON_THE_WAY):
                raise
            raise type(error)(self._told(error, proxy)) from None
        response.stream = _Answer(response.stream, lambda: self._free.put(line))
        return response

    def _told(self, error: Exception, proxy: Proxy) -> str:
        """What went wrong on the way through a proxy, which may well be what is wrong."""
        said = self._secrets.remove(str(error))
        remedy = ""
        if isinstance(error, httpcore.ProxyError):
            known = "its user and password" if "407" in said else "whether it lets us through, and network.no_proxy"
            remedy = f"; the proxy opened no way: check network.proxy or the proxy's variable, {known}"
        return f"{said}, {proxy}{remedy}".removeprefix(", ")

    def close(self) -> None:
        for line in self._all:
            line.close()

    def __enter__(self) -> Connections:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Line:
    """What one call at a time goes by: one connection for each way that was needed."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.pools: dict[tuple[Proxy | None, bool], Connection | httpcore.HTTPProxy] = {}

    def pool(self, proxy: Proxy | None, *, tunnel: bool) -> Connection | httpcore.HTTPProxy:
        """``tunnel``: whether the proxy is asked to CONNECT, or else to pass the request on."""
        way = (proxy, tunnel)
        if way not in self.pools:
            self.pools[way] = self._open(*way)
        return self.pools[way]

    def _open(self, proxy: Proxy | None, tunnel: bool) -> Connection | httpcore.HTTPProxy:
        if proxy is None:
            return Connection(BoundedBackend(), self._context, IDLE_SECONDS)
        by_tls = proxy.scheme == "https"
        return httpcore.HTTPProxy(
            proxy.address,
            proxy_auth=(proxy.user.encode(), proxy.password.encode()) if proxy.user or proxy.password else None,
            proxy_ssl_context=self._context if by_tls else None,
            network_backend=BoundedBackend(before=1 + by_tls if tunnel else 0),
            ssl_context=self._context,
            max_connections=1,
            keepalive_expiry=IDLE_SECONDS,
        )

    def close(self) -> None:
        for pool in self.pools.values():
            pool.close()


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

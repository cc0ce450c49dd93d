"""Bytes on their way: every connect, read and write within what is left of the call, and noted once one was taken."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

from clearfacts_assets.outgoing.deadlines import Call, current_call, time_left

PIECE = 64 * 2**10  # bytes written at once: of what is held back, and where the deadline is looked at in between


class BoundedBackend(httpcore.NetworkBackend):
    """``before``: how often TLS begins on a connection until what is written is the request, and not for the proxy."""

    def __init__(self, before: int = 0) -> None:
        self._inner, self._before = httpcore.SyncBackend(), before

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = time_left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(host, port, left, local_address, socket_options), self._before)

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    """What is written is held back, up to a piece, until something is to be read: head and body leave together.

    One packet, and one wake-up of the other side, in place of two.
    """

    def __init__(self, inner: httpcore.NetworkStream, before: int, by_tls: bool = False, nested: bool = False) -> None:
        self._inner, self._before = inner, before
        self._by_tls, self._nested = by_tls, nested  # nested: TLS to the other side, within TLS to the proxy
        self._held = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        # Whoever refuses a request may close before it is whole: what it said is read all the same.
        with contextlib.suppress(httpcore.WriteError):
            self._release(timeout)
        return self._inner.read(max_bytes, time_left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if len(self._held) + len(buffer) <= PIECE:
            self._held += buffer
            return
        self._release(timeout)
        self._send(buffer, timeout)

    def _release(self, timeout: float | None) -> None:
        held, self._held = self._held, b""
        if held:
            self._send(held, timeout)

    def _send(self, buffer: bytes, timeout: float | None) -> None:
        # Not the inner stream's write: it allows the whole timeout anew for every piece that the network takes.
        sock, call, rest = self._inner.get_extra_info("socket"), current_call(), memoryview(buffer)
        while rest:
            left = time_left(timeout, httpcore.WriteTimeout)
            if self._nested:  # its socket is the proxy's
                taken = min(len(rest), PIECE)
                self._note(call)
                self._inner.write(bytes(rest[:taken]), left)
            else:
                taken = _sent(sock, rest, left)
                self._note(call)
            rest = rest[taken:]

    def _note(self, call: Call | None) -> None:
        if call and not self._before:
            call.handed_over = True

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = time_left(timeout, httpcore.ConnectTimeout)
        self._release(timeout)
        inner = self._inner.start_tls(ssl_context, server_hostname, left)
        return _Stream(inner, max(0, self._before - 1), by_tls=True, nested=self._by_tls)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _sent(sock: socket.socket, content: memoryview, seconds: float | None) -> int:
    """How many bytes the network took at once."""
    sock.settimeout(seconds)
    try:
        return sock.send(content)
    except TimeoutError as error:
        raise httpcore.WriteTimeout(str(error)) from error
    except OSError as error:
        raise httpcore.WriteError(str(error)) from error

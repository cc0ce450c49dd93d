"""Callers that send too much, or too slowly, at a real server with our connections."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from clearfacts_assets.api.connections import HEAD_BYTES, BoundedConnection
from clearfacts_assets_tests.fixtures.api import RunningApi

SECONDS = 0.5  # instead of HEAD_SECONDS and BODY_SECONDS
PATIENCE = 120
ALIVE = b"GET /healthz HTTP/1.1\r\nHost: test\r\n"


class Hurried(BoundedConnection):
    head_seconds = body_seconds = SECONDS


@pytest.fixture
def port(quick_api: RunningApi) -> Iterator[int]:
    yield from listening(quick_api, BoundedConnection)


@pytest.fixture
def hurried_port(quick_api: RunningApi) -> Iterator[int]:
    yield from listening(quick_api, Hurried)


def listening(api: RunningApi, connection: type[BoundedConnection]) -> Iterator[int]:
    server = uvicorn.Server(uvicorn.Config(api.app, port=0, log_level="critical", http=connection))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(PATIENCE)


def answer(port: int, *parts: bytes) -> bytes:
    """What comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as caller:
        got = b""
        try:
            for part in parts:
                caller.sendall(part)
            while more := caller.recv(65536):
                got += more
        except (BrokenPipeError, ConnectionResetError):
            pass  # closed while we were still sending
        return got


@pytest.mark.parametrize(
    "head",
    [
        b"X-Long: " + b"x" * HEAD_BYTES,
        b"X-Long: " + b"x" * HEAD_BYTES + b"\r\n\r\n",
        b"X-Short: x\r\n" * (HEAD_BYTES // 8) + b"\r\n",
    ],
    ids=["unfinished", "finished", "many"],
)
def test_a_head_over_the_limit_is_431(port: int, head: bytes) -> None:
    assert answer(port, ALIVE + head).startswith(b"HTTP/1.1 431 ")


def test_headers_have_a_limit_and_a_deadline(port: int, hurried_port: int) -> None:
    begin = time.monotonic()
    assert answer(hurried_port, ALIVE) == b""  # the blank line never comes
    assert SECONDS * 0.9 < time.monotonic() - begin < PATIENCE
    assert answer(hurried_port) == b""  # nothing ever comes
    assert b" 431 " in answer(port, ALIVE + b"X-Long: " + b"x" * (2 * HEAD_BYTES))


def test_a_body_has_a_deadline(hurried_port: int) -> None:
    head = b"POST /auth/login HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    begin = time.monotonic()
    assert answer(hurried_port, head, b"{") == b""
    assert time.monotonic() - begin < PATIENCE


def test_a_head_that_is_large_but_allowed_is_read_and_the_connection_kept(port: int) -> None:
    request = ALIVE + b"X-Long: " + b"x" * (HEAD_BYTES // 2) + b"\r\n\r\n"
    last = ALIVE + b"Connection: close\r\n\r\n"
    assert answer(port, request + request + last).count(b"HTTP/1.1 200 OK") == 3


def test_who_sends_slowly_keeps_nobody_else_waiting(port: int) -> None:
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    for caller in slow:
        caller.sendall(ALIVE)
    assert answer(port, ALIVE + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200 OK")
    for caller in slow:
        caller.close()

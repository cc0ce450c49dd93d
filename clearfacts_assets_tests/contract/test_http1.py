"""What our reading of HTTP/1.1 takes of an answer and what it refuses; nothing that came is taken for the next one."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpcore
import pytest

from clearfacts_assets.outgoing.http1 import HEAD_BYTES, Connection
from clearfacts_assets.outgoing.wire import BoundedBackend
from clearfacts_assets_tests.fixtures.wire import Line, Script, WireServer

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: 2\r\n\r\n{}"


def saying(*pieces: bytes) -> Script:
    """Answers each request with the next of these, and stays; at their end it closes."""

    def script(line: Line) -> None:
        for piece in pieces:
            line.read()
            line.send(piece)

    return script


@pytest.fixture
def connection() -> Iterator[Connection]:
    opened = Connection(BoundedBackend(), ssl.create_default_context(), idle=60)
    yield opened
    opened.close()


def ask(
    connection: Connection, server: WireServer, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body of one call."""
    given = {"Host": "localhost", **(headers or {})}
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), 60.0)
    request = httpcore.Request(method, f"{server.url}/a?b=c", headers=given, extensions={"timeout": timeouts})
    response = connection.handle_request(request)
    try:
        return response.status, response.read()
    finally:
        response.close()


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (WHOLE, b"{}"),
        (OK + b"Content-Length: 0\r\n\r\n", b""),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n1;x=y\r\n \r\n0\r\nX-Trailer: 1\r\n\r\n", b"{} "),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Wait\r\nX: 1\r\n\r\n" + WHOLE, b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b""),
    ],
    ids=["length", "empty", "chunked", "after 100 and 102", "204", "304"],
)
def test_an_answer_is_read_to_its_end_and_its_connection_kept(connection: Connection, said: bytes, body: bytes) -> None:
    with WireServer([saying(said, WHOLE)]) as server:
        assert ask(connection, server)[1] == body
        assert ask(connection, server) == (200, b"{}")
    assert server.connections == 1


@pytest.mark.parametrize(
    "said",
    [
        OK + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        WHOLE + WHOLE,
        WHOLE + b"\x00 and more",
    ],
    ids=["close", "HTTP/1.0", "two answers to one request", "something behind it"],
)
def test_an_answer_that_may_not_be_the_last_word_ends_its_connection(connection: Connection, said: bytes) -> None:
    with WireServer([saying(said, WHOLE)]) as server:
        assert [ask(connection, server) for _ in range(2)] == [(200, b"{}")] * 2
    assert server.connections == 2


def test_without_a_length_the_end_of_the_connection_is_the_end_of_the_answer(connection: Connection) -> None:
    with WireServer([saying(OK + b"\r\nas long as it takes")]) as server:
        assert ask(connection, server) == (200, b"as long as it takes")
    assert connection.stream is None


@pytest.mark.parametrize(
    "said",
    [
        b"",
        OK,
        OK + b"Content-Length: 3\r\n\r\n{}",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\n{}",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        OK + b"Content-Length: -2\r\n\r\n{}",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        OK + b"X: " + b"x" * (HEAD_BYTES + 2**17) + b"\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X-Trailer: 1\r\n" * (HEAD_BYTES // 5) + b"\r\n",
    ],
    ids=[
        *("nothing", "half a head", "a short body", "no last chunk", "another coding", "no number of a chunk"),
        *("two lengths", "a length and chunks", "less than nothing", "an upgrade", "not HTTP", "a head without end"),
        "trailers without end",
    ],
)
def test_what_is_no_whole_answer_is_an_error_and_the_next_call_begins_anew(connection: Connection, said: bytes) -> None:
    with WireServer([saying(said), saying(WHOLE)]) as server:
        with pytest.raises(httpcore.RemoteProtocolError):
            ask(connection, server)
        assert connection.stream is None
        assert ask(connection, server) == (200, b"{}")
    assert server.connections == 2


def test_what_cannot_be_said_is_not_begun(connection: Connection) -> None:
    with WireServer([saying(WHOLE)]) as server:
        for method, headers in (
            ("HEAD", {}),
            ("GET", {"X": "1\r\nX-Evil: 2"}),
            ("GET", {"X": "1\nX-Evil: 2"}),
            ("GET", {"X": "\x00"}),
            ("POST", {"Transfer-Encoding": "chunked"}),
        ):
            with pytest.raises(httpcore.LocalProtocolError):
                ask(connection, server, method, headers)
    assert server.connections == 0

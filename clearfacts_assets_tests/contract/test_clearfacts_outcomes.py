"""The rows of docs/clearfacts-outcomes.md that hold for both transports: what the wire does, and what it means."""

from __future__ import annotations

import gzip
import json
import logging
import select
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from clearfacts_assets.invoices.destinations import calls, clearfacts_graphql, clearfacts_rest
from clearfacts_assets.invoices.destinations.clearfacts_graphql import ClearfactsGraphql
from clearfacts_assets.invoices.destinations.clearfacts_rest import ClearfactsRest
from clearfacts_assets.invoices.ports import Accepted, Denied, DestinationError, NotSent, Refused, Unknown
from clearfacts_assets.outgoing import client
from clearfacts_assets_tests.fixtures.parcels import parcel
from clearfacts_assets_tests.fixtures.wire import Line, Script, WireServer, answer, answering, took_at_most, unused_port

TOKEN = "canary-7f3a/secret+token"
UUID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
ACCEPTED = {"uuid": UUID, "data": {"uploadFile": {"uuid": UUID, "amountOfPages": 1}}}  # both transports read it
TRANSPORTS = ("rest", "graphql")

Destination = ClearfactsRest | ClearfactsGraphql
Connect = Callable[..., tuple[WireServer, Destination]]


def open_destination(transport: str, url: str, **options: Any) -> Destination:
    options = {"deadline": 5.0, "connect_timeout": 2.0} | options
    if transport == "rest":
        return ClearfactsRest(url, TOKEN, **options)
    return ClearfactsGraphql(url, TOKEN, login_url=url, **options)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def connect(transport: str) -> Iterator[Connect]:
    with ExitStack() as stack:

        def make(*scripts: Script, **options: Any) -> tuple[WireServer, Destination]:
            server = stack.enter_context(WireServer(list(scripts)))
            destination = open_destination(transport, server.url, **options)
            stack.callback(destination.close)
            return server, destination

        yield make


# --- nothing left: NOT SENT ------------------------------------------------------------------------------------------


def test_a_refused_connection_is_not_sent(transport: str) -> None:
    outcome = open_destination(transport, f"http://127.0.0.1:{unused_port()}").send(parcel())
    assert isinstance(outcome, NotSent)
    assert "ConnectError" in outcome.reason
    assert outcome.retry_after is None


def test_an_unknown_host_is_not_sent(transport: str) -> None:
    assert isinstance(open_destination(transport, "http://clearfacts.invalid").send(parcel()), NotSent)


def test_a_connection_that_is_not_made_in_time_is_not_sent(transport: str) -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # more than the queue holds: the kernel lets further ones wait
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        with took_at_most(3):
            outcome = open_destination(transport, url, connect_timeout=0.2).send(parcel())
    assert isinstance(outcome, NotSent)
    assert "ConnectTimeout" in outcome.reason


def test_a_failed_tls_handshake_is_not_sent(connect: Connect, transport: str) -> None:
    server, _ = connect(Line.until_gone)
    https = open_destination(transport, server.url.replace("http:", "https:"), connect_timeout=0.3)
    with took_at_most(3):
        assert isinstance(https.send(parcel()), NotSent)


def test_waiting_for_a_free_connection_beyond_the_deadline_is_not_sent(connect: Connect) -> None:
    def half(line: Line) -> None:
        line.read_head()
        line.send(answer(200, b"", length=10))
        line.until_gone()

    server, destination = connect(half, deadline=0.3, connections=1)
    with destination._calls._client.stream("GET", server.url), took_at_most(2):
        outcome = destination.send(parcel())
    assert isinstance(outcome, NotSent)
    assert "PoolTimeout" in outcome.reason


def test_429_is_not_sent_with_its_retry_after(connect: Connect) -> None:
    _, destination = connect(
        answering(429, b"", {"Retry-After": "7"}),
        answering(429, b"", {"Retry-After": "99999999999"}),
        answering(
            429, "<h1>slow down</h1>", {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=30), True)}
        ),
        answering(429, ACCEPTED),
        longest_wait=60,
    )
    outcomes = [destination.send(parcel()) for _ in range(4)]
    assert all(isinstance(outcome, NotSent) for outcome in outcomes)
    waits = [outcome.retry_after for outcome in outcomes if isinstance(outcome, NotSent)]
    assert waits[:2] == [7.0, 60.0]
    assert waits[2] == pytest.approx(30, abs=3)
    assert waits[3] is None


# --- DENIED ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("body", [b"", {"error": {"code": "X", "message": "m"}}, "<html>login</html>", ACCEPTED])
def test_401_and_403_are_denied_whatever_they_say(connect: Connect, status: int, body: Any) -> None:
    _, destination = connect(answering(status, body))
    outcome = destination.send(parcel())
    assert isinstance(outcome, Denied)
    assert f"HTTP {status}" in outcome.reason
    assert outcome.response["status"] == status


# --- UNKNOWN ---------------------------------------------------------------------------------------------------------


def reset(line: Line) -> None:
    line.read()
    line.reset()


def hang_up(line: Line) -> None:
    line.read()


def reset_while_the_request_comes_in(line: Line) -> None:
    line.read_head()
    line.reset()


def cut(line: Line) -> None:
    line.read()
    line.send(answer(200, json.dumps(ACCEPTED)[:60], length=200))


def drip_body(line: Line) -> None:
    line.read()
    line.send(answer(200, b"", length=5_000))
    line.drip(json.dumps(ACCEPTED).ljust(5_000).encode(), 0.02)


def drip_head(line: Line) -> None:
    line.read()
    line.drip(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: 1\r\n" * 1000, 0.02)


def never_read(line: Line) -> None:
    line.server.closing.wait(5)


def read_slowly(line: Line) -> None:
    while line.sock.recv(1024) and not line.server.closing.wait(0.01):
        pass


UNKNOWN: dict[str, Script] = {
    "reset": reset,
    "closed without an answer": hang_up,
    "cut": cut,
    "cut gzip": answering(200, gzip.compress(json.dumps(ACCEPTED).encode())[:-9], {"Content-Encoding": "gzip"}),
    "unasked packing": answering(200, ACCEPTED, {"Content-Encoding": "br"}),
    "not http": lambda line: (line.read(), line.send(b"garbage\r\n\r\n"))[0],  # type: ignore[dict-item]
    "too large": answering(200, json.dumps(ACCEPTED).ljust(calls.RESPONSE_BYTES + 1)),
    "gzip bomb": answering(200, gzip.compress(b" " * (64 * 2**20)), {"Content-Encoding": "gzip"}),
    "malformed json": answering(200, json.dumps(ACCEPTED)[:-1]),
    "nested too deep": answering(200, "[" * 200_000),
    "html": answering(200, "<html>Sign in</html>"),
    "empty": answering(200, b""),
    "no uuid": answering(200, {"uuid": None, "data": {"uploadFile": {"uuid": None}}}),
    "bad uuid": answering(200, {"uuid": "not-a-uuid", "data": {"uploadFile": {"uuid": "not-a-uuid"}}}),
    "bare uuid": answering(
        200, {"uuid": UUID.replace("-", ""), "data": {"uploadFile": {"uuid": UUID.replace("-", "")}}}
    ),
    "number": answering(200, {"uuid": 17, "data": {"uploadFile": {"uuid": 17}}}),
    "list": answering(200, [ACCEPTED]),
    "null": answering(200, "null"),
    "202": answering(202, ACCEPTED),
    "204": answering(204),
    "206": answering(206, ACCEPTED),
    "302": answering(302, ACCEPTED, {"Location": "http://127.0.0.1:9/"}),
    "307": answering(307, b"", {"Location": "http://127.0.0.1:9/"}),
    "308 to nowhere": answering(308, b"", {"Location": "http://[broken"}),
    "404": answering(404, {"error": {"code": "NOT_FOUND", "message": "there is nothing here"}}),
    "405": answering(405),
    "408": answering(408),
    "409": answering(409, {"error": {"code": "CONFLICT", "message": "exists"}}),
    "418": answering(418),
    "422 html": answering(422, "<h1>no</h1>"),
    "500": answering(500, {"error": {"code": "INTERNAL", "message": "oops"}}),
    "500 accepted": answering(500, ACCEPTED),
    "502": answering(502, "<h1>Bad gateway</h1>"),
    "503": answering(503, b"", {"Retry-After": "5"}),
    "504": answering(504),
    "599": answering(599),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_whatever_does_not_settle_it_is_unknown(connect: Connect, name: str) -> None:
    server, destination = connect(UNKNOWN[name])
    outcome = destination.send(parcel())
    assert isinstance(outcome, Unknown)
    assert f"POST {server.url}/" in outcome.reason
    assert server.connections == 1, "nothing is sent a second time"
    json.dumps(outcome.response)


def test_the_evidence_keeps_what_came(connect: Connect) -> None:
    _, destination = connect(UNKNOWN["cut"], UNKNOWN["502"], UNKNOWN["307"])
    outcomes = [destination.send(parcel()) for _ in range(3)]
    responses = [outcome.response for outcome in outcomes if isinstance(outcome, Unknown)]
    assert responses[0]["status"] == 200
    assert UUID in responses[0]["body"]
    assert "RemoteProtocolError" in responses[0]["error"]
    assert (responses[1]["status"], responses[1]["body"]) == (502, "<h1>Bad gateway</h1>")
    assert responses[2]["headers"]["Location"] == "http://127.0.0.1:9/"


def test_a_reset_while_the_request_goes_out_is_unknown(connect: Connect) -> None:
    _, destination = connect(reset_while_the_request_comes_in)
    assert isinstance(destination.send(parcel(content=b"x" * 2**20)), Unknown)


@pytest.mark.parametrize("script", [Line.until_gone, drip_body, drip_head, never_read, read_slowly])
def test_one_deadline_covers_the_whole_call_however_it_drips(connect: Connect, script: Script) -> None:
    _, destination = connect(script, deadline=0.4)
    with took_at_most(2):
        outcome = destination.send(parcel(content=b"x" * (16 * 2**20 if script in (never_read, read_slowly) else 10)))
    assert isinstance(outcome, Unknown)
    assert "0.4 s" in outcome.reason


# --- connections -----------------------------------------------------------------------------------------------------


def once_and_keep(line: Line) -> None:
    line.read()
    line.send(answer(200, ACCEPTED, keep=True))


def test_a_connection_that_closed_while_idle_is_replaced(connect: Connect) -> None:
    server, destination = connect(once_and_keep)
    for number in range(3):
        assert isinstance(destination.send(parcel(str(number))), Accepted)
        for stream in pooled_streams(destination):  # httpx may have noticed already
            select.select([stream.get_extra_info("socket")], [], [], 5)
    assert server.connections == 3


def test_a_connection_that_takes_no_byte_any_more_means_not_sent(connect: Connect) -> None:
    def keep_open(line: Line) -> None:
        once_and_keep(line)
        line.server.closing.wait(0.3)

    _, destination = connect(keep_open)
    assert isinstance(destination.send(parcel("1")), Accepted)
    (stream,) = pooled_streams(destination)
    stream.get_extra_info("socket").shutdown(socket.SHUT_WR)
    outcome = destination.send(parcel("2"))
    assert isinstance(outcome, NotSent)
    assert "nothing left" in outcome.reason


def test_a_connection_that_closes_on_the_next_request_is_unknown(connect: Connect) -> None:
    def close_on_second(line: Line) -> None:
        once_and_keep(line)
        line.read()

    server, destination = connect(close_on_second)
    assert isinstance(destination.send(parcel("1")), Accepted)
    assert isinstance(destination.send(parcel("2")), Unknown)
    assert server.connections == 1


def test_an_idle_connection_is_dropped_before_a_server_would(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.IDLE_SECONDS < 5
    monkeypatch.setattr(client, "IDLE_SECONDS", 0.05)

    def keep_open(line: Line) -> None:
        once_and_keep(line)
        line.until_gone()

    server, destination = connect(keep_open)
    destination.send(parcel("1"))
    time.sleep(0.1)
    destination.send(parcel("2"))
    assert server.connections == 2


def test_no_more_connections_than_allowed(connect: Connect) -> None:
    def serve(line: Line) -> None:
        while True:
            line.read()
            line.server.closing.wait(0.01)
            line.send(answer(200, ACCEPTED, keep=True))

    server, destination = connect(serve, connections=3)
    with ThreadPoolExecutor(12) as threads:
        outcomes = list(threads.map(lambda number: destination.send(parcel(str(number))), range(60)))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert server.connections <= 3


def pooled_streams(destination: Destination) -> list[Any]:
    pool = destination._calls._client._transport._pool  # type: ignore[attr-defined]
    return [connection._connection._network_stream for connection in pool.connections]


# --- secrets and hostile words ---------------------------------------------------------------------------------------


def test_the_token_is_nowhere(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = f"Bearer {TOKEN}, {TOKEN.replace('/', chr(92) + '/')}, canary-7f3a%2Fsecret%2Btoken"
    error = {"error": {"code": TOKEN, "message": echo}, "errors": [{"message": echo, "extensions": {"code": TOKEN}}]}

    def cut_in_the_token(line: Line) -> None:
        line.read()
        line.send(answer(500, f"Bearer {TOKEN[:14]}", length=900))

    scripts = [
        answering(200, error),
        answering(422, error),
        answering(401, echo),
        answering(429, echo),
        answering(500, echo, {"X-Request-Id": TOKEN}),
        answering(302, b"", {"Location": f"http://127.0.0.1/{TOKEN}"}),
        answering(200, ACCEPTED | {"echo": [echo], TOKEN: 1}),
        cut_in_the_token,
    ]
    _, destination = connect(*scripts)
    outcomes = [destination.send(parcel()) for _ in scripts]
    assert "canary" not in repr(outcomes)
    assert "canary" not in repr(vars(destination)) + repr(vars(destination._calls))
    with pytest.raises(DestinationError) as caught:
        open_destination(destination_transport(destination), f"http://127.0.0.1:{unused_port()}").check()
    assert "canary" not in str(caught.value) + repr(caught.value.__context__)
    assert "canary" not in caplog.text


def destination_transport(destination: Destination) -> str:
    return "rest" if isinstance(destination, ClearfactsRest) else "graphql"


def test_hostile_words_are_kept_short_and_storable(connect: Connect) -> None:
    hostile = {"error": {"code": "\x00" * 300, "message": "\ud800" * 10_000}, "deep": json.loads("[" * 50 + "]" * 50)}
    _, destination = connect(answering(422, hostile), answering(200, json.dumps({"a": ["x" * 10] * 1000})))
    for _ in range(2):
        outcome = destination.send(parcel())
        assert isinstance(outcome, Refused | Unknown)
        kept = json.dumps(outcome.response, ensure_ascii=False) + repr(outcome)
        kept.encode("utf-8")
        assert "\x00" not in kept
        assert len(kept) < 20_000


@pytest.mark.parametrize("correlation_id", ["a\r\nX-Evil: 1", "é", "x" * 1000])
def test_a_hostile_correlation_id_makes_no_header(connect: Connect, correlation_id: str) -> None:
    server, destination = connect(answering(200, ACCEPTED))
    assert isinstance(destination.send(replace(parcel(), correlation_id=correlation_id)), Accepted)
    headers = server.requests[0].headers
    assert "x-evil" not in headers
    assert len(headers.get("x-correlation-id", "")) <= 128


@pytest.mark.parametrize("base_url", ["clearfacts.be", "file:///etc", "https://user:pw@clearfacts.be"])
def test_an_address_that_would_leak_or_cannot_work_is_refused(transport: str, base_url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        open_destination(transport, base_url)


# --- the table in the docs -------------------------------------------------------------------------------------------


def test_the_table_in_the_docs_names_what_the_code_knows() -> None:
    table = (Path(__file__).parents[2] / "docs" / "clearfacts-outcomes.md").read_text()
    for status, meaning in clearfacts_rest.POSTED.items():
        assert any(str(status) in line and meaning.name in line for line in table.splitlines()), (status, meaning)
    for code, meaning in clearfacts_rest.CODES.items():
        assert any(code in line and meaning.name in line for line in table.splitlines()), (code, meaning)
    for known in clearfacts_graphql.KNOWN_ERRORS:
        name = known.code or known.name
        assert any(name in line and known.meaning.name in line for line in table.splitlines()), name

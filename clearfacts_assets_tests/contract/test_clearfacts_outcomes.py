"""The rows of docs/clearfacts-outcomes.md that hold for both transports: what the wire does, and what it means."""

from __future__ import annotations

import gzip
import json
import socket
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpcore
import pytest

from clearfacts_assets.invoices.destinations import calls, clearfacts_graphql, clearfacts_rest
from clearfacts_assets.invoices.ports import Denied, NotSent, Unknown
from clearfacts_assets_tests.fixtures.destinations import (
    ACCEPTED,
    UUID,
    DestinationAt,
    open_destination,
)
from clearfacts_assets_tests.fixtures.simulated_submissions import submission
from clearfacts_assets_tests.fixtures.wire import Line, Script, answer, answering, took_at_most, unused_port

pytestmark = pytest.mark.waits

# --- nothing left: NOT SENT ------------------------------------------------------------------------------------------


def test_a_refused_connection_is_not_sent(transport: str) -> None:
    outcome = open_destination(transport, f"http://127.0.0.1:{unused_port()}").send(submission())
    assert isinstance(outcome, NotSent)
    assert "ConnectError" in outcome.reason
    assert outcome.retry_after is None


def test_an_unknown_host_is_not_sent(transport: str) -> None:
    assert isinstance(open_destination(transport, "http://clearfacts.invalid").send(submission()), NotSent)


def test_a_connection_that_is_not_made_in_time_is_not_sent(transport: str) -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # more than the queue holds: the kernel lets further ones wait
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        with took_at_most(10):
            outcome = open_destination(transport, url, connect_timeout=0.2, deadline=30).send(submission())
    assert isinstance(outcome, NotSent)
    assert "ConnectTimeout" in outcome.reason


def test_a_failed_tls_handshake_is_not_sent(destination_at: DestinationAt, transport: str) -> None:
    server, _ = destination_at(Line.until_gone)
    https = open_destination(transport, server.url.replace("http:", "https:"), connect_timeout=0.3, deadline=30)
    with took_at_most(10):
        assert isinstance(https.send(submission()), NotSent)


def test_waiting_for_a_free_connection_beyond_the_deadline_is_not_sent(destination_at: DestinationAt) -> None:
    def half(line: Line) -> None:
        line.read_head()
        line.send(answer(200, b"", length=10))
        line.until_gone()

    server, destination = destination_at(half, deadline=0.3, connections=1)
    with closing(destination._calls._connections.handle_request(httpcore.Request("GET", server.url))), took_at_most(10):
        outcome = destination.send(submission())
    assert isinstance(outcome, NotSent)
    assert "PoolTimeout" in outcome.reason


def test_429_is_not_sent_with_its_retry_after(destination_at: DestinationAt) -> None:
    _, destination = destination_at(
        answering(429, b"", {"Retry-After": "7"}),
        answering(429, b"", {"Retry-After": "99999999999"}),
        answering(
            429, "<h1>slow down</h1>", {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=30), True)}
        ),
        answering(429, ACCEPTED),
        longest_wait=60,
    )
    outcomes = [destination.send(submission()) for _ in range(4)]
    assert all(isinstance(outcome, NotSent) for outcome in outcomes)
    waits = [outcome.retry_after for outcome in outcomes if isinstance(outcome, NotSent)]
    assert waits[:2] == [7.0, 60.0]
    assert waits[2] == pytest.approx(30, abs=3)
    assert waits[3] is None


# --- DENIED ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("body", [b"", {"error": {"code": "X", "message": "m"}}, "<html>login</html>", ACCEPTED])
def test_401_and_403_are_denied_whatever_they_say(destination_at: DestinationAt, status: int, body: Any) -> None:
    _, destination = destination_at(answering(status, body))
    outcome = destination.send(submission())
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


@cache
def bomb() -> bytes:
    """Made for who plays it: packing it takes longer than anything else in this file."""
    return gzip.compress(b" " * (64 * 2**20))


def explode(line: Line) -> None:
    line.read()
    line.send(answer(200, bomb(), {"Content-Encoding": "gzip"}))


UNKNOWN: dict[str, Script] = {
    "reset": reset,
    "closed without an answer": hang_up,
    "cut": cut,
    "cut gzip": answering(200, gzip.compress(json.dumps(ACCEPTED).encode())[:-9], {"Content-Encoding": "gzip"}),
    "unasked packing": answering(200, ACCEPTED, {"Content-Encoding": "br"}),
    "not http": lambda line: (line.read(), line.send(b"garbage\r\n\r\n"))[0],  # type: ignore[dict-item]
    "too large": answering(200, json.dumps(ACCEPTED).ljust(calls.RESPONSE_BYTES + 1)),
    "gzip bomb": explode,
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
def test_whatever_does_not_settle_it_is_unknown(destination_at: DestinationAt, name: str) -> None:
    server, destination = destination_at(UNKNOWN[name])
    outcome = destination.send(submission())
    assert isinstance(outcome, Unknown)
    assert f"POST {server.url}/" in outcome.reason
    assert server.connections == 1, "nothing is sent a second time"
    json.dumps(outcome.response)


def test_the_evidence_keeps_what_came(destination_at: DestinationAt) -> None:
    _, destination = destination_at(UNKNOWN["cut"], UNKNOWN["502"], UNKNOWN["307"])
    outcomes = [destination.send(submission()) for _ in range(3)]
    responses = [outcome.response for outcome in outcomes if isinstance(outcome, Unknown)]
    assert responses[0]["status"] == 200
    assert UUID in responses[0]["body"]
    assert "RemoteProtocolError" in responses[0]["error"]
    assert (responses[1]["status"], responses[1]["body"]) == (502, "<h1>Bad gateway</h1>")
    assert responses[2]["headers"]["Location"] == "http://127.0.0.1:9/"


def test_a_reset_while_the_request_goes_out_is_unknown(destination_at: DestinationAt) -> None:
    _, destination = destination_at(reset_while_the_request_comes_in)
    assert isinstance(destination.send(submission(content=b"x" * 2**20)), Unknown)


@pytest.mark.parametrize("script", [Line.until_gone, drip_body, drip_head, never_read, read_slowly])
def test_one_deadline_covers_the_whole_call_however_it_drips(destination_at: DestinationAt, script: Script) -> None:
    _, destination = destination_at(script, deadline=1)
    with took_at_most(10):
        outcome = destination.send(
            submission(content=b"x" * (16 * 2**20 if script in (never_read, read_slowly) else 10))
        )
    assert isinstance(outcome, Unknown)
    assert "1 s at most" in outcome.reason


# --- the table in the docs -------------------------------------------------------------------------------------------


def test_the_table_in_the_docs_names_what_the_code_knows() -> None:
    table = (Path(__file__).parents[2] / "docs" / "clearfacts-outcomes.md").read_text()
    for status, meaning in clearfacts_rest.POSTED.items():
        assert any(str(status) in line and meaning.name in line for line in table.splitlines()), (status, meaning)
    for code, meaning in clearfacts_rest.CODES.items():
        assert any(code in line and meaning.name in line for line in table.splitlines()), (code, meaning)
    for known in clearfacts_graphql.KNOWN_ERRORS:
        name = known.code or known.name
        assert any(name in line and known.outcome.name in line for line in table.splitlines()), name

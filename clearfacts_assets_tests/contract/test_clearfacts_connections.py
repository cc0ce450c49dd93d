"""Both transports: connections that are kept and lost, and words from the other side that must not get far."""

from __future__ import annotations

import json
import logging
import select
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from clearfacts_assets.invoices.ports import Accepted, DestinationError, NotSent, Refused, Unknown
from clearfacts_assets.outgoing import client, wire
from clearfacts_assets_tests.fixtures.destinations import (
    ACCEPTED,
    TOKEN,
    Destination,
    DestinationAt,
    open_destination,
)
from clearfacts_assets_tests.fixtures.simulated_submissions import submission
from clearfacts_assets_tests.fixtures.wire import Line, answer, answering, unused_port

pytestmark = pytest.mark.waits

# --- connections -----------------------------------------------------------------------------------------------------


def once_and_keep(line: Line) -> None:
    line.read()
    line.send(answer(200, ACCEPTED, keep=True))


def test_a_connection_that_closed_while_idle_is_replaced(destination_at: DestinationAt) -> None:
    server, destination = destination_at(once_and_keep)
    for number in range(3):
        assert isinstance(destination.send(submission(str(number))), Accepted)
        for stream in pooled_streams(destination):  # which it may have noticed already
            select.select([stream.get_extra_info("socket")], [], [], 5)
    assert server.connections == 3


def test_head_and_body_of_a_request_leave_together(
    destination_at: DestinationAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[bytes] = []
    sent = wire._sent

    def noted(sock: socket.socket, content: memoryview, seconds: float | None) -> int:
        pieces.append(bytes(content))
        return sent(sock, content, seconds)

    monkeypatch.setattr(wire, "_sent", noted)
    _, destination = destination_at(once_and_keep)
    assert isinstance(destination.send(submission("1")), Accepted)
    (whole,) = pieces
    head, _, body = whole.partition(b"\r\n\r\n")
    assert head.startswith(b"POST ")
    assert f"content-length: {len(body)}".encode() in head.lower()


def test_a_connection_that_takes_no_byte_any_more_means_not_sent(destination_at: DestinationAt) -> None:
    def keep_open(line: Line) -> None:
        once_and_keep(line)
        line.server.closing.wait()

    _, destination = destination_at(keep_open, deadline=1.0)
    assert isinstance(destination.send(submission("1")), Accepted)
    (stream,) = pooled_streams(destination)
    stream.get_extra_info("socket").shutdown(socket.SHUT_WR)
    outcome = destination.send(submission("2"))
    assert isinstance(outcome, NotSent)
    assert "nothing left" in outcome.reason


def test_a_connection_that_closes_on_the_next_request_is_unknown(destination_at: DestinationAt) -> None:
    def close_on_second(line: Line) -> None:
        once_and_keep(line)
        line.read()

    server, destination = destination_at(close_on_second)
    assert isinstance(destination.send(submission("1")), Accepted)
    assert isinstance(destination.send(submission("2")), Unknown)
    assert server.connections == 1


def test_an_idle_connection_is_dropped_before_a_server_would(
    destination_at: DestinationAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.IDLE_SECONDS < 5
    monkeypatch.setattr(client, "IDLE_SECONDS", 0.05)

    def keep_open(line: Line) -> None:
        once_and_keep(line)
        line.until_gone()

    server, destination = destination_at(keep_open)
    destination.send(submission("1"))
    time.sleep(0.1)
    destination.send(submission("2"))
    assert server.connections == 2


def test_no_more_connections_than_allowed(destination_at: DestinationAt) -> None:
    def serve(line: Line) -> None:
        while True:
            line.read()
            line.server.closing.wait(0.01)
            line.send(answer(200, ACCEPTED, keep=True))

    server, destination = destination_at(serve, connections=3)
    with ThreadPoolExecutor(12) as threads:
        outcomes = list(threads.map(lambda number: destination.send(submission(str(number))), range(60)))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert server.connections <= 3


def test_no_thread_closes_the_connection_on_which_another_has_its_answer(
    destination_at: DestinationAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question whether a server closed an idle connection is held up until another call may be under way on it."""
    told = wire._Stream.get_extra_info

    def slowly(stream: wire._Stream, info: str) -> Any:
        if info == "is_readable":
            time.sleep(0.02)
        return told(stream, info)

    def serve(line: Line) -> None:
        while True:
            line.read()
            line.send(answer(200, ACCEPTED, keep=True))

    monkeypatch.setattr(wire._Stream, "get_extra_info", slowly)
    server, destination = destination_at(serve, connections=4)
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda number: destination.send(submission(str(number))), range(80)))
    assert [outcome for outcome in outcomes if not isinstance(outcome, Accepted)] == []
    assert server.connections <= 4


def test_a_call_that_finds_no_free_connection_in_its_time_has_not_left(destination_at: DestinationAt) -> None:
    server, destination = destination_at(answering(200, ACCEPTED), connections=1, deadline=1)
    free = destination._calls._connections._free
    taken = free.get()
    outcome = destination.send(submission("1"))
    assert isinstance(outcome, NotSent)
    assert "all connections are in use" in outcome.reason
    assert server.connections == 0
    free.put(taken)
    assert isinstance(destination.send(submission("2")), Accepted)


@pytest.mark.parametrize(
    "script",
    [
        answering(200, ACCEPTED, length=9_000),
        answering(200, ACCEPTED, {"Content-Encoding": "gzip"}),
        lambda line: line.read(),
        lambda line: line.until_gone(),
    ],
    ids=["cut short", "not gzip", "no answer", "silent"],
)
def test_a_call_that_ends_badly_gives_its_connection_back(
    destination_at: DestinationAt, script: Callable[[Line], None]
) -> None:
    _, destination = destination_at(script, script, answering(200, ACCEPTED), connections=1, deadline=1)
    assert [type(destination.send(submission(str(number)))) for number in range(3)] == [Unknown, Unknown, Accepted]


def pooled_streams(destination: Destination) -> list[Any]:
    lines = destination._calls._connections._all
    return [way.stream for line in lines for way in line.pools.values() if way.stream is not None]


# --- secrets and hostile words ---------------------------------------------------------------------------------------


def test_the_token_is_nowhere(destination_at: DestinationAt, transport: str, caplog: pytest.LogCaptureFixture) -> None:
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
    _, destination = destination_at(*scripts)
    outcomes = [destination.send(submission()) for _ in scripts]
    assert "canary" not in repr(outcomes)
    assert "canary" not in repr(vars(destination)) + repr(vars(destination._calls))
    with pytest.raises(DestinationError) as caught:
        open_destination(transport, f"http://127.0.0.1:{unused_port()}").check()
    assert "canary" not in str(caught.value) + repr(caught.value.__context__)
    assert "canary" not in caplog.text


def test_hostile_words_are_kept_short_and_storable(destination_at: DestinationAt) -> None:
    hostile = {"error": {"code": "\x00" * 300, "message": "\ud800" * 10_000}, "deep": json.loads("[" * 50 + "]" * 50)}
    _, destination = destination_at(answering(422, hostile), answering(200, json.dumps({"a": ["x" * 10] * 1000})))
    for _ in range(2):
        outcome = destination.send(submission())
        assert isinstance(outcome, Refused | Unknown)
        kept = json.dumps(outcome.response, ensure_ascii=False) + repr(outcome)
        kept.encode("utf-8")
        assert "\x00" not in kept
        assert len(kept) < 20_000


@pytest.mark.parametrize("correlation_id", ["a\r\nX-Evil: 1", "é", "x" * 1000])
def test_a_hostile_correlation_id_makes_no_header(destination_at: DestinationAt, correlation_id: str) -> None:
    server, destination = destination_at(answering(200, ACCEPTED))
    assert isinstance(destination.send(replace(submission(), correlation_id=correlation_id)), Accepted)
    headers = server.requests[0].headers
    assert "x-evil" not in headers
    assert len(headers.get("x-correlation-id", "")) <= 128


@pytest.mark.parametrize("base_url", ["clearfacts.be", "file:///etc", "https://user:pw@clearfacts.be"])
def test_an_address_that_would_leak_or_cannot_work_is_refused(transport: str, base_url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        open_destination(transport, base_url)

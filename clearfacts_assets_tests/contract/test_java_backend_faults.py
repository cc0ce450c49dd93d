"""The Java backend's client on bad days: what is tried again, what ends the retrieval, what it may cost."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from clearfacts_assets.invoices.ports import SourceDenied, SourceError, SourceProtocolError, SourceUnavailable
from clearfacts_assets.invoices.sources import SourceOptions
from clearfacts_assets.invoices.sources.java_backend import JavaBackend, _TryAgain, _wait
from clearfacts_assets_tests.fixtures.backends import DAY, TOKEN, BackendAt, page, read_all, record
from clearfacts_assets_tests.fixtures.wire import (
    Line,
    Script,
    answer,
    answering,
    took_at_most,
    unused_port,
)

# --- faults that pass, and faults that do not ------------------------------------------------------------------------


def cut(line: Line) -> None:
    line.read()
    line.send(answer(200, json.dumps(page(record()))[:20], length=500))


def reset(line: Line) -> None:
    line.read()
    line.reset()


def hang_up(line: Line) -> None:
    line.read()


PASSING: dict[str, Script] = {
    "429": answering(429),
    "500": answering(500, "<h1>oops</h1>"),
    "502": answering(502),
    "503": answering(503, {"error": "busy"}),
    "504": answering(504),
    "html": answering(200, "<html>Sign in</html>"),
    "malformed": answering(200, '{"invoices": [,'),
    "not utf-8": answering(200, b'{"invoices": ["\xff"]}'),
    "nested too deep": answering(200, "[" * 200_000),
    "empty body": answering(200, b""),
    "cut": cut,
    "reset": reset,
    "closed": hang_up,
    "not http": lambda line: line.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "damaged gzip": answering(200, b"\x1f\x8bnot gzip", {"Content-Encoding": "gzip"}),
    "cut gzip": answering(200, gzip.compress(b"{}" * 400)[:-9], {"Content-Encoding": "gzip"}),
    "gzip and more": answering(200, gzip.compress(b"{}") + b"more", {"Content-Encoding": "gzip"}),
    "unasked packing": answering(200, b"{}", {"Content-Encoding": "br"}),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_is_tried_again(backend_at: BackendAt, name: str) -> None:
    server, backend = backend_at(PASSING[name], PASSING[name], answering(200, page(record())))
    assert [document.invoice_id for document in read_all(backend)] == ["INV-1"]
    assert server.connections == 3


BROKEN = {"html", "malformed", "not utf-8", "nested too deep", "empty body"} | {
    "damaged gzip",
    "cut gzip",
    "gzip and more",
    "unasked packing",
}


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_stays_ends_the_retrieval_after_the_allowed_tries(backend_at: BackendAt, name: str) -> None:
    server, backend = backend_at(answering(200, page(record(), cursor="abc")), PASSING[name])
    pages = backend.pages(DAY)
    assert len(next(pages)) == 1
    with pytest.raises(SourceError) as caught:
        next(pages)
    assert type(caught.value) is (SourceProtocolError if name in BROKEN else SourceUnavailable)
    assert server.connections == 1 + 3
    assert "page 2, cursor 'abc'" in str(caught.value)
    assert f"{server.url}/invoices" in str(caught.value)
    assert "3 tries" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, SourceDenied),
        (403, SourceDenied),
        *((status, SourceProtocolError) for status in (204, 206, 400, 404, 410, 422)),
    ],
)
def test_a_refusal_is_not_tried_again(backend_at: BackendAt, status: int, error: type[SourceError]) -> None:
    server, backend = backend_at(answering(status, {"detail": "because"}))
    with pytest.raises(error) as caught:
        read_all(backend)
    assert server.connections == 1
    assert f"HTTP {status}" in str(caught.value)


def test_what_a_refusal_says_is_told(backend_at: BackendAt) -> None:
    _, backend = backend_at(answering(400, {"detail": "limit must be at most 50"}))
    with pytest.raises(SourceProtocolError, match="limit must be at most 50"):
        read_all(backend)


def test_redirects_are_not_followed(backend_at: BackendAt) -> None:
    trap, _ = backend_at(answering(200, page(record("STOLEN"))))
    server, backend = backend_at(answering(302, b"", {"Location": f"{trap.url}/invoices"}))
    with pytest.raises(SourceProtocolError, match="redirects are not followed"):
        read_all(backend)
    assert (server.connections, trap.connections) == (1, 0)


def test_an_unreachable_backend_is_unavailable() -> None:
    backend = JavaBackend(SourceOptions(place=f"http://127.0.0.1:{unused_port()}", token=TOKEN, attempts=2))
    with pytest.raises(SourceUnavailable, match="2 tries: ConnectError"):
        read_all(backend)


def test_an_unknown_host_is_unavailable() -> None:
    backend = JavaBackend(SourceOptions(place="http://erp.invalid", token=TOKEN, attempts=1))
    with pytest.raises(SourceUnavailable, match="ConnectError"):
        read_all(backend)


# --- time and space --------------------------------------------------------------------------------------------------


def drip_body(line: Line) -> None:
    line.read()
    line.send(answer(200, b"", length=10_000))
    line.drip(b" " * 10_000, 0.02)


def drip_head(line: Line) -> None:
    line.read()
    line.drip(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: 1\r\n" * 1000, 0.02)


@pytest.mark.parametrize("script", [drip_body, drip_head, Line.until_gone], ids=["body", "head", "silence"])
def test_one_deadline_covers_a_whole_request_however_it_drips(backend_at: BackendAt, script: Script) -> None:
    _, backend = backend_at(script, deadline=0.3, attempts=1)
    with took_at_most(10), pytest.raises(SourceUnavailable, match=r"no whole answer in time .* 0\.3 s"):
        read_all(backend)


def test_a_gzip_bomb_costs_about_the_limit_and_no_more(backend_at: BackendAt) -> None:
    bomb = gzip.compress(b" " * (64 * 2**20))
    limit = 2 * 2**20
    _, backend = backend_at(answering(200, bomb, {"Content-Encoding": "gzip"}), page_bytes=limit, page_size=1)
    tracemalloc.start()
    try:
        with pytest.raises(SourceProtocolError, match="2,097,152 bytes"):
            read_all(backend)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * limit


def test_a_packed_page_is_unpacked(backend_at: BackendAt) -> None:
    body = gzip.compress(json.dumps(page(record(ubl="x" * 200_000))).encode())
    _, backend = backend_at(answering(200, body, {"Content-Encoding": "gzip"}))
    assert len(read_all(backend)[0].content) == 200_000


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("999", 30.0),
        ("9" * 5000, 30.0),
        (format_datetime(datetime(2026, 11, 21, 2, 0, 12, tzinfo=UTC), usegmt=True), 12.0),
        (format_datetime(datetime(2026, 11, 21, 1, tzinfo=UTC), usegmt=True), 0.0),
        (format_datetime(datetime(2036, 11, 21, tzinfo=UTC), usegmt=True), 30.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_honoured_and_capped(backend_at: BackendAt, asked: str, wait: float | None) -> None:
    _, backend = backend_at(
        answering(503, b"", {"Retry-After": asked}), now=lambda: datetime(2026, 11, 21, 2, tzinfo=UTC), longest_wait=30
    )
    with pytest.raises(_TryAgain) as caught:
        backend._get_once(backend._address, {}, "test")
    assert caught.value.wait == wait
    assert _wait(caught.value) == (True if wait is None else wait)

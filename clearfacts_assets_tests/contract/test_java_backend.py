"""The Java backend's client against servers that keep the contract and servers that do not."""

from __future__ import annotations

import gzip
import json
import logging
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import stamina

from clearfacts_assets.invoices.model import SourceDocument, Window
from clearfacts_assets.invoices.ports import (
    InvoiceNotFound,
    SourceDenied,
    SourceError,
    SourceProtocolError,
    SourceUnavailable,
)
from clearfacts_assets.invoices.sources.java_backend import JavaBackend, _TryAgain, _wait
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator
from clearfacts_assets_tests.fixtures.wire import (
    Line,
    Script,
    WireServer,
    answer,
    answering,
    took_at_most,
    unused_port,
)

TOKEN = "canary-7f3a/secret+token"
DAY = Window(datetime(2026, 11, 19, 23, tzinfo=UTC), datetime(2026, 11, 20, 23, tzinfo=UTC))
MOMENT = "2026-11-20T10:00:00Z"

Connect = Callable[..., tuple[WireServer, JavaBackend]]


def record(invoice_id: Any = "INV-1", ubl: Any = "<Invoice/>", updated_at: Any = MOMENT) -> dict[str, Any]:
    return {"id": invoice_id, "updated_at": updated_at, "ubl": ubl}


def page(*records: Any, cursor: Any = None) -> dict[str, Any]:
    return {"invoices": list(records), "next_cursor": cursor}


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Retries happen, their waits do not."""
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as stack:

        def make(*scripts: Script, **options: Any) -> tuple[WireServer, JavaBackend]:
            server = stack.enter_context(WireServer(list(scripts)))
            backend = JavaBackend(server.url, TOKEN, **{"deadline": 5.0, "attempts": 3} | options)
            stack.callback(backend.close)
            return server, backend

        yield make


def read_all(backend: JavaBackend) -> list[SourceDocument]:
    return [document for found in backend.pages(DAY) for document in found]


# --- what is asked ---------------------------------------------------------------------------------------------------


def test_asks_for_the_window_in_utc_with_token_limit_and_correlation_id(connect: Connect) -> None:
    server, backend = connect(answering(200, page()), page_size=25, correlation_id="c-17")
    assert read_all(backend) == []
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/invoices")
    assert request.query == {"from": "2026-11-19T23:00:00Z", "to": "2026-11-20T23:00:00Z", "limit": "25"}
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["accept-encoding"] == "gzip"
    assert request.headers["x-correlation-id"] == "c-17"


def test_follows_the_cursor_lazily_and_passes_overlapping_rows_on(connect: Connect) -> None:
    server, backend = connect(
        answering(200, page(record("A"), record("B"), cursor="next page+/=")), answering(200, page(record("B")))
    )
    pages = backend.pages(DAY)
    assert [document.invoice_id for document in next(pages)] == ["A", "B"]
    assert len(server.requests) == 1
    assert [document.invoice_id for document in next(pages)] == ["B"]
    assert server.requests[1].query["cursor"] == "next page+/="
    assert next(pages, None) is None


def test_a_connection_is_kept_for_the_next_page(connect: Connect) -> None:
    def both(line: Line) -> None:
        line.read()
        line.send(answer(200, page(cursor="2"), keep=True))
        line.read()
        line.send(answer(200, page(), keep=True))

    server, backend = connect(both)
    read_all(backend)
    assert (server.connections, len(server.requests)) == (1, 2)


def test_text_becomes_utf_8_whatever_encoding_it_declares(connect: Connect) -> None:
    text = '<?xml version="1.0" encoding="ISO-8859-1"?><Invoice>café</Invoice>'
    _, backend = connect(answering(200, page(record(ubl=text))))
    (document,) = read_all(backend)
    assert document.content == '<?xml version="1.0" encoding="UTF-8"?><Invoice>café</Invoice>'.encode()
    assert document.updated_at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert document.problem == ""


def test_a_time_with_another_zone_is_read_as_utc_also_outside_of_the_window(connect: Connect) -> None:
    _, backend = connect(answering(200, page(record(updated_at="2026-01-02T03:04:05.123456+01:00"))))
    (document,) = read_all(backend)
    assert document.updated_at == datetime(2026, 1, 2, 2, 4, 5, 123456, tzinfo=UTC)


# --- records ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"id": "BAD", "updated_at": MOMENT}, "'ubl'"),
        (record("BAD", ubl=None), "'ubl'"),
        (record("BAD", ubl={"xml": True}), "'ubl'"),
        (record("BAD", ubl=""), "'ubl'"),
        (record("BAD", ubl="<a>\x00</a>"), "'ubl'"),
        (record("BAD", ubl="<a>\ud800</a>"), "'ubl'"),
        (record("BAD", updated_at="yesterday"), "'updated_at'"),
        (record("BAD", updated_at="2026-11-20T10:00:00"), "'updated_at'"),
        (record("BAD", updated_at="2026-13-20T10:00:00Z"), "'updated_at'"),
        (record("BAD", updated_at="0001-01-01T00:00:00+01:00"), "'updated_at'"),
        (record("BAD", updated_at=1_700_000_000), "'updated_at'"),
        ({"id": "BAD", "ubl": "<a/>"}, "'updated_at'"),
    ],
)
def test_a_bad_record_becomes_a_problem_and_the_others_go_on(connect: Connect, bad: Any, named: str) -> None:
    _, backend = connect(answering(200, page(record("A"), bad, record("B"))))
    first, spoiled, last = read_all(backend)
    assert (first.invoice_id, last.invoice_id) == ("A", "B")
    assert (spoiled.invoice_id, spoiled.content) == ("BAD", b"")
    assert named in spoiled.problem
    assert spoiled.updated_at in (datetime(2026, 11, 20, 10, tzinfo=UTC), DAY.start)


@pytest.mark.parametrize("bad_id", [None, "", 17, "x" * 256, "two\nlines", "nul\x00", "\ud800"])
def test_a_record_without_a_usable_id_gets_a_stable_one(connect: Connect, bad_id: Any) -> None:
    script = answering(200, page(record("A"), record(bad_id)))
    _, backend = connect(answering(200, page(cursor="2")), script, answering(200, page(cursor="2")), script)
    first, again = read_all(backend)[-1], read_all(backend)[-1]
    assert first.invoice_id == again.invoice_id == "without-id-2026-11-19T23:00:00Z-page2-row2"
    assert "'id'" in first.problem


@pytest.mark.parametrize("bad", ["not an object", None, 17, []])
def test_a_record_that_is_no_object_is_a_problem(connect: Connect, bad: Any) -> None:
    _, backend = connect(answering(200, page(bad)))
    (document,) = read_all(backend)
    assert document.invoice_id == "without-id-2026-11-19T23:00:00Z-page1-row1"
    assert document.problem


def test_an_oversize_document_is_a_problem_that_names_size_and_limit(connect: Connect) -> None:
    _, backend = connect(answering(200, page(record(ubl="é" * 600), record("B"))), document_bytes=1024)
    large, small = read_all(backend)
    assert "1,200 bytes" in large.problem
    assert "1,024 bytes" in large.problem
    assert (large.content, small.problem) == (b"", "")


def test_a_document_of_exactly_the_limit_is_taken(connect: Connect) -> None:
    _, backend = connect(answering(200, page(record(ubl="x" * 1024))), document_bytes=1024)
    assert read_all(backend)[0].problem == ""


# --- pages that break the contract -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"invoices": []},
        {"next_cursor": None},
        {"invoices": None, "next_cursor": None},
        {"invoices": {}, "next_cursor": None},
        {"invoices": [], "next_cursor": ""},
        {"invoices": [], "next_cursor": 2},
        {"invoices": [], "next_cursor": "x" * 4097},
        {"invoices": [], "next_cursor": None, "error": "the day could not be read"},
    ],
)
def test_an_answer_of_another_shape_is_no_empty_day(connect: Connect, body: Any) -> None:
    server, backend = connect(answering(200, body))
    with pytest.raises(SourceProtocolError, match="breaks its contract"):
        read_all(backend)
    assert len(server.requests) == 1


def test_a_cursor_that_was_seen_before_ends_the_retrieval_after_what_was_read(connect: Connect) -> None:
    scripts = [
        answering(200, page(record(name), cursor=cursor)) for name, cursor in [("A", "1"), ("B", "2"), ("C", "1")]
    ]
    server, backend = connect(*scripts)
    pages = backend.pages(DAY)
    assert [next(pages)[0].invoice_id for _ in range(3)] == ["A", "B", "C"]
    with pytest.raises(SourceProtocolError, match="second time"):
        next(pages)
    assert len(server.requests) == 3


def test_more_pages_than_the_limit_are_refused(connect: Connect) -> None:
    scripts = [answering(200, page(cursor=str(number))) for number in range(4)]
    server, backend = connect(*scripts, page_limit=3)
    with pytest.raises(SourceProtocolError, match="more than 3 pages"):
        read_all(backend)
    assert len(server.requests) == 3


def test_a_page_that_is_too_large_is_asked_for_again_with_half_the_rows(connect: Connect) -> None:
    large = page(*(record(f"INV-{number}", ubl="x" * 400) for number in range(4)), cursor="2")
    small = page(record("INV-0"), record("INV-1"), cursor="2")
    server, backend = connect(
        answering(200, large), answering(200, small), answering(200, page()), page_bytes=1024, page_size=4
    )
    assert len(read_all(backend)) == 2
    assert [request.query["limit"] for request in server.requests] == ["4", "2", "2"]


def test_a_single_row_that_is_too_large_ends_the_retrieval(connect: Connect) -> None:
    server, backend = connect(answering(200, page(record(ubl="x" * 2000))), page_bytes=1024, page_size=2)
    with pytest.raises(SourceProtocolError, match="1,024 bytes for a single row"):
        read_all(backend)
    assert len(server.requests) == 2


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
def test_a_fault_that_passes_is_tried_again(connect: Connect, name: str) -> None:
    server, backend = connect(PASSING[name], PASSING[name], answering(200, page(record())))
    assert [document.invoice_id for document in read_all(backend)] == ["INV-1"]
    assert server.connections == 3


BROKEN = {"html", "malformed", "not utf-8", "nested too deep", "empty body"} | {
    "damaged gzip",
    "cut gzip",
    "gzip and more",
    "unasked packing",
}


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_stays_ends_the_retrieval_after_the_allowed_tries(connect: Connect, name: str) -> None:
    server, backend = connect(answering(200, page(record(), cursor="abc")), PASSING[name])
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
def test_a_refusal_is_not_tried_again(connect: Connect, status: int, error: type[SourceError]) -> None:
    server, backend = connect(answering(status, {"detail": "because"}))
    with pytest.raises(error) as caught:
        read_all(backend)
    assert server.connections == 1
    assert f"HTTP {status}" in str(caught.value)


def test_what_a_refusal_says_is_told(connect: Connect) -> None:
    _, backend = connect(answering(400, {"detail": "limit must be at most 50"}))
    with pytest.raises(SourceProtocolError, match="limit must be at most 50"):
        read_all(backend)


def test_redirects_are_not_followed(connect: Connect) -> None:
    trap, _ = connect(answering(200, page(record("STOLEN"))))
    server, backend = connect(answering(302, b"", {"Location": f"{trap.url}/invoices"}))
    with pytest.raises(SourceProtocolError, match="redirects are not followed"):
        read_all(backend)
    assert (server.connections, trap.connections) == (1, 0)


def test_an_unreachable_backend_is_unavailable() -> None:
    backend = JavaBackend(f"http://127.0.0.1:{unused_port()}", TOKEN, attempts=2)
    with pytest.raises(SourceUnavailable, match="2 tries: ConnectError"):
        read_all(backend)


def test_an_unknown_host_is_unavailable() -> None:
    backend = JavaBackend("http://erp.invalid", TOKEN, attempts=1)
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
def test_one_deadline_covers_a_whole_request_however_it_drips(connect: Connect, script: Script) -> None:
    _, backend = connect(script, deadline=0.3, attempts=1)
    with took_at_most(2), pytest.raises(SourceUnavailable, match=r"no whole answer in time .* 0\.3 s"):
        read_all(backend)


def test_a_gzip_bomb_costs_about_the_limit_and_no_more(connect: Connect) -> None:
    bomb = gzip.compress(b" " * (64 * 2**20))
    limit = 2 * 2**20
    _, backend = connect(answering(200, bomb, {"Content-Encoding": "gzip"}), page_bytes=limit, page_size=1)
    tracemalloc.start()
    try:
        with pytest.raises(SourceProtocolError, match="2,097,152 bytes"):
            read_all(backend)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * limit


def test_a_packed_page_is_unpacked(connect: Connect) -> None:
    body = gzip.compress(json.dumps(page(record(ubl="x" * 200_000))).encode())
    _, backend = connect(answering(200, body, {"Content-Encoding": "gzip"}))
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
def test_retry_after_is_honoured_and_capped(connect: Connect, asked: str, wait: float | None) -> None:
    _, backend = connect(
        answering(503, b"", {"Retry-After": asked}), now=lambda: datetime(2026, 11, 21, 2, tzinfo=UTC), longest_wait=30
    )
    with pytest.raises(_TryAgain) as caught:
        backend._get_once(backend._address, {}, "test")
    assert caught.value.wait == wait
    assert _wait(caught.value) == (True if wait is None else wait)


# --- one, check, secrets ---------------------------------------------------------------------------------------------


def test_one_invoice_is_asked_for_by_its_escaped_id(connect: Connect) -> None:
    server, backend = connect(answering(200, record("2026/17 é?")))
    assert backend.one("2026/17 é?").content == b"<Invoice/>"
    assert server.requests[0].target == "/invoices/2026%2F17%20%C3%A9%3F"


@pytest.mark.parametrize("invoice_id", ["", ".", "..", "x" * 256, "a\r\nb"])
def test_an_id_that_no_backend_could_have_is_not_asked_for(connect: Connect, invoice_id: str) -> None:
    server, backend = connect(answering(200, record()))
    with pytest.raises(InvoiceNotFound):
        backend.one(invoice_id)
    assert server.connections == 0


def test_an_unknown_id_is_not_found(connect: Connect) -> None:
    _, backend = connect(answering(404, {"detail": "no"}))
    with pytest.raises(InvoiceNotFound, match="'INV-9'"):
        backend.one("INV-9")


@pytest.mark.parametrize("body", [record("OTHER"), page(), [], "text"])
def test_one_that_is_another_breaks_the_contract(connect: Connect, body: Any) -> None:
    _, backend = connect(answering(200, body if not isinstance(body, str) else json.dumps(body)))
    with pytest.raises(SourceProtocolError, match="something else"):
        backend.one("INV-1")


def test_one_with_a_bad_record_or_a_huge_one_is_a_problem(connect: Connect) -> None:
    _, backend = connect(answering(200, record(ubl=None)), answering(200, record(ubl="x" * 2000)), page_bytes=1024)
    assert "'ubl'" in backend.one("INV-1").problem
    assert "1,024 bytes" in backend.one("INV-1").problem


def test_check_takes_one_try_and_little(connect: Connect) -> None:
    server, backend = connect(answering(200, page()), answering(503), answering(401), answering(200, "<html/>"))
    assert backend.check() == f"{server.url}/invoices answers"
    assert server.requests[0].query["limit"] == "1"
    for error in (SourceUnavailable, SourceDenied, SourceUnavailable):
        with pytest.raises(error):
            backend.check()
    assert server.connections == 4


@pytest.mark.parametrize("base_url", ["ftp://erp", "erp:8080", "http://user:pw@erp", "http://erp/?token=1", ""])
def test_an_address_that_would_leak_or_cannot_work_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="address") as caught:
        JavaBackend(base_url, TOKEN)
    assert "pw" not in str(caught.value)


def test_a_token_that_no_header_may_carry_is_refused_without_being_told() -> None:
    with pytest.raises(ValueError, match="token") as caught:
        JavaBackend("http://erp.example", "canary-7f3a\nX: 1")
    assert "canary" not in str(caught.value)


def test_the_token_is_nowhere_in_errors_and_logs(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = f"bad token Bearer {TOKEN} and {TOKEN.replace('/', chr(92) + '/')}"
    scripts = [
        answering(400, told),
        answering(302, b"", {"Location": f"http://127.0.0.1/{TOKEN}"}),
        answering(200, {"invoices": [], "next_cursor": None, TOKEN: 1}),
        answering(200, page(cursor=TOKEN)),
        answering(500, told),
    ]
    _, backend = connect(*scripts, attempts=1)
    messages = []
    for _ in scripts[:-1]:
        with pytest.raises(SourceError) as caught:
            read_all(backend)
        messages.append(str(caught.value))
    assert "canary" not in "".join(messages) + repr(backend) + repr(vars(backend))
    assert "canary" not in caplog.text


def test_waits_grow_between_tries() -> None:
    with stamina.set_testing(False):
        backend = JavaBackend(f"http://127.0.0.1:{unused_port()}", "", attempts=2, longest_wait=0.1)
        started = datetime.now(UTC)
        with pytest.raises(SourceUnavailable):
            read_all(backend)
    assert timedelta(seconds=0.05) < datetime.now(UTC) - started < timedelta(seconds=2)


# --- with the simulator ----------------------------------------------------------------------------------------------


def open_backend(simulator: RunningSimulator, **options: Any) -> JavaBackend:
    return JavaBackend(simulator.erp_url, simulator.erp_token, **{"deadline": 5.0, "attempts": 3} | options)


def test_a_day_of_the_simulated_erp_comes_whole_and_in_order(simulator: RunningSimulator) -> None:
    backend = open_backend(simulator, page_size=7)
    pages = list(backend.pages(DAY))
    documents = [document for page in pages for document in page]
    expected = [entry.invoice_id for entry in simulator.generator.between(DAY.start, DAY.end)]
    assert [document.invoice_id for document in documents] == expected
    assert [len(page) for page in pages[:-1]] == [7] * (len(pages) - 1)
    assert all(DAY.start <= document.updated_at < DAY.end for document in documents)
    assert all(document.content or document.problem for document in documents)
    assert backend.one(expected[3]) == documents[3]


def test_an_invoice_of_30_mb_is_a_problem_and_the_others_are_there(simulator: RunningSimulator) -> None:
    simulator.inject("HUGE", DAY.start, "<Invoice>" + "x" * (30 * 2**20) + "</Invoice>")
    documents = {document.invoice_id: document for document in read_all(open_backend(simulator))}
    assert "20,971,520 bytes" in documents["HUGE"].problem
    assert len(documents) == 41
    assert documents["HUGE"].content == b""


@pytest.mark.parametrize("variant", ["not_an_object", "ubl_not_text", "wrong_time", "no_id", "no_ubl", "no_time"])
def test_the_simulators_bad_records_are_problems(simulator: RunningSimulator, variant: str) -> None:
    simulator.fault("erp", "bad_record", variant=variant)
    documents = read_all(open_backend(simulator))
    assert len(documents) == 40
    assert ["unusable" in document.problem for document in documents].count(True) == 1


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("down", {}),
        ("status", {"status": 429, "retry_after": "1"}),
        ("status", {"status": 500, "body": "html"}),
        ("html", {}),
        ("truncated", {}),
        ("malformed", {}),
    ],
)
def test_the_simulators_short_faults_cost_nothing(
    simulator: RunningSimulator, kind: str, options: dict[str, Any]
) -> None:
    fault = simulator.fault("erp", kind, times=2, after=1, **options)
    assert len(read_all(open_backend(simulator, page_size=10))) == 40
    assert simulator.applied(fault) == 2


@pytest.mark.parametrize(
    ("kind", "options", "error"),
    [
        ("down", {}, SourceUnavailable),
        ("hang", {}, SourceUnavailable),
        ("slow", {}, SourceUnavailable),
        ("html", {}, SourceProtocolError),
        ("looping_cursor", {}, SourceProtocolError),
        ("gzip_bomb", {}, SourceProtocolError),
        ("wrong_token", {}, SourceDenied),
    ],
)
def test_the_simulators_long_faults_end_the_retrieval(
    simulator: RunningSimulator, kind: str, options: dict[str, Any], error: type[SourceError]
) -> None:
    simulator.fault("erp", kind, **options)
    with pytest.raises(error):
        read_all(open_backend(simulator, page_size=10, deadline=0.5, attempts=2, page_bytes=2**20))


def test_repeated_and_edited_rows_are_passed_on(simulator: RunningSimulator) -> None:
    simulator.fault("erp", "repeated_rows", rows=3, times=1)
    documents = read_all(open_backend(simulator, page_size=10))
    assert len(documents) == 43
    assert len({document.invoice_id for document in documents}) == 40


def test_an_empty_day_is_empty_and_an_unknown_invoice_is_not_found(simulator: RunningSimulator) -> None:
    simulator.reset(per_day=0)
    backend = open_backend(simulator)
    assert read_all(backend) == []
    with pytest.raises(InvoiceNotFound):
        backend.one("NO-SUCH")
    assert backend.check().endswith("answers")

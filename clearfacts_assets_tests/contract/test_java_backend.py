"""The Java backend's client: what it asks, what it makes of records, pages and single invoices."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stamina

from clearfacts_assets.invoices.ports import (
    InvoiceNotFound,
    SourceDenied,
    SourceError,
    SourceProtocolError,
    SourceUnavailable,
)
from clearfacts_assets.invoices.sources import SourceOptions
from clearfacts_assets.invoices.sources.java_backend import JavaBackend
from clearfacts_assets_tests.fixtures.backends import DAY, MOMENT, TOKEN, BackendAt, page, read_all, record
from clearfacts_assets_tests.fixtures.wire import (
    Line,
    answer,
    answering,
    unused_port,
)

# --- what is asked ---------------------------------------------------------------------------------------------------


def test_asks_for_the_window_in_utc_with_token_limit_and_correlation_id(backend_at: BackendAt) -> None:
    server, backend = backend_at(answering(200, page()), page_size=25, correlation_id="c-17")
    assert read_all(backend) == []
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/invoices")
    assert request.query == {"from": "2026-11-19T23:00:00Z", "to": "2026-11-20T23:00:00Z", "limit": "25"}
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["accept-encoding"] == "gzip"
    assert request.headers["x-correlation-id"] == "c-17"


def test_follows_the_cursor_lazily_and_passes_overlapping_rows_on(backend_at: BackendAt) -> None:
    server, backend = backend_at(
        answering(200, page(record("A"), record("B"), cursor="next page+/=")), answering(200, page(record("B")))
    )
    pages = backend.pages(DAY)
    assert [document.invoice_id for document in next(pages)] == ["A", "B"]
    assert len(server.requests) == 1
    assert [document.invoice_id for document in next(pages)] == ["B"]
    assert server.requests[1].query["cursor"] == "next page+/="
    assert next(pages, None) is None


def test_a_connection_is_kept_for_the_next_page(backend_at: BackendAt) -> None:
    def both(line: Line) -> None:
        line.read()
        line.send(answer(200, page(cursor="2"), keep=True))
        line.read()
        line.send(answer(200, page(), keep=True))

    server, backend = backend_at(both)
    read_all(backend)
    assert (server.connections, len(server.requests)) == (1, 2)


def test_text_becomes_utf_8_whatever_encoding_it_declares(backend_at: BackendAt) -> None:
    text = '<?xml version="1.0" encoding="ISO-8859-1"?><Invoice>café</Invoice>'
    _, backend = backend_at(answering(200, page(record(ubl=text))))
    (document,) = read_all(backend)
    assert document.content == '<?xml version="1.0" encoding="UTF-8"?><Invoice>café</Invoice>'.encode()
    assert document.updated_at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert document.problem == ""


def test_a_time_with_another_zone_is_read_as_utc_also_outside_of_the_window(backend_at: BackendAt) -> None:
    _, backend = backend_at(answering(200, page(record(updated_at="2026-01-02T03:04:05.123456+01:00"))))
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
def test_a_bad_record_becomes_a_problem_and_the_others_go_on(backend_at: BackendAt, bad: Any, named: str) -> None:
    _, backend = backend_at(answering(200, page(record("A"), bad, record("B"))))
    first, spoiled, last = read_all(backend)
    assert (first.invoice_id, last.invoice_id) == ("A", "B")
    assert (spoiled.invoice_id, spoiled.content) == ("BAD", b"")
    assert named in spoiled.problem
    assert spoiled.updated_at in (datetime(2026, 11, 20, 10, tzinfo=UTC), DAY.start)


@pytest.mark.parametrize("bad_id", [None, "", 17, "x" * 256, "two\nlines", "nul\x00", "\ud800"])
def test_a_record_without_a_usable_id_gets_a_stable_one(backend_at: BackendAt, bad_id: Any) -> None:
    script = answering(200, page(record("A"), record(bad_id)))
    _, backend = backend_at(answering(200, page(cursor="2")), script, answering(200, page(cursor="2")), script)
    first, again = read_all(backend)[-1], read_all(backend)[-1]
    assert first.invoice_id == again.invoice_id == "without-id-2026-11-19T23:00:00Z-page2-row2"
    assert "'id'" in first.problem


@pytest.mark.parametrize("bad", ["not an object", None, 17, []])
def test_a_record_that_is_no_object_is_a_problem(backend_at: BackendAt, bad: Any) -> None:
    _, backend = backend_at(answering(200, page(bad)))
    (document,) = read_all(backend)
    assert document.invoice_id == "without-id-2026-11-19T23:00:00Z-page1-row1"
    assert document.problem


def test_an_oversize_document_is_a_problem_that_names_size_and_limit(backend_at: BackendAt) -> None:
    _, backend = backend_at(answering(200, page(record(ubl="é" * 600), record("B"))), document_bytes=1024)
    large, small = read_all(backend)
    assert "1,200 bytes" in large.problem
    assert "1,024 bytes" in large.problem
    assert (large.content, small.problem) == (b"", "")


def test_a_document_of_exactly_the_limit_is_taken(backend_at: BackendAt) -> None:
    _, backend = backend_at(answering(200, page(record(ubl="x" * 1024))), document_bytes=1024)
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
        {"invoices": [], "next_cursor": None, "errors": [{"code": 17}]},
        {"invoices": [], "next_cursor": None, "Error_": True},
        {"invoices": [], "next_cursor": None, "message": "no connection to the ledger"},
        {"invoices": [], "next_cursor": None, "status": 500, "path": "/invoices"},
        {"invoices": [], "next_cursor": None, "status": "FAILED"},
        {"invoices": [], "next_cursor": None, "success": False},
        {"invoices": [], "next_cursor": "2", "detail": "timeout"},
        {"invoices": [record()], "next_cursor": None, "error": "only half of them"},
        {"invoices": [record()], "next_cursor": None, "success": False},
        {"invoices": [record()], "next_cursor": None, "partial": True},
    ],
)
def test_an_answer_of_another_shape_is_no_empty_day(backend_at: BackendAt, body: Any) -> None:
    server, backend = backend_at(answering(200, body))
    with pytest.raises(SourceProtocolError, match="breaks its contract"):
        read_all(backend)
    assert len(server.requests) == 1


def test_a_cursor_that_was_seen_before_ends_the_retrieval_after_what_was_read(backend_at: BackendAt) -> None:
    scripts = [
        answering(200, page(record(name), cursor=cursor)) for name, cursor in [("A", "1"), ("B", "2"), ("C", "1")]
    ]
    server, backend = backend_at(*scripts)
    pages = backend.pages(DAY)
    assert [next(pages)[0].invoice_id for _ in range(3)] == ["A", "B", "C"]
    with pytest.raises(SourceProtocolError, match="second time"):
        next(pages)
    assert len(server.requests) == 3


def test_more_pages_than_the_limit_are_refused(backend_at: BackendAt) -> None:
    scripts = [answering(200, page(cursor=str(number))) for number in range(4)]
    server, backend = backend_at(*scripts, page_limit=3)
    with pytest.raises(SourceProtocolError, match="more than 3 pages"):
        read_all(backend)
    assert len(server.requests) == 3


def test_a_page_that_is_too_large_is_asked_for_again_with_half_the_rows(backend_at: BackendAt) -> None:
    large = page(*(record(f"INV-{number}", ubl="x" * 400) for number in range(4)), cursor="2")
    small = page(record("INV-0"), record("INV-1"), cursor="2")
    server, backend = backend_at(
        answering(200, large), answering(200, small), answering(200, page()), page_bytes=1024, page_size=4
    )
    assert len(read_all(backend)) == 2
    assert [request.query["limit"] for request in server.requests] == ["4", "2", "2"]


def test_a_single_row_that_is_too_large_ends_the_retrieval(backend_at: BackendAt) -> None:
    server, backend = backend_at(answering(200, page(record(ubl="x" * 2000))), page_bytes=1024, page_size=2)
    with pytest.raises(SourceProtocolError, match="1,024 bytes for a single row"):
        read_all(backend)
    assert len(server.requests) == 2


# --- one, check, secrets ---------------------------------------------------------------------------------------------


def test_one_invoice_is_asked_for_by_its_escaped_id(backend_at: BackendAt) -> None:
    server, backend = backend_at(answering(200, record("2026/17 é?")))
    assert backend.one("2026/17 é?").content == b"<Invoice/>"
    assert server.requests[0].target == "/invoices/2026%2F17%20%C3%A9%3F"


@pytest.mark.parametrize("invoice_id", ["", ".", "..", "x" * 256, "a\r\nb"])
def test_an_id_that_no_backend_could_have_is_not_asked_for(backend_at: BackendAt, invoice_id: str) -> None:
    server, backend = backend_at(answering(200, record()))
    with pytest.raises(InvoiceNotFound):
        backend.one(invoice_id)
    assert server.connections == 0


def test_an_unknown_id_is_not_found(backend_at: BackendAt) -> None:
    _, backend = backend_at(answering(404, {"detail": "no"}))
    with pytest.raises(InvoiceNotFound, match="'INV-9'"):
        backend.one("INV-9")


@pytest.mark.parametrize("body", [record("OTHER"), page(), [], "text"])
def test_one_that_is_another_breaks_the_contract(backend_at: BackendAt, body: Any) -> None:
    _, backend = backend_at(answering(200, body if not isinstance(body, str) else json.dumps(body)))
    with pytest.raises(SourceProtocolError, match="something else"):
        backend.one("INV-1")


def test_one_with_a_bad_record_or_a_huge_one_is_a_problem(backend_at: BackendAt) -> None:
    _, backend = backend_at(answering(200, record(ubl=None)), answering(200, record(ubl="x" * 2000)), page_bytes=1024)
    assert "'ubl'" in backend.one("INV-1").problem
    assert "1,024 bytes" in backend.one("INV-1").problem


def test_check_takes_one_try_and_little(backend_at: BackendAt) -> None:
    server, backend = backend_at(answering(200, page()), answering(503), answering(401), answering(200, "<html/>"))
    assert backend.check() == f"{server.url}/invoices answers"
    assert server.requests[0].query["limit"] == "1"
    for error in (SourceUnavailable, SourceDenied, SourceUnavailable):
        with pytest.raises(error):
            backend.check()
    assert server.connections == 4


@pytest.mark.parametrize("base_url", ["ftp://erp", "erp:8080", "http://user:pw@erp", "http://erp/?token=1", ""])
def test_an_address_that_would_leak_or_cannot_work_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="address") as caught:
        JavaBackend(SourceOptions(place=base_url, token=TOKEN))
    assert "pw" not in str(caught.value)


def test_a_token_that_no_header_may_carry_is_refused_without_being_told() -> None:
    with pytest.raises(ValueError, match="token") as caught:
        JavaBackend(SourceOptions(place="http://erp.example", token="canary-7f3a\nX: 1"))
    assert "canary" not in str(caught.value)


def test_the_token_is_nowhere_in_errors_and_logs(backend_at: BackendAt, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = f"bad token Bearer {TOKEN} and {TOKEN.replace('/', chr(92) + '/')}"
    scripts = [
        answering(400, told),
        answering(302, b"", {"Location": f"http://127.0.0.1/{TOKEN}"}),
        answering(200, {"invoices": [], "next_cursor": None, "error": TOKEN}),
        answering(200, page(cursor=TOKEN)),
        answering(500, told),
    ]
    _, backend = backend_at(*scripts, attempts=1)
    messages = []
    for _ in scripts[:-1]:
        with pytest.raises(SourceError) as caught:
            read_all(backend)
        messages.append(str(caught.value))
    assert "canary" not in "".join(messages) + repr(backend) + repr(vars(backend))
    assert "canary" not in caplog.text


def test_waits_grow_between_tries() -> None:
    with stamina.set_testing(False):
        backend = JavaBackend(
            SourceOptions(place=f"http://127.0.0.1:{unused_port()}", token="", attempts=2, longest_wait=0.1)
        )
        started = datetime.now(UTC)
        with pytest.raises(SourceUnavailable):
            read_all(backend)
    assert timedelta(seconds=0.05) < datetime.now(UTC) - started < timedelta(seconds=2)

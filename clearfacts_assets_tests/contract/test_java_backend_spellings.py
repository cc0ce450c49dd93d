"""What a Java backend may write in more than one way: times, further members of a page, and in which encoding not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from clearfacts_assets.invoices.ports import SourceProtocolError
from clearfacts_assets_tests.fixtures.backends import BackendAt, page, read_all, record
from clearfacts_assets_tests.fixtures.wire import answering


@pytest.mark.parametrize(
    "further",
    [
        {"total": 1, "_links": {"self": {"href": "/invoices"}}, "page": {"size": 100}},
        {"error": None, "errors": [], "success": True, "partial": False, "status": 200, "message": ""},
        {"status": "OK", "code": 0, "ok": True},
    ],
)
def test_further_members_of_a_page_are_taken(backend_at: BackendAt, further: dict[str, Any]) -> None:
    rows, empty = {**page(record("A"), cursor="2"), **further}, {**page(), **further}
    _, backend = backend_at(answering(200, rows), answering(200, empty))
    assert [document.invoice_id for document in read_all(backend)] == ["A"]


def test_a_message_beside_invoices_is_only_a_message(backend_at: BackendAt) -> None:
    body = {**page(record("A")), "message": "1 invoice", "status": "partly archived"}
    _, backend = backend_at(answering(200, body))
    assert len(read_all(backend)) == 1


EIGHT_TWELVE = datetime(2026, 11, 20, 8, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-20T08:12Z", EIGHT_TWELVE),  # Java's OffsetDateTime, once a minute
        ("2026-11-20T09:12+01:00", EIGHT_TWELVE),
        ("2026-11-20T09:12:00+01", EIGHT_TWELVE),
        ("2026-11-20T09:12:00+0100", EIGHT_TWELVE),
        ("2026-11-20t08:12:00z", EIGHT_TWELVE),
        ("2026-11-20 08:12:00-00:00", EIGHT_TWELVE),
        ("2026-11-20T09:12+01:00[Europe/Brussels]", EIGHT_TWELVE),
        ("2026-11-20T08:12Z[UTC]", EIGHT_TWELVE),
        ("2026-11-20T08:30:17.5+00:18:17", EIGHT_TWELVE.replace(microsecond=500_000)),
        ("2026-11-20T08:12:00.1Z", EIGHT_TWELVE.replace(microsecond=100_000)),
        ("2026-11-20T08:12:00,123Z", EIGHT_TWELVE.replace(microsecond=123_000)),
        ("2026-11-20T08:12:00.123456789Z", EIGHT_TWELVE.replace(microsecond=123_456)),
        ("2026-11-20T08:11:60Z", EIGHT_TWELVE),
    ],
)
def test_a_time_is_read_however_its_offset_is_written(backend_at: BackendAt, written: str, meant: datetime) -> None:
    _, backend = backend_at(answering(200, page(record(updated_at=written))))
    (document,) = read_all(backend)
    assert (document.problem, document.updated_at) == ("", meant)


@pytest.mark.parametrize(
    "written",
    [
        *("2026-11-20T08:12", "2026-11-20T08:12:00", "2026-11-20T08:12:00.123", "2026-11-20", "2026-11-20Z"),
        *("2026-11-20T08:12[Europe/Brussels]", "2026-11-20T08Z", "2026-11-20T08:12:00.Z", "2026-11-20T08:12+1:00"),
        *("2026-11-20T25:12Z", "2026-02-30T08:12Z", "2026-11-20T08:12+25:00", "0001-06-01T00:00Z", "9999-12-31T00:00Z"),
        *("2026-11-20T08:12Z ", "2026-11-20T08:12Z[", "", "\u0662026-11-20T08:12Z"),
    ],
)
def test_a_time_without_offset_or_sense_is_refused(backend_at: BackendAt, written: str) -> None:
    _, backend = backend_at(answering(200, page(record(updated_at=written))))
    (document,) = read_all(backend)
    assert "'updated_at'" in document.problem


@pytest.mark.parametrize(
    ("encoding", "declared", "named"),
    [
        ("iso-8859-1", "application/json; charset=ISO-8859-1", "ISO-8859-1, as byte"),
        ("cp1252", "application/json; charset=windows-1252", "WINDOWS-1252, as byte"),
        ("iso-8859-1", "application/json", r"another encoding than UTF-8 \(ISO-8859-1\?\), as byte"),
        ("iso-8859-1", "application/json; charset=utf-8", r"another encoding than UTF-8 \(ISO-8859-1\?\), as byte"),
        ("utf-16", "application/json", "UTF-16"),
        ("utf-16-le", "application/json; charset=utf-16le", "UTF-16-LE"),
        ("utf-32", "application/json", "UTF-32"),
    ],
)
def test_json_in_another_encoding_is_told_by_its_name(
    backend_at: BackendAt, encoding: str, declared: str, named: str
) -> None:
    body = json.dumps(page(record(ubl="<a>café</a>")), ensure_ascii=False).encode(encoding)
    _, backend = backend_at(answering(200, body, headers={"Content-Type": declared}), attempts=1)
    with pytest.raises(SourceProtocolError, match=f"is in {named}"):
        read_all(backend)


def test_a_wrong_declaration_of_a_utf_8_answer_is_of_no_matter(backend_at: BackendAt) -> None:
    body = json.dumps(page(record(ubl="<a>café</a>")), ensure_ascii=False).encode()
    _, backend = backend_at(answering(200, body, headers={"Content-Type": "application/json; charset=ISO-8859-1"}))
    assert read_all(backend)[0].content == "<a>café</a>".encode()


def test_an_answer_cut_in_the_middle_of_a_character_is_asked_for_again(backend_at: BackendAt) -> None:
    body = json.dumps(page(record(ubl="<a>é")), ensure_ascii=False).encode()
    cut = body[: body.index("é".encode()) + 1]
    server, backend = backend_at(answering(200, cut), answering(200, page(record("A"))))
    assert [document.invoice_id for document in read_all(backend)] == ["A"]
    assert len(server.requests) == 2

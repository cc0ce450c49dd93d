"""What strangers, mistaken programs and attackers send: always an answer in its envelope, never a 500."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from clearfacts_assets.api.request_limits import DEEPEST, is_deeper
from clearfacts_assets.storage.accounts.tables import AuditLog
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.tables import Job
from clearfacts_assets_tests.fixtures.api import RunningApi

PROCESS = "/api/v1/invoices/process"
BODY_BYTES = 2**20
INJECTIONS = [
    "' OR '1'='1",
    "1; DROP TABLE jobs; --",
    "\\'; SELECT pg_sleep(9); --",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "\x00",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "%",
    "_",
    "💶" * 60,
]


def post(api: RunningApi, content: bytes, content_type: str | None = "application/json") -> httpx.Response:
    headers = {"Content-Type": content_type} if content_type is not None else {}
    return api.client().post(PROCESS, content=content, headers=headers)


def code(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert list(body) == ["success", "error", "timestamp", "correlation_id"]
    return answer.status_code, body["error"]["code"]


def exchange(api: RunningApi, request: bytes) -> bytes:
    """What comes back for these very bytes."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=300) as line:
        line.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
            piece = line.recv(65536)
            if not piece:
                break
            answer += piece
        return answer


def test_a_body_over_the_limit_is_413(quick_api: RunningApi) -> None:
    largest = json.dumps({"date": "2026-11-18", "x": ""}).encode()
    padded = largest[:-2] + b"x" * (BODY_BYTES - len(largest)) + largest[-2:]
    assert len(padded) == BODY_BYTES
    assert code(post(quick_api, padded)) == (422, "VALIDATION_ERROR")  # as large as allowed, and read
    assert code(post(quick_api, padded + b" ")) == (413, "PAYLOAD_TOO_LARGE")


def test_a_body_that_only_announces_its_size_is_refused_before_it_comes(quick_api: RunningApi) -> None:
    head = (
        f"POST {PROCESS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
    )
    begin = time.monotonic()
    assert exchange(quick_api, head.encode()).startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - begin < 5


def test_a_body_without_an_end_is_refused_at_the_limit(quick_api: RunningApi) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", quick_api.port, timeout=120)
    piece = b"[" + b" " * 65535
    try:
        connection.request(
            "POST",
            PROCESS,
            body=(piece for _ in range(1000)),
            headers={"Content-Type": "application/json", **quick_api.callers.headers("operator")},
            encode_chunked=True,
        )
    except (BrokenPipeError, ConnectionResetError):
        return  # the server has hung up on us
    assert connection.getresponse().status == 413


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"x":"]]]]",' * 40 + b'"y":' + b"[" * (DEEPEST + 1)],
)
def test_deep_json_is_refused(quick_api: RunningApi, body: bytes) -> None:
    assert code(post(quick_api, body)) == (400, "INVALID_JSON")


@pytest.mark.parametrize(
    ("body", "deep"),
    [
        (b"[" * DEEPEST + b"]" * DEEPEST, False),
        (b"[" * (DEEPEST + 1), True),
        (b'"' + b"[" * 100 + b'"', False),
        (b'["\\"' + b"[" * 100 + b'"]', False),
        (b'"never closed ' + b"[" * 100, False),
        (b"[]" * 100, False),
    ],
)
def test_brackets_in_strings_are_not_depth(body: bytes, deep: bool) -> None:
    assert is_deeper(body, DEEPEST) is deep


@pytest.mark.timeout(300)
@pytest.mark.parametrize("body", [b'"\\' * 500_000, b'[""' * 300_000, b'"' * 10**6, b"[]" * 500_000, b"\\" * 10**6])
def test_counting_depth_takes_no_longer_for_a_clever_body(body: bytes) -> None:
    begin = time.process_time()
    is_deeper(b"[" * DEEPEST + b"]" * DEEPEST + b"{" + body, DEEPEST)
    assert time.process_time() - begin < 1


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/json; charset=latin-1",
        "application/json, text/plain",
        "application/jsonp",
    ],
)
def test_another_content_type_is_415(quick_api: RunningApi, content_type: str | None) -> None:
    assert code(post(quick_api, b"{}", content_type)) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=UTF-8"])
def test_json_is_taken_however_it_is_spelled(quick_api: RunningApi, content_type: str) -> None:
    assert post(quick_api, b"{}", content_type).status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        b'{"date": "\xff\xfe"}',
        '{"date": "2026-11-18"}'.encode("utf-16"),
        '{"date": "é"}'.encode("latin-1"),
        b"{",
        b"{'date': 1}",
        b"\x00",
        b'{"force_processing": ' + b"9" * 5000 + b"}",
        b"\xed\xa0\x80",
    ],
)
def test_what_is_no_json_in_utf_8_is_400(quick_api: RunningApi, body: bytes) -> None:
    assert code(post(quick_api, body)) == (400, "INVALID_JSON")


@pytest.mark.parametrize(
    "body",
    [
        [],
        None,
        "x",
        {"force_processing": "true"},
        {"force_processing": 1},
        {"force_processing": None},
        {"invoice_ids": []},
        {"invoice_ids": "A"},
        {"invoice_ids": [1]},
        {"invoice_ids": [""]},
        {"invoice_ids": ["a\r\nb"]},
        {"invoice_ids": ["x" * 256]},
        {"invoice_ids": ["x"] * 1001},
        {"invoice_ids": ["\ud800"]},
        {"date": 20261118},
        {"date": "2026-11-18T00:00:00"},
        {"date": "2026-11-18\n"},
        {"date": True},
        {"dates": ["2026-11-18"]},
        {"__proto__": {"admin": True}},
    ],
)
def test_types_are_strict_and_unknown_fields_refused(quick_api: RunningApi, body: Any) -> None:
    assert code(post(quick_api, json.dumps(body).encode())) == (422, "VALIDATION_ERROR")
    assert quick_api.instance.get_runs() == []


@pytest.mark.parametrize("path", ["jobs", "invoices/history", "deliveries"])
@pytest.mark.parametrize("asked", ["limit=0", "limit=201", "limit=1&limit=1000", "limit=9e9", "limit=", "offset=1"])
def test_a_page_has_at_most_two_hundred_items(quick_api: RunningApi, path: str, asked: str) -> None:
    answer = quick_api.client("user").get(f"/api/v1/{path}?{asked}")
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["fields"][0]["field"] == f"query.{asked.partition('=')[0]}"


def test_an_error_does_not_repeat_what_was_sent(quick_api: RunningApi) -> None:
    answer = post(quick_api, json.dumps({"canary-9d2c\x1b[31m": "canary-value", "date": "canary-value"}).encode())
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert "canary-value" not in answer.text
    assert "\\u001b" not in answer.text


@pytest.mark.parametrize("text", INJECTIONS)
def test_sql_and_templates_in_filters_and_paths_are_only_text(api: RunningApi, text: str) -> None:
    client = api.client()
    client.post(PROCESS, json={"invoice_ids": ["A"]})
    for name in ("invoice_id", "number"):
        answer = client.get("/api/v1/invoices/history", params={name: text})
        assert (answer.status_code, answer.json()["data"]["items"]) == (200, [])
    assert code(client.get("/api/v1/deliveries", params={"state": text})) == (422, "VALIDATION_ERROR")
    quoted = "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))
    assert client.get(f"/api/v1/invoices/{quoted}").status_code == 404
    with reading(api.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(Job)) == 1


def test_sql_in_ids_and_reasons_is_stored_as_it_came(api: RunningApi) -> None:
    client, text = api.client(), "'); DROP TABLE audit_logs; --"
    job_id = client.post(PROCESS, json={"invoice_ids": [text]}).json()["data"]["job_id"]
    with reading(api.engine) as connection:
        entry = connection.execute(select(AuditLog.details).where(AuditLog.resource_id == job_id)).scalar_one()
    assert entry["after"]["invoice_ids"] == [text]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/../../etc/passwd",
        "/api/v1/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/jobs/..%2f..%2fusers",
        "/api/v1//jobs",
        "/api/v1/jobs;id=1",
        "/api/v1/invoices/%00",
        "/api/v1/jobs/%0d%0aSet-Cookie:%20a=b",
        "/API/V1/JOBS",
        "/api/v1/jobs%2f",
        "/api/v1/invoices/" + "x" * 5000,
    ],
)
def test_path_tricks_lead_nowhere(quick_api: RunningApi, path: str) -> None:
    """Either an error of ours, or a page of Dagster's UI, which has its own door."""
    token = "".join(f"{name}: {value}\r\n" for name, value in quick_api.callers.headers("admin").items())
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n{token}Connection: close\r\n\r\n"
    head = exchange(quick_api, request.encode()).partition(b"\r\n\r\n")[0].lower()
    status = int(head.split(b" ")[1])
    assert b"set-cookie: a=b" not in head
    assert b"location: " not in head or status == 303
    if path.startswith("/api/"):
        assert status in (404, 422)


def test_no_redirect_is_made_of_the_host_header(quick_api: RunningApi) -> None:
    answer = quick_api.client("user").get("/api/v1/jobs/", headers={"Host": "evil.example"})
    assert (answer.status_code, "evil.example" in str(answer.headers)) == (404, False)


@pytest.mark.parametrize(
    "header",
    [
        b"X-Correlation-ID: a\nb: c",
        b"X-Correlation-ID: a\x00b",
        b"Idempotency-Key: a\x0bb",
        b"Content-Length: -1",
        b"Content-Length: 1, 2",
        b"Transfer-Encoding: chunked, identity",
    ],
)
def test_headers_that_are_none_never_come_back(quick_api: RunningApi, header: bytes) -> None:
    request = b"POST " + PROCESS.encode() + b" HTTP/1.1\r\nHost: x\r\n" + header + b"\r\nConnection: close\r\n\r\n"
    head = exchange(quick_api, request).partition(b"\r\n\r\n")[0]
    assert b"\r\nb: c" not in head
    assert b"500" not in head.split(b"\r\n")[0]


def test_no_read_changes_anything(quick_api: RunningApi) -> None:
    """Every GET of the document, with the role that may do most, leaves no trace in our tables."""
    client = quick_api.client("admin")

    def rows() -> tuple[int | None, int | None]:
        with reading(quick_api.engine) as connection:
            jobs, entries = (connection.scalar(select(func.count()).select_from(table)) for table in (Job, AuditLog))
            return jobs, entries

    client.get("/api/v1/jobs")
    before = rows()
    for path, methods in quick_api.app.openapi()["paths"].items():
        if "get" in methods:
            client.get(
                path.replace("{job_id}", "0f0e6f5c-0000-4000-8000-000000000000").replace("{", "").replace("}", "")
            )
    assert rows() == before

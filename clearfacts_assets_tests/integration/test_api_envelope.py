"""What every answer of the API has in common, and what its documents say of it."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, text

from clearfacts_assets.api import correlation
from clearfacts_assets.api.errors import CATALOGUE, ErrorCode, catalogue_as_markdown
from clearfacts_assets.storage.invoices.tables import InvoiceRow, Job
from clearfacts_assets_tests.fixtures.api import RunningApi

PROJECT = Path(__file__).resolve().parents[2]
ENVELOPE = ["success", "data", "timestamp", "correlation_id"]
FAILURE = ["success", "error", "timestamp", "correlation_id"]


def test_an_answer_stands_in_its_envelope(quick_api: RunningApi) -> None:
    answer = quick_api.client("user").get("/api/v1/jobs")
    body = answer.json()
    assert list(body) == ENVELOPE
    assert body["success"] is True
    assert body["timestamp"].endswith("Z")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(body["timestamp"])) < timedelta(seconds=10)
    assert str(UUID(body["correlation_id"])) == answer.headers["X-Correlation-ID"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "NOT_FOUND"),
        ("GET", "/api/v2/jobs", 404, "NOT_FOUND"),
        ("GET", "/api/v1/jobs/", 404, "NOT_FOUND"),
        ("DELETE", "/api/v1/jobs", 405, "METHOD_NOT_ALLOWED"),
        ("TRACE", "/api/v1/jobs", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/api/v1/jobs/no-uuid", 422, "VALIDATION_ERROR"),
    ],
)
def test_an_error_stands_in_its_envelope(quick_api: RunningApi, method: str, path: str, status: int, code: str) -> None:
    answer = quick_api.client("user").request(method, path)
    body = answer.json()
    assert (answer.status_code, list(body)) == (status, FAILURE)
    assert (body["success"], body["error"]["code"]) == (False, code)
    assert list(body["error"]) == ["code", "message", "details"]
    assert body["error"]["details"]["status_code"] == status
    assert body["error"]["details"]["api_endpoint"] == path
    assert body["correlation_id"] == answer.headers["X-Correlation-ID"]
    assert (status == 405) == ("Allow" in answer.headers)


def test_a_stranger_is_401_and_a_reader_who_wants_more_403(quick_api: RunningApi) -> None:
    stranger = quick_api.client(None).get("/api/v1/jobs")
    reader = quick_api.client("user").post("/api/v1/invoices/process", json={})
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
    assert stranger.headers["WWW-Authenticate"] == "Bearer"
    assert (reader.status_code, reader.json()["error"]["code"]) == (403, "FORBIDDEN")


def test_a_fault_of_ours_tells_nothing_of_our_insides(
    quick_api: RunningApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that nobody could have written as it is: its answer cannot be made."""
    job_id, now = uuid4(), datetime.now(UTC)
    with quick_api.engine.begin() as connection:
        times = {"created_at": now, "updated_at": now}
        connection.execute(insert(Job).values(id=job_id, job_type="manual", status="completed", details={}, **times))
        report = {"findings": [{"canary-5b1e": "/srv/secret.py"}]}
        row = {"id": uuid4(), "job_id": job_id, "invoice_id": "A-1", "status": "failed", "report": report, **times}
        connection.execute(insert(InvoiceRow).values(row))
    monkeypatch.setattr(logging.getLogger("clearfacts_assets"), "propagate", True)
    answer = quick_api.client("user").get("/api/v1/invoices/A-1", headers={"X-Correlation-ID": "find-me"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL_ERROR")
    assert "canary" not in answer.text
    assert answer.json()["correlation_id"] == "find-me"
    assert "canary-5b1e" in caplog.text


def test_a_database_that_does_not_work_is_503(quick_api: RunningApi) -> None:
    client = quick_api.client("user")
    assert client.get("/api/v1/jobs").status_code == 200
    with quick_api.engine.begin() as connection:
        connection.execute(text("ALTER TABLE jobs RENAME TO canary"))
    answer = client.get("/api/v1/jobs")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "DATABASE_UNAVAILABLE")
    assert "canary" not in answer.text
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize("offered", ["erp-4711", "a/b:c=d+e_f.g", "x" * correlation.LONGEST])
def test_a_callers_id_is_kept(quick_api: RunningApi, offered: str) -> None:
    answer = quick_api.client("user").get("/api/v1/jobs", headers={"X-Correlation-ID": offered})
    assert (answer.json()["correlation_id"], answer.headers["X-Correlation-ID"]) == (offered, offered)


@pytest.mark.parametrize("offered", ["", "a b", "x" * (correlation.LONGEST + 1), "<script>", "-dash", "{x}", "a;b"])
def test_an_id_that_could_confuse_is_replaced(quick_api: RunningApi, offered: str) -> None:
    answer = quick_api.client("user").get("/api/v1/jobs", headers={"X-Correlation-ID": offered})
    assert str(UUID(answer.json()["correlation_id"])) == answer.headers["X-Correlation-ID"]


def test_the_catalogue_in_the_docs_is_current() -> None:
    document = (PROJECT / "docs" / "api.md").read_text("utf-8")
    assert catalogue_as_markdown() in document, "put the text of errors.catalogue_as_markdown() there"


def test_every_code_has_its_meaning() -> None:
    assert set(CATALOGUE) == set(ErrorCode)
    assert all(400 <= one.status < 600 and one.meaning and one.remedy for one in CATALOGUE.values())


def openapi(api: RunningApi) -> dict[str, Any]:
    document: dict[str, Any] = api.app.openapi()
    return document


def operations(api: RunningApi) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, methods in openapi(api)["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_openapi_document_is_valid_and_names_every_operation_once(quick_api: RunningApi) -> None:
    from openapi_spec_validator import validate  # takes a second, in each worker of the tests

    validate(openapi(quick_api))
    ids = [operation["operationId"] for _, _, operation in operations(quick_api)]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in ids)


def test_every_operation_of_the_contract_documents_its_errors_in_our_form(quick_api: RunningApi) -> None:
    for method, path, operation in operations(quick_api):
        if not path.startswith("/api/v1/"):
            continue
        documented = operation["responses"]
        assert {"400", "401", "413", "415", "422", "429", "500", "503"} <= set(documented), (method, path)
        for status, response in documented.items():
            if int(status) >= 400:
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Failure"}, (method, path, status)

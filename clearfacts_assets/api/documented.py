"""What the OpenAPI document says of errors: every status that a route can answer with, and by which codes."""

from __future__ import annotations

from typing import Any

from clearfacts_assets.api.envelope import Failure
from clearfacts_assets.api.errors import CATALOGUE, ErrorCode

_EXAMPLE_MOMENT = "2026-11-21T02:00:07.500Z"
_EXAMPLE_ID = "7d0f6f5c-0f0e-4f0a-9b7e-3f1f6f3b1c55"

# A body is looked at before anything else, also where none was asked for.
WITH_BODY = (ErrorCode.INVALID_JSON, ErrorCode.PAYLOAD_TOO_LARGE, ErrorCode.UNSUPPORTED_MEDIA_TYPE)
ALWAYS = (
    *WITH_BODY,
    ErrorCode.INVALID_REQUEST,
    ErrorCode.UNAUTHENTICATED,
    ErrorCode.FORBIDDEN,
    ErrorCode.VALIDATION_ERROR,
    ErrorCode.RATE_LIMITED,
    ErrorCode.INTERNAL_ERROR,
    ErrorCode.DATABASE_UNAVAILABLE,
)


def errors(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """FastAPI's ``responses`` for a route that can answer with these codes, and with those that every route can."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for code in CATALOGUE:
        if code in ALWAYS or code in codes:
            meaning = CATALOGUE[code]
            answer = by_status.setdefault(meaning.status, {"model": Failure, "description": "", "content": {}})
            answer["description"] = f"{answer['description']} {meaning.meaning}".strip()
            examples = answer["content"].setdefault("application/json", {}).setdefault("examples", {})
            examples[code.value] = {"value": _example(code)}
    return by_status


def _example(code: ErrorCode) -> dict[str, Any]:
    meaning = CATALOGUE[code]
    return {
        "success": False,
        "error": {
            "code": code.value,
            "message": meaning.meaning,
            "details": {"api_endpoint": "/api/v1/...", "status_code": meaning.status},
        },
        "timestamp": _EXAMPLE_MOMENT,
        "correlation_id": _EXAMPLE_ID,
    }

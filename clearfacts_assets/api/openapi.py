"""What is said of routes: every status that one can answer with and by which codes, and which roles may call it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from clearfacts_assets.api.auth.dependencies import Requires, anybody_known
from clearfacts_assets.api.auth.permissions import ALLOWED, Role
from clearfacts_assets.api.envelope import Failure
from clearfacts_assets.api.errors import CATALOGUE, ErrorCode

DESK = "/desk"
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


def routes_as_markdown(app: FastAPI, *, pages: bool = False) -> str:
    """The table in docs/api.md: a line a route, a column a role, made from what the routes themselves ask for. With
    ``pages`` those of the desk, as docs/desk.md has them; else all others."""
    lines = [f"| route | asks for | stranger | {' | '.join(Role)} |", "|---|---|:-:|" + ":-:|" * len(Role)]
    for route in sorted((one for one in app.routes if isinstance(one, APIRoute)), key=lambda one: one.path):
        if (route.path == DESK or route.path.startswith(f"{DESK}/")) != pages:
            continue
        calls = list(_calls(route.dependant))
        wanted = [one.permission for one in calls if isinstance(one, Requires)]
        known = anybody_known in calls or bool(wanted)
        may = [not known, *((known and set(wanted) <= ALLOWED[role]) or not known for role in Role)]
        marks = " | ".join("x" if one else "" for one in may)
        asked = f"`{wanted[0]}`" if wanted else "a login" if known else "nothing"
        lines += [f"| `{method} {route.path}` | {asked} | {marks} |" for method in sorted(route.methods or ())]
    return "\n".join(lines)


def _calls(dependant: Dependant) -> Iterator[Any]:
    for one in dependant.dependencies:
        yield one.call
        yield from _calls(one)


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

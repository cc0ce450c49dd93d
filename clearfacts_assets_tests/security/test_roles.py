"""Who may call what: the matrix of roles and routes, made from the routes themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant

from clearfacts_assets.api.app import PREFIX
from clearfacts_assets.api.auth.dependencies import Requires, anybody, anybody_known
from clearfacts_assets.api.auth.permissions import ALLOWED, BOUND, MEANINGS, Permission, Role, roles_as_markdown
from clearfacts_assets.api.openapi import routes_as_markdown
from clearfacts_assets_tests.fixtures.api import RunningApi

PROJECT = Path(__file__).resolve().parents[2]

# On purpose for everybody. What is not here, and asks for no permission, fails.
FOR_STRANGERS = {
    "GET /healthz",
    "GET /readyz",
    "GET /login",
    "POST /login",
    "GET /logout",  # leads a stranger to the login
    "POST /logout",  # wants the session's CSRF token
    *(f"POST {prefix}/auth/{name}" for prefix in ("", PREFIX) for name in ("login", "refresh")),
}
FOR_ALL_KNOWN = {
    f"{method} {prefix}/auth/{name}"
    for prefix in ("", PREFIX)
    for method, name in (("POST", "logout"), ("GET", "me"), ("POST", "password"))
} | {f"GET {PREFIX}/docs", f"GET {PREFIX}/docs/{{name}}"}
NO_ROUTE_OF_OURS = {"/api/v1/openapi.json"}  # FastAPI's own; the contract is no secret
KNOWN_ONES = [("GET", "/jobs"), ("POST", "/invoices/process"), ("DELETE", "/keys/{key_id}"), ("GET", "/audit/chain")]


def flat(dependant: Dependant) -> list[Any]:
    return [dependant.call, *(call for one in dependant.dependencies for call in flat(one))]


def every(app: FastAPI) -> Iterator[Any]:
    """All routes with their whole paths; FastAPI keeps those of included routers apart."""
    for route in app.routes:
        inside = getattr(route, "effective_route_contexts", None)
        yield from inside() if inside else [route]


def routes(app: FastAPI) -> dict[str, list[Any]]:
    """``GET /path`` -> everything that it depends on."""
    return {
        f"{method} {route.path}": flat(route.dependant)
        for route in every(app)
        if hasattr(route, "dependant")
        for method in route.methods
    }


def asked(calls: list[Any]) -> set[Permission]:
    return {call.permission for call in calls if isinstance(call, Requires)}


def test_every_route_says_who_may_call_it(quick_api: RunningApi) -> None:
    for name, calls in routes(quick_api.app).items():
        if name in FOR_STRANGERS:
            assert anybody in calls, name
            assert anybody_known not in calls, name
        elif name in FOR_ALL_KNOWN:
            assert anybody_known in calls, name
        else:
            assert len(asked(calls)) == 1, f"{name} asks for no permission, or for several"


def test_nothing_else_is_served_beside_the_routes(quick_api: RunningApi) -> None:
    assert {route.path for route in every(quick_api.app) if not hasattr(route, "dependant")} == NO_ROUTE_OF_OURS
    assert {f"{method} {PREFIX}{path}" for method, path in KNOWN_ONES} <= set(routes(quick_api.app))


def test_no_get_changes_anything(quick_api: RunningApi) -> None:
    changing = {Permission.INVOICES_PROCESS, Permission.JOBS_RETRY, Permission.DELIVERIES_RESOLVE}
    changing |= {Permission.CHARGES_REVIEW, Permission.COSTS_IMPORT, Permission.REGISTRY_WRITE}
    changing |= {Permission.PERIODS_CLOSE, Permission.PERIODS_FINALIZE, Permission.RULES_WRITE}
    changing |= {Permission.RULES_APPROVE, Permission.STATEMENTS_ISSUE, Permission.STATEMENTS_DISPUTE}
    changing |= {Permission.EMAILS_SEND, Permission.JOURNALS_WRITE}
    changing |= {Permission.CONFIGURATION_WRITE, Permission.CONNECTIONS_TEST, Permission.DAGSTER_WRITE}
    for name, calls in routes(quick_api.app).items():
        assert not (name.startswith("GET ") and asked(calls) & changing), name


def test_every_role_gets_just_what_the_table_allows(quick_api: RunningApi) -> None:
    """Every route, called by every role and by a stranger: 401, 403, or anything else that is not a 500."""
    clients = {role: quick_api.client(role) for role in Role} | {None: quick_api.client(None)}
    wrong = []
    for name, calls in routes(quick_api.app).items():
        needed = asked(calls)
        if not needed:
            continue
        method, _, path = name.partition(" ")
        path = path.replace("{key}", "delivery.attempts")
        while "{" in path:
            path = path[: path.index("{")] + str(uuid4()) + path[path.index("}") + 1 :]
        for role, client in clients.items():
            status = client.request(method, path, json={} if method in ("POST", "PUT", "PATCH") else None).status_code
            expected = 401 if role is None else 403 if not needed <= ALLOWED[role] else None
            if expected is None and (status in (401, 403) or status >= 500):
                wrong.append((name, role, status))
            if expected is not None and status != expected:
                wrong.append((name, role, status))
    assert wrong == []


def test_an_api_key_may_do_its_scopes_and_nothing_else(quick_api: RunningApi) -> None:
    key = quick_api.callers.key("reader", Permission.JOBS_READ)
    client = quick_api.client(None)
    client.headers["Authorization"] = f"Bearer {key}"
    assert client.get("/api/v1/jobs").status_code == 200
    assert client.get("/api/v1/deliveries").status_code == 403
    assert client.post("/api/v1/invoices/process", json={}).status_code == 403


def test_a_scope_that_no_service_may_have_is_worth_nothing(quick_api: RunningApi) -> None:
    """As if it had come into the table some other way."""
    client = quick_api.client(None)
    client.headers["Authorization"] = f"Bearer {quick_api.callers.key('bold', *Permission)}"
    assert client.get("/api/v1/users").status_code == 403
    assert client.get("/api/v1/jobs").status_code == 200


@pytest.mark.parametrize("shown", ["cfk_unknown", "cfk_", "cfk_" + "x" * 5000])
def test_an_unknown_key_opens_nothing(quick_api: RunningApi, shown: str) -> None:
    client = quick_api.client(None)
    assert client.get("/api/v1/jobs", headers={"Authorization": f"Bearer {shown}"}).status_code == 401


def test_only_admins_manage_people_keys_and_the_log() -> None:
    for permission in (Permission.USERS_MANAGE, Permission.KEYS_MANAGE, Permission.AUDIT_READ):
        assert [role for role in Role if permission in ALLOWED[role]] == [Role.ADMIN]
    for role in (Role.REVIEWER, Role.USER, Role.SERVICE):
        assert not {Permission.DAGSTER_WRITE, Permission.CONFIGURATION_WRITE} & ALLOWED[role]


def test_reviewers_decide_and_seal_users_look_and_services_bring_files() -> None:
    """Who prepares a month (operator) is not who has to seal it (reviewer)."""
    preparing = {Permission.COSTS_IMPORT, Permission.REGISTRY_WRITE, Permission.PERIODS_CLOSE, Permission.RULES_WRITE}
    billing = {Permission.CHARGES_REVIEW, Permission.PERIODS_FINALIZE, Permission.RULES_APPROVE}
    billing |= {Permission.STATEMENTS_ISSUE, Permission.STATEMENTS_DISPUTE, Permission.EMAILS_SEND}
    billing |= {Permission.JOURNALS_WRITE}
    changing = preparing | billing
    assert changing & ALLOWED[Role.USER] == set()
    assert changing & ALLOWED[Role.REVIEWER] == billing
    fetching = {role for role in Role if Permission.JOURNALS_FETCH in ALLOWED[role]}
    assert fetching == set(Role) - {Role.USER}  # who only looks exports no journal, and fetches none
    assert changing & ALLOWED[Role.SERVICE] == {Permission.COSTS_IMPORT}
    assert changing <= ALLOWED[Role.OPERATOR]


def test_a_viewer_takes_nothing_away_and_a_bound_user_only_the_own() -> None:
    assert Permission.CHARGEBACK_EXPORT not in ALLOWED[Role.USER]
    own = {Permission.CHARGES_READ, Permission.STATEMENTS_READ}
    assert set(BOUND) == own | {Permission.CHARGEBACK_EXPORT, Permission.STATEMENTS_DISPUTE}


def test_every_permission_has_a_meaning_and_every_role_its_line() -> None:
    assert set(MEANINGS) == set(Permission)
    assert set(ALLOWED) == set(Role)


def test_the_table_in_the_docs_is_current() -> None:
    document = (PROJECT / "docs" / "security.md").read_text("utf-8")
    assert roles_as_markdown() in document, "put the text of permissions.roles_as_markdown() there"


def test_the_matrix_of_routes_and_roles_in_the_docs_is_current(quick_api: RunningApi) -> None:
    document = (PROJECT / "docs" / "api.md").read_text("utf-8")
    matrix = routes_as_markdown(quick_api.app)
    assert matrix in document, f"docs/api.md, the roles at each route, has to be:\n{matrix}"
    pages = routes_as_markdown(quick_api.app, pages=True)
    assert pages in (PROJECT / "docs" / "desk.md").read_text("utf-8"), f"docs/desk.md has to end with:\n{pages}"

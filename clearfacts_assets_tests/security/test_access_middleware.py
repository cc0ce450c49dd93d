"""Dagster's UI has no login of its own: nobody gets at it but through ours, and readers change nothing."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from clearfacts_assets.api.auth import middleware, pages
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.callers import PASSWORD, TEST

PAGE = {"Accept": "text/html"}
READ = {"query": "{ permissions { permission value } }"}
SWITCH = {"query": 'mutation { setConcurrencyLimit(concurrencyKey: "x", limit: 1) }'}
SUBSCRIPTION = "subscription { locationStateChangeEvents { event { message } } }"


def browser(api: RunningApi, role: str | None = None) -> httpx.Client:
    client = api.client(None)
    client.headers.update(PAGE)
    if role:
        client.headers.update(api.callers.cookie(role))
        client.headers["Origin"] = api.url
    return client


def field(page: httpx.Response, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found
    return found[1]


def log_in(client: httpx.Client, api: RunningApi, name: str, password: str = PASSWORD, **form: str) -> httpx.Response:
    """As a browser does it: the form first."""
    page = client.get("/login")
    values = {"csrf": field(page, "csrf"), "next": "/", "username": name, "password": password, **form}
    return client.post("/login", data=values, headers={"Origin": api.url})


STRANGE = [
    "/",
    "/assets",
    "/runs/x",
    "/favicon.png",
    "/server_info",
    "/dagit_info",
    "/logs/a/b.out",
    "/notebook?path=x",
]


@pytest.mark.parametrize("path", [*STRANGE, "/download_debug/x", "/graphql", "/GRAPHQL", "//graphql", "/graphql/"])
def test_strangers_get_nothing(quick_api: RunningApi, path: str) -> None:
    client = quick_api.client(None)
    assert client.get(path).status_code == 401
    assert client.post(path, json=READ).status_code in (401, 405)
    answer = client.get(path, headers=PAGE)
    assert (answer.status_code, urlsplit(answer.headers["Location"]).path) == (303, "/login")


def test_every_route_of_dagsters_webserver_is_behind_the_door(quick_api: RunningApi) -> None:
    from dagster_webserver.webserver import DagsterWebserver

    client = quick_api.client(None)
    for route in DagsterWebserver(quick_api.workspace).build_routes():
        path = re.sub(r"{[^}]*}", "x", getattr(route, "path", "/"))
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            status = client.request(method, path).status_code
            assert status == 401, (method, path, status)


@pytest.mark.parametrize("shown", [None, "Cookie", "Authorization"])
def test_a_websocket_of_a_stranger_is_never_accepted(quick_api: RunningApi, shown: str | None) -> None:
    headers = {shown: "clearfacts=x" if shown == "Cookie" else "Bearer x"} if shown else {}
    with TestClient(quick_api.app) as client, pytest.raises(WebSocketDisconnect) as refused:
        client.websocket_connect("/graphql", subprotocols=["graphql-ws"], headers=headers).__enter__()
    assert refused.value.code == middleware.REFUSED


def test_a_websocket_of_another_site_is_refused(quick_api: RunningApi) -> None:
    cookie = quick_api.callers.cookie("operator")
    with TestClient(quick_api.app) as client, pytest.raises(WebSocketDisconnect):
        client.websocket_connect("/graphql", headers={**cookie, "Origin": "https://evil.example"}).__enter__()


def subscribe(api: RunningApi, role: str, query: str) -> dict[str, object]:
    headers = {**api.callers.cookie(role), "Origin": "http://testserver"}
    with TestClient(api.app) as client, client.websocket_connect("/graphql", ["graphql-ws"], headers=headers) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json() == {"type": "connection_ack"}
        socket.send_json({"type": "start", "id": "1", "payload": {"query": query}})
        if query == SUBSCRIPTION:
            return {}
        answer: dict[str, object] = socket.receive_json()
        return answer


@pytest.mark.parametrize("role", ["operator", "user"])
def test_subscriptions_come_over_a_websocket_and_mutations_do_not(quick_api: RunningApi, role: str) -> None:
    assert subscribe(quick_api, role, SUBSCRIPTION) == {}
    refused = subscribe(quick_api, role, SWITCH["query"])
    assert refused["type"] == "error"
    assert "Only subscriptions" in str(refused["payload"])


def test_an_open_websocket_ends_with_its_session(quick_api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    assert middleware.LOOK_AGAIN <= 60
    monkeypatch.setattr(middleware, "LOOK_AGAIN", 0.05)
    headers = {**quick_api.callers.cookie("operator"), "Origin": "http://testserver"}
    user = quick_api.callers.user("operator")
    with (
        TestClient(quick_api.app) as client,
        client.websocket_connect("/graphql", ["graphql-ws"], headers=headers) as ws,
    ):
        ws.send_json({"type": "connection_init"})
        assert ws.receive_json() == {"type": "connection_ack"}
        quick_api.callers.users.set_password(user.id, "!", actor=TEST, now=datetime.now(UTC))
        with pytest.raises(WebSocketDisconnect) as ended:
            ws.receive_json()
    assert ended.value.code == middleware.REFUSED


def allowed(client: httpx.Client) -> set[bool]:
    answer = client.post("/graphql", json=READ)
    assert answer.status_code == 200
    return {one["value"] for one in answer.json()["data"]["permissions"]}


@pytest.mark.parametrize(
    ("role", "acts", "whole"),
    [("admin", True, True), ("operator", True, False), ("reviewer", False, False), ("user", False, False)],
)
def test_admins_get_it_whole_operators_its_runs_everybody_else_looks(
    api: RunningApi, role: str, acts: bool, whole: bool
) -> None:
    client = browser(api, role)
    assert (True in allowed(client)) is acts
    page = client.get("/")
    assert page.status_code == 200
    assert f"{role} ({role})" in page.text
    assert client.post("/graphql", json={"query": "mutation { setNuxSeen }"}).status_code == (200 if acts else 403)
    assert client.post("/graphql", json=SWITCH).status_code == (200 if whole else 403)
    for kind in ("materialization", "check", "observation"):
        reported = client.post(f"/report_asset_{kind}/x", json={"check_name": "y", "passed": True})
        assert reported.status_code == (200 if whole else 403)


HIDDEN = [
    'mutation { setConcurrencyLimit(concurrencyKey: "x", limit: 1) }',
    'query A { version } mutation B { setConcurrencyLimit(concurrencyKey: "x", limit: 1) }',
    'mutation M { ...F } fragment F on Mutation { setConcurrencyLimit(concurrencyKey: "x", limit: 1) }',
    'mutation M { ... on Mutation { setConcurrencyLimit(concurrencyKey: "x", limit: 1) } }',
    '# query\nmutation M{alias:setConcurrencyLimit(concurrencyKey:"x",limit:1)}',
    "\ufeffmutation { setNuxSeen }",
]


@pytest.mark.parametrize("query", HIDDEN)
def test_a_readers_mutation_is_refused_however_it_is_dressed(quick_api: RunningApi, query: str) -> None:
    client = browser(quick_api, "user")
    for extra in ({}, {"operationName": "B"}, {"operationName": "M"}):
        assert client.post("/graphql", json={"query": query, **extra}).status_code == 403


NO_REQUESTS = ["[]", "[1]", "1", "null", "{}", '{"query": 1}', '{"query": "{version}", "variables": []}', "{"]


@pytest.mark.parametrize("body", NO_REQUESTS)
def test_what_is_no_graphql_request_is_400(quick_api: RunningApi, body: str) -> None:
    client = browser(quick_api, "operator")
    answer = client.post("/graphql", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


@pytest.mark.parametrize("depth", [200, 5000])
def test_a_tower_of_a_query_is_an_error_and_not_a_crash(quick_api: RunningApi, depth: int) -> None:
    answer = browser(quick_api, "user").post("/graphql", json={"query": "{a" * depth + "}" * depth})
    assert answer.status_code == 400


@pytest.mark.parametrize("role", ["operator", "user"])
def test_no_get_mutates(quick_api: RunningApi, role: str) -> None:
    client = browser(quick_api, role)
    for headers in ({}, {"Accept": "*/*"}):
        assert client.get("/graphql", params=SWITCH, headers=headers).status_code == 405
        assert client.get("/graphql/", params=SWITCH, headers=headers).status_code == 405
    assert client.get("/graphql").status_code == 200  # the page to try GraphQL at, which asks by POST
    assert client.put("/graphql", json=SWITCH).status_code == 405


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None, "http://127.0.0.1", "http://localhost:1"])
def test_a_change_with_a_cookie_from_another_site_is_refused(quick_api: RunningApi, origin: str | None) -> None:
    client = browser(quick_api, "operator")
    del client.headers["Origin"]
    headers = {"Origin": origin} if origin else {}
    answer = client.post("/graphql", json=SWITCH, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "CROSS_SITE_REQUEST")
    answer = client.post("/api/v1/auth/logout", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "CROSS_SITE_REQUEST")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/graphql"]
)
def test_graphql_is_json_which_no_form_can_send(quick_api: RunningApi, kind: str) -> None:
    answer = browser(quick_api, "operator").post("/graphql", content=json.dumps(SWITCH), headers={"Content-Type": kind})
    assert answer.status_code == 415


def test_the_api_wants_a_csrf_token_from_a_cookie(quick_api: RunningApi) -> None:
    client = browser(quick_api, "admin")
    body = {"value": 3}
    path = "/api/v1/configuration/delivery.attempts"
    assert client.get(path).status_code == 200
    assert client.put(path, json=body).json()["error"]["code"] == "CROSS_SITE_REQUEST"
    assert client.put(path, json=body, headers={"X-CSRF-Token": "0" * 64}).status_code == 403
    other = field(browser(quick_api, "user").get("/logout"), "csrf")
    assert client.put(path, json=body, headers={"X-CSRF-Token": other}).status_code == 403
    own = field(client.get("/logout"), "csrf")
    assert client.put(path, json=body, headers={"X-CSRF-Token": own}).status_code == 200


def test_a_login_makes_a_session_of_its_own_and_ends_the_one_before(api: RunningApi) -> None:
    api.callers.user("operator")
    client = browser(api)
    client.cookies.set("clearfacts", "chosen-by-somebody-else")
    first = log_in(client, api, "operator")
    assert (first.status_code, first.headers["Location"]) == (303, "/")
    old = first.cookies["clearfacts"]
    assert old != "chosen-by-somebody-else"
    client.cookies.clear()
    client.cookies.set("clearfacts", old)
    second = log_in(client, api, "operator")
    new = second.cookies["clearfacts"]
    alone = api.client(None)
    assert alone.get("/server_info", headers={"Cookie": f"clearfacts={old}"}).status_code == 401
    assert alone.get("/server_info", headers={"Cookie": f"clearfacts={new}"}).status_code == 200


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(quick_api: RunningApi) -> None:
    quick_api.callers.user("operator")
    cookie = log_in(browser(quick_api), quick_api, "operator").headers["Set-Cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=lax", "path=/", "max-age=43200"))
    assert "domain" not in cookie
    quick_api.app.state.authentication.cookie.secure = True
    answer = log_in(browser(quick_api), quick_api, "operator")
    # Over plain http the test's client keeps no Secure cookie, so the form's token does not come back.
    assert answer.status_code == 403
    assert all("secure" in line.lower() for line in answer.headers.get_list("Set-Cookie"))
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert quick_api.app.state.authentication.cookie.name.startswith("__Host-")


@pytest.mark.parametrize(
    ("changed", "status"),
    [({"csrf": ""}, 403), ({"csrf": "x"}, 403), ({"username": "nobody"}, 401), ({"password": "x"}, 401)],
)
def test_a_login_that_is_not_right_sets_no_session(quick_api: RunningApi, changed: dict[str, str], status: int) -> None:
    quick_api.callers.user("operator")
    answer = log_in(browser(quick_api), quick_api, "operator", **changed)
    assert answer.status_code == status
    assert not any(line.startswith("clearfacts=") for line in answer.headers.get_list("Set-Cookie"))
    assert pages.WRONG in answer.text or status == 403


def test_a_login_from_another_site_is_refused(quick_api: RunningApi) -> None:
    quick_api.callers.user("operator")
    client = browser(quick_api)
    csrf = field(client.get("/login"), "csrf")
    form = {"csrf": csrf, "username": "operator", "password": PASSWORD}
    assert client.post("/login", data=form, headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post("/login", data=form).status_code == 403


NEXT = ["https://evil.example", "//evil.example", "/\\evil.example", "/login", "javascript:alert(1)", "/a\nb", "x", ""]


@pytest.mark.parametrize("wanted", [*NEXT, "/" + "x" * 5000, "http:evil", "///evil.example", "/\t/evil.example"])
def test_a_login_leads_to_no_other_site(quick_api: RunningApi, wanted: str) -> None:
    quick_api.callers.user("operator")
    assert log_in(browser(quick_api), quick_api, "operator", next=wanted).headers["Location"] == "/"


def test_a_login_leads_where_one_wanted_to_go(quick_api: RunningApi) -> None:
    quick_api.callers.user("operator")
    client = browser(quick_api)
    sent = client.get("/runs?q[]=status%3AFAILURE").headers["Location"]
    wanted = parse_qs(urlsplit(sent).query)["next"][0]
    assert log_in(client, quick_api, "operator", next=wanted).headers["Location"] == "/runs?q[]=status%3AFAILURE"


def test_what_is_typed_comes_back_escaped(quick_api: RunningApi) -> None:
    name = '"><script>alert(1)</script>'
    page = log_in(browser(quick_api), quick_api, name, "x", next='/"><script>')
    assert "<script" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text


@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_our_pages_run_no_script_and_stand_in_no_frame(quick_api: RunningApi, path: str) -> None:
    page = browser(quick_api, "user").get(path)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["Cache-Control"] == "no-store"
    nonces = re.findall(r"'nonce-([^']+)'", policy)
    assert f'<style nonce="{nonces[0]}">' in page.text
    assert nonces[0] not in browser(quick_api, "user").get(path).text
    assert "style=" not in page.text
    assert "<script" not in page.text


def test_dagsters_pages_stand_in_no_frame(quick_api: RunningApi) -> None:
    page = browser(quick_api, "user").get("/")
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_logging_out_needs_the_token_and_ends_the_session(quick_api: RunningApi) -> None:
    client = browser(quick_api, "user")
    csrf = field(client.get("/logout"), "csrf")
    assert client.post("/logout", data={"csrf": "x"}).status_code == 403
    assert client.get("/server_info").status_code == 200
    assert client.post("/logout", data={"csrf": csrf}).headers["Location"] == "/login"
    assert client.get("/server_info", headers={"Accept": "*/*"}).status_code == 401


def test_a_body_for_dagster_has_a_limit(quick_api: RunningApi) -> None:
    answer = browser(quick_api, "operator").post("/graphql", json={"query": "x" * (5 * 2**20)})
    assert answer.status_code == 413


def test_a_form_has_a_limit(quick_api: RunningApi) -> None:
    answer = quick_api.client(None).post("/login", data={"username": "x" * 10_000})
    assert answer.status_code == 413

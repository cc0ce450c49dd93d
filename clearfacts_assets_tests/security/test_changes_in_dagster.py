"""What is changed in Dagster's UI, or past it: who, what and on what stands in the audit log before it is done."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.routing import Route

from clearfacts_assets.api.auth.changes import LONGEST_VALUE, MOST_ARGUMENTS, changes, kept, parsed
from clearfacts_assets.api.auth.webserver import MOST_CHANGES
from clearfacts_assets.storage.accounts import audit
from clearfacts_assets.storage.accounts.audit import AuditLine
from clearfacts_assets_tests.fixtures.api import RunningApi

CANARY = "canary-5b1f"
LIMIT = "setConcurrencyLimit(concurrencyKey: $key, limit: 1)"


def ask(api: RunningApi, query: str, **more: Any) -> int:
    return api.client("admin").post("/graphql", json={"query": query, **more}).status_code


def entries(api: RunningApi) -> list[AuditLine]:
    """Of Dagster, the oldest first."""
    return list(audit.entries(api.engine, resource_type="dagster", limit=200).items)[::-1]


def told(api: RunningApi) -> list[tuple[str, str | None, Any]]:
    return [(entry.action, entry.resource_id, entry.details["after"]) for entry in entries(api)]


def test_a_mutation_is_audited_with_who_and_from_where(api: RunningApi) -> None:
    headers = {"X-Correlation-ID": "from-the-test", "User-Agent": "a browser"}
    client = api.client("admin")
    query = {"query": f"mutation S($key: String!) {{ {LIMIT} }}", "variables": {"key": "erp", "unused": CANARY}}
    client.post("/graphql", json=query, headers=headers)
    client.post("/graphql", json={"query": "{ version }"})
    (entry,) = entries(api)
    assert (entry.action, entry.user_id) == ("dagster.setConcurrencyLimit", api.callers.user("admin").id)
    assert entry.details["after"] == {"concurrencyKey": "erp", "limit": 1}
    seen = (entry.details["actor"], entry.details["correlation_id"], entry.ip_address, entry.user_agent)
    assert seen == ("admin", "from-the-test", "127.0.0.1", "a browser")


def test_arguments_written_in_the_document_are_kept_and_name_the_resource(api: RunningApi) -> None:
    ask(api, 'mutation { terminateRun(runId: "4711", terminatePolicy: SAFE_TERMINATE) { __typename } }')
    asked = {"runId": "4711", "terminatePolicy": "SAFE_TERMINATE"}
    assert told(api) == [("dagster.terminateRun", "4711", asked)]


def test_only_the_operation_that_is_chosen_is_recorded(api: RunningApi) -> None:
    document = """
        mutation A { terminateRun(runId: "1") { __typename } }
        mutation B { terminateRun(runId: "2") { __typename } }
        query C { version }
    """
    ask(api, document, operationName="B")
    ask(api, document, operationName="C")
    ask(api, document, operationName="D")
    ask(api, document)  # which one? Dagster refuses that
    assert [one[1] for one in told(api)] == ["2"]


def test_each_field_has_its_entry_with_its_own_arguments_and_variables_put_in(quick_api: RunningApi) -> None:
    document = """
        mutation M($run: String!, $policy: TerminateRunPolicy = MARK_AS_CANCELED_IMMEDIATELY) {
          __typename
          first: terminateRun(runId: $run, terminatePolicy: $policy) { __typename }
          ...More
          ... on Mutation { setNuxSeen }
        }
        fragment More on Mutation { second: terminateRun(runId: "2") { __typename } }
    """
    assert ask(quick_api, document, variables={"run": "1"}) == 200
    assert told(quick_api) == [
        ("dagster.terminateRun", "1", {"runId": "1", "terminatePolicy": "MARK_AS_CANCELED_IMMEDIATELY"}),
        ("dagster.terminateRun", "2", {"runId": "2"}),
    ]


def test_mutations_are_found_in_fragments_that_name_each_other() -> None:
    query = "mutation { ...A } fragment A on Mutation { ...B x } fragment B on Mutation { ...A y }"
    assert sorted(one.name for one in changes(parsed(query), None, None)) == ["x", "y"]


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (f'mutation {{ x(a: {{password: "{CANARY}"}}) }}', {}),
        ("mutation($token: String) { x(a: $token) }", {"token": CANARY}),
        ("mutation($a: A) { x(a: $a) }", {"a": [{"env": {"api_key": CANARY}}]}),
        ("mutation($a: A) { x(a: $a) }", {"a": f"ops:\n  load:\n    config:\n      password: {CANARY}\n"}),
        ("mutation($a: A) { x(a: {b: $a}) }", {"a": json.dumps({"ops": {"access_token": CANARY}})}),
        (f'mutation {{ x(tags: [{{key: "api_token", value: "{CANARY}"}}]) }}', {}),
        ("mutation($a: A, $b: B) { x(a: {name: $a, value: [$b]}) }", {"a": "DB_PASSWORD", "b": CANARY}),
        ("mutation($a: A) { x(a: $a) }", {"a": f"host=db password={CANARY}"}),
        (f'mutation {{ x(a: {{secret: "{"x" * LONGEST_VALUE}{CANARY}"}}) }}', {}),
    ],
)
def test_no_secret_is_kept_of_arguments(query: str, variables: dict[str, Any]) -> None:
    (change,) = changes(parsed(query), None, variables)
    assert CANARY not in str(change)
    assert "***" in str(change)


def test_what_is_kept_of_arguments_is_bounded() -> None:
    huge = {"list": ["x" * 50] * 1000, "text": "y" * 10**6, "z" * 10**6: 1, **{f"n{n}": n for n in range(1000)}}
    arguments = kept(huge)
    assert len(json.dumps(arguments)) < MOST_ARGUMENTS * (LONGEST_VALUE + 200)
    assert arguments["text"] == "y" * LONGEST_VALUE
    assert arguments["list"].startswith('["xxx')


def test_a_document_with_too_many_changes_is_refused_whole(quick_api: RunningApi) -> None:
    fields = [f'a{number}: terminateRun(runId: "{number}") {{ __typename }}' for number in range(MOST_CHANGES + 1)]
    assert ask(quick_api, f"mutation {{ {' '.join(fields)} }}") == 400
    assert told(quick_api) == []
    assert ask(quick_api, f"mutation {{ {' '.join(fields[:-1])} }}") == 200
    assert len(told(quick_api)) == MOST_CHANGES


REPORTS = ["report_asset_materialization", "report_asset_check", "report_asset_observation"]


@pytest.mark.parametrize("kind", REPORTS)
def test_what_is_reported_of_an_asset_is_audited(api: RunningApi, kind: str) -> None:
    path, body = f"/{kind}/raw_invoices/day", {"check_name": "c", "passed": True, "metadata": {"token": CANARY}}
    answer = api.client("admin").post(path, params={"partition": "2026-11-18"}, json=body)
    assert answer.status_code == 200, answer.text
    (entry,) = entries(api)
    assert (entry.action, entry.resource_id) == (f"dagster.{kind}", "raw_invoices/day")
    assert (entry.user_id, entry.details["actor"]) == (api.callers.user("admin").id, "admin")
    hidden = {**body, "metadata": {"token": "***"}}
    assert entry.details["after"] == {"path": path, "query": {"partition": "2026-11-18"}, "body": hidden}


@pytest.mark.parametrize("kind", REPORTS)
def test_what_others_than_administrators_report_is_refused(quick_api: RunningApi, kind: str) -> None:
    for role in ("operator", "reviewer", "user", "service"):
        for path in (f"/{kind}/x", f"/{kind}/"):
            assert quick_api.client(role).post(path, json={"asset_key": ["x"]}).status_code == 403
    assert told(quick_api) == []


@pytest.mark.parametrize("body", ["{", "[]", "1", '"asset_key"'])
def test_a_report_that_is_no_object_is_400(quick_api: RunningApi, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = quick_api.client("admin").post(f"/{REPORTS[0]}/x", content=body, headers=headers)
    assert answer.status_code == 400
    assert told(quick_api) == []


DEEP = '{"query": "mutation($a: A) { x(a: $a) }", "variables": {"a": ' + "[" * 900 + "]" * 900 + "}}"


@pytest.mark.parametrize("path", ["graphql", *(f"{kind}/x" for kind in REPORTS)])
def test_what_is_nested_too_deeply_is_400(quick_api: RunningApi, path: str) -> None:
    headers = {"Content-Type": "application/json"}
    assert quick_api.client("admin").post(f"/{path}", content=DEEP, headers=headers).status_code == 400
    assert told(quick_api) == []


@pytest.mark.parametrize("kind", ["query", "mutation"])
def test_a_document_whose_fragments_are_nested_too_deeply_is_400(quick_api: RunningApi, kind: str) -> None:
    chain = (f"fragment F{number} on T {{ ...F{number + 1} }}" for number in range(2000))
    assert ask(quick_api, f"{kind} {{ ...F0 }} {' '.join(chain)}") == 400
    assert told(quick_api) == []


@pytest.mark.parametrize("variables", ["{}", "[1]", "[" * 900 + "]" * 900, "1" * 5000], ids=len)
def test_a_query_in_the_address_is_refused(quick_api: RunningApi, variables: str) -> None:
    params = {"query": "mutation($run: String) { setNuxSeen }", "variables": variables}
    client, headers = quick_api.client("operator"), {"Content-Type": "Application/JSON"}
    assert client.get("/graphql", params=params).status_code == 405
    body = json.dumps({"query": "{ version }"})
    assert client.post("/graphql", params=params, content=body, headers=headers).status_code == 400


def test_dagster_has_no_other_way_to_change_something(quick_api: RunningApi) -> None:
    from dagster_webserver.webserver import DagsterWebserver

    routes = [one for one in DagsterWebserver(quick_api.workspace).build_routes() if isinstance(one, Route)]
    ways = {one.path.split("/")[1] for one in routes if (one.methods or set()) - {"GET", "HEAD"}}
    assert ways == {"graphql", *REPORTS}

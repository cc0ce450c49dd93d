"""Dagster's mutations by role, and launches that carry who asked for them, whatever their tags say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.workspace.permissions import EDITOR_PERMISSIONS
from dagster_graphql.schema import create_schema

from clearfacts_assets.api.auth import graphql_launches, tokens
from clearfacts_assets.api.auth.authentication import TRUST_SECONDS, Authentication, Cookie
from clearfacts_assets.api.auth.graphql_mutations import (
    ADMINISTER,
    ADMINISTRATORS_BUTTONS,
    NEEDS,
    mutations_as_markdown,
    needed_for,
)
from clearfacts_assets.api.auth.permissions import ALLOWED, Permission, Role
from clearfacts_assets.storage.accounts import audit
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.callers import TEST

PROJECT = Path(__file__).resolve().parents[2]
SCHEMA = create_schema().graphql_schema
DAY = "2026-11-18"
SELECTOR = {
    "repositoryLocationName": "clearfacts_assets",
    "repositoryName": "__repository__",
    "jobName": "manual_trigger",
}
FORGED = [
    {"key": "clearfacts/triggered_by", "value": "the boss"},
    {"key": "clearfacts/correlation_id", "value": "another one's"},
    {"key": "clearfacts/anything", "value": "1"},
    {"key": "dagster/schedule_name", "value": "nightly"},
    {"key": "dagster/will_retry", "value": "true"},
    {"key": "note", "value": "mine"},
]
FORGED_INLINE = ", ".join(f'{{key: "{tag["key"]}", value: "{tag["value"]}"}}' for tag in FORGED)
INLINE = (
    '{selector: {repositoryLocationName: "clearfacts_assets", repositoryName: "__repository__", '
    f'jobName: "manual_trigger"}}, executionMetadata: {{tags: [{FORGED_INLINE}]}}}}'
)
RESULT = "{ __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } }"


def test_every_mutation_of_dagster_is_classified() -> None:
    assert SCHEMA.mutation_type is not None
    assert set(SCHEMA.mutation_type.fields) == set(NEEDS)
    assert needed_for("somethingNew") is ADMINISTER


def test_every_field_that_launches_is_rewritten() -> None:
    """Whatever takes tags of a run takes them in an argument that is known."""
    assert SCHEMA.mutation_type is not None
    taking = {"ExecutionParams", "ReexecutionParams", "LaunchBackfillParams"}
    for name, field in SCHEMA.mutation_type.fields.items():
        arguments = {argument for argument, known in field.args.items() if str(known.type).strip("[]!") in taking}
        assert arguments <= set(graphql_launches._TAGS), name
        assert bool(arguments) == (name in graphql_launches.LAUNCHING), name


def test_only_administrators_may_harm_the_installation() -> None:
    assert [role for role in Role if ADMINISTER in ALLOWED[role]] == [Role.ADMIN]
    harmful = {"shutdownRepositoryLocation", "reloadWorkspace", "wipeAssets", "deleteRun", "setConcurrencyLimit"}
    assert {NEEDS[name] for name in harmful} == {ADMINISTER}


def test_the_table_in_the_docs_is_current() -> None:
    document = (PROJECT / "docs" / "security.md").read_text("utf-8")
    assert mutations_as_markdown() in document, "put the text of mutations.mutations_as_markdown() there"


@pytest.mark.parametrize("name", sorted(name for name in NEEDS if NEEDS[name] is ADMINISTER))
def test_an_operator_is_refused_what_is_an_administrators(quick_api: RunningApi, name: str) -> None:
    query = {"query": f"mutation {{ {name} }}"}
    assert quick_api.client("operator").post("/graphql", json=query).status_code == 403
    assert list(audit.entries(quick_api.engine, resource_type="dagster", limit=1).items) == []


def test_an_operator_cannot_shut_the_code_down_beside_something_harmless(quick_api: RunningApi) -> None:
    query = (
        "mutation M { setNuxSeen ...F } fragment F on Mutation "
        '{ x: shutdownRepositoryLocation(repositoryLocationName: "clearfacts_assets") { __typename } }'
    )
    assert quick_api.client("operator").post("/graphql", json={"query": query}).status_code == 403
    assert quick_api.client("operator").post("/graphql", json={"query": "mutation { setNuxSeen }"}).status_code == 200


def test_the_buttons_follow_the_table(quick_api: RunningApi) -> None:
    query = {
        "query": "{ permissions { permission value } workspaceOrError { ... on Workspace { locationEntries "
        "{ permissions { permission value } } } } }"
    }

    def granted(role: str) -> set[str]:
        data = quick_api.client(role).post("/graphql", json=query).json()["data"]
        everywhere = {one["permission"] for one in data["permissions"] if one["value"]}
        (location,) = data["workspaceOrError"]["locationEntries"]
        here = {one["permission"] for one in location["permissions"] if one["value"]}
        assert here <= everywhere
        return everywhere

    all_of_them = {str(name) for name, value in EDITOR_PERMISSIONS.items() if value}
    assert granted("admin") == all_of_them
    assert granted("operator") == all_of_them - {str(name) for name in ADMINISTRATORS_BUTTONS}
    assert granted("user") == set()


def launched(api: RunningApi, query: str, role: str = "operator", **more: Any) -> list[dg.DagsterRun]:
    """The runs that this made, the oldest first."""
    before = {run.run_id for run in api.instance.get_runs()}
    headers = {"X-Correlation-ID": "of-this-request"}
    answer = api.client(role).post("/graphql", json={"query": query, **more}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert "errors" not in answer.json(), answer.text
    return [run for run in api.instance.get_runs()[::-1] if run.run_id not in before]


def params(**metadata: Any) -> dict[str, Any]:
    return {"selector": SELECTOR, "executionMetadata": metadata}


ONE = f"mutation L($p: ExecutionParams!) {{ launchRun(executionParams: $p) {RESULT} }}"
WAYS = {
    "in a variable": (ONE, {"p": params(tags=FORGED)}),
    "in the document": (f"mutation {{ launchRun(executionParams: {INLINE}) {RESULT} }}", {}),
    "partly in both": (
        "mutation L($s: JobOrPipelineSelector!, $t: [ExecutionTag!]) { launchRun(executionParams: "
        f"{{selector: $s, executionMetadata: {{tags: $t}}}}) {RESULT} }}",
        {"s": SELECTOR, "t": FORGED},
    ),
    "as a default": (
        f"mutation L($p: ExecutionParams! = {INLINE}) {{ launchRun(executionParams: $p) {RESULT} }}",
        {},
    ),
    "in a fragment": (
        "mutation L { ...F } fragment F on Mutation "
        f"{{ a: launchPipelineExecution(executionParams: {INLINE}) {RESULT} }}",
        {},
    ),
    "as one thing where a list is wanted": (
        "mutation L($t: [ExecutionTag!]) { launchMultipleRuns(executionParamsList: {selector: {"
        'repositoryLocationName: "clearfacts_assets", repositoryName: "__repository__", jobName: "manual_trigger"}, '
        "executionMetadata: {tags: $t}}) { __typename } }",
        {"t": FORGED[0]},
    ),
    "without any": (ONE, {"p": {"selector": SELECTOR}}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_launch_carries_who_asked_for_it_whatever_its_tags_say(quick_api: RunningApi, way: str) -> None:
    query, variables = WAYS[way]
    (run,) = launched(quick_api, query, variables=variables)
    assert run.tags["clearfacts/triggered_by"] == "operator"
    assert run.tags["clearfacts/correlation_id"] == "of-this-request"
    assert not {"clearfacts/anything", "dagster/schedule_name", "dagster/will_retry"} & set(run.tags)
    assert ("note" in run.tags) == (way not in ("as one thing where a list is wanted", "without any"))


def test_of_several_operations_the_chosen_one_is_launched_and_no_other(quick_api: RunningApi) -> None:
    query = (
        f"query Q {{ version }} mutation A($x: ExecutionParams!) {{ launchRun(executionParams: $x) {RESULT} }} "
        f"mutation B($p: ExecutionParams!) {{ one: launchRun(executionParams: $p) {RESULT} "
        f"two: launchRun(executionParams: $p) {RESULT} }}"
    )
    runs = launched(quick_api, query, variables={"p": params(tags=FORGED)}, operationName="B")
    assert [run.tags["clearfacts/triggered_by"] for run in runs] == ["operator", "operator"]
    assert launched(quick_api, query, operationName="Q") == []


def test_a_re_execution_is_its_callers_and_not_the_first_ones(quick_api: RunningApi) -> None:
    (first,) = launched(quick_api, *[WAYS["in a variable"][0]], role="admin", variables=WAYS["in a variable"][1])
    quick_api.instance.report_run_failed(first)
    query = f"mutation R($p: ReexecutionParams!) {{ launchRunReexecution(reexecutionParams: $p) {RESULT} }}"
    again = {
        "parentRunId": first.run_id,
        "strategy": "ALL_STEPS",
        "useParentRunTags": True,
        "extraTags": [{"key": "clearfacts/triggered_by", "value": "the boss"}],
    }
    (run,) = launched(quick_api, query, variables={"p": again})
    assert (first.tags["clearfacts/triggered_by"], run.tags["clearfacts/triggered_by"]) == ("admin", "operator")
    assert run.tags["dagster/parent_run_id"] == first.run_id


def test_a_backfill_is_its_callers(quick_api: RunningApi) -> None:
    query = "mutation B($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) { __typename } }"
    assets = [{"path": [name]} for name in ("raw_invoices", "validated_invoices")]
    asked = {"assetSelection": assets, "partitionNames": [DAY], "tags": FORGED}
    assert launched(quick_api, query, variables={"p": asked}) == []
    (backfill,) = quick_api.instance.get_backfills()
    assert backfill.tags["clearfacts/triggered_by"] == "operator"
    assert (backfill.tags["note"], "dagster/schedule_name" in backfill.tags) == ("mine", False)


@pytest.mark.parametrize("key", ["dagster-k8s/config", "dagster/image", "docker/image"])
def test_what_a_container_executes_is_not_an_operators_to_say(quick_api: RunningApi, key: str) -> None:
    query, variables = WAYS["in a variable"][0], {"p": params(tags=[{"key": key, "value": "{}"}])}
    asked = {"query": query, "variables": variables}
    assert quick_api.client("operator").post("/graphql", json=asked).status_code == 403
    assert quick_api.instance.get_runs() == []
    (run,) = launched(quick_api, query, role="admin", variables=variables)
    assert run.tags[key] == "{}"


def test_the_key_of_a_disabled_user_opens_nothing_within_a_minute(api: RunningApi) -> None:
    """In another process over the same database, which is told of nothing."""
    import anyio
    from starlette.requests import HTTPConnection

    clock, now = [0.0], datetime.now(UTC)
    access = api.app.state.access
    other = Authentication(api.engine, access.logins.signing, Cookie(secure=False), monotonic=lambda: clock[0])
    person = api.callers.user("admin", "an.peeters")
    secret = tokens.new_secret(tokens.API_KEY_PREFIX)
    api.callers.keys.add(
        "erp",
        tokens.hash_of(secret),
        [Permission.JOBS_READ],
        expires_at=now + timedelta(hours=1),
        actor=Actor("an.peeters", person.id),
        now=now,
    )
    api.callers.user("admin")

    def known() -> bool:
        headers = [(b"authorization", f"Bearer {secret}".encode())]
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "client": None, "query_string": b""}
        return anyio.run(other.identify, HTTPConnection(scope)) is not None

    assert known()
    api.callers.users.change(person.id, is_active=False, actor=TEST, now=now)
    clock[0] += TRUST_SECONDS
    assert TRUST_SECONDS <= 60
    assert not known()
    api.callers.users.change(person.id, is_active=True, actor=TEST, now=now)
    assert known()

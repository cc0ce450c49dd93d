"""Launching and following Dagster runs through the webserver's GraphQL, as its own UI does: so the demo starts its day.

Our API would start a job of its own; the demo, and who watches a night, show what a person does in Dagster's UI.

Errors: GatewayError, with what Dagster said. Callers check the partition before they launch: ``launchRun`` takes any
key, and a day in 2099 runs to success.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import httpx

LOCATION = "clearfacts_assets"
_LAUNCH = """
mutation Launch($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on Error { message }
  }
}
"""
_STATUS = "query Status($id: ID!) { runOrError(runId: $id) { __typename ... on Run { status } } }"
ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})


class GatewayError(Exception):
    """Dagster did not do what it was asked; the message holds its reason."""


class PasswordLogin(httpx.Auth):
    """Logs in at our own door, and again when the access token is good no longer."""

    requires_response_body = True

    def __init__(self, address: str, username: str, password: str) -> None:
        self._login = httpx.Request("POST", f"{address}/auth/login", json={"username": username, "password": password})
        self._token: str | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Raises GatewayError when the login is refused."""
        for attempt in range(2):
            if self._token is None:
                answer = yield self._login
                if answer.status_code != httpx.codes.OK:
                    raise GatewayError(f"the login was answered with {answer.status_code}")
                self._token = answer.json()["data"]["access_token"]
            request.headers["Authorization"] = f"Bearer {self._token}"
            response = yield request
            if response.status_code != httpx.codes.UNAUTHORIZED or attempt:
                return
            self._token = None


@dataclass(frozen=True, slots=True)
class DagsterGateway:
    """Dagster behind its webserver."""

    client: httpx.Client  # its base_url is the webserver's

    def launch(self, job: str, partition_key: str, run_config: dict[str, Any], tags: dict[str, str]) -> str:
        """Queue a run; returns its id. The daemon starts it within about a second."""
        every_tag = {**tags, "dagster/partition": partition_key}
        answer = self._ask(
            _LAUNCH,
            {
                "parameters": {
                    "selector": {
                        "repositoryLocationName": LOCATION,
                        "repositoryName": "__repository__",
                        "jobName": job,
                    },
                    "runConfigData": run_config,
                    "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in every_tag.items()]},
                }
            },
        )["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            reasons = [answer.get("message") or answer["__typename"]]
            reasons += [error["message"] for error in answer.get("errors", [])]
            raise GatewayError(f"Dagster did not launch {job} for {partition_key}: {' '.join(reasons)}")
        return str(answer["run"]["runId"])

    def status(self, run_id: str) -> str:
        """Dagster's own word: QUEUED, STARTING, STARTED, SUCCESS, FAILURE, CANCELED, ..."""
        answer = self._ask(_STATUS, {"id": run_id})["runOrError"]
        if answer["__typename"] != "Run":
            raise GatewayError(f"Dagster knows no run {run_id}")
        return str(answer["status"])

    def _ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        response = self.client.post("/graphql", json={"query": query, "variables": variables})
        try:
            body = response.json()  # errors come with a body that says more than the status
        except ValueError:
            raise GatewayError(f"Dagster answered {response.status_code} and no JSON") from None
        if body.get("errors") or "data" not in body:
            raise GatewayError(f"Dagster answered {response.status_code}: {body.get('errors')}")
        data: dict[str, Any] = body["data"]
        return data

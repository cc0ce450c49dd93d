"""Launching and following Dagster runs through the webserver's GraphQL, as its own UI does.

Errors: GatewayError, with what Dagster said. Callers check the partition before they launch: ``launchRun`` takes any
key, and a day in 2099 runs to success.
"""

from __future__ import annotations

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

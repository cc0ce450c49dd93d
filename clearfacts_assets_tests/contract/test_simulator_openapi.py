"""The published contract of the Java backend is sound, and the simulated one keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from clearfacts_assets.simulator.defects import DEFECTS
from clearfacts_assets.simulator.erp import DEFAULT_LIMIT, LONGEST_WINDOW, MOST_IN_A_PAGE
from clearfacts_assets.simulator.faults import BAD_RECORDS, TARGETS, kinds_of
from clearfacts_assets.simulator.generator import Kind
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

CONTRACT = yaml.safe_load(
    (Path(__file__).parents[2] / "docs" / "java-backend.openapi.yaml").read_text(encoding="utf-8")
)
DAY = {"from": "2026-10-13T22:00:00Z", "to": "2026-10-14T22:00:00Z"}


def resolved(node: Any) -> Any:
    """The contract with every reference replaced by what it refers to."""
    if isinstance(node, list):
        return [resolved(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target: Any = CONTRACT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return resolved(target)
    return {name: resolved(value) for name, value in node.items()}


WHOLE = resolved(CONTRACT)
RESPONSES = [
    (path, status, response)
    for path, operations in WHOLE["paths"].items()
    for status, response in operations["get"]["responses"].items()
]


def check(value: object, schema: dict[str, Any]) -> None:
    from openapi_schema_validator import OAS31Validator  # reads thirty grammars: a second, in each worker of the tests

    OAS31Validator(schema, format_checker=OAS31Validator.FORMAT_CHECKER).validate(value)


@pytest.mark.slow
def test_the_contract_is_valid_openapi():
    from openapi_spec_validator import validate

    validate(CONTRACT)


@pytest.mark.parametrize(("path", "status", "response"), RESPONSES)
def test_every_response_has_examples_that_fit_its_schema(path, status, response):
    for media in response["content"].values():
        examples = [example["value"] for example in media.get("examples", {}).values()]
        examples += [media["example"]] if "example" in media else []
        assert examples
        for example in examples:
            check(example, media["schema"])
    assert all("schema" in header for header in response.get("headers", {}).values())


def test_parameters_have_examples_that_fit_and_the_simulators_limits():
    parameters = {parameter["name"]: parameter for parameter in WHOLE["paths"]["/invoices"]["get"]["parameters"]}
    for parameter in parameters.values():
        if "example" in parameter:
            check(parameter["example"], parameter["schema"])
    limit = parameters["limit"]["schema"]
    assert (limit["default"], limit["maximum"]) == (DEFAULT_LIMIT, MOST_IN_A_PAGE)
    assert f"{LONGEST_WINDOW.days} days" in parameters["to"]["description"]


@pytest.mark.parametrize(
    ("method", "path", "asked", "status"),
    [
        ("GET", "/invoices", DAY, 200),
        ("GET", "/invoices", {**DAY, "limit": "3"}, 200),
        ("GET", "/invoices", {**DAY, "to": DAY["from"]}, 400),
        ("GET", "/invoices", {**DAY, "limit": "no"}, 400),
        ("GET", "/invoices", {"token": ""}, 401),
        ("POST", "/invoices", {}, 405),
        ("GET", "/invoices/ERP-20261014-00000", {}, 200),
        ("GET", "/invoices/unknown", {}, 404),
        ("DELETE", "/invoices/unknown", {}, 405),
    ],
)
def test_the_simulated_backend_answers_as_the_contract_says(
    simulator: RunningSimulator, method: str, path: str, asked: dict[str, str], status: int
):
    token = simulator.erp_token if "token" not in asked else "wrong"
    answer = httpx.request(
        method, simulator.erp_url + path, params=asked, headers={"Authorization": f"Bearer {token}"}, timeout=300
    )
    assert answer.status_code == status
    template = "/invoices" if path == "/invoices" else "/invoices/{id}"
    response = WHOLE["paths"][template]["get"]["responses"][str(status)]
    check(answer.json(), response["content"][answer.headers["content-type"]]["schema"])
    for name, header in response.get("headers", {}).items():
        assert name in answer.headers or not header.get("required")


def test_the_page_about_the_simulator_names_every_fault_defect_and_operation():
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
    names = {defect.name for defect in DEFECTS} | {kind for target in TARGETS for kind in kinds_of(target)}
    names |= set(BAD_RECORDS) | {f"{kind}" for kind in Kind}
    assert {name for name in names if f"`{name}`" not in page} == set()

"""What a Prometheus stack is given: rules, routes and dashboards that fit the metrics that there are."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
FOLDER = PROJECT / "observability"
METRIC = re.compile(r"\b(?:[a-z]+_)+(?:total|seconds|bucket|bytes|percent|rows|waiting|amount|missing|[a-z]+)\b")
LABELS = re.compile(r"\{[^}]*\}|\bby \([^)]*\)|\"[^\"]*\"")
WORDS = {"histogram_quantile", "group_left", "vector"}


def module(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    made = importlib.util.module_from_spec(found)
    sys.modules[name] = made
    found.loader.exec_module(made)
    return made


dashboards = module("dashboards")
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "rules.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
QUERIES = {
    f"{title}: {panel.title}": query
    for title, panels in dashboards.DASHBOARDS.items()
    for panel in panels
    for query in panel.queries
}


def documented() -> set[str]:
    """The names in the table of docs/api.md."""
    text = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")
    table = text[text.index("\n## Metrics\n") :]
    return {name for line in table.splitlines() if line.startswith("| `") for name in re.findall(r"`([^`]+)`", line)}


def used(query: str) -> set[str]:
    names = set(METRIC.findall(LABELS.sub("", query))) - WORDS
    return {re.sub(r"_(?:bucket|count|sum)$", "", name) for name in names}


@pytest.mark.parametrize("title", dashboards.DASHBOARDS)
def test_the_dashboards_are_what_their_program_writes(title: str) -> None:
    file = FOLDER / "dashboards" / f"{title.lower()}.json"
    assert file.read_text(encoding="utf-8") == dashboards.written(title), "python observability/dashboards.py"


@pytest.mark.parametrize("title", dashboards.DASHBOARDS)
def test_no_panel_lies_on_another_one(title: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(dashboards.written(title))["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= dashboards.WIDTH
        taken |= cells


@pytest.mark.parametrize("panel", QUERIES)
def test_each_panel_asks_for_metrics_that_are_documented(panel: str) -> None:
    assert used(QUERIES[panel]) - {"up"} <= documented()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_rule_asks_for_metrics_that_are_documented(rule: dict[str, str]) -> None:
    assert used(rule["expr"]) - {"up"} <= documented()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_rule_says_where_it_is_written_what_to_do_first(rule: dict[str, dict[str, str]]) -> None:
    file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^### (.+)$", (PROJECT / file).read_text(encoding="utf-8"), re.M)
    assert anchor in {heading.lower() for heading in headings}
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]


def test_every_rule_is_tried() -> None:
    tried = (FOLDER / "rules_test.yml").read_text(encoding="utf-8")
    assert [rule["alert"] for rule in RULES if f'"{rule["alert"]}"' not in tried] == []


def run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed (Debian: prometheus, prometheus-alertmanager)")
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_rules() -> None:
    run("promtool", "check", "rules", "rules.yml")


@pytest.mark.slow
def test_each_rule_fires_when_it_should_and_not_before() -> None:
    run("promtool", "test", "rules", "rules_test.yml")


def test_alertmanager_takes_its_configuration() -> None:
    run("amtool", "check-config", "alertmanager.yml")


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=NightlyRunLate", "severity=critical"], "slack-and-mail"),
        (["alertname=DiskFills", "severity=warning"], "slack"),
        (["alertname=CostRowsRefused", "severity=info"], "slack"),
    ],
)
def test_who_is_told_depends_on_how_bad_it_is(labels: list[str], receiver: str) -> None:
    run(
        "amtool",
        "config",
        "routes",
        "test",
        "--config.file=alertmanager.yml",
        f"--verify.receivers={receiver}",
        *labels,
    )

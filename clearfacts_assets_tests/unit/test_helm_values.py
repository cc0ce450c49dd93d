"""The values for Dagster's Helm chart: names that it knows, what Dagster makes of them, and nothing said twice.

That chart is not at hand here: these tests check what we write and what Dagster makes of it. What our own chart makes
of the same files is in test_chart.py.
"""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
VALUES = PROJECT / "helm-values"
ENVIRONMENTS = ("development", "staging", "production")

# What Dagster's chart 1.13.27 reads of each of its sections; of a name that it does not know it says nothing.
DAGSTERS = {
    "global": {"postgresqlSecretName", "dagsterHome", "serviceAccountName", "celeryConfigSecretName"},
    "dagsterWebserver": {"replicaCount", "image", "service", "workspace", "resources", "annotations", "labels"},
    "dagster-user-deployments": {"enabled", "enableSubchart", "deployments"},
    "dagsterDaemon": {
        "annotations",
        "heartbeatTolerance",
        "image",
        "initContainerResources",
        "labels",
        "podSecurityContext",
        "resources",
        "runCoordinator",
        "runMonitoring",
        "securityContext",
        "volumeMounts",
        "volumes",
    },
    "runLauncher": {"type", "config"},
    "retention": {"enabled", "schedule", "sensor", "autoMaterialize"},
    "telemetry": {"enabled"},
    "postgresql": {
        "enabled",
        "image",
        "postgresqlDatabase",
        "postgresqlHost",
        "postgresqlParams",
        "postgresqlScheme",
        "postgresqlUsername",
    },
    "generatePostgresqlPasswordSecret": None,
}


def load(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((VALUES / f"{name}.yaml").read_text("utf-8"))
    return values


def merged(below: Any, above: Any) -> Any:
    """As Helm merges values files: maps key by key, everything else replaced."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return deepcopy(above)
    return deepcopy(below) | {key: merged(below.get(key), value) for key, value in above.items()}


def values_of(environment: str) -> dict[str, Any]:
    values: dict[str, Any] = merged(load("common"), load(environment))
    return values


def leaves(values: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {path: values}
    return {key: leaf for name, value in values.items() for key, leaf in leaves(value, f"{path}/{name}").items()}


def test_every_file_belongs_to_an_environment() -> None:
    assert {path.stem for path in VALUES.glob("*.yaml")} - {"images"} == {"common", *ENVIRONMENTS}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_name_is_one_that_one_of_the_charts_knows(environment: str) -> None:
    ours = set(yaml.safe_load((PROJECT / "helm" / "clearfacts" / "values.yaml").read_text("utf-8")))
    values = values_of(environment)
    assert set(values) <= ours | set(DAGSTERS)
    for section, known in DAGSTERS.items():
        if known is not None:
            assert set(values.get(section, {})) <= known, section


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environments_file_holds_only_what_differs(environment: str) -> None:
    """Nothing that common.yaml says already, and no list that another environment's file has too."""
    common, own = leaves(load("common")), leaves(load(environment))
    assert {path for path, value in own.items() if common.get(path) == value} == set()
    others = [leaves(load(name)) for name in ENVIRONMENTS if name != environment]
    assert {
        path for path, value in own.items() if isinstance(value, list) and any(path in other for other in others)
    } == set()
    assert len((VALUES / f"{environment}.yaml").read_text("utf-8").splitlines()) <= 30


def test_dagsters_webserver_which_has_no_login_gets_no_pod() -> None:
    assert {values_of(environment)["dagsterWebserver"]["replicaCount"] for environment in ENVIRONMENTS} == {0}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_both_charts_mean_the_same_database(environment: str) -> None:
    values = values_of(environment)
    ours = "postgresql.clearfacts-data.svc.cluster.local"
    assert values["postgresql"]["postgresqlHost"] == values["database"].get("host", ours)
    encrypted = values["postgresql"].get("postgresqlParams", {}).get("sslmode")
    assert encrypted == ("require" if values["database"].get("mode") == "external" else None)


def test_postgresql_is_outside_and_its_driver_is_named() -> None:
    postgresql = values_of("production")["postgresql"]
    assert (postgresql["enabled"], postgresql["postgresqlScheme"]) == (False, "postgresql+psycopg2")


@pytest.mark.parametrize("name", ["common", *ENVIRONMENTS])
def test_no_secret_is_inside(name: str) -> None:
    text = (VALUES / f"{name}.yaml").read_text("utf-8")
    given = re.findall(r"(?i)^\s*\S*(?:password|token|secret_?key)\S*\s*:\s*(\S+)", text, flags=re.MULTILINE)
    assert set(given) <= {"false"}
    assert "://" not in text


def test_every_setting_that_is_named_exists() -> None:
    known = set(re.findall(r"`(CLEARFACTS_\w+)`", (PROJECT / "docs" / "settings.md").read_text("utf-8")))
    files = [*VALUES.iterdir(), *(PROJECT / "helm").rglob("*.yaml"), PROJECT / "docs" / "deploying.md"]
    texts = {path.name: path.read_text("utf-8") for path in files}
    named = {name for text in texts.values() for name in re.findall(r"CLEARFACTS_[A-Z_]+", text)}
    ours = {"CLEARFACTS_CONFIG", "CLEARFACTS_PASSWORD"}  # read before the settings; of the database's own pod
    assert named - ours <= known
    shared = {"CLEARFACTS_DATABASE_URL", "CLEARFACTS_AUTH__SIGNING_KEYS", "CLEARFACTS_AUTH__ENCRYPTION_KEYS"}
    assert shared <= set(re.findall(r"CLEARFACTS_\w+", texts["deploying.md"]))


def test_queue_monitoring_and_retention_load_in_dagster(tmp_path: Path) -> None:
    """The chart writes these into dagster.yaml under the names below."""
    from dagster import DagsterInstance

    values = values_of("production")
    queue = values["dagsterDaemon"]["runCoordinator"]["config"]["customRunCoordinator"]
    written = {
        "run_coordinator": queue,
        "run_monitoring": snake(values["dagsterDaemon"]["runMonitoring"]),
        "retention": {kind: snake(values["retention"][kind]) for kind in ("schedule", "sensor")},
        "telemetry": values["telemetry"],
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(written))
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_monitoring_max_runtime_seconds == 21600
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 4


def snake(values: dict[str, Any]) -> dict[str, Any]:
    return {re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", key): value for key, value in values.items()}

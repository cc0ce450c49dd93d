"""The values for Dagster's Helm chart: they parse, hold the sizes of helm-values/README.md, and no secret.

The chart itself is not at hand here, so these tests check what we write and what Dagster makes of it.
"""

from __future__ import annotations

import re
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
VALUES = PROJECT / "helm-values"

SIZES = {  # environment: replicas, cpu, memory, database
    "development": (1, "250m", "512Mi", "5Gi"),
    "staging": (2, "500m", "1Gi", "20Gi"),
    "production": (3, "1000m", "2Gi", "100Gi"),
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


def code_server(values: dict[str, Any]) -> dict[str, Any]:
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert isinstance(deployment, dict)
    return deployment


def test_every_file_belongs_to_an_environment() -> None:
    assert {path.stem for path in VALUES.glob("*.yaml")} == {"common", *SIZES}


@pytest.mark.parametrize("environment", SIZES)
def test_sizes_are_those_of_the_specification(environment: str) -> None:
    replicas, cpu, memory, database = SIZES[environment]
    values = values_of(environment)
    size = {"cpu": cpu, "memory": memory}
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    for part in (values["dagsterWebserver"], values["dagsterDaemon"], code_server(values), launcher):
        assert part["resources"] == {"requests": size, "limits": size}
    assert values["dagsterWebserver"]["replicaCount"] == replicas
    assert values["postgresql"]["persistence"]["size"] == database


def test_environments_differ_in_nothing_but_size() -> None:
    def shape(values: dict[str, Any]) -> dict[str, Any]:
        values = deepcopy(values)
        launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
        for part in (values["dagsterWebserver"], values["dagsterDaemon"], code_server(values), launcher):
            del part["resources"]
        del values["dagsterWebserver"]["replicaCount"], values["postgresql"]["persistence"]
        return values

    first, *others = (shape(load(environment)) for environment in SIZES)
    assert [other == first for other in others] == [True, True]


@pytest.mark.parametrize("environment", SIZES)
def test_every_part_runs_our_image_of_this_version_and_not_as_root(environment: str) -> None:
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    values = values_of(environment)
    for part in (values["dagsterWebserver"], values["dagsterDaemon"], code_server(values)):
        assert (part["image"]["repository"], part["image"]["tag"]) == ("clearfacts-assets", version)
        assert part["podSecurityContext"]["runAsNonRoot"] is True
        assert part["securityContext"]["allowPrivilegeEscalation"] is False


def test_the_code_location_has_the_same_name_as_in_workspace_yaml() -> None:
    (here,) = yaml.safe_load((PROJECT / "workspace.yaml").read_text("utf-8"))["load_from"]
    values = values_of("production")
    (server,) = values["dagsterWebserver"]["workspace"]["servers"]
    assert server["name"] == here["python_module"]["location_name"]
    assert (server["host"], server["port"]) == (code_server(values)["name"], code_server(values)["port"])
    assert code_server(values)["dagsterApiGrpcArgs"] == ["-m", here["python_module"]["module_name"]]


def test_postgresql_is_outside_and_its_driver_is_named() -> None:
    postgresql = values_of("production")["postgresql"]
    assert (postgresql["enabled"], postgresql["postgresqlScheme"]) == (False, "postgresql+psycopg2")


@pytest.mark.parametrize("name", ["common", *SIZES])
def test_no_secret_is_inside(name: str) -> None:
    text = (VALUES / f"{name}.yaml").read_text("utf-8")
    given = re.findall(r"(?i)^\s*\S*(?:password|token|secret_?key)\S*\s*:\s*(\S+)", text, flags=re.MULTILINE)
    assert set(given) <= {"false"}
    assert "://" not in text


def test_every_setting_that_is_named_exists() -> None:
    known = set(re.findall(r"`(CLEARFACTS_\w+)`", (PROJECT / "docs" / "settings.md").read_text("utf-8")))
    texts = {path.name: path.read_text("utf-8") for path in VALUES.iterdir()}
    named = {name for text in texts.values() for name in re.findall(r"CLEARFACTS_\w+", text)}
    assert named <= known
    shared = {"CLEARFACTS_DATABASE_URL", "CLEARFACTS_AUTH__SIGNING_KEYS", "CLEARFACTS_AUTH__ENCRYPTION_KEYS"}
    assert shared <= set(re.findall(r"CLEARFACTS_\w+", texts["README.md"]))


@pytest.mark.parametrize("environment", SIZES)
def test_secrets_come_from_a_secret(environment: str) -> None:
    server = code_server(values_of(environment))
    assert server["envSecrets"] == [{"name": "clearfacts-settings"}]
    given = server["env"]
    names = given if isinstance(given, dict) else {one["name"] for one in given}
    assert not [name for name in names if re.search("TOKEN|KEYS|DATABASE_URL", name)]


def test_queue_monitoring_and_retention_load_in_dagster(tmp_path: Path) -> None:
    """The chart writes these into dagster.yaml under the names below."""
    from dagster import DagsterInstance

    values = values_of("production")
    queue = values["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    written = {
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": values["dagsterDaemon"]["runCoordinator"]["type"],
            "config": {
                "max_concurrent_runs": queue["maxConcurrentRuns"],
                "tag_concurrency_limits": queue["tagConcurrencyLimits"],
                "dequeue_interval_seconds": queue["dequeueIntervalSeconds"],
            },
        },
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


def test_a_runs_pod_has_size_no_root_and_no_sidecar() -> None:
    from dagster_k8s.job import DagsterK8sJobConfig, UserDefinedDagsterK8sConfig, construct_dagster_k8s_job

    launcher = values_of("production")["runLauncher"]["config"]["k8sRunLauncher"]
    chosen = snake(launcher["runK8sConfig"])
    chosen["container_config"]["resources"] = launcher["resources"]
    job = construct_dagster_k8s_job(
        job_config=DagsterK8sJobConfig(job_image="clearfacts-assets", dagster_home="/opt/dagster"),
        args=["dagster", "api", "execute_run"],
        job_name="run",
        user_defined_k8s_config=UserDefinedDagsterK8sConfig.from_dict(chosen),
    )
    pod = job.spec.template
    (container,) = pod.spec.containers
    assert pod.metadata.labels["sidecar.istio.io/inject"] == "false"
    assert pod.spec.security_context.run_as_non_root is True
    assert container.security_context.allow_privilege_escalation is False
    assert container.resources.limits == {"cpu": "1000m", "memory": "2Gi"}
    assert container.command is None, "Dagster gives arguments only: the image must have no entry point"
    assert job.spec.ttl_seconds_after_finished == 86400

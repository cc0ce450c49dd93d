"""Every pod that is ever started on a cluster keeps to the policies of fixtures/pod_policy.py.

Ours as helm renders them, a run's as Dagster's launcher makes it, the daemon's by the values for Dagster's chart.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from clearfacts_assets_tests.fixtures import chart, pod_policy
from clearfacts_assets_tests.fixtures.chart import Object

pytestmark = chart.TESTS


def pods(environment: str) -> dict[str, Object]:
    found = {name: template for name, _, template in chart.templates(chart.objects(environment))}
    return found | {"a run": chart.run_job(environment)["spec"]["template"], "the daemon": daemon(environment)}


def daemon(environment: str) -> Object:
    """The daemon's pod as far as our values decide it: Dagster's chart puts each under the name that it has here."""
    given = chart.values(environment)["dagsterDaemon"]
    waiting = chart.values(environment)["postgresql"]["image"]
    image = given["image"]
    common: Object = {"securityContext": given["securityContext"]}
    return {
        "metadata": {"labels": given["labels"], "annotations": given["annotations"]},
        "spec": {
            "serviceAccountName": "dagster",
            "securityContext": given["podSecurityContext"],
            "initContainers": [
                common
                | {
                    "name": "check-db-ready",
                    "image": f"{waiting['repository']}:{waiting['tag']}",
                    "resources": given["initContainerResources"],
                }
            ],
            "containers": [
                common
                | {
                    "name": "dagster",
                    "image": f"{image['repository']}:{image['tag']}",
                    "resources": given["resources"],
                    "volumeMounts": given["volumeMounts"],
                }
            ],
            "volumes": given["volumes"],
        },
    }


@pytest.mark.parametrize("environment", chart.ENVIRONMENTS)
def test_every_pod_keeps_to_every_policy(environment: str) -> None:
    found = pods(environment)
    assert {"Deployment/clearfacts-api", "Deployment/clearfacts-code", "CronJob/clearfacts-backup"} < set(found)
    assert {name: faults for name, pod in found.items() if (faults := pod_policy.broken(pod))} == {}


@pytest.mark.parametrize("environment", chart.ENVIRONMENTS)
def test_only_who_speaks_to_kubernetes_has_a_token(environment: str) -> None:
    with_one = {
        name for name, pod in pods(environment).items() if pod["spec"].get("automountServiceAccountToken", True)
    }
    assert with_one == {"Deployment/clearfacts-api", "the daemon"}


def change(pod: Object, path: str, value: Any) -> Object:
    made = deepcopy(pod)
    *way, last = path.split(".")
    at: Any = made
    for step in way:
        at = at[int(step)] if step.isdigit() else at[step]
    at[last] = value
    return made


OF_A_CONTAINER = "spec.containers.0."


@pytest.mark.parametrize(
    ("policy", "path", "value"),
    [
        (pod_policy.runs_as_root, "spec.securityContext.runAsNonRoot", False),
        (pod_policy.runs_as_root, "spec.securityContext.runAsUser", 0),
        (pod_policy.runs_as_root, OF_A_CONTAINER + "securityContext.runAsNonRoot", None),
        (pod_policy.may_write_its_root, OF_A_CONTAINER + "securityContext.readOnlyRootFilesystem", False),
        (pod_policy.has_capabilities, OF_A_CONTAINER + "securityContext.capabilities", {"drop": ["ALL"], "add": ["X"]}),
        (pod_policy.has_capabilities, OF_A_CONTAINER + "securityContext.capabilities", {"drop": ["NET_RAW"]}),
        (pod_policy.has_capabilities, OF_A_CONTAINER + "securityContext.allowPrivilegeEscalation", True),
        (pod_policy.has_capabilities, OF_A_CONTAINER + "securityContext.privileged", True),
        (pod_policy.has_no_seccomp, "spec.securityContext.seccompProfile", {"type": "Unconfined"}),
        (pod_policy.has_a_needless_token, "spec.automountServiceAccountToken", True),
        (pod_policy.has_a_needless_token, "spec.serviceAccountName", "default"),
        (pod_policy.shares_the_node, "spec.hostNetwork", True),
        (pod_policy.shares_the_node, "spec.volumes", [{"name": "logs", "hostPath": {"path": "/var/log"}}]),
        (pod_policy.shares_the_node, "spec.volumes", [{"name": "scratch", "emptyDir": {}}]),
        (
            pod_policy.has_a_secret_in_plain_text,
            OF_A_CONTAINER + "env",
            [{"name": "DAGSTER_PG_PASSWORD", "value": "x"}],
        ),
        (pod_policy.runs_an_unnamed_image, OF_A_CONTAINER + "image", "clearfacts-assets:0.1.0"),
        (pod_policy.has_no_bounds, OF_A_CONTAINER + "resources", {"requests": {"cpu": "1", "memory": "1Gi"}}),
        (pod_policy.has_no_bounds, OF_A_CONTAINER + "resources.limits", {"cpu": "1"}),
    ],
)
def test_one_broken_value_is_found_by_its_policy_and_by_no_other(
    policy: Callable[[Object], Any], path: str, value: Any
) -> None:
    good = pods("production")["Deployment/clearfacts-code"]
    bad = change(good, path, value)
    assert pod_policy.broken(good) == []
    assert [one.__name__ for one in pod_policy.POLICIES if list(one(bad))] == [policy.__name__]


def test_a_broken_value_of_the_chart_ends_in_a_broken_policy() -> None:
    """From the value to the verdict, through helm: nothing between them puts it right again."""
    made = chart.inventory.rendered(
        "development", chart.images(), "--set", "resources.limits=null", "--skip-schema-validation"
    )
    faults = {fault for _, _, pod in chart.templates(made) for fault in pod_policy.broken(pod)}
    assert "api has no limits of cpu and memory" in faults


@pytest.mark.parametrize("environment", chart.ENVIRONMENTS)
def test_probes_tell_readiness_from_life(environment: str) -> None:
    api = chart.container(chart.one(environment, "Deployment", "clearfacts-api"))
    asked = {name: api[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert asked == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz?only=database"}
    for _, _, pod in chart.templates(chart.objects(environment)):
        lives_on = pod["spec"].get("restartPolicy", "Always") == "Always"
        for container in pod["spec"]["containers"]:
            probes = {name for name in container if name.endswith("Probe")}
            assert ({"livenessProbe", "readinessProbe"} <= probes) is lives_on, container["name"]


@pytest.mark.parametrize("environment", chart.ENVIRONMENTS)
def test_what_a_pod_writes_to_is_a_volume(environment: str) -> None:
    """With a read-only root: scratch, Dagster's home and, where files are shared, those."""
    for name, pod in pods(environment).items():
        for container in pod["spec"]["containers"]:
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert mounts["/tmp"] == "scratch", name
            known = {volume["name"] for volume in pod["spec"].get("volumes", ())} | {"data", "dagster-instance"}
            assert set(mounts.values()) <= known, name


def test_a_runs_pod_is_killed_only_after_its_calls_could_end_and_is_kept_to_be_looked_at() -> None:
    job = chart.run_job("production")
    assert job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 120  # the lease of a delivery
    assert job["spec"]["ttlSecondsAfterFinished"] == 86400
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert "command" not in container, "Dagster gives arguments only: the image must have no entry point"
    assert container["resources"]["limits"] == {"cpu": "1000m", "memory": "2Gi"}
    assert chart.variables(container)["CLEARFACTS_CONFIG"] == "/etc/clearfacts/settings.yaml"

"""The chart of helm/clearfacts: what helm makes of it in each environment, and what it says of wrong values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from clearfacts_assets.settings import Settings
from clearfacts_assets_tests.fixtures import chart
from clearfacts_assets_tests.fixtures.chart import Object

pytestmark = chart.TESTS

WITHOUT_SCHEMA = {"ExternalSecret"}  # its definition is in no package that we know; see docs/deploying.md


def known(environment: str) -> Iterator[Object]:
    yield from (thing for thing in chart.objects(environment) if thing["kind"] not in WITHOUT_SCHEMA)
    yield chart.run_job(environment)


@pytest.mark.parametrize("kubernetes", chart.tools.KUBERNETES)
@pytest.mark.parametrize(
    "environment", ["development", "production"]
)  # staging differs from development in sizes alone
def test_every_object_is_one_that_kubernetes_istio_and_the_prometheus_operator_take(
    environment: str, kubernetes: str
) -> None:
    assert [fault for thing in known(environment) for fault in chart.faults(thing, kubernetes)] == []


@pytest.mark.parametrize(
    ("kind", "name", "path", "value"),
    [
        ("Deployment", "clearfacts-api", "spec.replica", 3),
        ("NetworkPolicy", "run", "spec.policyTypes", "Egress"),
        ("PeerAuthentication", "strict", "spec.mtls.mode", "STRICTT"),
        ("VirtualService", "clearfacts", "spec.gateway", ["clearfacts"]),
        ("ServiceMonitor", "clearfacts", "spec.endpoint", []),
        ("HorizontalPodAutoscaler", "clearfacts-api", "spec.minReplicas", "three"),
    ],
)
def test_a_wrong_field_is_refused_by_the_schemas(kind: str, name: str, path: str, value: object) -> None:
    thing = deepcopy(next(one for one in chart.of_kind("production", kind) if one["metadata"]["name"] == name))
    *way, last = path.split(".")
    at = thing
    for step in way:
        at = at[step]
    at[last] = value
    assert chart.faults(chart.one("production", "Deployment", "clearfacts-api"), "1.37") == []
    assert chart.faults(thing, "1.37") != []


def test_the_document_shows_what_is_rendered() -> None:
    """The golden summary: one row an object, one column an environment. `make inventory` writes it anew."""
    made = {name: chart.objects(name) for name in chart.ENVIRONMENTS}
    expected = chart.inventory.document(made)
    assert chart.inventory.DOCUMENT.read_text("utf-8") == expected


SIZES = {  # environment: replicas, cpu, memory, database
    "development": (1, "250m", "512Mi", "5Gi"),
    "staging": (2, "500m", "1Gi", "20Gi"),
    "production": (3, "1000m", "2Gi", "100Gi"),
}


@pytest.mark.parametrize("environment", chart.ENVIRONMENTS)
def test_sizes_are_those_of_the_specification(environment: str) -> None:
    replicas, cpu, memory, database = SIZES[environment]
    size = {"cpu": cpu, "memory": memory}
    scaler = chart.one(environment, "HorizontalPodAutoscaler", "clearfacts-api")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (replicas, 3 * replicas)
    ours = [chart.container(chart.one(environment, "Deployment", f"clearfacts-{name}")) for name in ("api", "code")]
    for container in (*ours, chart.container(chart.run_job(environment))):
        assert container["resources"] == {"requests": size, "limits": size}
    assert chart.values(environment)["dagsterDaemon"]["resources"] == {"requests": size, "limits": size}
    assert chart.values(environment)["database"]["size"] == database


def test_databases_are_ours_but_in_production() -> None:
    kept = {
        name: {one["metadata"]["name"] for one in chart.of_kind(name, "StatefulSet")} for name in chart.ENVIRONMENTS
    }
    assert kept == {"development": {"postgresql"}, "staging": {"postgresql"}, "production": set()}
    (claim,) = chart.one("staging", "StatefulSet", "postgresql")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"
    hosts = {one["spec"]["hosts"][0] for one in chart.of_kind("production", "ServiceEntry")}
    assert {"postgresql.example.internal", "redis.example.internal"} < hosts


def test_redis_can_be_left_out() -> None:
    made = chart.inventory.rendered("development", chart.images(), "--set", "redis.mode=none")
    assert [one for one in made if "redis" in json.dumps(one) and one["kind"] != "ConfigMap"] == []


@pytest.mark.parametrize("environment", chart.ENVIRONMENTS)
def test_the_settings_in_the_cluster_are_settings_of_the_product(
    environment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = chart.one(environment, "ConfigMap", "clearfacts-settings-file")["data"]["settings.yaml"]
    file = tmp_path / "settings.yaml"
    file.write_text(content, "utf-8")
    monkeypatch.setenv("CLEARFACTS_CONFIG", str(file))
    settings = Settings()
    api = chart.container(chart.one(environment, "Deployment", "clearfacts-api"))
    mounts = {mount["mountPath"] for mount in api["volumeMounts"]}
    assert settings.serve.port == api["ports"][0]["containerPort"]
    assert (str(settings.serve.host), settings.log_format) == ("0.0.0.0", "json")
    assert str(settings.serve.workspace) == "/dagster-workspace/workspace.yaml"
    assert "/dagster-workspace" in mounts
    for folder in (settings.customers.folder, settings.journals.drop, settings.chargeback.landing):
        assert str(folder).startswith("/var/lib/clearfacts/files/")
    assert "/var/lib/clearfacts/files" in mounts


def test_code_server_and_workspace_of_dagsters_chart_are_the_same_place() -> None:
    (here,) = yaml.safe_load((chart.PROJECT / "workspace.yaml").read_text("utf-8"))["load_from"]
    (server,) = chart.values("production")["dagsterWebserver"]["workspace"]["servers"]
    service = chart.one("production", "Service", "clearfacts-code")
    arguments = chart.container(chart.one("production", "Deployment", "clearfacts-code"))["args"]
    assert server["name"] == here["python_module"]["location_name"]
    assert (server["host"], server["port"]) == (service["metadata"]["name"], service["spec"]["ports"][0]["port"])
    assert arguments[-2:] == ["-m", here["python_module"]["module_name"]]


def test_tables_are_made_before_an_upgrade_and_a_copy_each_night() -> None:
    migration = chart.one("production", "Job", "clearfacts-migration")
    assert migration["metadata"]["annotations"]["helm.sh/hook"] == "post-install,pre-upgrade"
    pod = migration["spec"]["template"]["spec"]
    commands = [container["args"] for container in (*pod["initContainers"], *pod["containers"])]
    assert commands == [["clearfacts", "db", "upgrade"], ["dagster", "instance", "migrate"]]
    nightly = chart.one("production", "CronJob", "clearfacts-backup")["spec"]
    (container,) = nightly["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["clearfacts", "backup", "--to", "/backups"]
    assert {"name": "backups", "mountPath": "/backups"} in container["volumeMounts"]
    assert (nightly["concurrencyPolicy"], nightly["timeZone"]) == ("Forbid", "Europe/Brussels")


def test_rules_and_dashboards_are_the_files_of_observability() -> None:
    folder = chart.PROJECT / "observability"
    rules = yaml.safe_load((folder / "rules.yml").read_text("utf-8"))
    assert chart.one("production", "PrometheusRule", "clearfacts")["spec"] == rules
    shown = {
        name: json.loads(content)
        for thing in chart.of_kind("production", "ConfigMap")
        if thing["metadata"]["labels"].get("grafana_dashboard") == "1"
        for name, content in thing["data"].items()
    }
    assert shown == {file.name: json.loads(file.read_text("utf-8")) for file in (folder / "dashboards").glob("*.json")}


def test_prometheus_scrapes_under_the_name_that_the_rules_ask_for() -> None:
    monitor = chart.one("production", "ServiceMonitor", "clearfacts")["spec"]
    service = chart.one("production", "Service", "clearfacts-api")
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "clearfacts"
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert monitor["endpoints"][0]["honorLabels"] is True
    assert 'up{job="clearfacts"}' in (chart.PROJECT / "observability" / "rules.yml").read_text("utf-8")


@pytest.mark.parametrize("environment", chart.ENVIRONMENTS)
def test_what_selects_pods_selects_some(environment: str) -> None:
    labels = [pod["metadata"]["labels"] for _, _, pod in chart.templates(chart.objects(environment))]
    for kind in ("Service", "PodDisruptionBudget"):
        for thing in chart.of_kind(environment, kind):
            selector = thing["spec"]["selector"]
            wanted = selector.get("matchLabels", selector)
            assert any(wanted.items() <= have.items() for have in labels), thing["metadata"]["name"]


def test_secrets_are_named_and_never_made() -> None:
    for environment in chart.ENVIRONMENTS:
        assert chart.of_kind(environment, "Secret") == []
    fetched = {
        one["metadata"]["name"]: one["metadata"]["namespace"] for one in chart.of_kind("production", "ExternalSecret")
    }
    assert fetched == {
        "clearfacts-settings": "clearfacts-system",
        "dagster-postgresql": "clearfacts-system",
        "clearfacts-metrics-key": "clearfacts-system",
        "clearfacts-tls": "clearfacts-networking",
    }
    assert chart.of_kind("development", "ExternalSecret") == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("replicas=0", ("/replicas", "minimum: got 0, want 1")),
        ("databse.size=5Gi", ("'databse' not allowed",)),
        ("image.digest=latest", ("/image", "does not match pattern")),
        ("database.mode=external", ("/database", "host")),
        ("waf.enabled=true,waf.image=null", ("/waf", "image")),
        ("resources.limits=null", ("/resources", "limits")),
        ("settings.database_url=x", ("/settings/database_url",)),
        ("backup.schedule=nightly", ("/backup/schedule", "does not match pattern")),
        ("network.erp.cidrs={everywhere}", ("/network/erp/cidrs/0",)),
        ("redis.mode=maybe", ("/redis/mode", "'internal', 'external', 'none'")),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(options: str, words: tuple[str, ...]) -> None:
    said = chart.refused("--set", options)
    assert [word for word in words if word not in said] == [], said


def test_another_namespace_and_an_older_kubernetes_are_refused() -> None:
    assert "install this release with -n clearfacts-system" in chart.refused(namespace="default")
    assert "incompatible with Kubernetes" in chart.refused("--kube-version", "1.30")


def test_every_image_is_pinned_for_both_charts_at_once() -> None:
    values = chart.values("production")
    ours = values["image"]["digest"]
    theirs = values["dagsterDaemon"]["image"]
    assert f"{theirs['repository']}:{theirs['tag']}" == f"{values['image']['repository']}@{ours}"
    with pytest.raises(ValueError, match="name the image by its digest"):
        chart.pinned("clearfacts-assets:0.1.0", "postgres:18", "valkey:9")

"""Health, readiness and metrics."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import dagster as dg
import httpx
import pytest
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
from dagster._core.storage.runs.schema import RunsTable as Runs
from dagster._daemon.types import DaemonHeartbeat
from prometheus_client.core import CounterMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from clearfacts_assets.definitions import defs
from clearfacts_assets.telemetry.metrics import FRESH_SECONDS, SupplierCollector
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.resources import all_resources
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

CONTRACT = {
    "http_requests_total",
    "http_request_duration_seconds_bucket",
    "invoice_processing_total",
    "invoice_processing_duration_seconds_bucket",
    "external_api_calls_total",
    "external_api_call_duration_seconds_bucket",
    "dagster_job_runs_total",
    "dagster_job_duration_seconds_bucket",
    "dagster_asset_materializations_total",
    "dagster_operation_executions_total",
    "cpu_usage_percent",
    "memory_usage_bytes",
    "disk_usage_percent",
    "network_io_bytes",
}


@pytest.fixture
def beating(quick_api: RunningApi) -> Iterator[RunningApi]:
    """As if the daemon ran: every part of it has just spoken."""
    instance = quick_api.instance
    for kind in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), kind, "a daemon", []))
    yield quick_api
    instance.wipe_daemon_heartbeats()


def samples(client: httpx.Client) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = client.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_alive_says_nothing_of_others(quick_api: RunningApi) -> None:
    answer = quick_api.client(None).get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


def test_ready_needs_database_code_and_daemon(beating: RunningApi) -> None:
    client = beating.client(None)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert [check["name"] for check in answer.json()["checks"]] == ["database", "dagster", "daemon"]


def test_not_ready_without_a_daemon_and_why_is_told_to_those_who_may_know(quick_api: RunningApi) -> None:
    answer = quick_api.client(None).get("/readyz")
    assert answer.status_code == 503
    assert {check["name"]: check["ready"] for check in answer.json()["checks"]} == {
        "database": True,
        "dagster": True,
        "daemon": False,
    }
    systems = quick_api.client("user").get("/api/v1/admin/health").json()["data"]["systems"]
    assert "heartbeat" in next(one["message"] for one in systems if one["system"] == "daemon")


def test_a_replica_without_a_daemon_says_what_to_start_and_is_ready_for_requests(quick_api: RunningApi) -> None:
    checks = {check["name"]: check for check in quick_api.client(None).get("/readyz").json()["checks"]}
    assert checks["database"] == {"name": "database", "ready": True, "what_to_do": None}
    assert "start clearfacts daemon, one for all replicas" in checks["daemon"]["what_to_do"]
    assert quick_api.client(None).get("/readyz?only=database&only=dagster").json()["status"] == "ready"


def test_ready_for_requests_without_a_daemon_where_only_the_database_is_asked_for(quick_api: RunningApi) -> None:
    """A load balancer must not take the desk away because the daemon is being restarted."""
    answer = quick_api.client(None).get("/readyz", params={"only": ["database", "dagster"]})
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert [check["name"] for check in answer.json()["checks"]] == ["database", "dagster"]
    unknown = quick_api.client(None).get("/readyz", params={"only": "weather"})
    assert unknown.status_code == 422


def test_a_silent_daemon_is_noticed(beating: RunningApi) -> None:
    instance = beating.instance
    for kind in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 100, kind, "a daemon", []))
    assert beating.client(None).get("/readyz").status_code == 503


def test_health_before_anything_was_asked(beating: RunningApi) -> None:
    data = beating.client("user").get("/api/v1/admin/health").json()["data"]
    systems = {one["system"]: one for one in data["systems"]}
    assert list(systems) == ["database", "dagster", "daemon", "java_backend", "clearfacts", "slack", "nightly_run"]
    assert (systems["database"]["status"], systems["clearfacts"]["status"]) == ("healthy", "unknown")


def test_health_as_the_monitoring_found_it_last(beating: RunningApi, simulator: RunningSimulator) -> None:
    def monitor() -> None:
        job = dg.Definitions(
            assets=defs.assets, asset_checks=defs.asset_checks, jobs=defs.jobs, resources=all_resources()
        ).resolve_job_def("health_monitoring")
        job.execute_in_process(instance=beating.instance, raise_on_error=False)

    client = beating.client("user")
    monitor()
    simulator.fault("clearfacts", "status", status=500, times=100)
    monitor()
    data = client.get("/api/v1/admin/health").json()["data"]
    systems = {one["system"]: one for one in data["systems"]}
    assert data["status"] == "degraded"
    assert (systems["java_backend"]["status"], systems["clearfacts"]["status"]) == ("healthy", "unhealthy")
    assert systems["java_backend"]["latency_seconds"] > 0
    assert {name: one["way"] for name, one in systems.items()} == dict.fromkeys(systems) | dict.fromkeys(
        ("java_backend", "clearfacts", "slack"), "direct"
    )
    down = systems["clearfacts"]
    assert datetime.fromisoformat(down["last_success_at"]) < datetime.fromisoformat(down["checked_at"])


def test_a_connection_is_tried_now(quick_api: RunningApi, simulator: RunningSimulator) -> None:
    client = quick_api.client()

    def tried(system: str) -> dict[str, object]:
        data = client.post("/api/v1/admin/test-connection", json={"system": system}).raise_for_status().json()["data"]
        assert list(data) == ["system", "healthy", "message", "latency_seconds", "way"]
        return dict(data)

    assert [tried(system)["healthy"] for system in ("java_backend", "clearfacts", "slack", "database")] == [True] * 4
    simulator.fault("erp", "down", times=100)
    broken = tried("java_backend")
    assert broken["healthy"] is False
    assert RunningSimulator.erp_token not in str(broken)


def test_every_metric_of_the_contract_is_there(beating: RunningApi, simulator: RunningSimulator) -> None:
    simulator.reset(per_day=4)
    client = beating.client()
    job_id = client.post("/api/v1/invoices/process", json={"date": "2026-11-18"}).json()["data"]["job_id"]
    beating.run(job_id)
    dg.materialize([defs.get_assets_def("service_health")], instance=beating.instance, resources=all_resources())
    found = samples(client)
    names = {name for name, _ in found}
    assert CONTRACT - names == set()
    expected = simulator.generator.expect([datetime(2026, 11, 18, tzinfo=UTC).date()])
    assert found["invoice_processing_total", frozenset({("status", "sent")})] == expected.processed
    accepted = frozenset({("system", "clearfacts"), ("outcome", "accepted")})
    assert found["external_api_calls_total", accepted] == expected.processed
    assert (
        found["external_api_call_duration_seconds_count", frozenset({("system", "clearfacts")})] == expected.processed
    )
    assert found["external_api_calls_total", frozenset({("system", "java_backend"), ("outcome", "page")})] >= 1
    assert found["dagster_asset_materializations_total", frozenset({("asset", "service_health")})] >= 1


def test_nothing_that_a_caller_writes_becomes_a_label(quick_api: RunningApi) -> None:
    client = quick_api.client("admin")
    for number in range(5):
        client.get(f"/api/v1/jobs/{uuid4()}")
        client.get(f"/api/v1/nothing-{number}")
        client.get(f"/page-{number}")
    for method in ("PROPFIND", "LOCK", "TRACE"):
        assert client.request(method, "/api/v1/jobs").status_code == 405
    labels = {labels for name, labels in samples(client) if name == "http_requests_total"}
    assert {dict(one)["route"] for one in labels} == {
        "/api/v1/jobs/{job_id}",
        "/api/v1/jobs",
        "unmatched",
        "dagster",
    }
    assert {dict(one)["method"] for one in labels} == {"GET", "OTHER"}


def test_metrics_are_for_those_who_may_read_them(quick_api: RunningApi) -> None:
    statuses = {role: quick_api.client(role).get("/metrics").status_code for role in ("operator", "service", "user")}
    assert statuses == {"operator": 200, "service": 200, "user": 403}
    assert quick_api.client(None).get("/metrics").status_code == 401


def test_a_setting_opens_metrics_to_the_network(quick_api: RunningApi, migrated_file: Path) -> None:
    public = RunningApi(quick_api.workspace, f"sqlite:///{migrated_file}", public_metrics=True)
    try:
        assert public.client(None).get("/metrics").status_code == 200
        assert public.client(None).get("/api/v1/jobs").status_code == 401
    finally:
        public.close()


def test_the_same_metrics_as_json(quick_api: RunningApi) -> None:
    client = quick_api.client()
    client.get("/api/v1/jobs")
    metrics = {one["name"]: one for one in client.get("/api/v1/admin/metrics").json()["data"]}
    (sample,) = metrics["http_requests"]["samples"]
    assert sample == {"labels": {"method": "GET", "route": "/api/v1/jobs", "status": "200"}, "value": 1}


def test_a_scrape_is_quick_with_ten_thousand_runs(quick_api: RunningApi) -> None:
    instance, now = quick_api.instance, datetime.now(UTC).replace(tzinfo=None)
    ids = [str(uuid4()) for _ in range(10_000)]
    times = {"start_time": 1.0, "end_time": 9.0, "create_timestamp": now, "update_timestamp": now}
    rows = [{"run_id": one, "pipeline_name": "nightly", "status": "SUCCESS", "run_body": "{}", **times} for one in ids]
    made = {"event": "{}", "dagster_event_type": "ASSET_MATERIALIZATION", "timestamp": now}
    events = [
        {**made, "run_id": one, "step_key": asset, "asset_key": json.dumps([asset])}
        for one in ids
        for asset in ("a", "b", "c", "d")
    ]
    with instance.run_storage.connect() as connection:
        connection.execute(Runs.insert(), rows)
    with instance.event_log_storage.index_connection() as connection:
        connection.execute(Events.insert(), events)
    try:
        client, seconds = quick_api.client(), []
        assert samples(client)["dagster_job_runs_total", frozenset({("job", "nightly"), ("status", "SUCCESS")})] == 1e4
        for _ in range(9):
            begin = time.process_time()
            client.get("/metrics").raise_for_status()
            seconds.append(time.process_time() - begin)
        assert statistics.median(seconds) < 0.05
    finally:
        with instance.event_log_storage.index_connection() as connection:
            connection.execute(
                text("DELETE FROM event_logs WHERE asset_key IN ('[\"a\"]','[\"b\"]','[\"c\"]','[\"d\"]')")
            )


def test_figures_are_renewed_beside_the_scrape_and_not_more_often_than_they_cost() -> None:
    clock, computed, go_on = [0.0], threading.Event(), threading.Event()
    calls: list[float] = []

    def supplier() -> Iterator[CounterMetricFamily]:
        if calls:
            go_on.wait(300)
        calls.append(clock[0])
        clock[0] += 2.0  # what it takes: a share of 5 % of the time is one every 40 seconds
        yield CounterMetricFamily("figures", "test", value=len(calls))
        computed.set()

    def shown(collector: SupplierCollector) -> float:
        (family,) = collector.collect()
        return family.samples[0].value

    collector = SupplierCollector(supplier, lambda: clock[0])
    assert shown(collector) == 1  # the first scrape waits
    clock[0] += FRESH_SECONDS + 1
    assert (shown(collector), len(calls)) == (1, 1)
    clock[0] += 25
    computed.clear()
    assert shown(collector) == 1  # old figures at once, while new ones are made
    go_on.set()
    assert computed.wait(300)
    collector._renewing.acquire()
    collector._renewing.release()
    assert shown(collector) == 2


def test_the_first_scrape_goes_without_figures_that_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clearfacts_assets.telemetry.metrics.FIRST_SECONDS", 0.0)
    go_on = threading.Event()

    def supplier() -> Iterator[CounterMetricFamily]:
        go_on.wait(300)
        yield CounterMetricFamily("figures", "test", value=7)

    collector = SupplierCollector(supplier, lambda: 0.0)
    assert collector.collect() == []
    go_on.set()
    with collector._renewing:
        (family,) = collector.collect()
    assert family.samples[0].value == 7


def test_a_supplier_that_fails_keeps_the_last_figures() -> None:
    clock, fails = [0.0], [False]

    def supplier() -> Iterator[CounterMetricFamily]:
        if fails[0]:
            raise RuntimeError("the database is gone")
        yield CounterMetricFamily("figures", "test", value=7)

    collector = SupplierCollector(supplier, lambda: clock[0])
    collector.collect()
    fails[0], clock[0] = True, 100.0
    collector._renew()
    (family,) = collector.collect()
    assert family.samples[0].value == 7

"""Grafana's dashboards: ``python observability/dashboards.py`` writes ``dashboards/*.json`` anew.

A panel is a title, what it is drawn as, its unit, and its queries with their legends. Figures that come from the
database are the same on every replica, so they are read with ``max``; what a process counts itself is summed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
WIDTH = 24  # of Grafana's grid
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Panel:
    """One picture. ``kind`` is Grafana's: stat, timeseries, bargauge."""

    title: str
    unit: str  # Grafana's: short, s, percent, bytes, reqps, dateTimeFromNow
    queries: dict[str, str]  # PromQL -> legend
    kind: str = "timeseries"
    width: int = 12
    alarm: float | None = None  # from which on it is red


def age(metric: str, by: str = "") -> str:
    """Seconds since the moment that a metric tells."""
    return f"time() - max{f' by ({by}) ' if by else ''}({metric}_timestamp_seconds)"


OUTCOMES = 'sum by (outcome) (max by (outcome, system) (rate(external_api_calls_total{system="clearfacts"}[15m])))'
P99 = "histogram_quantile(0.99, sum by (le, route) (rate(http_request_duration_seconds_bucket[5m])))"
CALLS_P95 = "histogram_quantile(0.95, max by (le, system) (rate(external_api_call_duration_seconds_bucket[15m])))"
INVOICE_P95 = "histogram_quantile(0.95, max by (le) (rate(invoice_processing_duration_seconds_bucket[1h])))"
JOBS_P95 = "histogram_quantile(0.95, max by (le, job) (rate(dagster_job_duration_seconds_bucket[1d])))"

FAILING = '(sum(rate(http_requests_total{status=~"5.."}[5m])) or vector(0)) / sum(rate(http_requests_total[5m]))'

DASHBOARDS: dict[str, list[Panel]] = {
    "Operations": [
        Panel("Answers", "short", {'min(up{job="clearfacts"})': "up"}, "stat", 4),
        Panel("Since the last good night", "s", {age("nightly_run_last_success"): "age"}, "stat", 5, alarm=26 * 3600),
        Panel("Days that nobody processed", "short", {"max(invoice_days_missing)": "days"}, "stat", 5, alarm=1),
        Panel(
            "Invoices that wait for a person",
            "short",
            {'sum(max by (state) (invoice_deliveries{state=~"parked|held|unknown"}))': "invoices"},
            "stat",
            5,
            alarm=1,
        ),
        Panel("Alerts not told yet", "short", {'max(alerts_outbox{state="pending"})': "alerts"}, "stat", 5, alarm=1),
        Panel(
            "Runs that ended, by status",
            "short",
            {"sum by (status) (max by (job, status) (dagster_job_runs_total))": "{{status}}"},
        ),
        Panel("Since the last tick", "s", {age("dagster_last_tick", "instigator"): "{{instigator}}"}),
        Panel("How long jobs take (95 %)", "s", {JOBS_P95: "{{job}}"}),
        Panel(
            "Materializations",
            "short",
            {"sum by (asset) (max by (asset) (dagster_asset_materializations_total))": "{{asset}}"},
        ),
        Panel(
            "Operations, by how they ended",
            "short",
            {"sum by (status) (max by (operation, status) (dagster_operation_executions_total))": "{{status}}"},
        ),
    ],
    "Delivery": [
        Panel("Deliveries, by where they stand", "short", {"max by (state) (invoice_deliveries)": "{{state}}"}),
        Panel(
            "How long the oldest has been known",
            "s",
            {"time() - min by (state) (invoice_deliveries_oldest_timestamp_seconds)": "{{state}}"},
        ),
        Panel("Calls to Clearfacts, by outcome", "ops", {OUTCOMES: "{{outcome}}"}),
        Panel("How long calls take (95 %)", "s", {CALLS_P95: "{{system}}"}),
        Panel("Invoices of all jobs", "short", {"max by (status) (invoice_processing_total)": "{{status}}"}),
        Panel("From retrieval to the end (95 %)", "s", {INVOICE_P95: "invoice"}),
        Panel("Age of the ERP's newest invoice", "s", {age("java_backend_newest_invoice"): "age"}),
        Panel("Pages taken from the ERP", "short", {'max(external_api_calls_total{system="java_backend"})': "pages"}),
    ],
    "API": [
        Panel(
            "Requests a second, by status", "reqps", {"sum by (status) (rate(http_requests_total[5m]))": "{{status}}"}
        ),
        Panel(
            "Requests a second, by route",
            "reqps",
            {"topk(10, sum by (route) (rate(http_requests_total[5m])))": "{{route}}"},
        ),
        Panel("99 of 100 are answered within", "s", {f"topk(10, {P99})": "{{route}}"}),
        Panel(
            "Part that fails",
            "percentunit",
            {FAILING: "5xx"},
            alarm=0.05,
        ),
    ],
    "Chargeback": [
        Panel("Periods", "short", {"max by (state) (chargeback_periods)": "{{state}}"}, "bargauge", 8),
        Panel("Rows that could not be billed", "short", {"max(chargeback_refused_rows)": "rows"}, "stat", 8, alarm=1),
        Panel("Charges that wait for a person", "short", {"max(chargeback_charges_waiting)": "charges"}, "stat", 8),
        Panel("What nobody pays for", "short", {"max by (currency) (chargeback_unattributed_amount)": "{{currency}}"}),
        Panel("Statements", "short", {"max by (state) (chargeback_statements)": "{{state}}"}),
        Panel("Mails with statements", "short", {"max by (state) (chargeback_mails)": "{{state}}"}),
    ],
    "System": [
        Panel("Processors in use", "percent", {"max by (instance) (cpu_usage_percent)": "{{instance}}"}),
        Panel("Memory in use", "bytes", {"max by (instance) (memory_usage_bytes)": "{{instance}}"}),
        Panel("Disk in use", "percent", {"max by (instance) (disk_usage_percent)": "{{instance}}"}, alarm=85),
        Panel(
            "Network",
            "Bps",
            {"sum by (instance, direction) (rate(network_io_bytes[5m]))": "{{instance}} {{direction}}"},
        ),
    ],
}


def dashboard(title: str, panels: list[Panel]) -> dict[str, Any]:
    """A dashboard as Grafana imports it."""
    placed, x, y, height = list[dict[str, Any]](), 0, 0, 8
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > WIDTH:
            x, y = 0, y + height
        at = {"x": x, "y": y, "w": panel.width, "h": height}
        placed.append(_panel(number, panel, at))
        x += panel.width
    return {
        "uid": f"clearfacts-{title.lower()}",
        "title": f"Clearfacts: {title}",
        "tags": ["clearfacts"],
        "schemaVersion": 39,
        "timezone": "utc",
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": placed,
    }


def _panel(number: int, panel: Panel, at: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.alarm is not None:
        steps.append({"color": "red", "value": panel.alarm})
    return {
        "id": number,
        "title": panel.title,
        "type": panel.kind,
        "datasource": SOURCE,
        "gridPos": at,
        "fieldConfig": {"defaults": {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend, "datasource": SOURCE}
            for place, (query, legend) in enumerate(panel.queries.items())
        ],
    }


def written(title: str) -> str:
    """The dashboard's file."""
    return json.dumps(dashboard(title, DASHBOARDS[title]), indent=1) + "\n"


if __name__ == "__main__":
    for name in DASHBOARDS:
        (FOLDER / f"{name.lower()}.json").write_text(written(name), encoding="utf-8")

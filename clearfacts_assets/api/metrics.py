"""The figures of /metrics that are read from databases: all that there are, and those of Dagster's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from typing import Any

from dagster import AssetKey, DagsterEventType, DagsterInstance
from prometheus_client.core import CounterMetricFamily, Metric
from sqlalchemy import Engine, Select, Table, func, select

from clearfacts_assets.api import backlog_metrics
from clearfacts_assets.api.chargeback import metrics as chargeback
from clearfacts_assets.api.invoices import metrics as invoices
from clearfacts_assets.api.metric_families import histogram
from clearfacts_assets.orchestration.dagster_internals import SqlTable, events_table, runs_table
from clearfacts_assets.storage.incremental_sums import Times
from clearfacts_assets.storage.memo import Memo

JOB_SECONDS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
# What may happen is told as 0 before: Prometheus sees no increase in a series that begins with its first event.
JOBS = (
    "__ASSET_JOB",  # Dagster's own name for what the UI's "Materialize" starts
    "daily_processing",
    "delivery_of_what_is_due",
    "manual_trigger",
    "health_monitoring",
    "document_follow_up",
    "retention_of_data",
    "import_of_charges",
    "approval_of_charges",
    "application_of_rules",
    "issue_of_statements",
    "sending_of_statements",
    "export_of_journals",
    "invoicing_of_statements",
)
RUN_ENDS = ("SUCCESS", "FAILURE", "CANCELED")
_MADE = DagsterEventType.ASSET_MATERIALIZATION.value
_PLANNED = DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value
_ENDED = {DagsterEventType.STEP_SUCCESS.value: "success", DagsterEventType.STEP_FAILURE.value: "failure"}


@cache
def _runs_by_end(table: Table) -> Select[Any]:
    """Runs by job and status: how many, and how long they took. Making the statement takes longer than asking it."""
    columns = table.c
    lasted = columns.end_time - columns.start_time
    up_to = [func.count().filter(lasted <= bound) for bound in JOB_SECONDS]
    return select(
        columns.pipeline_name,
        columns.status,
        func.count(),
        func.count(lasted),
        func.coalesce(func.sum(lasted), 0.0),
        *up_to,
    ).group_by(columns.pipeline_name, columns.status)


_RUNS: Memo[DagsterInstance, list[Metric]] = Memo()


def of_runs(_: Engine, instance: DagsterInstance) -> Iterator[Metric]:
    """Dagster's runs, by job and status. By the index on both, it is seen whether any of them has changed."""
    kept = runs_table(instance)
    columns = kept.table.c
    states = select(columns.status, func.count(), func.max(columns.update_timestamp)).group_by(columns.status)
    with kept.connect() as connection:
        state = tuple(connection.execute(states.order_by(columns.status)).tuples())
    yield from _RUNS.get(instance, state, lambda: list(_runs(kept)))


def _runs(kept: SqlTable) -> Iterator[Metric]:
    query = _runs_by_end(kept.table)
    runs = CounterMetricFamily(
        "dagster_job_runs", "Runs that Dagster knows, by job and status", labels=["job", "status"]
    )
    times: dict[tuple[str, ...], Times] = {}
    numbers = dict.fromkeys(product(JOBS, RUN_ENDS), 0)
    with kept.connect() as connection:
        for job, status, number, ended, seconds, *cumulated in connection.execute(query):
            numbers[job, status] = number
            if ended:
                times[job, status] = Times(tuple(int(one) for one in cumulated), int(ended), float(seconds))
    for labels, number in numbers.items():
        runs.add_metric(labels, number)
    yield runs
    yield histogram("dagster_job_duration_seconds", "Seconds of a run", JOB_SECONDS, times, labels=["job", "status"])


_ASSETS: Memo[DagsterInstance, list[Metric]] = Memo()


def of_assets(_: Engine, instance: DagsterInstance) -> Iterator[Metric]:
    """Materializations and operations, by asset. Each of our operations makes one asset.

    On SQLite, Dagster keeps a run's own events in a file of the run: there, what was planned and not made counts as
    ``not_completed``, whether it failed, was skipped or is still under way.
    """
    kept = events_table(instance)
    with kept.connect() as connection:
        newest = connection.execute(select(func.max(kept.table.c.id))).scalar_one()
    yield from _ASSETS.get(instance, newest, lambda: list(_assets(instance)))


def _assets(instance: DagsterInstance) -> Iterator[Metric]:
    kept = events_table(instance)
    columns = kept.table.c
    query = (
        select(columns.asset_key, columns.step_key, columns.dagster_event_type, func.count())
        .where(columns.dagster_event_type.in_([_MADE, _PLANNED, *_ENDED]))
        .group_by(columns.asset_key, columns.step_key, columns.dagster_event_type)
    )
    made: Counter[str] = Counter()
    ended: Counter[tuple[str, str]] = Counter()
    planned: Counter[tuple[str, str]] = Counter()
    with kept.connect() as connection:
        for asset, step, event, number in connection.execute(query):
            if event in _ENDED:
                ended[step, _ENDED[event]] += number
                continue
            if event == _MADE:
                made[_name(asset)] += number
                planned[step, "success"] += number
            planned[step, "not_completed"] += number if event == _PLANNED else -number
    assets = CounterMetricFamily("dagster_asset_materializations", "Materializations, by asset", labels=["asset"])
    for asset, number in made.items():
        assets.add_metric([asset], number)
    yield assets
    operations = CounterMetricFamily(
        "dagster_operation_executions", "Executions of operations, by how they ended", labels=["operation", "status"]
    )
    for (step, status), number in (ended or planned).items():
        operations.add_metric([step or "none", status], max(number, 0))
    yield operations


# All that is computed for /metrics, each by itself: one that fails leaves the others.
SUPPLIERS: list[Callable[[Engine, DagsterInstance], Iterator[Metric]]] = [
    invoices.of_invoices,
    of_runs,
    of_assets,
    invoices.of_deliveries,
    invoices.of_nights,
    backlog_metrics.of_alerts,
    backlog_metrics.of_ticks,
    chargeback.of_chargeback,
]


def _name(asset_key: str | None) -> str:
    key = AssetKey.from_db_string(asset_key)
    return key.to_user_string() if key else "unknown"

"""Metrics of what waits in both domains: alerts, and the clockwork that sees to everything.

Moments are seconds since 1970 (Prometheus' own way): ``time() - metric`` is the age, and it grows also while nothing is
computed anew.
"""

from __future__ import annotations

from collections.abc import Iterator

from dagster import DagsterInstance
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Engine, func, select

from clearfacts_assets.api.metric_families import gauge
from clearfacts_assets.orchestration.dagster_internals import last_ticks
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.operations.tables import ALERT_STATES, Alert


def of_alerts(engine: Engine, _: DagsterInstance) -> Iterator[Metric]:
    """The outbox: what must be told, what was, and what could not be."""
    with reading(engine) as connection:
        counted = connection.execute(select(Alert.state, func.count()).group_by(Alert.state)).tuples().all()
        oldest = connection.execute(select(func.min(Alert.created_at)).where(Alert.state == "pending")).scalar_one()
    numbers = dict.fromkeys(ALERT_STATES, 0) | dict(counted)
    yield gauge("alerts_outbox", "Alerts, by whether they were told", "state", numbers)
    if oldest is not None:
        yield GaugeMetricFamily(
            "alerts_outbox_oldest_timestamp_seconds",
            "When the oldest alert that was not told yet was written",
            value=oldest.timestamp(),
        )


def of_ticks(_: Engine, instance: DagsterInstance) -> Iterator[Metric]:
    """The last tick of each schedule and sensor, by how it ended."""
    ticks = GaugeMetricFamily(
        "dagster_last_tick_timestamp_seconds",
        "When the schedule or sensor was last evaluated",
        labels=["instigator", "status"],
    )
    for name, status, at in last_ticks(instance):
        ticks.add_metric([name, status.lower()], at)
    yield ticks

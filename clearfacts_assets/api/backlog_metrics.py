"""Metrics of what waits: deliveries, alerts, days, the clockwork that sees to them.

Moments are seconds since 1970 (Prometheus' own way): ``time() - metric`` is the age, and it grows also while nothing is
computed anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from dagster import DagsterInstance
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Engine, func, select

from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.orchestration.dagster_internals import last_ticks
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.incremental_sums import sums_of
from clearfacts_assets.storage.invoices import backlog, counts
from clearfacts_assets.storage.invoices.days import number_missing
from clearfacts_assets.storage.operations.tables import ALERT_STATES, Alert


def of_deliveries(engine: Engine, _: DagsterInstance) -> Iterator[Metric]:
    """Deliveries by state, and since when the oldest of those that are not done has been known."""
    found = backlog.unfinished(engine)
    ended = sums_of(engine, "deliveries", counts.of_deliveries).rows
    numbers = {state.value: ended.get(state.value, 0) for state in State} | found.numbers
    yield gauge("invoice_deliveries", "Deliveries, by where they stand", "state", numbers)
    oldest = {state: since.timestamp() for state, since in found.oldest.items()}
    yield gauge(
        "invoice_deliveries_oldest_timestamp_seconds",
        "When the oldest delivery that stands there was first seen",
        "state",
        oldest,
    )


def of_nights(engine: Engine, _: DagsterInstance) -> Iterator[Metric]:
    """The last good night, the days that nobody processed, and how new the source's invoices are."""
    moments = {
        "nightly_run_last_success_timestamp_seconds": (
            "When the newest scheduled job was completed",
            backlog.last_good_night(engine),
        ),
        "java_backend_newest_invoice_timestamp_seconds": (
            "When the newest invoice that the ERP gave was changed there",
            backlog.newest_invoice(engine),
        ),
    }
    for name, (purpose, moment) in moments.items():
        if moment is not None:
            yield GaugeMetricFamily(name, purpose, value=moment.timestamp())
    missing = number_missing(engine, datetime.now(UTC))
    yield GaugeMetricFamily("invoice_days_missing", "Days that nobody has processed as a whole", value=missing)


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


def gauge(name: str, purpose: str, label: str, values: Mapping[str, float]) -> Metric:
    """One gauge with one label."""
    family = GaugeMetricFamily(name, purpose, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family

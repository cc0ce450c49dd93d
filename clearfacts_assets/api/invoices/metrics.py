"""Metrics of invoices: what became of them, what waits, and the nights.

Moments are seconds since 1970, as in backlog_metrics.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from dagster import DagsterInstance
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import Engine

from clearfacts_assets.api.metric_families import gauge, histogram
from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.storage.incremental_sums import sums_of
from clearfacts_assets.storage.invoices import backlog, counts
from clearfacts_assets.storage.invoices.days import number_missing

INVOICE_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
CALL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
OUTCOMES = ("open", "accepted", "refused", "not_sent", "denied", "released", "lost")


def of_invoices(engine: Engine, _: DagsterInstance) -> Iterator[Metric]:
    """What became of invoices, and of the calls to the outside."""
    rows = sums_of(engine, "invoices", lambda: counts.of_invoices(INVOICE_SECONDS))
    attempts = sums_of(engine, "attempts", lambda: counts.of_attempts(CALL_SECONDS))
    invoices = CounterMetricFamily(
        "invoice_processing", "Invoices of all jobs, by what became of them", labels=["status"]
    )
    for status, number in (dict.fromkeys(InvoiceStatus, 0) | rows.rows).items():
        invoices.add_metric([status], number)
    yield invoices
    yield histogram(
        "invoice_processing_duration_seconds",
        "Seconds from an invoice's retrieval to its end",
        INVOICE_SECONDS,
        {(): rows.times},
    )
    calls = CounterMetricFamily(
        "external_api_calls", "Calls to outside systems that brought or took invoices", labels=["system", "outcome"]
    )
    for outcome, number in (dict.fromkeys(OUTCOMES, 0) | attempts.rows).items():
        calls.add_metric(["clearfacts", outcome], number)
    calls.add_metric(["java_backend", "page"], counts.pages_retrieved(engine))
    yield calls
    yield histogram(
        "external_api_call_duration_seconds",
        "Seconds of such a call",
        CALL_SECONDS,
        {("clearfacts",): attempts.times},
        labels=["system"],
    )


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

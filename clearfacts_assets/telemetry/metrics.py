"""Prometheus metrics: what this process counts itself, how the machine is, and tallies that others compute for us.

Names are a contract (docs/api.md). Label sets are bounded: nothing that a caller writes becomes a label. Tallies
come from databases, so they are the same on every replica: show them with max, not with sum.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import psutil
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clearfacts_assets.telemetry.processors import Processors

logger = logging.getLogger(__name__)
disable_created_metrics()  # type: ignore[no-untyped-call]

Supplier = Callable[[], Iterable[Metric]]

HTTP_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
FIRST_SECONDS = 5.0  # that the first scrape waits for tallies; later they come with a later one
FRESH_SECONDS = 15.0  # for which tallies are believed
MOST_EFFORT = 0.05  # share of the time that computing tallies may take, whatever the size of the tables
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """All metrics of one process."""

    def __init__(self, *, disk: Path, suppliers: Sequence[Supplier] = ()) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "http_requests_total", "Requests answered", ["method", "route", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "http_request_duration_seconds",
            "Seconds until a request was answered",
            ["method", "route"],
            buckets=HTTP_SECONDS,
            registry=self._registry,
        )
        self._registry.register(Machine(disk))
        for supplier in suppliers:
            self._registry.register(SupplierCollector(supplier))

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Everything as objects."""
        return self._registry.collect()


class SupplierCollector(Collector):
    """Figures that take a while: the last ones are given at once, and renewed beside the scrape when they are old."""

    def __init__(self, supplier: Supplier, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._supplier, self._monotonic = supplier, monotonic
        self._figures: list[Metric] = []
        self._due = float("-inf")
        self._renewing = threading.Lock()

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: registering must not compute."""
        return ()

    def collect(self) -> Iterable[Metric]:
        if self._due == float("-inf"):
            first = threading.Thread(target=self._renew, name="metrics", daemon=True)
            first.start()
            first.join(FIRST_SECONDS)
        elif self._monotonic() >= self._due:
            threading.Thread(target=self._renew, name="metrics", daemon=True).start()
        return self._figures

    def _renew(self) -> None:
        if not self._renewing.acquire(blocking=self._due == float("-inf")):
            return
        try:
            if self._monotonic() < self._due:
                return  # somebody else has just done it
            started = self._monotonic()
            try:
                self._figures = list(self._supplier())
            except Exception:
                logger.exception("metrics could not be computed; the last ones are shown")
            took = self._monotonic() - started
            self._due = self._monotonic() + max(FRESH_SECONDS, took / MOST_EFFORT)
        finally:
            self._renewing.release()


class Machine(Collector):
    """The machine that this process runs on."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self._processors = Processors()

    def collect(self) -> Iterator[Metric]:
        yield _gauge("cpu_usage_percent", "Processors in use since the last scrape", self._processors.percent())
        yield _gauge("memory_usage_bytes", "Memory in use", psutil.virtual_memory().used)
        yield _gauge(
            "disk_usage_percent", "Use of the disk that holds our state", psutil.disk_usage(str(self._disk)).percent
        )
        traffic = GaugeMetricFamily("network_io_bytes", "Bytes over all network interfaces", labels=["direction"])
        counted = psutil.net_io_counters()
        if counted is not None:
            traffic.add_metric(["sent"], counted.bytes_sent)
            traffic.add_metric(["received"], counted.bytes_recv)
        yield traffic

    def describe(self) -> Iterable[Metric]:
        return ()


def _gauge(name: str, purpose: str, value: float) -> Metric:
    return GaugeMetricFamily(name, purpose, value=value)


class HttpMetricsMiddleware:
    """Counts and times every request by the route's template, never by its path."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, place_of: Callable[[Scope], str]) -> None:
        """``place_of`` names where a request went: the route's template, or one of a few words."""
        self._app, self._metrics, self._place_of = app, metrics, place_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started = 500, time.perf_counter()

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "OTHER"
            route = self._place_of(scope)
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(method, route).observe(time.perf_counter() - started)

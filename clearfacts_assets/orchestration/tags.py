"""Tags that runs carry in Dagster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from clearfacts_assets import settings, tracing

CORRELATION_TAG = "clearfacts/correlation_id"
TRIGGERED_BY_TAG = "clearfacts/triggered_by"
TRACEPARENT_TAG = "clearfacts/traceparent"  # of the call or the tick that asked for the run (W3C Trace Context)

# Dagster's own, as its documentation writes them.
PARTITION_TAG = "dagster/partition"
SCHEDULE_TAG, SENSOR_TAG = "dagster/schedule_name", "dagster/sensor_name"
RETRY_TAG = "dagster/will_retry"
FAILURE_REASON_TAG = "dagster/failure_reason"


def correlation_of(run: dg.DagsterRun) -> str:
    """The id under which the run calls others: that of whoever asked for it, else its own."""
    return run.tags.get(CORRELATION_TAG, run.run_id)


def trace_tags() -> dict[str, str]:
    """What a run that is asked for now carries of the trace; nothing outside of any."""
    current = tracing.traceparent()
    return {TRACEPARENT_TAG: current} if current else {}


@contextmanager
def traced_tick(name: str, parent: dg.DagsterRun | None = None) -> Iterator[None]:
    """A look of a schedule or a sensor: a trace of its own, or part of that of the run which it looks at.

    They work in Dagster's code server, where nobody before them has read our settings.
    """
    tracing.configure(settings.load().collector)
    asked = parent.tags.get(TRACEPARENT_TAG, "") if parent is not None else ""
    with tracing.span(f"tick {name}", kind="PRODUCER", parent=asked, root=parent is None):
        yield

"""Tags that runs carry in Dagster."""

from __future__ import annotations

import dagster as dg

CORRELATION_TAG = "clearfacts/correlation_id"
TRIGGERED_BY_TAG = "clearfacts/triggered_by"

# Dagster's own, as its documentation writes them.
PARTITION_TAG = "dagster/partition"
SCHEDULE_TAG, SENSOR_TAG = "dagster/schedule_name", "dagster/sensor_name"
RETRY_TAG = "dagster/will_retry"
FAILURE_REASON_TAG = "dagster/failure_reason"


def correlation_of(run: dg.DagsterRun) -> str:
    """The id under which the run calls others: that of whoever asked for it, else its own."""
    return run.tags.get(CORRELATION_TAG, run.run_id)

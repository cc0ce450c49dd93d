"""Tags that our runs carry in Dagster."""

from __future__ import annotations

import dagster as dg

CORRELATION_TAG = "clearfacts/correlation_id"
TRIGGERED_BY_TAG = "clearfacts/triggered_by"


def correlation_of(run: dg.DagsterRun) -> str:
    """The id under which the run calls others: that of whoever asked for it, else its own."""
    return run.tags.get(CORRELATION_TAG, run.run_id)

"""A run as a trace tells it: the run, each of its steps, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import dagster as dg

from clearfacts_assets import tracing
from clearfacts_assets.orchestration.tags import CORRELATION_TAG, PARTITION_TAG, TRACEPARENT_TAG

ENDS = {
    dg.DagsterEventType.STEP_SUCCESS: "",
    dg.DagsterEventType.STEP_FAILURE: "STEP_FAILURE",
    dg.DagsterEventType.STEP_SKIPPED: "",
    dg.DagsterEventType.STEP_UP_FOR_RETRY: "STEP_UP_FOR_RETRY",
}


def traced(run: dg.DagsterRun, events: Iterator[dg.DagsterEvent]) -> Iterator[dg.DagsterEvent]:
    """The events of a run whose steps follow one another in this thread, each step's work within its span."""
    if not tracing.is_on():
        yield from events
        return
    told = {"dagster.run.id": run.run_id, "dagster.job": run.job_name}
    for name, tag in (("dagster.partition", PARTITION_TAG), ("clearfacts.correlation_id", CORRELATION_TAG)):
        if tag in run.tags:
            told[name] = run.tags[tag]
    parent = run.tags.get(TRACEPARENT_TAG, "")
    with (
        tracing.span(f"run {run.job_name}", told, kind="CONSUMER", parent=parent, root=True) as whole,
        ExitStack() as under_way,
    ):
        step = tracing.NOTHING
        for event in events:
            if event.event_type is dg.DagsterEventType.STEP_START:
                step = under_way.enter_context(tracing.span(f"step {event.step_key}"))
            elif event.event_type in ENDS:
                if failure := ENDS[event.event_type]:
                    step.failed(failure)
                    whole.failed(failure)
                under_way.close()
            yield event

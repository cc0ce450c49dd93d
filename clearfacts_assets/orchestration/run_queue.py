"""Dagster's queue, which tells the parts of one day apart.

A run of a partition is limited to one at a time, but the parts that a day is cut into (`part` of `raw_invoices`,
`schedule.parts`) are there to run at once. Each run is given the tag SLICE_TAG when it comes into the queue, whatever
button, schedule or backfill it comes from; dagster.yaml limits runs by it.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from clearfacts_assets.orchestration.tags import PARTITION_TAG

SLICE_TAG = "clearfacts/slice"  # what a run takes: the partition, and the part of it where it takes only that


class SliceQueue(dg.QueuedRunCoordinator):
    """Dagster's own queue; only the tag is ours. Named in dagster.yaml as ``run_coordinator``."""

    def submit_run(self, context: dg.SubmitRunContext) -> dg.DagsterRun:
        """The run, in the queue. One that is no partition's gets no tag, and waits for no other."""
        run = context.dagster_run
        if (taken := slice_of(run)) and run.tags.get(SLICE_TAG) != taken:
            self._instance.add_run_tags(run.run_id, {SLICE_TAG: taken})
        return super().submit_run(context)


def slice_of(run: dg.DagsterRun) -> str:
    """``2026-11-18``, or ``2026-11-18 3/10`` where it takes the third part of ten; empty where it has no partition.

    Written by people in the launchpad too: whatever stands where the part does is taken as it is. A part that is none
    is refused by the run itself.
    """
    part: Any = dict(run.run_config or {})
    for name in ("ops", "raw_invoices", "config", "part"):
        part = part.get(name) if isinstance(part, dict) else None
    return " ".join(one for one in (run.tags.get(PARTITION_TAG, ""), part) if isinstance(one, str) and one)

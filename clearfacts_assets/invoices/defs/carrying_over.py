"""What a run takes over of the day's earlier runs, where it does not contain the asset before."""

from __future__ import annotations

from datetime import UTC, datetime

from clearfacts_assets.invoices.defs.runs import JobRecorder
from clearfacts_assets.storage.invoices.takeover import Takeover


def take_over(recorder: JobRecorder, takeover: Takeover, needed: str) -> None:
    """Where this run does not contain the asset before this one, work on what the partition's earlier runs left.

    What the ledger has to send of the day comes along in any run of the whole day.
    """
    job, delivers = recorder.job, needed == "validated_invoices"
    taken = 0
    if needed not in recorder.chosen_assets:
        if recorder.takes_only_what_is_due:
            taken += takeover.unfinished(job.id, job.partition_key, now=_now())
        elif job.parent is not None:
            taken += takeover.job(job.id, job.partition_key, job.parent, now=_now(), validated=delivers)
        else:
            taken += takeover.day(job.id, job.partition_key, now=_now(), validated=delivers)
    # What is due may be what the runs of the day's other parts are about to send.
    if delivers and not job.details.get("invoice_ids") and not job.details.get("asked_part"):
        taken += takeover.due(job.id, job.partition_key, now=_now())
    if taken or needed not in recorder.chosen_assets:
        recorder.note(carried_over=taken + job.details.get("carried_over", 0))


def _now() -> datetime:
    return datetime.now(UTC)

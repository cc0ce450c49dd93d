"""What a run takes over of the day's earlier runs, where it does not contain the asset before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain

from clearfacts_assets.invoices.defs.runs import JobRecorder
from clearfacts_assets.invoices.ledger.model import Candidate
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.takeover import Takeover


def take_over(recorder: JobRecorder, takeover: Takeover, needed: str) -> None:
    """Where this run does not contain the asset before this one, work on what the partition's earlier runs left."""
    job, delivers = recorder.job, needed == "validated_invoices"
    if needed in recorder.chosen_assets:
        return
    if recorder.takes_only_what_is_due:
        taken = takeover.unvalidated(job.id, job.partition_key, now=_now())
    elif job.parent is not None:
        taken = takeover.job(job.id, job.partition_key, job.parent, now=_now(), validated=delivers)
    else:
        taken = takeover.day(job.id, job.partition_key, now=_now(), validated=delivers)
    _note(recorder, taken)


def left_by_others(
    recorder: JobRecorder,
    rows: InvoiceRepository,
    takeover: Takeover,
    size: int,
    day_of: Callable[[datetime | None], str | None],
) -> Iterator[list[Candidate]]:
    """In any run of the whole day, what is due of it by the ledger, and in that for what is due, by the earlier runs.

    It is taken over a piece at a time, when there is room for it: a run that stops at its first calls, because
    Clearfacts is down, leaves the rest where it is, however much that is.
    """
    job = recorder.job
    # What is due may be what the runs of the day's other parts are about to send.
    if job.details.get("invoice_ids") or job.details.get("asked_part"):
        return
    left = takeover.unfinished(job.id, job.partition_key, now=_now()) if recorder.takes_only_what_is_due else ()
    for piece in chain(left, takeover.due(job.id, job.partition_key, now=_now())):
        _note(recorder, len(piece))
        yield from rows.batches_to_deliver(job.id, size, day_of, only=piece)


def _note(recorder: JobRecorder, taken: int) -> None:
    recorder.note(carried_over=taken + recorder.job.details.get("carried_over", 0))


def _now() -> datetime:
    return datetime.now(UTC)

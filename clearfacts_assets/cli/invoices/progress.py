"""What a running job has done so far, while one waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import UUID

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine

from clearfacts_assets.cli.console import err, fail
from clearfacts_assets.storage.invoices.jobs import JobRepository

LOOK_EVERY = 0.3  # seconds


def follow(engine: Engine, job_id: UUID, ended_after: Callable[[float], bool], *, seconds: float) -> None:
    """Show the job's counts on standard error until it has ended. Ends the command when that takes too long.

    ``ended_after`` waits for that many seconds at most and says whether the run has ended.
    """
    jobs = JobRepository(engine)
    deadline = time.monotonic() + seconds
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    ) as progress:
        task = progress.add_task("waiting for Dagster", total=None)
        while not ended_after(LOOK_EVERY):
            if time.monotonic() > deadline:
                fail(f"the run has not ended after {seconds:.0f} s; it goes on: clearfacts jobs show {job_id}")
            counts = jobs.counts(job_id)
            if counts.total:
                said = f"{counts.sent} sent, {counts.duplicates} duplicates, {counts.failed} failed"
                progress.update(task, description=said, total=counts.total, completed=counts.total - counts.pending)
        progress.update(task, visible=False)

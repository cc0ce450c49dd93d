"""A job's row is truthful whatever became of its run: whoever looks compares it with Dagster and with the processes."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

import dagster as dg
import psutil
import pytest

from clearfacts_assets.invoices.defs.runs import reconcile
from clearfacts_assets.orchestration.process import this_process
from clearfacts_assets_tests.fixtures.pipeline import DAY, Pipeline

Status = dg.DagsterRunStatus


def dead_process() -> dict[str, Any]:
    """A process of this machine that is over."""
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ticks = int(Path(f"/proc/{ended.pid}/stat").read_text().rpartition(")")[2].split()[19])
    ended.wait()
    return {**this_process(), "pid": ended.pid, "ticks": ticks}


def unfinished(pipeline: Pipeline, status: dg.DagsterRunStatus, worker: dict[str, Any] | None) -> UUID:
    """A run in this state, and the row that it opened."""
    job = pipeline.definitions.resolve_job_def("daily_processing")
    run = pipeline.instance.create_run_for_job(job_def=job, status=status, tags={"dagster/partition": DAY})
    begin(pipeline, UUID(run.run_id), worker)
    return UUID(run.run_id)


def begin(pipeline: Pipeline, job_id: UUID, worker: dict[str, Any] | None) -> None:
    details = {"worker": worker} if worker else {}
    pipeline.jobs.begin(
        job_id, job_type="scheduled", partition_key=DAY, correlation_id=None, details=details, now=datetime.now(UTC)
    )


def status_of(pipeline: Pipeline, job_id: UUID) -> str:
    job = pipeline.jobs.get(job_id)
    assert job is not None
    return job.status


def test_a_run_whose_process_was_killed_is_closed_here_and_in_dagster(pipeline: Pipeline) -> None:
    job_id = unfinished(pipeline, Status.STARTED, dead_process())
    assert reconcile(pipeline.instance, pipeline.engine) == [job_id]
    assert status_of(pipeline, job_id) == "failed"
    run = pipeline.instance.get_run_by_id(str(job_id))
    assert run is not None
    assert run.status is Status.FAILURE
    assert reconcile(pipeline.instance, pipeline.engine) == []


@pytest.mark.parametrize(
    "worker",
    [
        this_process(),
        {**this_process(), "place": "another boot id pid:[1]", "pid": 2**22},
        {"host": socket.gethostname(), "pid": 2**22, "started": 0.0},
        None,
    ],
    ids=["alive", "on another machine", "noted by an older version", "unknown"],
)
def test_a_run_that_may_be_alive_is_left_alone(quick_pipeline: Pipeline, worker: dict[str, Any] | None) -> None:
    job_id = unfinished(quick_pipeline, Status.STARTED, worker)
    assert reconcile(quick_pipeline.instance, quick_pipeline.engine) == []
    assert status_of(quick_pipeline, job_id) == "running"


def test_another_process_under_the_same_number_is_not_the_run(quick_pipeline: Pipeline) -> None:
    job_id = unfinished(quick_pipeline, Status.STARTED, {**this_process(), "ticks": 1})
    assert reconcile(quick_pipeline.instance, quick_pipeline.engine) == [job_id]


def test_a_clock_that_was_set_makes_no_live_run_dead(quick_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """psutil works out when a process began from the wall clock: after a step of an hour it is another moment."""
    job_id = unfinished(quick_pipeline, Status.STARTED, {**this_process(), "started": psutil.Process().create_time()})
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: time.time() + 3600)
    assert reconcile(quick_pipeline.instance, quick_pipeline.engine) == []
    assert status_of(quick_pipeline, job_id) == "running"


@pytest.mark.parametrize(
    ("status", "row", "died"),
    [
        (Status.SUCCESS, "completed", False),
        (Status.FAILURE, "failed", True),
        (Status.CANCELED, "failed", True),
        (Status.STARTING, "running", False),
        (Status.CANCELING, "running", False),
    ],
)
def test_the_row_follows_what_dagster_knows(
    quick_pipeline: Pipeline, status: dg.DagsterRunStatus, row: str, died: bool
) -> None:
    job_id = unfinished(quick_pipeline, status, this_process())
    assert reconcile(quick_pipeline.instance, quick_pipeline.engine) == ([job_id] if died else [])
    assert status_of(quick_pipeline, job_id) == row


def test_a_row_whose_run_dagster_has_forgotten_is_closed(quick_pipeline: Pipeline) -> None:
    job_id = UUID(int=7)
    begin(quick_pipeline, job_id, None)
    reconcile(quick_pipeline.instance, quick_pipeline.engine)
    assert status_of(quick_pipeline, job_id) == "failed"


def test_the_row_says_running_while_the_run_runs_and_completed_after(pipeline: Pipeline) -> None:
    pipeline.simulator.fault("clearfacts", "delay", seconds=0.3, match={"operation": "upload"})
    seen: list[tuple[str, int]] = []
    over = Event()

    def look() -> None:
        while not over.wait(0.02):
            for job in pipeline.jobs.list().items:
                reconcile(pipeline.instance, pipeline.engine)
                seen.append((job.status, pipeline.jobs.counts(job.id).sent))

    with ThreadPoolExecutor(1) as beside:
        looking = beside.submit(look)
        try:
            run = pipeline.run()
        finally:
            over.set()
        looking.result()
    assert run.job.status == "completed"
    sent = [number for _, number in seen]
    assert {status for status, _ in seen} <= {"running", "completed"}
    assert sent == sorted(sent), "counts only grow"
    assert any(0 < number < 11 for number in sent), "and can be followed"

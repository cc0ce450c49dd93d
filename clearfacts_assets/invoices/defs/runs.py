"""Dagster runs and our ``jobs`` rows: one row a run, truthful whatever happens to the run.

Dagster knows whether a run is alive; the row says what it came to. Each asset opens the row (``job_of``), the last one
closes it. A run that dies cannot close its row, so whoever looks (sensors, the CLI, the API) first reconciles.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Unpack
from uuid import UUID

import dagster as dg
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError, ProgrammingError

from clearfacts_assets.invoices.defs.automation import CATCHING_UP, DELIVERY_OF_WHAT_IS_DUE, PIPELINE
from clearfacts_assets.orchestration.process import is_gone, this_process
from clearfacts_assets.orchestration.tags import SCHEDULE_TAG, SENSOR_TAG, TRIGGERED_BY_TAG, correlation_of
from clearfacts_assets.storage.database import in_words
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.job_notes import JobNotes, Problem, merged
from clearfacts_assets.storage.invoices.jobs import FINISHED, JobRepository

LAUNCH_SECONDS = 60  # after which a job that Dagster knows nothing of, or has only noted, was never launched
RUN_IT_ALL = "(This run does not do that part again: re-execute all of it, or materialize the partition.)"
STOPPED = "The run was told to stop before it was done: materialize the partition again."
_ENDED_BADLY = {dg.DagsterRunStatus.FAILURE: "failed", dg.DagsterRunStatus.CANCELED: "was stopped by a person"}


@dataclass(slots=True)
class JobRun:
    """The job that the running asset belongs to."""

    id: UUID
    partition_key: str
    correlation_id: str
    triggered_by: str  # a person's name, api, cli, nightly, or dagster for what was started in its UI
    wish: str  # under which this job may send what was settled: the same through retries and re-executions
    details: JobNotes  # what earlier assets of this run noted
    parent: UUID | None = None  # the job that this one re-executes in part

    @property
    def problems(self) -> list[str]:
        """What went wrong without stopping the run; it fails at its end because of them."""
        return [str(problem["text"]) for problem in self.details.get("problems", [])]


class JobRecorder:
    """The ``jobs`` row of the running asset: opened, noted in, and closed by the run's last asset."""

    def __init__(self, context: dg.AssetExecutionContext, engine: Engine) -> None:
        self._engine, self._jobs = engine, JobRepository(engine)
        self._context, self._started = context, _now()
        run = context.run
        self.job = JobRun(
            id=UUID(run.run_id),
            partition_key=context.partition_key,
            correlation_id=correlation_of(run),
            triggered_by=run.tags.get(TRIGGERED_BY_TAG) or run.tags.get(SCHEDULE_TAG) or "dagster",
            wish=run.root_run_id or run.run_id,
            details={},
        )

    def open(self) -> JobRun:
        run = self._context.run
        record = self._jobs.begin(
            self.job.id,
            job_type="scheduled" if SCHEDULE_TAG in run.tags or run.tags.get(SENSOR_TAG) == CATCHING_UP else "manual",
            partition_key=self.job.partition_key,
            correlation_id=self.job.correlation_id,
            details={"job_name": run.job_name, "triggered_by": self.job.triggered_by, "worker": this_process()},
            now=_now(),
        )
        self.job.details = record.details
        self.job.wish = self._wish()
        self._started = record.started_at or _now()
        self._inherit()
        return self.job

    def _wish(self) -> str:
        """Whoever runs a job again wishes what its first run wished: what that sent is not sent a second time."""
        root = self._jobs.get(UUID(self.job.wish)) if self.job.wish != str(self.job.id) else None
        details = root.details if root else self.job.details
        return str(details.get("retry_of") or self.job.wish)

    def _inherit(self) -> None:
        """Of the run that this one re-executes in part: its choice, and what went wrong where it is not run again."""
        parent_id = self._context.run.parent_run_id
        parent = self._jobs.get(UUID(parent_id)) if parent_id and PIPELINE[0] not in self.chosen_assets else None
        if parent is None:
            return
        self.job.parent = parent.id
        if "inherited_from" not in self.job.details:
            problems = [
                Problem(asset=problem["asset"], text=f"{problem['text'].removesuffix(RUN_IT_ALL).strip()} {RUN_IT_ALL}")
                for problem in parent.details.get("problems", [])
                if problem["asset"] not in self.chosen_assets
            ]
            if "invoice_ids" in parent.details:
                self.note(invoice_ids=parent.details["invoice_ids"])
            self.note(problems=problems, inherited_from=str(parent.id))

    def measured(self) -> UUID:
        """The job that job_metrics measures: this one, or the day's newest that saw invoices where it runs alone."""
        if self.chosen_assets.intersection(PIPELINE) != {PIPELINE[-1]}:
            return self.job.id
        return self.job.parent or self._jobs.newest_with_invoices(self.job.partition_key) or self.job.id

    def seconds_of(self, job_id: UUID) -> float:
        """How long the job took, or has been running until now."""
        job = self._jobs.get(job_id)
        took = job.duration_seconds if job else None
        return max((_now() - self._started).total_seconds() if took is None else took, 0.001)

    def note(self, **details: Unpack[JobNotes]) -> None:
        """Keep something for later assets and for people, under its name in the row's metadata."""
        self.job.details = merged(self.job.details, details)
        self._jobs.update_details(self.job.id, details, now=_now())

    def note_problem(self, problem: str) -> None:
        known = self.job.details.get("problems", [])
        self.note(problems=[*known, {"asset": self._context.asset_key.path[-1], "text": problem}])

    def close(self) -> None:
        """Close the row if this asset is the run's last. Raises Failure when there were problems on the way."""
        if not self._is_last():
            return
        if self.job.problems:
            raise dg.Failure(" ".join(self.job.problems), allow_retries=False)
        self._jobs.finish(self.job.id, "completed", error_message=None, now=_now())

    def fail(self, error: BaseException) -> None:
        message = _said_by(error) or " ".join(self.job.problems) or STOPPED
        _close_as_failed(self._engine, self.job.id, message)

    @property
    def chosen_assets(self) -> set[str]:
        """The assets that this run materializes: all of the job, what a person selected, or what is re-executed."""
        selected = {key.path[-1] for key in self._context.job_def.asset_layer.selected_asset_keys}
        steps = self._context.run.step_keys_to_execute
        return selected.intersection(steps) if steps else selected

    @property
    def takes_only_what_is_due(self) -> bool:
        """Whether this is the run for what earlier ones left, and not one that a person started for the day."""
        return self._context.run.job_name == DELIVERY_OF_WHAT_IS_DUE

    def _is_last(self) -> bool:
        asset = self._context.asset_key.path[-1]
        return not self.chosen_assets.intersection(PIPELINE[PIPELINE.index(asset) + 1 :])


@contextmanager
def job_of(context: dg.AssetExecutionContext, engine: Engine) -> Iterator[JobRecorder]:
    """The run's ``jobs`` row around the work of one asset; an exception closes it as failed with its message.

    Raises Failure, in words, where our database cannot be used.
    """
    try:
        with _opened(JobRecorder(context, engine)) as recorder:
            yield recorder
    except (OperationalError, ProgrammingError) as error:
        raise dg.Failure(in_words(error)) from error


@contextmanager
def _opened(recorder: JobRecorder) -> Iterator[JobRecorder]:
    recorder.open()
    try:
        yield recorder
        recorder.close()
    except BaseException as error:
        recorder.fail(error)
        raise


def reconcile(instance: dg.DagsterInstance, engine: Engine) -> list[UUID]:
    """Close the rows of runs that are over. Returns the ids of the jobs whose run died without a word.

    Costs one read of the unfinished rows (a handful) and one of Dagster's run for each.
    """
    jobs = JobRepository(engine)
    died = []
    for job in jobs.unfinished():
        run = instance.get_run_by_id(str(job.id))
        if run is None or run.status is dg.DagsterRunStatus.NOT_STARTED:
            if job.status == "running" or _now() - job.created_at > timedelta(seconds=LAUNCH_SECONDS):
                _close_without_run(engine, job.id, instance, run)
            continue
        if run.status is dg.DagsterRunStatus.STARTED and is_gone(job.details.get("worker")):
            instance.report_run_failed(
                run, message="The process of this run is gone: it was killed or the machine stopped."
            )
            run = instance.get_run_by_id(run.run_id) or run
        if run.status is dg.DagsterRunStatus.SUCCESS:
            jobs.finish(job.id, "completed", error_message=None, now=_now())
        elif run.status in _ENDED_BADLY:
            died.append(job.id)
            message = f"The run {_ENDED_BADLY[run.status]} before it could say why: see its page in Dagster."
            _close_as_failed(engine, job.id, message)
    return died


def _close_as_failed(engine: Engine, job_id: UUID, message: str) -> None:
    # What arrived and could not be noted comes first: where that fails, the job stays open for the next look.
    InvoiceRepository(engine).follow_deliveries(job_id, now=_now())
    JobRepository(engine).finish(job_id, "failed", error_message=message, now=_now())


def _close_without_run(engine: Engine, job_id: UUID, instance: dg.DagsterInstance, run: dg.DagsterRun | None) -> None:
    """Whoever launched it died on the way, or somebody deleted the run."""
    if run is None:
        message = "Dagster knows no run with this id: it was never launched, or it was deleted. Start it again."
    else:
        message = "The run was noted but never launched. Start it again."
        instance.report_run_failed(run, message=message)
    _close_as_failed(engine, job_id, message)


def dead_runs(instance: dg.DagsterInstance, engine: Engine) -> list[UUID]:
    """Runs that hold claims on deliveries and are over: what they were sending, nobody will settle any more."""
    reconcile(instance, engine)
    jobs = JobRepository(engine)
    holders = SqlDeliveryLedger(engine).holders()
    return [run_id for run_id in holders if (job := jobs.get(run_id)) is None or job.status in FINISHED]


def _said_by(error: BaseException) -> str:
    if isinstance(error, OperationalError | ProgrammingError):
        return in_words(error)
    if isinstance(error, dg.Failure):
        return error.description or ""
    return str(error) or type(error).__name__ if isinstance(error, Exception) else ""


def _now() -> datetime:
    return datetime.now(UTC)

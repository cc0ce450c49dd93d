"""Starting a job: its row is written first, under the id that its run will have, so that no run is ever unknown.

The run is made in the process that has the workspace loaded, see ``orchestration/dagster_internals.py``.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextvars import copy_context
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets.api.dagster_gateway import LOCATION
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.invoices.defs.automation import run_config_of
from clearfacts_assets.orchestration.dagster_internals import IWorkspaceProcessContext, RunOrder, submit_run
from clearfacts_assets.orchestration.tags import CORRELATION_TAG, PARTITION_TAG, TRIGGERED_BY_TAG, trace_tags
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets.storage.invoices.job_notes import Answer, JobNotes, Request
from clearfacts_assets.storage.invoices.job_requests import DayBusy, JobRequest, JobRequests
from clearfacts_assets.storage.invoices.jobs import JobRecord, JobRepository

logger = logging.getLogger(__name__)

JOB = "manual_trigger"
LAUNCH_PATIENCE = 0.1  # seconds that a caller waits for Dagster to take a run; then the job tells
LAUNCHES_AT_ONCE = 4
RETRY_AFTER = 5  # seconds after which a refused launch is worth another try
TRIES_OF_A_KEY = 50  # failed launches under one Idempotency-Key
ALIVE = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the job is to do. ``retry_of`` is the first job of a chain of retries; a wish that is not ``dated`` named no
    day, and got that of its moment."""

    partition_key: str
    invoice_ids: tuple[str, ...] = ()
    force_processing: bool = False
    retry_of: str | None = None
    dated: bool = True

    @property
    def digest(self) -> str:
        """Of the request as it was sent: sent again after midnight, it is still the same one."""
        return self._digest(self.partition_key if self.dated else None)

    def is_known_by(self, digest: str) -> bool:
        """Whether a job with this digest was asked for by the same request."""
        # Jobs of before 2026-11-22 have the day in it also where none was named.
        return digest in (self.digest, self._digest(self.partition_key))

    def _digest(self, day: str | None) -> str:
        sent = {name: value for name, value in asdict(self).items() if name != "dated"} | {"partition_key": day}
        return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()

    def run_config(self) -> dict[str, Any]:
        """What the assets are told."""
        return run_config_of({"invoice_ids": list(self.invoice_ids), "force_processing": self.force_processing})


@dataclass(frozen=True, slots=True)
class Started:
    """The answer to a wish; an Idempotency-Key that comes again gets the same one."""

    job_id: UUID
    estimated_completion: datetime | None
    message: str
    replayed: bool = False


class JobSubmission:
    """Turns wishes into jobs."""

    def __init__(
        self, workspace: IWorkspaceProcessContext[Any], engine: Engine, *, patience: float = LAUNCH_PATIENCE
    ) -> None:
        self.patience = patience
        self._workspace, self._engine, self._requests = workspace, engine, JobRequests(engine)
        self._pool = ThreadPoolExecutor(LAUNCHES_AT_ONCE, thread_name_prefix="launch")

    def start(self, wish: Wish, actor: Actor, *, key: str | None) -> Started:
        """Write the job's row with its audit entry, and launch its run.

        Raises ApiError: JOB_RUNNING, IDEMPOTENCY_KEY_REUSED, EXTERNAL_API_ERROR. After the last one the row says why
        nothing runs, and the same key may be used again.
        """
        job_id, earlier = self._place_for(wish, actor, key)
        if earlier is not None:
            return _again(job_id, earlier)
        self._refuse_beside_a_run(wish.partition_key)
        now = datetime.now(UTC)
        answer = self._answer_for(job_id, wish, now)
        details: JobNotes = {
            "job_name": JOB,
            "triggered_by": actor.name,
            "invoice_ids": list(wish.invoice_ids),
            "force_processing": wish.force_processing,
            **({"retry_of": wish.retry_of} if wish.retry_of else {}),
            "request": {"sha256": wish.digest, "answer": answer},
        }
        request = JobRequest(job_id, wish.partition_key, details)
        try:
            earlier = self._requests.reserve(request, actor, now=now)
        except DayBusy as busy:
            raise _running(wish.partition_key, str(busy.job_id)) from None
        if earlier is not None:
            return _again(job_id, _same(earlier, wish))
        return self._launch(job_id, wish, actor, answer)

    def close(self) -> None:
        """Let the launches under way end."""
        self._pool.shutdown()

    def _place_for(self, wish: Wish, actor: Actor, key: str | None) -> tuple[UUID, JobRecord | None]:
        """The id for the job, and the job if this key has one. A key whose launch failed gets another id."""
        if key is None:
            return uuid4(), None
        for number in range(TRIES_OF_A_KEY):
            name = json.dumps([str(actor.user_id), actor.name, key, number])
            job_id = UUID(bytes=hashlib.sha256(name.encode()).digest()[:16], version=4)
            earlier = self._requests.known(job_id)
            if earlier is None:
                return job_id, None
            _same(earlier, wish)
            if not earlier.details["request"].get("not_launched"):
                return job_id, earlier
        raise ApiError(ErrorCode.CONFLICT, f"{TRIES_OF_A_KEY} launches under this Idempotency-Key have failed.")

    def _refuse_beside_a_run(self, partition_key: str) -> None:
        """A run of the schedule or of Dagster's UI has no row until its first asset starts."""
        waiting = dg.RunsFilter(tags={PARTITION_TAG: partition_key}, statuses=list(ALIVE))
        for run in self._workspace.instance.get_runs(waiting, limit=1):
            raise _running(partition_key, run.run_id)

    def _answer_for(self, job_id: UUID, wish: Wish, now: datetime) -> Answer:
        seconds = self._requests.usual_seconds()
        expected = None if seconds is None else (now + timedelta(seconds=seconds)).isoformat()
        chosen = len(wish.invoice_ids)
        what = f"{chosen} chosen invoice{'s' * (chosen > 1)}" if chosen else f"the invoices of {wish.partition_key}"
        message = f"Processing of {what} was started; GET /api/v1/jobs/{job_id} tells how it goes."
        return {"estimated_completion": expected, "message": message}

    def _launch(self, job_id: UUID, wish: Wish, actor: Actor, answer: Answer) -> Started:
        tags = {
            PARTITION_TAG: wish.partition_key,
            CORRELATION_TAG: actor.correlation_id or str(job_id),
            TRIGGERED_BY_TAG: actor.name,
            **trace_tags(),
        }
        under_way: Future[ApiError | None] = self._pool.submit(copy_context().run, self._attempt, job_id, wish, tags)
        try:
            error = under_way.result(self.patience)
        except NotYet:
            # The row is pending. The attempt goes on and closes it if it fails; if this process dies, whoever reads
            # the row later finds the run, or after a minute that there is none.
            error = None
        if error is not None:
            raise error
        return _started(job_id, answer)

    def _attempt(self, job_id: UUID, wish: Wish, tags: Mapping[str, str]) -> ApiError | None:
        """Launch; what a caller is told when that fails. By then the row says it too."""
        try:
            self._submit(job_id, wish, tags)
        except Exception as fault:
            logger.exception("the launch of job %s failed", job_id)
            try:
                return None if self._was_taken(job_id) else self._not_launched(job_id, fault)
            except ApiError as unknown:
                return unknown
        return None

    def _submit(self, job_id: UUID, wish: Wish, tags: Mapping[str, str]) -> None:
        submit_run(
            self._workspace.create_request_context(), RunOrder(str(job_id), LOCATION, JOB, wish.run_config(), tags)
        )

    def _was_taken(self, job_id: UUID) -> bool:
        """Whether the run goes on although its launch ended in an error. Raises ApiError where nobody can tell."""
        instance = self._workspace.instance
        try:
            run = instance.get_run_by_id(str(job_id))
            if run is not None and run.status is dg.DagsterRunStatus.NOT_STARTED:
                instance.report_run_failed(run, message="It could not be launched.")
            return run is not None and run.status in ALIVE
        except Exception as fault:
            # The row stays pending: after a minute it is compared with Dagster.
            message = "Dagster does not answer; whether it took the run shows on the job in a minute or two."
            raise _dagster_failed(job_id, message) from fault

    def _not_launched(self, job_id: UUID, fault: Exception) -> ApiError:
        """Close the row, so that it says why nothing runs."""
        jobs = JobRepository(self._engine)
        record = jobs.get(job_id)
        request: Request = {**(record.details["request"] if record else {}), "not_launched": True}
        jobs.finish(
            job_id,
            "failed",
            error_message=f"Dagster did not take the run ({type(fault).__name__}). Nothing was started.",
            now=datetime.now(UTC),
            details_update={"request": request},
        )
        return _dagster_failed(job_id, "Dagster did not take the run. Nothing was started; try again.")


def _dagster_failed(job_id: UUID, message: str) -> ApiError:
    return ApiError(
        ErrorCode.EXTERNAL_API_ERROR,
        message,
        details={
            "api_endpoint": "dagster",
            "status_code": None,
            "retry_count": 0,
            "next_retry_at": (datetime.now(UTC) + timedelta(seconds=RETRY_AFTER)).isoformat(),
            "job_id": str(job_id),
        },
        headers={"Retry-After": str(RETRY_AFTER)},
    )


def _started(job_id: UUID, answer: Answer, *, replayed: bool = False) -> Started:
    expected = answer["estimated_completion"]
    return Started(job_id, datetime.fromisoformat(expected) if expected else None, answer["message"], replayed)


def _again(job_id: UUID, earlier: JobRecord) -> Started:
    return _started(job_id, earlier.details["request"]["answer"], replayed=True)


def _same(earlier: JobRecord, wish: Wish) -> JobRecord:
    if not wish.is_known_by(earlier.details["request"]["sha256"]):
        raise ApiError(ErrorCode.IDEMPOTENCY_KEY_REUSED)
    return earlier


def _running(partition_key: str, job_id: str) -> ApiError:
    return ApiError(
        ErrorCode.JOB_RUNNING,
        f"Job {job_id} of {partition_key} is waiting or running.",
        details={"job_id": job_id},
    )

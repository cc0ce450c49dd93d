"""``/jobs``: what runs came to, and running again what failed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from clearfacts_assets.api.auth.dependencies import require
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.invoices.job_submission import Wish
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads, waits
from clearfacts_assets.api.services import Services, services, watched, watched_job
from clearfacts_assets.api.v1.fields import IdempotencyKey
from clearfacts_assets.api.v1.invoices.processing import JobAccepted, accepted
from clearfacts_assets.api.v1.lists import Day, ListQuery
from clearfacts_assets.storage.invoices.job_views import JobCounts
from clearfacts_assets.storage.invoices.jobs import UNFINISHED, JobRecord, JobRepository

router = APIRouter(prefix="/jobs", tags=["jobs"])

MOST_ERRORS = 1000  # failed invoices listed with a job; GET /invoices/history has all of them

JobStatus = Literal["pending", "running", "completed", "failed"]
Reads = Annotated[Principal, Depends(require(Permission.JOBS_READ))]
Retries = Annotated[Principal, Depends(require(Permission.JOBS_RETRY))]
Served = Annotated[Services, Depends(services)]
Watched = Annotated[Services, Depends(watched)]
WatchedJob = Annotated[Services, Depends(watched_job)]


class JobResults(BaseModel):
    """How many invoices ended where; while a job runs, their sum is less than the total."""

    total_invoices: int = Field(ge=0)
    processed: int = Field(ge=0, description="delivered by this job")
    failed: int = Field(ge=0)
    duplicates: int = Field(ge=0, description="delivered before, not sent again")


class InvoiceError(BaseModel):
    """Why one invoice is not delivered."""

    invoice_id: str
    error: str
    timestamp: datetime


class JobResult(BaseModel):
    """A job and what it came to."""

    job_id: UUID
    status: JobStatus
    started_at: datetime | None
    completed_at: datetime | None
    duration_seconds: float | None
    results: JobResults
    errors: list[InvoiceError] = Field(description=f"one a failed invoice, at most {MOST_ERRORS}")


class JobSummary(BaseModel):
    """A job in a list."""

    job_id: UUID
    job_type: Literal["scheduled", "manual"]
    partition: str | None = Field(description="the day, in Brussels")
    status: JobStatus
    triggered_by: str | None = Field(description="a person, an API key, cli, dagster or the schedule's name")
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    duration_seconds: float | None
    results: JobResults
    error_message: str | None = Field(description="why the job as a whole failed")
    correlation_id: str | None


class JobsQuery(ListQuery):
    """Which jobs."""

    status: JobStatus | None = None
    job_type: Literal["scheduled", "manual"] | None = None
    partition: Day | None = None


@router.get("", responses=errors(ErrorCode.INVALID_CURSOR), summary="Jobs, newest first")
@reads
def list_jobs(query: Annotated[JobsQuery, Query()], _: Reads, served: Watched) -> Success[Listed[JobSummary]]:
    """A page of jobs with their counts. A job that failed as a whole says why in `error_message`."""
    page = JobRepository(served.engine).views(
        status=query.status,
        job_type=query.job_type,
        partition_key=query.partition,
        limit=query.limit,
        cursor=query.cursor,
        span=query.span,
    )
    items = [
        JobSummary.model_validate(job.as_result() | {"triggered_by": job.triggered_by, "created_at": job.created_at})
        for job in page.items
    ]
    return Success(data=Listed(items=items, next_cursor=page.next_cursor))


@router.get("/{job_id}", responses=errors(ErrorCode.JOB_NOT_FOUND), summary="One job and what it came to")
@reads
def get_job(job_id: UUID, _: Reads, served: WatchedJob) -> Success[JobResult]:
    """True also when the run, or Dagster's daemon, died: an unfinished job is compared with Dagster first."""
    job = JobRepository(served.engine).view(job_id, MOST_ERRORS)
    if job is None:
        raise ApiError(ErrorCode.JOB_NOT_FOUND, f"There is no job {job_id}.")
    return Success(data=JobResult.model_validate({**job.as_result(), "errors": job.errors_as_result()}))


@router.post(
    "/{job_id}/retry",
    status_code=202,
    responses=errors(
        ErrorCode.JOB_NOT_FOUND,
        ErrorCode.JOB_NOT_RETRYABLE,
        ErrorCode.JOB_RUNNING,
        ErrorCode.IDEMPOTENCY_KEY_REUSED,
        ErrorCode.EXTERNAL_API_ERROR,
    ),
    summary="Run again what failed",
)
@waits
def retry_job(
    job_id: UUID, caller: Retries, served: Served, response: Response, key: IdempotencyKey = None
) -> Success[JobAccepted]:
    """A new job of the same day, with the same choice of invoices. What was delivered is not sent again."""
    served.watch.look()
    job, jobs = found(job_id, served)
    if job.status in UNFINISHED:
        raise ApiError(ErrorCode.JOB_NOT_RETRYABLE, f"Job {job_id} is {job.status}: wait for its end.")
    counts = jobs.counts(job_id)
    if job.status == "completed" and not counts.failed and not counts.pending:
        raise ApiError(ErrorCode.JOB_NOT_RETRYABLE, f"Job {job_id} is completed and none of its invoices is left.")
    if job.partition_key is None:
        raise ApiError(ErrorCode.JOB_NOT_RETRYABLE, f"Job {job_id} belongs to no day.")
    wish = Wish(
        job.partition_key,
        invoice_ids=tuple(job.details.get("invoice_ids") or ()),
        force_processing=bool(job.details.get("force_processing")),
        retry_of=str(job.details.get("retry_of") or job_id),
    )
    return accepted(served, wish, caller.actor, key, response)


def found(job_id: UUID, served: Services) -> tuple[JobRecord, JobRepository]:
    """The job. Raises ApiError."""
    jobs = JobRepository(served.engine)
    job = jobs.get(job_id)
    if job is None:
        raise ApiError(ErrorCode.JOB_NOT_FOUND, f"There is no job {job_id}.")
    return job, jobs


def results_of(counts: JobCounts) -> JobResults:
    return JobResults.model_validate(counts.as_result())

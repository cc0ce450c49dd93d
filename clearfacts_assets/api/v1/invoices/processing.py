"""``POST /invoices/process``: start a job."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from clearfacts_assets.api.auth.dependencies import require
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Success
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.invoices.job_submission import Wish
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import waits
from clearfacts_assets.api.services import Services, services
from clearfacts_assets.api.v1.fields import IdempotencyKey
from clearfacts_assets.api.v1.lists import LONGEST_WORD, Day
from clearfacts_assets.invoices.days import ZONE
from clearfacts_assets.invoices.defs.automation import DAYS
from clearfacts_assets.storage.accounts.audit import Actor

router = APIRouter(prefix="/invoices", tags=["invoices"])

MOST_INVOICES = 1000  # chosen by id in one request
REPLAYED = "Idempotent-Replayed"  # answer header: this answer was given before

Processes = Annotated[Principal, Depends(require(Permission.INVOICES_PROCESS))]
Served = Annotated[Services, Depends(services)]
InvoiceId = Annotated[str, Field(min_length=1, max_length=LONGEST_WORD, pattern=r"^[^\x00-\x1f\x7f]+$")]


class ProcessRequest(BaseModel):
    """What to process."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"force_processing": False}, {"date": "2026-11-20", "invoice_ids": ["INV-2026-0042"]}]
        },
    )

    force_processing: bool = Field(False, description="send again, knowingly, what was delivered before")
    invoice_ids: list[InvoiceId] | None = Field(
        None, min_length=1, max_length=MOST_INVOICES, description="just these, by the ERP's ids, whatever their day"
    )
    date: Day | None = Field(None, description="the day in Brussels; today without it")


class JobAccepted(BaseModel):
    """A job that was started."""

    job_id: UUID
    status: Literal["pending"] = "pending"
    estimated_completion: datetime | None = Field(description="by how long jobs took lately; null without any")
    message: str


@router.post(
    "/process",
    status_code=202,
    responses=errors(ErrorCode.JOB_RUNNING, ErrorCode.IDEMPOTENCY_KEY_REUSED, ErrorCode.EXTERNAL_API_ERROR),
    summary="Start a job",
)
@waits
def process_invoices(
    request: ProcessRequest, caller: Processes, served: Served, response: Response, key: IdempotencyKey = None
) -> Success[JobAccepted]:
    """Retrieves, validates and delivers one day's invoices, or chosen ones. What was delivered is not sent again.

    While a job of the same day is waiting or running, the answer is 409 and names it.
    """
    day = request.date or served.clock().astimezone(ZONE).date().isoformat()
    if not DAYS.has_partition_key(day):
        problem = f"days go from {DAYS.start:%Y-%m-%d} to today"
        fields = [{"field": "body.date", "problem": problem}]
        raise ApiError(
            ErrorCode.VALIDATION_ERROR, f"{day} is no day to process: {problem}.", details={"fields": fields}
        )
    chosen = tuple(dict.fromkeys(request.invoice_ids or ()))
    dated = request.date is not None
    wish = Wish(day, invoice_ids=chosen, force_processing=request.force_processing, dated=dated)
    return accepted(served, wish, caller.actor, key, response)


def accepted(served: Services, wish: Wish, actor: Actor, key: str | None, response: Response) -> Success[JobAccepted]:
    """Start the job and tell of it. Raises ApiError."""
    try:
        started = served.job_submission.start(wish, actor, key=key)
    except ApiError as error:
        if error.code is not ErrorCode.JOB_RUNNING:
            raise
        # What is in the way may be dead: look, and ask once more.
        served.watch.look(at_once=True)
        started = served.job_submission.start(wish, actor, key=key)
    if started.replayed:
        response.headers[REPLAYED] = "true"
    return Success(
        data=JobAccepted(
            job_id=started.job_id, estimated_completion=started.estimated_completion, message=started.message
        )
    )

"""``/deliveries``: each invoice's way to Clearfacts with all evidence, and people's verdicts."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from clearfacts_assets.api.auth.dependencies import require
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads
from clearfacts_assets.api.services import Services, services
from clearfacts_assets.api.v1.fields import IdempotencyKey
from clearfacts_assets.api.v1.lists import ListQuery, Word
from clearfacts_assets.invoices.delivery.status_polling import DocumentState, DocumentStatus
from clearfacts_assets.invoices.ledger.model import AsSeen, DeliveryRecord
from clearfacts_assets.invoices.lifecycle import ForbiddenTransition, Outdated, State, Verdict
from clearfacts_assets.storage.invoices.delivery_review import DeliveryDetail, DeliveryNotFound, DeliveryReview
from clearfacts_assets.storage.invoices.document_status import DeliveredDocuments, NotMissing

router = APIRouter(prefix="/deliveries", tags=["deliveries"])

LONGEST_REASON = 1000  # characters

Reads = Annotated[Principal, Depends(require(Permission.DELIVERIES_READ))]
Resolves = Annotated[Principal, Depends(require(Permission.DELIVERIES_RESOLVE))]
Served = Annotated[Services, Depends(services)]
Reason = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_REASON, pattern=r"\S", strict=True, description="kept in the audit log"),
]


class DeliverySummary(BaseModel):
    """Where one document stands on its way to Clearfacts."""

    delivery_id: UUID
    state: State
    reason: str | None = Field(description="why it is where it is, for a person")
    destination: str
    receiver: str
    supplier: str
    document_type: str
    number: str
    issue_year: int
    revision: int = Field(description="higher than 1: the same number came with other content")
    generation: int = Field(description="+1 when a person sends it again")
    held_for: str | None = Field(description="what of its own keeps it, such as receiver or validation")
    day: str | None = Field(description="the partition whose runs look after it")
    attempts: int
    document_id: str | None = Field(description="Clearfacts' id")
    content_sha256: str
    not_before: datetime | None
    created_at: datetime
    updated_at: datetime
    delivered_at: datetime | None


class AttemptView(BaseModel):
    """One try at Clearfacts."""

    run_id: UUID | None
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None = Field(description="null while it is under way")
    reason: str | None
    response: dict[str, Any] | None
    correlation_id: str | None
    proof: str | None = Field(description="accepted, where that came after the outcome had been written down")
    proved_at: datetime | None


class VersionView(BaseModel):
    """One version of the same invoice."""

    delivery_id: UUID
    revision: int
    state: State
    reason: str | None
    content_sha256: str


class ShownView(BaseModel):
    """Under which of the ERP's ids the ERP has shown this version."""

    source_id: str
    source_updated_at: datetime | None
    day: str | None
    is_current: bool = Field(description="the ERP showed it last under this id")
    withdrawn_at: datetime | None = Field(description="since when the ERP does not have the id any more")


class DecisionView(BaseModel):
    """What a person decided."""

    action: str
    created_at: datetime
    details: dict[str, Any]


class SeenView(BaseModel):
    """In which job, under which of the ERP's ids, the document was seen."""

    job_id: UUID
    partition_key: str | None
    row_id: UUID
    invoice_id: str
    status: str


class DocumentView(BaseModel):
    """What Clearfacts said last of a delivered document. It is asked every morning, until the document is paid."""

    document_id: str
    status: DocumentStatus | None = Field(
        description="missing: Clearfacts does not know it any more; null: no answer yet"
    )
    document_type: str | None
    document_date: str | None = Field(description="as Clearfacts has it")
    payment_state: str | None
    asked_at: datetime = Field(description="whether or not an answer came")
    answered_at: datetime | None
    changed_at: datetime | None = Field(description="when the answer last differed from the one before")


class DeliveryView(DeliverySummary):
    """A delivery with all evidence, each list oldest first."""

    tries: list[AttemptView]
    decisions: list[DecisionView]
    seen_in: list[SeenView]
    document: DocumentView | None = Field(description="what became of it at Clearfacts; null before the first question")
    versions: list[VersionView] = Field(description="all versions of this invoice, this one among them")
    shown: list[ShownView]


class DeliveriesQuery(ListQuery):
    """Which deliveries."""

    state: list[State] = Field([], max_length=len(State), description="any of these; parked and held wait for a person")
    number: Word | None = Field(None, description="the invoice's number, BT-1")


class SeenAs(BaseModel):
    """The delivery as it was read by whoever decides."""

    model_config = ConfigDict(extra="forbid")

    state: State
    generation: int = Field(ge=1, le=2**31 - 1, strict=True)


class Resolution(BaseModel):
    """A person's verdict."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "verdict": "delivered",
                    "reason": "seen in Clearfacts under its file name",
                    "seen": {"state": "parked", "generation": 1},
                }
            ]
        },
    )

    verdict: Verdict = Field(
        description="delivered: Clearfacts has it; resend: with the next run of its day; send_again: the same for what "
        "is delivered; waive: never"
    )
    seen: SeenAs = Field(description="where that has changed meanwhile, the verdict is refused (409 DELIVERY_CHANGED)")
    reason: Reason


@router.get("", responses=errors(ErrorCode.INVALID_CURSOR), summary="Deliveries, newest first")
@reads
def list_deliveries(
    query: Annotated[DeliveriesQuery, Query()], _: Reads, served: Served
) -> Success[Listed[DeliverySummary]]:
    """What waits for a person: `?state=parked&state=held`."""
    page = DeliveryReview(served.engine).list(
        states=query.state, number=query.number, limit=query.limit, cursor=query.cursor, span=query.span
    )
    return Success(data=Listed(items=[summary_of(one) for one in page.items], next_cursor=page.next_cursor))


@router.get("/{delivery_id}", responses=errors(ErrorCode.DELIVERY_NOT_FOUND), summary="One delivery, all evidence")
@reads
def get_delivery(delivery_id: UUID, _: Reads, served: Served) -> Success[DeliveryView]:
    """Every try with Clearfacts' answer, every decision, every job that saw the document."""
    return Success(data=_view(_detail(DeliveryReview(served.engine), delivery_id)))


@router.post(
    "/{delivery_id}/resolve",
    responses=errors(ErrorCode.DELIVERY_NOT_FOUND, ErrorCode.DELIVERY_NOT_RESOLVABLE, ErrorCode.DELIVERY_CHANGED),
    summary="Decide about a delivery",
)
def resolve_delivery(
    delivery_id: UUID, resolution: Resolution, caller: Resolves, served: Served, key: IdempotencyKey = None
) -> Success[DeliveryView]:
    """A person's verdict, written into the audit log with its reason. Not possible while the document is being sent.

    With an `Idempotency-Key`, a verdict that comes again under the same key changes nothing.
    """
    review = DeliveryReview(served.engine)
    try:
        review.resolve(
            delivery_id,
            resolution.verdict,
            reason=resolution.reason,
            actor=caller.actor,
            now=datetime.now(UTC),
            seen=AsSeen(resolution.seen.state, resolution.seen.generation),
            wish=_wish(caller, delivery_id, key),
        )
    except DeliveryNotFound as error:
        raise ApiError(ErrorCode.DELIVERY_NOT_FOUND, f"There is no delivery {delivery_id}.") from error
    except Outdated as error:
        now = review.get(delivery_id).record
        details = {"state": now.state.value, "generation": now.generation, "reason": now.reason}
        raise ApiError(ErrorCode.DELIVERY_CHANGED, f"It was not resolved: {error}.", details=details) from error
    except ForbiddenTransition as error:
        message = f"It cannot be resolved as {resolution.verdict}: {error}."
        raise ApiError(ErrorCode.DELIVERY_NOT_RESOLVABLE, message, details={"state": str(error.state)}) from error
    return Success(data=_view(_detail(review, delivery_id)))


class Acknowledgement(BaseModel):
    """That a person has seen it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "deleted there on purpose"}]})

    reason: Reason


@router.post(
    "/{delivery_id}/acknowledge",
    responses=errors(ErrorCode.DELIVERY_NOT_FOUND, ErrorCode.DELIVERY_NOT_RESOLVABLE),
    summary="A delivered document is gone, and nothing is to be done",
)
def acknowledge_missing_document(
    delivery_id: UUID, acknowledgement: Acknowledgement, caller: Resolves, served: Served
) -> Success[DeliveryView]:
    """The check of delivered documents does not name it again, unless it comes back and goes once more."""
    review = DeliveryReview(served.engine)
    _detail(review, delivery_id)
    try:
        DeliveredDocuments(served.engine).acknowledge(
            delivery_id, reason=acknowledgement.reason, actor=caller.actor, now=datetime.now(UTC)
        )
    except NotMissing as error:
        raise ApiError(ErrorCode.DELIVERY_NOT_RESOLVABLE, f"{error}.", details={"state": error.status}) from error
    return Success(data=_view(_detail(review, delivery_id)))


def _wish(caller: Principal, delivery_id: UUID, key: str | None) -> str | None:
    """The id under which a caller's verdict is carried out once."""
    if key is None:
        return None
    name = json.dumps([str(caller.actor.user_id), caller.actor.name, str(delivery_id), key])
    return f"key:{hashlib.sha256(name.encode()).hexdigest()}"


def summary_of(record: DeliveryRecord) -> DeliverySummary:
    return DeliverySummary(**_fields_of(record))


def _detail(review: DeliveryReview, delivery_id: UUID) -> DeliveryDetail:
    try:
        return review.get(delivery_id)
    except DeliveryNotFound as error:
        raise ApiError(ErrorCode.DELIVERY_NOT_FOUND, f"There is no delivery {delivery_id}.") from error


def _view(detail: DeliveryDetail) -> DeliveryView:
    return DeliveryView(
        **_fields_of(detail.record),
        tries=[AttemptView.model_validate(one, from_attributes=True) for one in detail.attempts],
        decisions=[DecisionView.model_validate(one, from_attributes=True) for one in detail.decisions],
        seen_in=[SeenView.model_validate(one, from_attributes=True) for one in detail.seen],
        document=document_view(detail.document),
        versions=[
            VersionView(
                delivery_id=one.id,
                revision=one.revision,
                state=one.state,
                reason=one.reason,
                content_sha256=one.content_sha256,
            )
            for one in detail.versions
        ],
        shown=[ShownView.model_validate(one, from_attributes=True) for one in detail.shown],
    )


def document_view(document: DocumentState | None) -> DocumentView | None:
    return DocumentView.model_validate(document, from_attributes=True) if document else None


def _fields_of(record: DeliveryRecord) -> dict[str, Any]:
    of_key = {name: getattr(record.key, name) for name in DeliverySummary.model_fields if hasattr(record.key, name)}
    of_record = {name: getattr(record, name) for name in DeliverySummary.model_fields if hasattr(record, name)}
    return {**of_key, **of_record, "delivery_id": record.id}

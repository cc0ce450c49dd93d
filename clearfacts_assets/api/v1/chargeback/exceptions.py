"""``/chargeback/exceptions``: who and what is not billed, from when to when, and why."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from clearfacts_assets.api.envelope import Success
from clearfacts_assets.api.errors import ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads, waits
from clearfacts_assets.api.v1.chargeback.dependencies import (
    Amount,
    MaybeText,
    Reason,
    Registers,
    SeesAll,
    Served,
    Text,
    asked_again,
    told,
    wish_of,
)
from clearfacts_assets.api.v1.fields import Body, IdempotencyKey
from clearfacts_assets.chargeback.attribution.entries import day_of
from clearfacts_assets.chargeback.attribution.registry import NotBilled
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID
from clearfacts_assets.storage.chargeback.comparing import not_billed
from clearfacts_assets.storage.chargeback.registry import RegistryRepository

router = APIRouter(prefix="/chargeback/exceptions", tags=["chargeback"])

Kind = Literal["person", "project", "resource"]
ExceptionId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


class ExceptionView(BaseModel):
    """Something that is not billed."""

    id: int
    kind: Kind
    name: str
    reason: str
    valid_from: str = Field(description="first day; empty: since ever")
    valid_to: str = Field(description="the day after the last one; empty: without end")
    actor: str
    at: datetime


class NotBilledView(BaseModel):
    """What exceptions keep from being billed."""

    period: str
    pi_email: str
    project_id: str
    fund_org: str
    service: str
    status: str
    currency: str
    charges: int
    listed: Amount
    amount: Amount


class Exceptions(BaseModel):
    """All exceptions, and what they come to."""

    exceptions: list[ExceptionView]
    not_billed: list[NotBilledView]


class NewException(Body):
    """Do not bill somebody or something."""

    kind: Kind
    name: Text = Field(description="the person's address, the project or the resource id")
    reason: Reason
    valid_from: MaybeText = Field("", description="first day", examples=["2025-03-01"])
    valid_to: MaybeText = Field("", description="the day after the last one")


class EndOfException(Body):
    """From when on it is billed again."""

    valid_to: Text = Field(description="the day after its last one", examples=["2025-07-01"])


class ExceptionChanged(BaseModel):
    """The exception, and how many charges stand elsewhere now."""

    id: int
    charges_changed: int


@router.get("", responses=errors(), summary="All exceptions, and what each keeps from being billed")
@reads
def list_exceptions(_: SeesAll, served: Served) -> Success[Exceptions]:
    """The amounts are on each source's cost basis."""
    found = RegistryRepository(served.engine).exceptions()
    return Success(
        data=Exceptions(
            exceptions=[ExceptionView.model_validate(dict(one)) for one in found],
            not_billed=[NotBilledView.model_validate(one) for one in not_billed(served.engine)],
        )
    )


@router.post("", status_code=201, responses=errors(ErrorCode.IDEMPOTENCY_KEY_REUSED), summary="Do not bill something")
@waits
def add_exception(
    body: NewException, caller: Registers, served: Served, key: IdempotencyKey = None
) -> Success[ExceptionChanged]:
    """Who pays is asked again in every period that is not finalized."""
    with told():
        one = NotBilled(body.kind, body.name, body.reason, day_of(body.valid_from), day_of(body.valid_to))
        wish = wish_of(caller, key, "exception", body=body.model_dump())
        id_ = RegistryRepository(served.engine).add_exception(one, actor=caller.actor, now=served.clock(), wish=wish)
    return Success(data=ExceptionChanged(id=id_, charges_changed=asked_again(served)))


@router.post("/{exception_id}/end", responses=errors(ErrorCode.REGISTRY_ENTRY_NOT_FOUND), summary="Bill again")
@waits
def end_exception(
    exception_id: ExceptionId, body: EndOfException, caller: Registers, served: Served
) -> Success[ExceptionChanged]:
    """From a day on."""
    with told():
        registry = RegistryRepository(served.engine)
        registry.end_exception(exception_id, day_of(body.valid_to), actor=caller.actor, now=served.clock())
    return Success(data=ExceptionChanged(id=exception_id, charges_changed=asked_again(served)))

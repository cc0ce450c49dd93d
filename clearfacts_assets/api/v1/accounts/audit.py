"""``/audit``: who changed what."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from clearfacts_assets.api.auth.access import Access, access
from clearfacts_assets.api.auth.dependencies import require
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.v1.lists import ListQuery, Word
from clearfacts_assets.storage.accounts import audit

router = APIRouter(prefix="/audit", tags=["audit"])

AccessControl = Annotated[Access, Depends(access)]
Reads = Annotated[Principal, Depends(require(Permission.AUDIT_READ))]


class AuditQuery(ListQuery):
    """Which entries."""

    action: Word | None = Field(None, examples=["user.disabled"])
    resource_type: Word | None = Field(None, examples=["delivery"])
    resource_id: Word | None = None
    user_id: UUID | None = None


class AuditEntry(BaseModel):
    """One change. ``details`` holds actor, before, after and, where there are, reason and correlation_id."""

    entry_id: UUID
    position: int = Field(description="1, 2, 3, ... without a gap")
    user_id: UUID | None
    action: str
    resource_type: str
    resource_id: str | None
    details: dict[str, Any]
    ip_address: str | None
    user_agent: str | None
    created_at: datetime
    previous_hash: str
    hash: str = Field(description="SHA-256 over all of the entry, the hash before it included")


class AuditChain(BaseModel):
    """Whether the log is whole."""

    entries: int
    head: str = Field(description="the last good entry's hash; kept elsewhere, it proves that nothing was cut off")
    whole: bool
    broken_at: int | None = Field(description="the position of the first entry that does not fit")
    problem: str | None


@router.get("", responses=errors(ErrorCode.INVALID_CURSOR), summary="Changes, newest first")
def list_audit(query: Annotated[AuditQuery, Query()], _: Reads, control: AccessControl) -> Success[Listed[AuditEntry]]:
    """A page of the log."""
    page = audit.entries(
        control.engine,
        action=query.action,
        resource_type=query.resource_type,
        resource_id=query.resource_id,
        user_id=query.user_id,
        span=query.span,
        limit=query.limit,
        cursor=query.cursor,
    )
    items = []
    for entry in page.items:
        values = asdict(entry)
        items.append(AuditEntry(entry_id=values.pop("id"), **values))
    return Success(data=Listed(items=items, next_cursor=page.next_cursor))


@router.get("/chain", responses=errors(), summary="Is the log whole?")
def verify_audit(_: Reads, control: AccessControl) -> Success[AuditChain]:
    """Walks the whole log: every hash, every position."""
    found = audit.verify(control.engine)
    return Success(
        data=AuditChain(
            entries=found.entries,
            head=found.head,
            whole=found.broken is None,
            broken_at=found.broken.position if found.broken else None,
            problem=found.broken.problem if found.broken else None,
        )
    )

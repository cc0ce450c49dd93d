"""The form of every answer: ``success``, then ``data`` or ``error``, then when and under which correlation id."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from clearfacts_assets.api.correlation import LONGEST, PATTERN, correlation_id
from clearfacts_assets.api.errors import ApiError, ErrorCode

T = TypeVar("T")

LONGEST_PATH = 200  # characters of a path that an error repeats


def now() -> datetime:
    """The moment of an answer, in UTC."""
    return datetime.now(UTC)


CorrelationId = Annotated[
    str,
    Field(
        description="the caller's X-Correlation-ID, or one made for this request", pattern=PATTERN, max_length=LONGEST
    ),
]


class Success(BaseModel, Generic[T]):
    """An answer."""

    success: Literal[True] = True
    data: T
    timestamp: datetime = Field(default_factory=now, description="when this was answered, UTC")
    correlation_id: CorrelationId = Field(default_factory=correlation_id)


class Listed(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = Field(description="ask for the next page with it; null on the last page")


class FieldProblem(BaseModel):
    """What is wrong with one field or parameter."""

    field: str = Field(description="where it stands: body.invoice_ids.0, query.limit, path.job_id")
    problem: str


class ErrorDetails(BaseModel):
    """What a program can act on. Fields that do not fit an error are left out."""

    model_config = ConfigDict(extra="allow")

    api_endpoint: str | None = Field(None, description="the path that was asked, or the outside system that failed")
    status_code: int | None = Field(None, description="the HTTP status of the answer, or of the outside system's")
    retry_count: int | None = Field(None, description="how often it has been tried again already")
    next_retry_at: datetime | None = Field(None, description="when trying again makes sense, UTC")
    fields: list[FieldProblem] | None = None
    job_id: str | None = Field(None, description="the job in the way")


class ErrorBody(BaseModel):
    """What went wrong."""

    code: ErrorCode
    message: str
    details: ErrorDetails


class Failure(BaseModel):
    """An error."""

    success: Literal[False] = False
    error: ErrorBody
    timestamp: datetime = Field(default_factory=now, description="when this was answered, UTC")
    correlation_id: CorrelationId = Field(default_factory=correlation_id)


def answer_of(error: ApiError, path: str) -> JSONResponse:
    """The error in its envelope. ``path`` is the endpoint that was asked, unless the error names another one."""
    details: dict[str, Any] = {"api_endpoint": path[:LONGEST_PATH], "status_code": error.status, **error.details}
    body = Failure(error=ErrorBody(code=error.code, message=error.message, details=ErrorDetails(**details)))
    content = body.model_dump(mode="json")
    content["error"]["details"] = {
        name: value for name, value in content["error"]["details"].items() if value is not None or name in details
    }
    return JSONResponse(content, status_code=error.status, headers=error.headers)

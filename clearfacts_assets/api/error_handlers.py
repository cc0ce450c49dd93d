"""Whatever goes wrong becomes an error in its envelope: nothing of our insides, and nothing of the caller's input."""

from __future__ import annotations

import logging
import re
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clearfacts_assets.api.envelope import answer_of
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.storage.paging import BadCursor

logger = logging.getLogger(__name__)

MOST_FIELDS = 20  # problems told of one request
LONGEST_PLACE = 200
_OF_STATUS = {
    400: ErrorCode.INVALID_REQUEST,
    401: ErrorCode.UNAUTHENTICATED,
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    409: ErrorCode.CONFLICT,
    413: ErrorCode.PAYLOAD_TOO_LARGE,
    415: ErrorCode.UNSUPPORTED_MEDIA_TYPE,
    422: ErrorCode.VALIDATION_ERROR,
    429: ErrorCode.RATE_LIMITED,
}


def install(app: FastAPI) -> None:
    """Let the application answer every foreseen exception with its error."""
    app.add_exception_handler(ApiError, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(HTTPException, _answer)
    app.add_exception_handler(BadCursor, _answer)
    app.add_exception_handler(DBAPIError, _answer)
    app.add_exception_handler(PoolTimeout, _answer)


def error_of(fault: Exception) -> ApiError:
    """What a caller is told of an exception."""
    if isinstance(fault, ApiError):
        return fault
    if isinstance(fault, RequestValidationError):
        return _invalid(fault)
    if isinstance(fault, HTTPException):
        return _of_http(fault)
    if isinstance(fault, BadCursor):
        return ApiError(ErrorCode.INVALID_CURSOR)
    if isinstance(fault, OperationalError | InterfaceError | PoolTimeout):
        logger.error("the database does not answer: %s", type(fault).__name__, exc_info=fault)
        return ApiError(ErrorCode.DATABASE_UNAVAILABLE, headers={"Retry-After": "5"})
    logger.error("unhandled %s", type(fault).__name__, exc_info=fault)
    return ApiError(ErrorCode.INTERNAL_ERROR)


async def _answer(request: Request, fault: Exception) -> Response:
    return answer_of(error_of(fault), request.url.path)


def _invalid(fault: RequestValidationError) -> ApiError:
    problems = fault.errors()
    if any(problem["type"] == "json_invalid" for problem in problems):
        return ApiError(ErrorCode.INVALID_JSON, "The body is not JSON.")
    fields = [{"field": _place(problem["loc"]), "problem": str(problem["msg"])} for problem in problems[:MOST_FIELDS]]
    return ApiError(
        ErrorCode.VALIDATION_ERROR, f"{fields[0]['field']}: {fields[0]['problem']}", details={"fields": fields}
    )


def _place(location: tuple[Any, ...]) -> str:
    # An unknown field's name is the caller's: without what could confuse a terminal, and not without end.
    return re.sub(r"[^\w.\[\]-]", "?", ".".join(str(part) for part in location))[:LONGEST_PLACE]


def _of_http(fault: HTTPException) -> ApiError:
    code = _OF_STATUS.get(fault.status_code)
    if code is None:
        code = ErrorCode.INTERNAL_ERROR if fault.status_code >= 500 else ErrorCode.INVALID_REQUEST
    if code is ErrorCode.INVALID_REQUEST and "parsing the body" in str(fault.detail):
        code = ErrorCode.INVALID_JSON
    return ApiError(code, headers=fault.headers)


class FaultMiddleware:
    """The last resort: an exception that nobody foresaw is logged with its traceback and answered without it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception as fault:
            if scope["type"] != "http" or started:
                raise
            await answer_of(error_of(fault), scope["path"])(scope, receive, send)

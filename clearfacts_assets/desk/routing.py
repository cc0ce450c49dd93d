"""How the desk answers: errors as pages, the headers of all pages; a stranger is led to the login and back."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from clearfacts_assets.api.auth.authentication import READS
from clearfacts_assets.api.auth.middleware import HEADERS, HTTPS_ONLY
from clearfacts_assets.api.error_handlers import error_of
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.desk.rendering import error_page
from clearfacts_assets.desk.visits import words_of
from clearfacts_assets.storage.paging import BadCursor

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_FORESEEN = (ApiError, RequestValidationError, HTTPException, BadCursor, DBAPIError, PoolTimeout)


class DeskRoute(APIRoute):
    """Errors as pages, and the headers of all pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                response = await inner(request)
            except _FORESEEN as fault:
                response = _told(request, error_of(fault))
            secure = request.app.state.authentication.cookie.secure
            for name, value in (HEADERS | (HTTPS_ONLY if secure else {})).items():
                response.headers.setdefault(name, value)
            response.headers.setdefault("Content-Security-Policy", POLICY)
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        return answer


def _told(request: Request, error: ApiError) -> Response:
    page = "text/html" in request.headers.get("accept", "")
    if error.code is ErrorCode.UNAUTHENTICATED and page and request.method in READS:
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(wanted, safe='/')}", 303)
    response = error_page(request, error, words_of(request))
    response.headers.update(error.headers)
    return response

"""How the desk answers: errors as pages, the headers of all pages; a stranger is led to the login and back."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from clearfacts_assets.api.auth.middleware import is_page, to_login, with_page_headers
from clearfacts_assets.api.error_handlers import error_of
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.desk.form_problems import invalid_form
from clearfacts_assets.desk.rendering import error_page
from clearfacts_assets.desk.visits import words_of
from clearfacts_assets.storage.paging import BadCursor

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_FORESEEN = (ApiError, HTTPException, BadCursor, DBAPIError, PoolTimeout)


class DeskRoute(APIRoute):
    """Errors as pages, and the headers of all pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                response = await inner(request)
            except RequestValidationError as fault:
                response = _told(request, invalid_form(fault.errors()))
            except _FORESEEN as fault:
                response = _told(request, error_of(fault))
            secure = request.app.state.authentication.cookie.secure
            return with_page_headers(response, POLICY, secure=secure)

        return answer


def _told(request: Request, error: ApiError) -> Response:
    if error.code is ErrorCode.UNAUTHENTICATED and is_page(request):
        return to_login(request)
    response = error_page(request, error, words_of(request))
    response.headers.update(error.headers)
    return response

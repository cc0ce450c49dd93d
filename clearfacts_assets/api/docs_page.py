"""``/api/v1/docs``: the contract as a page on which requests can be tried. All of it is served by us.

Swagger UI's files come from a package; none of our policy is weakened for them but pictures that stand in its style
sheet. A stranger is led to the login and back.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import cache
from html import escape
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute

from clearfacts_assets.api.auth.access import access
from clearfacts_assets.api.auth.dependencies import anybody_known
from clearfacts_assets.api.auth.middleware import is_page, to_login, with_page_headers
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.errors import ApiError, ErrorCode

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
ASSET_SECONDS = 3600  # for which a browser keeps Swagger UI
_HERE = Path(__file__).parent
_TYPES = {".css": "text/css", ".js": "text/javascript"}

Known = Annotated[Principal, Depends(anybody_known)]


class _PageRoute(APIRoute):
    """The headers of a page, and the login for whoever asks for one as a stranger."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                response = await inner(request)
            except ApiError as error:
                if error.code is not ErrorCode.UNAUTHENTICATED or not is_page(request):
                    raise
                response = to_login(request)
            secure = request.app.state.authentication.cookie.secure
            return with_page_headers(response, POLICY, secure=secure)

        return answer


def routes(prefix: str) -> list[BaseRoute]:
    """The page below the API's prefix, and its files."""
    here = f"{prefix}/docs"
    router = APIRouter(route_class=_PageRoute, include_in_schema=False)

    @router.get(here, summary="The API as a page")
    async def docs(request: Request, _: Known) -> Response:
        """Swagger UI on this installation's contract."""
        authentication = (await access(request)).authentication
        cookie = request.cookies.get(authentication.cookie.name, "")
        values = {
            "here": here,
            "contract": f"{prefix}/openapi.json",
            "csrf": authentication.csrf_token(cookie) if cookie else "",
        }
        page = Template((_HERE / "docs.html").read_text("utf-8"))
        return HTMLResponse(page.substitute({name: escape(value) for name, value in values.items()}))

    @router.get(f"{here}/{{name}}", summary="Scripts and styles of that page")
    def docs_file(name: str, _: Known) -> Response:
        """One of its files."""
        file = _files().get(name)
        if file is None:
            raise ApiError(ErrorCode.NOT_FOUND)
        headers = {"Cache-Control": f"private, max-age={ASSET_SECONDS}"}
        return FileResponse(file, media_type=_TYPES[file.suffix], headers=headers)

    return router.routes


@cache
def _files() -> dict[str, Path]:
    """The files that the page asks for. Raises FileNotFoundError where the package does not have them."""
    package = find_spec("fastapi_offline")
    (folder,) = package.submodule_search_locations if package and package.submodule_search_locations else ("",)
    static = Path(folder, "static")
    found = {
        file.name: file for file in (static / "swagger-ui.css", static / "swagger-ui-bundle.js", _HERE / "docs.js")
    }
    for file in found.values():
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing: install fastapi-offline as requirements.lock has it")
    return found

"""The web application: our API under its paths, Dagster's UI under every other one, both behind the same door."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import Engine
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from clearfacts_assets import settings
from clearfacts_assets.api import docs_page, error_handlers, probes
from clearfacts_assets.api.auth import pages
from clearfacts_assets.api.auth.access import Access
from clearfacts_assets.api.auth.middleware import AccessMiddleware
from clearfacts_assets.api.auth.webserver import Webserver
from clearfacts_assets.api.correlation import CorrelationMiddleware
from clearfacts_assets.api.envelope import answer_of
from clearfacts_assets.api.error_handlers import FaultMiddleware
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.request_limits import RequestLimitsMiddleware
from clearfacts_assets.api.services import Services
from clearfacts_assets.api.traced_requests import TraceMiddleware
from clearfacts_assets.api.v1 import chargeback
from clearfacts_assets.api.v1.accounts import audit, auth, keys, users
from clearfacts_assets.api.v1.invoices import deliveries, invoices, jobs, processing
from clearfacts_assets.api.v1.system import admin, configuration
from clearfacts_assets.orchestration.dagster_internals import IWorkspaceProcessContext
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets.telemetry.metrics import HttpMetricsMiddleware

PREFIX = "/api/v1"
# The files of the contract; each has a ``router``.
ENDPOINTS: list[Any] = [jobs, processing, invoices, deliveries, auth, admin, users, keys, configuration, audit]
UI_BODY_BYTES = 4 * 2**20  # of a request to Dagster's UI: a run's configuration, edited by hand
TRACED = ("/api/", "/auth/", "/desk")  # where a trace may begin
OURS = ("/api/", "/auth/")  # below them there is no page of Dagster's UI
DESCRIPTION = """
Log in with `POST /auth/login`, then send `Authorization: Bearer <access_token>`; services send their API key instead.
Every answer has the same envelope; every error has a code of the catalogue in docs/api.md. Times are UTC (RFC 3339).
Send `X-Correlation-ID` to find a request again in logs, runs and alerts.
"""


def create_app(
    workspace: IWorkspaceProcessContext[Any],
    configured: settings.Settings | None = None,
    engine: Engine | None = None,
    pages_beside: Sequence[BaseRoute] = (),
) -> FastAPI:
    """One application for UI and API, so that both stand behind one port and one login; ``pages_beside`` are those of
    the desk, which are served where the login is.

    ``serve.api`` and ``serve.ui`` choose which of them. Raises KeyringError for keys that are too weak.
    """
    configured = configured or settings.load()
    engine = engine or open_engine(configured.business_database_url)
    served, access = Services.over(workspace, engine, configured), Access.over(engine, configured)
    app = FastAPI(
        title="clearfacts_assets",
        summary="UBL invoices from the ERP to Clearfacts; charges from cost exports.",
        description=DESCRIPTION,
        version="1",
        docs_url=None,  # it would run a script of another host on the pages behind the login: docs_page.py has its own
        openapi_url=f"{PREFIX}/openapi.json",
        redoc_url=None,
        redirect_slashes=False,  # a redirect's address would be made of the Host header
        generate_unique_id_function=_operation_id,
        middleware=[
            Middleware(CorrelationMiddleware),
            Middleware(TraceMiddleware, prefixes=TRACED, place_of=_place_of),
            Middleware(HttpMetricsMiddleware, metrics=served.metrics, place_of=_place_of),
            Middleware(FaultMiddleware),
            Middleware(RequestLimitsMiddleware, prefixes=OURS, body_bytes=configured.serve.body_bytes),
        ],
    )
    app.state.services, app.state.access, app.state.authentication = served, access, access.authentication
    error_handlers.install(app)
    if configured.serve.api:
        for part in ENDPOINTS:
            _add(app, part.router, PREFIX)
        for router in chargeback.ROUTERS:
            _add(app, router, PREFIX)
    _add(app, probes.router)
    _add(app, probes.metrics_router(public=configured.serve.public_metrics))
    _add(app, auth.router, in_schema=False)
    if configured.serve.ui:
        _add(app, pages.router)
        app.router.routes.extend(pages_beside)
    if configured.serve.api and configured.serve.ui:
        app.router.routes.extend(docs_page.routes(PREFIX))
    app.router.default = Elsewhere(_ui(workspace, access) if configured.serve.ui else None)
    return app


def settle() -> None:
    """Once all is loaded: spare the garbage collector what stays for the process's life.

    Dagster is half a million objects. Walking through them stops every request for a fifth of a second.
    """
    gc.collect()
    gc.freeze()


def _add(app: FastAPI, router: APIRouter, prefix: str = "", *, in_schema: bool = True) -> None:
    """The router's routes, one by one: FastAPI looks for the routes of an included router twice, on each level."""
    for route in router.routes:
        assert isinstance(route, APIRoute)  # noqa: S101 - our routers hold nothing else
        app.router.add_api_route(
            prefix + route.path,
            route.endpoint,
            methods=sorted(route.methods or ()),
            name=route.name,
            summary=route.summary,
            tags=route.tags,
            responses=route.responses,
            response_model=route.response_model,
            response_class=route.response_class,
            status_code=route.status_code,
            dependencies=route.dependencies,
            include_in_schema=in_schema and route.include_in_schema,
            openapi_extra=route.openapi_extra,
        )


def _ui(workspace: IWorkspaceProcessContext[Any], access: Access) -> ASGIApp:
    """Dagster's UI, behind the door."""
    ui = Webserver(workspace, access.engine).create_asgi_app()
    limited = RequestLimitsMiddleware(ui, prefixes=["/"], body_bytes=UI_BODY_BYTES)
    return AccessMiddleware(limited, access.authentication)


class Elsewhere:
    """What no route of ours matched: an error below our own paths, Dagster's UI below all others."""

    def __init__(self, ui: ASGIApp | None) -> None:
        self._ui = ui

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (self._ui is None or scope["path"].startswith(OURS)):
            await answer_of(ApiError(ErrorCode.NOT_FOUND), scope["path"])(scope, receive, send)
            return
        if self._ui is None:  # a websocket
            await send({"type": "websocket.close"})
            return
        # A copy: else Dagster's route would be taken for ours.
        await self._ui(dict(scope), receive, send)


def _place_of(scope: Scope) -> str:
    """Where a request went, in one of as many words as there are routes."""
    path: str = scope["path"]
    route: str | None = getattr(scope.get("route"), "path", None)
    if route is None:
        return "unmatched" if path.startswith(OURS) else "dagster"
    return route


def _operation_id(route: APIRoute) -> str:
    """Functions are named for what a client does with them: list_jobs, get_job, retry_job."""
    return route.name

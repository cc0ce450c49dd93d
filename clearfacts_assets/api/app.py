"""The web application: our API under its paths, Dagster's UI under every other one, both behind the same door."""

from __future__ import annotations

from typing import Any

from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster_webserver.webserver import DagsterWebserver
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import Engine
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from clearfacts_assets import settings
from clearfacts_assets.api import faults, health
from clearfacts_assets.api.correlation import CorrelationMiddleware
from clearfacts_assets.api.envelope import answer_of
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.faults import FaultMiddleware
from clearfacts_assets.api.intake import IntakeMiddleware
from clearfacts_assets.api.services import Services
from clearfacts_assets.api.v1 import admin, deliveries, invoices, jobs, processing
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets.telemetry.metrics import HttpMetricsMiddleware

PREFIX = "/api/v1"
OURS = ("/api/", "/auth/")  # below them there is no page of Dagster's UI
DESCRIPTION = """
Log in with `POST /auth/login`, then send `Authorization: Bearer <access_token>`; services send their API key instead.
Every answer has the same envelope; every error has a code of the catalogue in docs/api.md. Times are UTC (RFC 3339).
Send `X-Correlation-ID` to find a request again in logs, runs and alerts.
"""


def create_app(
    workspace: IWorkspaceProcessContext[Any], known: settings.Settings | None = None, engine: Engine | None = None
) -> FastAPI:
    """One application for UI and API, so that both stand behind one port and one login."""
    known = known or settings.load()
    served = Services.over(workspace, engine or open_engine(known.business_database_url), known)
    app = FastAPI(
        title="clearfacts_assets",
        summary="UBL invoices from the ERP to Clearfacts.",
        description=DESCRIPTION,
        version="1",
        docs_url=f"{PREFIX}/docs",
        openapi_url=f"{PREFIX}/openapi.json",
        redoc_url=None,
        redirect_slashes=False,  # a redirect's address would be made of the Host header
        generate_unique_id_function=_operation_id,
        middleware=[
            Middleware(CorrelationMiddleware),
            Middleware(HttpMetricsMiddleware, metrics=served.metrics, place_of=_place_of),
            Middleware(FaultMiddleware),
            Middleware(IntakeMiddleware, prefixes=OURS, body_bytes=known.serve.body_bytes),
        ],
    )
    app.state.services = served
    faults.install(app)
    app.include_router(health.router)
    app.include_router(health.metrics_router(public=known.serve.public_metrics))
    app.include_router(_version_1())
    app.router.default = Elsewhere(DagsterWebserver(workspace).create_asgi_app())
    return app


def _version_1() -> APIRouter:
    version = APIRouter(prefix=PREFIX)
    for part in (processing, invoices, jobs, deliveries, admin):
        version.include_router(part.router)
    return version


class Elsewhere:
    """What no route of ours matched: an error below our own paths, Dagster's UI below all others."""

    def __init__(self, ui: ASGIApp) -> None:
        self._ui = ui

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(OURS):
            await answer_of(ApiError(ErrorCode.NOT_FOUND), scope["path"])(scope, receive, send)
            return
        # A copy: else Dagster's route would be taken for ours.
        await self._ui(dict(scope), receive, send)


def _place_of(scope: Scope) -> str:
    """Where a request went, in one of as many words as there are routes."""
    path: str = scope["path"]
    route: str | None = getattr(scope.get("route"), "path", None)
    if route is None:
        return "unmatched" if path.startswith(OURS) else "dagster"
    # A route knows only its own router's prefix.
    return f"{PREFIX}{route}" if path.startswith(PREFIX) and not route.startswith(PREFIX) else route


def _operation_id(route: APIRoute) -> str:
    """Functions are named for what a client does with them: list_jobs, get_job, retry_job."""
    return route.name

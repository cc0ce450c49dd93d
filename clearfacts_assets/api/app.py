"""The web application: liveness and OpenAPI of our API, and Dagster's UI under everything else."""

from __future__ import annotations

from dagster._core.workspace.context import WorkspaceProcessContext
from dagster_webserver.webserver import DagsterWebserver
from fastapi import FastAPI

from clearfacts_assets.api import health

PREFIX = "/api/v1"


def create_app(workspace: WorkspaceProcessContext) -> FastAPI:
    """One application for UI and API, so that both stand behind one port (and, later, one login)."""
    app = FastAPI(
        title="clearfacts_assets",
        summary="UBL invoices from the ERP to Clearfacts.",
        docs_url=f"{PREFIX}/docs",
        openapi_url=f"{PREFIX}/openapi.json",
        redoc_url=None,
    )
    app.include_router(health.router)
    # Last, because it answers every path: Dagster's UI is a single-page application.
    app.mount("/", DagsterWebserver(workspace).create_asgi_app())
    return app

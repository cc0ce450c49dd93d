"""For probes and scrapers: is this process alive, can it work, and what has it counted."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from clearfacts_assets.api.auth.dependencies import anybody, require
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.services import Services, services
from clearfacts_assets.health import readiness
from clearfacts_assets.health.probes import Health
from clearfacts_assets.health.readiness import WHAT_TO_DO, Need

router = APIRouter(tags=["health"])
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Served = Annotated[Services, Depends(services)]


class Liveness(BaseModel):
    """This process answers; nothing is said of any other."""

    status: Literal["alive"] = "alive"


class Check(BaseModel):
    """One thing that this process needs."""

    name: str
    ready: bool
    what_to_do: str | None = None  # where it is not ready; why in particular is told to admins only


class Readiness(BaseModel):
    """Whether this process can do its work. The reasons are told to admins only: GET /api/v1/admin/health."""

    status: Literal["ready", "not_ready"]
    checks: list[Check]


@router.get("/healthz", dependencies=[Depends(anybody)], summary="Is this process alive?")
async def healthz() -> Liveness:
    """200 as long as the process can answer at all: for liveness probes."""
    return Liveness()


@router.get(
    "/readyz",
    dependencies=[Depends(anybody)],
    responses={503: {"model": Readiness, "description": "Something that this process needs does not work."}},
    summary="Can this process do its work?",
)
def readyz(served: Served, response: Response, only: Annotated[list[Need] | None, Query()] = None) -> Readiness:
    """Database, Dagster's code and its daemon: 200 when all work, 503 when one does not.

    With ``only``, once for each that counts: a load balancer asks for what requests are answered from.
    """
    verdicts = readiness.asked(served.engine, served.workspace, only or tuple(Need))
    ready = all(verdict.healthy for verdict in verdicts)
    response.status_code = 200 if ready else 503
    return Readiness(
        status="ready" if ready else "not_ready",
        checks=[_check(verdict) for verdict in verdicts],
    )


def _check(verdict: Health) -> Check:
    if verdict.healthy:
        return Check(name=verdict.system, ready=True)
    return Check(name=verdict.system, ready=False, what_to_do=WHAT_TO_DO[Need(verdict.system)])


class PrometheusText(Response):
    """Prometheus' text format."""

    media_type = METRICS_TYPE


def metrics_router(*, public: bool) -> APIRouter:
    """``/metrics``, for everybody inside the network where the setting serve.public_metrics says so."""
    allowed = anybody if public else require(Permission.METRICS_READ)
    metrics = APIRouter(tags=["health"])

    @metrics.get(
        "/metrics",
        dependencies=[Depends(allowed)],
        response_class=PrometheusText,
        responses=errors(),
        summary="Counts and times for Prometheus",
    )
    def read_metrics(served: Served) -> Response:
        """Names and meanings: docs/api.md."""
        return PrometheusText(served.metrics.exposition())

    return metrics

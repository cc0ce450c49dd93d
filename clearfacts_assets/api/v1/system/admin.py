"""``/admin``: how the systems around us are, what we have counted, and trying a connection."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from clearfacts_assets import settings
from clearfacts_assets.api.auth.access import Access, access
from clearfacts_assets.api.auth.dependencies import require
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.auth.rate_limits import LoginLimits
from clearfacts_assets.api.correlation import correlation_id
from clearfacts_assets.api.envelope import Success, now
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import waits
from clearfacts_assets.api.services import Services, services
from clearfacts_assets.health import readiness, reports
from clearfacts_assets.health.probes import ask
from clearfacts_assets.health.systems import questions, ways
from clearfacts_assets.invoices.defs import resources
from clearfacts_assets.resources import slack

router = APIRouter(prefix="/admin", tags=["admin"])

Served = Annotated[Services, Depends(services)]
AccessControl = Annotated[Access, Depends(access)]
WAY = "`direct`, or `through proxy http://proxy:3128`; null where nothing is called"
System = Literal["java_backend", "clearfacts", "peppol", "slack", "database"]


class SystemHealth(BaseModel):
    """What one system said when it was asked last."""

    system: str
    status: Literal["healthy", "unhealthy", "unknown"]
    message: str
    latency_seconds: float | None
    checked_at: datetime | None
    last_success_at: datetime | None = Field(description="null if it never answered, as far as Dagster remembers")
    way: str | None = Field(None, description=WAY)


class HealthView(BaseModel):
    """Everything that the nightly run needs."""

    status: Literal["healthy", "degraded"]
    systems: list[SystemHealth]


class ConnectionTest(BaseModel):
    """Which connection to try."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"system": "clearfacts"}]})

    system: System


class ConnectionResult(BaseModel):
    """What came of it. A system that does not answer is a result, not an error of ours."""

    system: System
    healthy: bool
    message: str
    latency_seconds: float
    way: str | None = Field(None, description=WAY)


class MetricSample(BaseModel):
    """One value."""

    labels: dict[str, str]
    value: float


class MetricView(BaseModel):
    """One metric with all its values, as /metrics has them."""

    name: str
    kind: str
    help: str
    samples: list[MetricSample]


@router.get("/health", responses=errors(), summary="Health of every system")
@waits
def get_health(
    _: Annotated[Principal, Depends(require(Permission.HEALTH_READ))], served: Served, control: AccessControl
) -> Success[HealthView]:
    """Outside systems as the job `health_monitoring` found them last; database, Dagster and daemon as they are now."""
    moment = now()
    live = readiness.asked(served.engine, served.workspace)
    last_success = {report.system: report for report in _reports(served)}
    systems = [
        SystemHealth(
            system=verdict.system,
            status="healthy" if verdict.healthy else "unhealthy",
            message=verdict.message,
            latency_seconds=verdict.latency,
            checked_at=moment,
            last_success_at=moment if verdict.healthy else _last_success(last_success.get(verdict.system)),
        )
        for verdict in live
    ]
    systems += [_of_limits(limits, moment) for limits in (control.logins.limits,) if limits.shared]
    asked_now = {one.system for one in systems}
    systems += [_of_report(report) for report in last_success.values() if report.system not in asked_now]
    healthy = all(one.status != "unhealthy" for one in systems)
    return Success(data=HealthView(status="healthy" if healthy else "degraded", systems=systems))


@router.get("/metrics", responses=errors(), summary="The metrics of /metrics as JSON")
@waits
def get_metrics(
    _: Annotated[Principal, Depends(require(Permission.METRICS_READ))], served: Served
) -> Success[list[MetricView]]:
    """For people without a Prometheus. Histograms are told by their sums and counts."""
    views = []
    for family in served.metrics.collect():
        samples = [
            MetricSample(labels=dict(sample.labels) | _part_of(sample.name, family.name), value=sample.value)
            for sample in family.samples
            if not sample.name.endswith(("_bucket", "_created"))
        ]
        views.append(MetricView(name=family.name, kind=family.type, help=family.documentation, samples=samples))
    return Success(data=views)


@router.post("/test-connection", responses=errors(), summary="Try a connection")
@waits
def try_connection(
    test: ConnectionTest, _: Annotated[Principal, Depends(require(Permission.CONNECTIONS_TEST))], served: Served
) -> Success[ConnectionResult]:
    """Asks the system now, with the settings in force and within their time limits. Changes nothing."""
    asked = questions(
        served.engine,
        resources.source(),
        resources.clearfacts(),
        slack(),
        correlation_id(),
    )
    verdict = ask(test.system, asked.get(test.system, _elsewhere), ways(settings.load()).get(test.system, ""))
    return Success(
        data=ConnectionResult(
            system=test.system,
            healthy=verdict.healthy,
            message=verdict.message,
            latency_seconds=verdict.latency,
            way=verdict.way or None,
        )
    )


def _elsewhere() -> str:
    raise LookupError(f"invoices do not go there: ask for {resources.destination_name()}")


def _reports(served: Services) -> list[reports.Report]:
    try:
        return reports.newest(served.instance)
    except Exception:  # noqa: BLE001 - Dagster's own state is told as the system "dagster"
        return []


def _last_success(report: reports.Report | None) -> datetime | None:
    return report.last_success_at if report else None


def _of_report(report: reports.Report) -> SystemHealth:
    status: Literal["healthy", "unhealthy", "unknown"] = "unknown"
    if report.healthy is not None:
        status = "healthy" if report.healthy else "unhealthy"
    return SystemHealth(
        system=report.system,
        status=status,
        message=report.message,
        latency_seconds=report.latency,
        checked_at=report.checked_at,
        last_success_at=report.last_success_at,
        way=report.way or None,
    )


def _of_limits(limits: LoginLimits, moment: datetime) -> SystemHealth:
    verdict = ask("login_limits", limits.answers)
    return SystemHealth(
        system=verdict.system,
        status="healthy" if verdict.healthy else "unhealthy",
        message=verdict.message,
        latency_seconds=verdict.latency,
        checked_at=moment,
        last_success_at=moment if verdict.healthy else None,
    )


def _part_of(sample: str, family: str) -> dict[str, str]:
    part = sample.removeprefix(family).removeprefix("_")
    return {"part": part} if part in ("sum", "count") else {}

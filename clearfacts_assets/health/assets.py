"""``service_health``: asked every ten minutes, shown with latencies that plot, told on Slack when something changes."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
from sqlalchemy import Engine, select, text

from clearfacts_assets import settings
from clearfacts_assets.health.probes import Health, ask, nightly_run
from clearfacts_assets.invoices.metadata import table
from clearfacts_assets.notifications.alerts import tell_of_health
from clearfacts_assets.notifications.slack import Slack
from clearfacts_assets.resources import ClearfactsResource, DatabaseResource, SlackResource, SourceResource
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.jobs import JobRepository

SYSTEMS = ("java_backend", "clearfacts", "slack", "database", "nightly_run")


@dg.asset(
    group_name="monitoring",
    owners=["team:operations"],
    kinds={"http"},
    check_specs=[dg.AssetCheckSpec(f"{system}_answers", asset="service_health") for system in SYSTEMS],
)
def service_health(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    clearfacts: ClearfactsResource,
    slack: SlackResource,
    database: DatabaseResource,
) -> Iterator[dg.MaterializeResult[None]]:
    """Whether the ERP, Clearfacts, Slack and the database answer, and whether last night's run is done by 03:00.

    One check for each; a system that goes down or comes back is told on Slack once.
    """
    engine = database.engine()
    now = datetime.now(UTC)
    verdicts = [
        ask("java_backend", lambda: _check_source(source)),
        ask("clearfacts", lambda: _check_clearfacts(clearfacts)),
        ask("slack", lambda: _check_slack(slack)),
        ask("database", lambda: _check_database(engine)),
        ask("nightly_run", lambda: _check_nightly_run(engine, now)),
    ]
    tell_of_health(engine, settings.load(), verdicts, now=now)
    yield dg.MaterializeResult(
        metadata={
            "healthy": sum(verdict.healthy for verdict in verdicts),
            "down": sum(not verdict.healthy for verdict in verdicts),
            "systems": table(
                {"system": "string", "healthy": "bool", "latency_s": "float", "message": "string"},
                [(verdict.system, verdict.healthy, verdict.latency, verdict.message) for verdict in verdicts],
            ),
            **{f"{verdict.system}_seconds": verdict.latency for verdict in verdicts},
        },
        check_results=[_as_check(verdict) for verdict in verdicts],
    )


def _as_check(verdict: Health) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=f"{verdict.system}_answers",
        passed=verdict.healthy,
        metadata={"message": verdict.message, "seconds": verdict.latency},
    )


def _check_source(source: SourceResource) -> str:
    with source.open() as erp:
        return erp.check()


def _check_clearfacts(clearfacts: ClearfactsResource) -> str:
    with clearfacts.open() as destination:
        return destination.check()


def _check_slack(slack: SlackResource) -> str:
    if not settings.load().slack.token.get_secret_value():
        return "no Slack token is configured: alerts stay in the outbox"
    return Slack(slack.get_client()).check()


def _check_database(engine: Engine) -> str:
    with reading(engine) as connection:
        connection.execute(select(text("1")))
    return f"{engine.dialect.name} answers"


def _check_nightly_run(engine: Engine, now: datetime) -> str:
    jobs = JobRepository(engine)
    return nightly_run(jobs.completed_at, jobs.first_created_at(), now)

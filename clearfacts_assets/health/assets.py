"""``service_health``: asked every ten minutes, shown with latencies that plot, told on Slack when something changes."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets import settings
from clearfacts_assets.configuration import effective_settings
from clearfacts_assets.health.alerts import tell_at_once_of_database, tell_of_health, tell_of_recovery
from clearfacts_assets.health.probes import Health, ask
from clearfacts_assets.health.systems import ASKED, asked_as, questions, ways
from clearfacts_assets.invoices.defs.resources import ClearfactsResource, SourceResource
from clearfacts_assets.orchestration.metadata import table
from clearfacts_assets.orchestration.tags import correlation_of
from clearfacts_assets.resources import DatabaseResource, SlackResource

DATABASE, TOLD = "database", "people_know_since"


@dg.asset(
    group_name="monitoring",
    owners=["team:operations"],
    kinds={"http"},
    check_specs=[dg.AssetCheckSpec(f"{asked}_answers", asset="service_health") for asked in ASKED],
)
def service_health(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    clearfacts: ClearfactsResource,
    slack: SlackResource,
    database: DatabaseResource,
) -> Iterator[dg.MaterializeResult[None]]:
    """Whether the ERP, the destination, Slack and the database answer, and whether last night's run is done by 03:00.

    One check for each; a system that goes down or comes back is told on Slack once.
    """
    engine = database.engine()
    now = datetime.now(UTC)
    asked = questions(engine, source, clearfacts, slack, correlation_of(context.run))
    way = ways(settings.load())
    verdicts = [ask(system, question, way.get(system, "")) for system, question in asked.items()]
    fallen = _tell(context.instance, engine, verdicts, now)
    yield dg.MaterializeResult(
        metadata={
            "healthy": sum(verdict.healthy for verdict in verdicts),
            "down": sum(not verdict.healthy for verdict in verdicts),
            "systems": table(
                {"system": "string", "healthy": "bool", "latency_s": "float", "message": "string", "way": "string"},
                [(one.system, one.healthy, one.latency, one.message, one.way) for one in verdicts],
            ),
            **{f"{verdict.system}_seconds": verdict.latency for verdict in verdicts},
            **fallen,
        },
        check_results=[_as_check(verdict) for verdict in verdicts],
    )


def _tell(instance: dg.DagsterInstance, engine: Engine, verdicts: Sequence[Health], now: datetime) -> dict[str, str]:
    """Tell of what has changed. Returns what is noted while the database is down.

    The outbox is in the database. While that is down, Slack is told at once, and Dagster remembers that it was.
    """
    (database,) = [verdict for verdict in verdicts if verdict.system == DATABASE]
    told = _told_of_database(instance)
    if not database.healthy:
        if told is None:
            tell_at_once_of_database(settings.load(), database, now=now)
        return {TOLD: told or now.isoformat()}
    if told is not None:
        tell_of_recovery(engine, effective_settings(), DATABASE, since=datetime.fromisoformat(told), now=now)
    tell_of_health(engine, effective_settings(), verdicts, now=now)
    return {}


def _told_of_database(instance: dg.DagsterInstance) -> str | None:
    """Since when people know that the database is down, as the last materialization has it; None if it was up."""
    event = instance.get_latest_materialization_event(dg.AssetKey("service_health"))
    since = event.asset_materialization.metadata.get(TOLD) if event and event.asset_materialization else None
    return str(since.value) if since else None


def _as_check(verdict: Health) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=f"{asked_as(verdict.system)}_answers",
        passed=verdict.healthy,
        metadata={"message": verdict.message, "seconds": verdict.latency, "way": verdict.way},
    )

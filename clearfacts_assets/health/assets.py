"""``service_health``: asked every ten minutes, shown with latencies that plot, told on Slack when something changes."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from clearfacts_assets.configuration import in_force
from clearfacts_assets.health.probes import Health, ask
from clearfacts_assets.health.systems import SYSTEMS, questions
from clearfacts_assets.invoices.metadata import table
from clearfacts_assets.notifications.alerts import tell_of_health
from clearfacts_assets.resources import ClearfactsResource, DatabaseResource, SlackResource, SourceResource


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
    verdicts = [ask(system, question) for system, question in questions(engine, source, clearfacts, slack).items()]
    tell_of_health(engine, in_force(), verdicts, now=now)
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

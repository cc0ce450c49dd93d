"""Sensors: what runs came to is written into the outbox, and the outbox is sent to Slack.

A run-status sensor that raises is never asked again about that run, so these only write to our database, and the
dispatching sensor looks for whatever they missed. Where the database itself is down, Slack is told at once.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import dagster as dg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from clearfacts_assets import settings
from clearfacts_assets.configuration import effective_settings
from clearfacts_assets.invoices.defs.daily_summary import tell_of_yesterday
from clearfacts_assets.invoices.defs.notifications import (
    dispatch_alerts,
    tell_at_once_of_lost_run,
    tell_of_forgotten_jobs,
    tell_of_job,
    tell_of_lost_run,
    tell_of_waiting,
)
from clearfacts_assets.invoices.defs.runs import reconcile
from clearfacts_assets.notifications.channels import SLACK, sender
from clearfacts_assets.notifications.outbox import DispatchCount
from clearfacts_assets.notifications.slack import Slack
from clearfacts_assets.orchestration.tags import RETRY_TAG, traced_tick
from clearfacts_assets.resources import DatabaseResource, SlackResource

EVERY = 10  # seconds between two looks


@dg.run_failure_sensor(name="job_failed", minimum_interval_seconds=EVERY, default_status=dg.DefaultSensorStatus.RUNNING)
def job_failed(context: dg.RunFailureSensorContext, database: DatabaseResource) -> dg.SkipReason | None:
    """A run failed: one alert, with counts, reasons and a link. A run that Dagster will retry is not told yet."""
    run = context.dagster_run
    if run.tags.get(RETRY_TAG) == "true":
        return dg.SkipReason(f"run {run.run_id} will be retried")
    error = context.failure_event.message or ""
    try:
        with traced_tick("job_failed", run):
            engine, configured, now = database.engine(), effective_settings(), datetime.now(UTC)
            reconcile(context.instance, engine)
            if not tell_of_job(engine, configured, UUID(run.run_id), now=now):
                tell_of_lost_run(engine, configured, run.run_id, run.job_name, error, now=now)
    except SQLAlchemyError as fault:
        error = f"{error} Our database does not answer either: {type(fault).__name__}."
        tell_at_once_of_lost_run(settings.load(), run.run_id, run.job_name, error)
    return None


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    name="job_completed",
    minimum_interval_seconds=EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def job_completed(context: dg.RunStatusSensorContext, database: DatabaseResource) -> None:
    """A run completed: told if the setting slack.on_success says so (by default, when invoices failed or wait)."""
    with traced_tick("job_completed", context.dagster_run):
        engine = database.engine()
        reconcile(context.instance, engine)
        tell_of_job(engine, effective_settings(), UUID(context.dagster_run.run_id), now=datetime.now(UTC))


@dg.sensor(
    name="alert_dispatch",
    minimum_interval_seconds=EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def alert_dispatch(
    context: dg.SensorEvaluationContext, database: DatabaseResource, slack: SlackResource
) -> dg.SkipReason:
    """Closes the jobs of dead runs, finds what nobody was told of (ended jobs, waiting deliveries), and tells Slack."""
    tended = tend(context.instance, database.engine(), slack)
    return dg.SkipReason(
        f"{tended.dead_runs} dead runs closed, {tended.found} alerts found, {tended.sending.sent} sent, "
        f"{tended.sending.postponed} to be sent again, {tended.sending.given_up} given up"
    )


@dataclass(frozen=True, slots=True)
class Tended:
    """What one look at the jobs and the outbox came to."""

    dead_runs: int
    found: int  # alerts for jobs that nobody was told of, and for what waits for a person
    sending: DispatchCount


def tend(instance: dg.DagsterInstance, engine: Engine, slack: SlackResource) -> Tended:
    """Close the rows of dead runs, write the alerts that are due, send them. Without any channel they are kept."""
    died = reconcile(instance, engine)
    now = datetime.now(UTC)
    configured = effective_settings()
    found = tell_of_forgotten_jobs(engine, configured, now=now) + tell_of_waiting(engine, configured, now=now)
    found += tell_of_yesterday(engine, configured, now=now)
    given = {SLACK: Slack(slack.get_client()).send} if configured.slack.token.get_secret_value() else {}
    send = sender(configured, given)
    return Tended(len(died), found, dispatch_alerts(engine, send) if send else DispatchCount())

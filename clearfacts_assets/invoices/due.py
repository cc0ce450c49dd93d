"""A sensor for the night: what could not be sent is sent when it can be, without anybody pressing a button.

After an outage, a Retry-After, a killed run or a person's resend, invoices are ready, due or in doubt, and no run is
under way that would take care of them. The first run for such a day starts FIRST_WAIT after it is seen; the wait
doubles after each, and after MOST_RUNS without an end a person has to look. A day whose last run a person stopped is
left alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets.invoices.automation import TRIGGERED_BY_TAG, delivery_of_what_is_due
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets.storage.waiting import days_due, newest_jobs_of

EVERY = 60  # seconds between two looks
FIRST_WAIT = timedelta(minutes=10)
MOST_RUNS = 6  # 10, 20, 40, 80, 160 and 320 minutes apart: a night
MOST_AT_ONCE = 5  # days started by one look; the others are still there at the next
TRIGGERED_BY = "due_deliveries"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is planned for one day."""

    runs: int  # that were started
    at: datetime  # when the next one starts


@dg.sensor(
    name="due_deliveries",
    job=delivery_of_what_is_due,
    minimum_interval_seconds=EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def due_deliveries(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SensorResult:
    """Starts a run for each day of which invoices are due and no run is under way: after 10 minutes, 20, 40, ...

    Never sends what is parked or held: that is a person's. After six runs of a day without an end it leaves the day
    to a person, too.
    """
    return due_runs(context.instance, database.engine(), context.cursor, datetime.now(UTC))


def due_runs(instance: dg.DagsterInstance, engine: Engine, cursor: str | None, now: datetime) -> dg.SensorResult:
    """One look: the runs that start now, and what is planned for the other days."""
    plans = planned(cursor)
    due = days_due(engine)
    newest = newest_jobs_of(engine, sorted({*due, *plans}))
    kept: dict[str, Plan] = {}
    requests: list[dg.RunRequest] = []
    for day in sorted(newest):
        job_id, over = newest[day]
        plan = plans.get(day) or Plan(0, now + FIRST_WAIT)
        if not over or day in due:
            kept[day] = plan
        if not over or day not in due or now < plan.at or plan.runs >= MOST_RUNS or len(requests) >= MOST_AT_ONCE:
            continue
        if _was_stopped_by_a_person(instance, job_id):
            continue
        kept[day] = Plan(plan.runs + 1, now + FIRST_WAIT * 2 ** (plan.runs + 1))
        requests.append(
            dg.RunRequest(
                run_key=f"due-{day}-{now:%Y%m%dT%H%M%S}",
                partition_key=day,
                tags={TRIGGERED_BY_TAG: TRIGGERED_BY},
            )
        )
    skip = None if requests else _in_words(due, kept)
    return dg.SensorResult(run_requests=requests, skip_reason=skip, cursor=written(kept))


def planned(cursor: str | None) -> dict[str, Plan]:
    """The plans that the sensor's cursor holds."""
    read = json.loads(cursor) if cursor else {}
    return {day: Plan(runs, datetime.fromisoformat(at)) for day, (runs, at) in read.items()}


def written(plans: Mapping[str, Plan]) -> str:
    """The plans as the sensor's cursor holds them."""
    return json.dumps({day: [plan.runs, plan.at.isoformat()] for day, plan in plans.items()})


def _was_stopped_by_a_person(instance: dg.DagsterInstance, job_id: UUID) -> bool:
    run = instance.get_run_by_id(str(job_id))
    return run is not None and run.status in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELING)


def _in_words(due: Mapping[str, int], plans: Mapping[str, Plan]) -> str:
    if not due:
        return "nothing is due"
    days = ", ".join(
        f"{day} ({count}; {'left to a person' if plans[day].runs >= MOST_RUNS else f'{plans[day].at:%H:%M} UTC'})"
        for day, count in sorted(due.items())
        if day in plans
    )
    return f"due, each at its time or when its run is over: {days}"

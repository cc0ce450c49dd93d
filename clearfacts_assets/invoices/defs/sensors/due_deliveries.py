"""A sensor for the night: what could not be sent is sent when it can be, without anybody pressing a button.

After an outage, a Retry-After, a killed run or a person's resend, invoices are ready, due or in doubt, and no run is
under way that would take care of them. The first run for such a day starts FIRST_WAIT after it is seen; the wait
doubles after each. What is still due after MOST_RUNS is left to a person, who is told once; as soon as that person has
run the day or resent something, it is tried anew. A day whose last run a person stopped is left alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets.backoff import Backoff
from clearfacts_assets.configuration import effective_settings
from clearfacts_assets.invoices.defs.automation import delivery_of_what_is_due
from clearfacts_assets.invoices.defs.notifications import tell_of_day_left
from clearfacts_assets.orchestration.tags import TRIGGERED_BY_TAG, trace_tags, traced_tick
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets.storage.invoices.review_queue import days_due, newest_jobs_of

EVERY = 60  # seconds between two looks
FIRST_WAIT = timedelta(minutes=10)
BACKOFF = Backoff(FIRST_WAIT.total_seconds())
MOST_RUNS = 6  # 10, 20, 40, 80, 160 and 320 minutes apart: a night
MOST_AT_ONCE = 5  # days started by one look; the others are still there at the next
TRIGGERED_BY = "due_deliveries"


@dataclass(frozen=True, slots=True)
class DeliveryPlan:
    """What is planned for one day."""

    runs: int  # that were started
    at: datetime  # when the next one starts
    job: str = ""  # the day's newest one when this was planned
    left: int | None = None  # invoices that were due when the day was left to a person


@dg.sensor(
    name="due_deliveries",
    job=delivery_of_what_is_due,
    minimum_interval_seconds=EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def due_deliveries(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SensorResult:
    """Starts a run for each day of which invoices are due and no run is under way: after 10 minutes, 20, 40, ...

    Never sends what is parked or held: that is a person's. After six runs of a day without an end it leaves the day
    to a person, too, and tells so, until that person has run the day or resent something.
    """
    with traced_tick("due_deliveries"):
        return due_runs(context.instance, database.engine(), context.cursor, datetime.now(UTC))


def due_runs(instance: dg.DagsterInstance, engine: Engine, cursor: str | None, now: datetime) -> dg.SensorResult:
    """One look: the runs that start now, and what is planned for the other days."""
    plans = planned(cursor)
    due = days_due(engine)
    newest = newest_jobs_of(engine, sorted({*due, *plans}))
    kept: dict[str, DeliveryPlan] = {}
    requests: list[dg.RunRequest] = []
    for day in sorted(newest):
        job_id, over = newest[day]
        plan = plans.get(day) or DeliveryPlan(0, now + FIRST_WAIT)
        if plan.left is not None and (plan.job != str(job_id) or due.get(day, 0) > plan.left):
            plan = DeliveryPlan(0, now + FIRST_WAIT)  # somebody has acted since it was left to a person
        if not over or day in due:
            kept[day] = plan
        if not over or day not in due or _was_stopped_by_a_person(instance, job_id):
            continue
        if plan.runs >= MOST_RUNS:
            kept[day] = _left(engine, plan, day, str(job_id), due[day], now)
            continue
        if now < plan.at or len(requests) >= MOST_AT_ONCE:
            continue
        kept[day] = DeliveryPlan(plan.runs + 1, now + BACKOFF.delay(plan.runs + 2), str(job_id))
        requests.append(
            dg.RunRequest(
                run_key=f"due-{day}-{now:%Y%m%dT%H%M%S}",
                partition_key=day,
                tags={TRIGGERED_BY_TAG: TRIGGERED_BY, **trace_tags()},
            )
        )
    skip = None if requests else _in_words(due, kept)
    return dg.SensorResult(run_requests=requests, skip_reason=skip, cursor=written(kept))


def planned(cursor: str | None) -> dict[str, DeliveryPlan]:
    """The plans that the sensor's cursor holds."""
    read = json.loads(cursor) if cursor else {}
    return {day: DeliveryPlan(runs, datetime.fromisoformat(at), *more) for day, (runs, at, *more) in read.items()}


def written(plans: Mapping[str, DeliveryPlan]) -> str:
    """The plans as the sensor's cursor holds them."""
    return json.dumps({day: [plan.runs, plan.at.isoformat(), plan.job, plan.left] for day, plan in plans.items()})


def _left(engine: Engine, plan: DeliveryPlan, day: str, job: str, count: int, now: datetime) -> DeliveryPlan:
    """The day is left to a person, who is told; FIRST_WAIT after its last run, so that what waits is due by then."""
    if plan.left is None:
        if plan.job != job:
            return DeliveryPlan(plan.runs, now + FIRST_WAIT, job)
        if now < plan.at:
            return plan
        tell_of_day_left(engine, effective_settings(), day, job, count, plan.runs, now=now)
    return replace(plan, job=job, left=count)


def _was_stopped_by_a_person(instance: dg.DagsterInstance, job_id: UUID) -> bool:
    run = instance.get_run_by_id(str(job_id))
    return run is not None and run.status in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELING)


def _in_words(due: Mapping[str, int], plans: Mapping[str, DeliveryPlan]) -> str:
    if not due:
        return "nothing is due"
    days = ", ".join(
        f"{day} ({count}; {'left to a person' if plans[day].left is not None else f'{plans[day].at:%H:%M} UTC'})"
        for day, count in sorted(due.items())
        if day in plans
    )
    return f"due, each at its time or when its run is over: {days}"

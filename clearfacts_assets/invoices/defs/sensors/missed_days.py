"""A sensor for the nights that were missed: the daemon was away, the schedule paused, the day failed, or our database
was put back to an older state.

The schedule starts the day before, once a night; it does not look back. This sensor asks which days were not processed
as a whole and runs them again, oldest first: a day of the last ``schedule.catch_up_days`` up to MOST_RUNS times. What
lies further back, or failed so often, is told to people once and stays in ``clearfacts jobs missing``. It starts
nothing while the schedule is switched off, and nothing for a day of which a run waits or runs.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets.backoff import Backoff
from clearfacts_assets.configuration import effective_settings
from clearfacts_assets.invoices.days import FIRST_DAY
from clearfacts_assets.invoices.defs.automation import CATCHING_UP, daily_processing, nightly
from clearfacts_assets.invoices.defs.notifications import tell_of_missed_days
from clearfacts_assets.invoices.missing_days import last_day_owed, oldest_by_itself
from clearfacts_assets.orchestration.dagster_internals import InstigatorStatus, InstigatorType
from clearfacts_assets.orchestration.tags import PARTITION_TAG, TRIGGERED_BY_TAG, trace_tags, traced_tick
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets.storage.invoices.days import MissingDay, missing_now

EVERY = 60  # seconds between two looks
FIRST_WAIT = timedelta(minutes=2)  # in which the schedule itself may start the day
NEXT_WAIT = timedelta(hours=1)  # after the first run; doubled after each
BACKOFF = Backoff(NEXT_WAIT.total_seconds())
MOST_RUNS = 3  # of one day, 1 and 2 hours apart
MOST_AT_ONCE = 5  # days started by one look; the others are still there at the next
NOT_OVER = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True, slots=True)
class MissedDayPlan:
    """What is planned for one day."""

    runs: int  # that were started
    at: datetime  # when the next one starts
    told: bool = False  # people know that it is theirs


@dg.sensor(
    name=CATCHING_UP,
    job=daily_processing,
    minimum_interval_seconds=EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def missed_days(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SensorResult:
    """Runs the days that the schedule missed or that failed, oldest first; tells which ones a person has to run."""
    with traced_tick(CATCHING_UP):
        return missed_runs(context.instance, database.engine(), context.cursor, datetime.now(UTC))


def missed_runs(instance: dg.DagsterInstance, engine: Engine, cursor: str | None, now: datetime) -> dg.SensorResult:
    """One look: the runs that start now, and what is planned for the other days."""
    if _is_paused(instance):
        return dg.SensorResult(skip_reason=f"the schedule {nightly.name} is switched off", cursor=cursor)
    configured, plans = effective_settings(), planned(cursor)
    missing = missing_now(engine, now, FIRST_DAY)
    oldest = oldest_by_itself(last_day_owed(now), configured.schedule.catch_up_days)
    kept: dict[str, MissedDayPlan] = {}
    requests: list[dg.RunRequest] = []
    for one in missing:
        plan = kept[one.day] = _in_time(plans.get(one.day) or MissedDayPlan(0, now + FIRST_WAIT), now)
        if plan.told or len(requests) >= MOST_AT_ONCE or now < plan.at or _is_under_way(instance, one.day):
            continue
        if one.day < oldest or plan.runs >= MOST_RUNS or _was_stopped_by_a_person(instance, one):
            kept[one.day] = replace(plan, told=True)
            continue
        kept[one.day] = MissedDayPlan(plan.runs + 1, now + BACKOFF.delay(plan.runs + 1))
        requests.append(
            dg.RunRequest(
                run_key=f"missed-{one.day}-{now:%Y%m%dT%H%M%S}",
                partition_key=one.day,
                tags={TRIGGERED_BY_TAG: CATCHING_UP, **trace_tags()},
            )
        )
    theirs = [one for one in missing if kept[one.day].told]
    if any(not (one.day in plans and plans[one.day].told) for one in theirs):
        tell_of_missed_days(engine, configured, {one.day: one.in_words for one in theirs}, now=now)
    skip = None if requests else _in_words(missing, kept)
    return dg.SensorResult(run_requests=requests, skip_reason=skip, cursor=written(kept))


def planned(cursor: str | None) -> dict[str, MissedDayPlan]:
    """The plans that the sensor's cursor holds."""
    read = json.loads(cursor) if cursor else {}
    return {day: MissedDayPlan(runs, datetime.fromisoformat(at), told) for day, (runs, at, told) in read.items()}


def written(plans: Mapping[str, MissedDayPlan]) -> str:
    """The plans as the sensor's cursor holds them."""
    return json.dumps({day: [plan.runs, plan.at.isoformat(), plan.told] for day, plan in plans.items()})


def _in_time(plan: MissedDayPlan, now: datetime) -> MissedDayPlan:
    """The plan, not later than any plan is: it may have been made under a wrong clock."""
    return replace(plan, at=min(plan.at, now + BACKOFF.delay(MOST_RUNS + 1)))


def _is_paused(instance: dg.DagsterInstance) -> bool:
    if instance.schedule_storage is None:
        return False  # an instance in memory has no schedules
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    return any(one.instigator_name == nightly.name and one.status is InstigatorStatus.STOPPED for one in states)


def _is_under_way(instance: dg.DagsterInstance, day: str) -> bool:
    return bool(instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: day}, statuses=NOT_OVER), limit=1))


def _was_stopped_by_a_person(instance: dg.DagsterInstance, one: MissingDay) -> bool:
    run = instance.get_run_by_id(str(one.job_id)) if one.job_id else None
    return run is not None and run.status is dg.DagsterRunStatus.CANCELED


def _in_words(missing: Iterable[MissingDay], plans: Mapping[str, MissedDayPlan]) -> str:
    days = ", ".join(
        f"{one.day} ({'left to a person' if plans[one.day].told else f'{plans[one.day].at:%H:%M} UTC'})"
        for one in missing
    )
    return f"missing, each at its time or when its run is over: {days}" if days else "no day is missing"

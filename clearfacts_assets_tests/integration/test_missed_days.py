"""Nights that were missed are run again, oldest first, each once; what is not run by itself is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import dagster as dg
import pytest

from clearfacts_assets import resources
from clearfacts_assets.invoices.defs.automation import nightly
from clearfacts_assets.invoices.defs.sensors.alerts import tend
from clearfacts_assets.invoices.defs.sensors.missed_days import (
    FIRST_WAIT,
    MOST_AT_ONCE,
    MOST_RUNS,
    NEXT_WAIT,
    missed_days,
    missed_runs,
    planned,
)
from clearfacts_assets.invoices.missing_days import end_of, last_day_owed
from clearfacts_assets.storage.invoices.days import missing_now
from clearfacts_assets_tests.fixtures.command import Command
from clearfacts_assets_tests.fixtures.pipeline import Pipeline

NOW = datetime.now(UTC)
LAST = date.fromisoformat(last_day_owed(NOW))


def day(back: int) -> str:
    """The day so many days before the last one owed."""
    return (LAST - timedelta(days=back)).isoformat()


def job(
    pipeline: Pipeline,
    partition: str,
    status: str = "completed",
    *,
    began: datetime | None = None,
    job_type: str = "scheduled",
    whole_day: bool | None = True,
    part: str | None = None,
) -> UUID:
    """The row of a job, as the schedule leaves it at 02:00."""
    at = began or end_of(date.fromisoformat(partition)) + timedelta(hours=2)
    details = {"part": part} if part else {} if whole_day is None else {"whole_day": whole_day}
    job_id = uuid4()
    known = {"job_type": job_type, "partition_key": partition, "correlation_id": None, "details": details}
    pipeline.jobs.begin(job_id, now=at, **known)  # type: ignore[arg-type]
    pipeline.jobs.finish(job_id, status, error_message=None if status == "completed" else "no ERP", now=at)
    return job_id


class Daemon:
    """The sensor, asked again and again; what it requests can be run for real."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline, self.cursor, self.now = pipeline, None, NOW

    def look(self, wait: timedelta = timedelta()) -> list[str | None]:
        self.now += wait
        result = missed_runs(self.pipeline.instance, self.pipeline.engine, self.cursor, self.now)
        self.cursor = result.cursor
        return [request.partition_key for request in result.run_requests or ()]


@pytest.fixture
def daemon(pipeline: Pipeline) -> Daemon:
    return Daemon(pipeline)


@pytest.fixture
def quick_daemon(quick_pipeline: Pipeline) -> Daemon:
    return Daemon(quick_pipeline)


def told(pipeline: Pipeline) -> Iterator[str]:
    tend(pipeline.instance, pipeline.engine, resources.slack())
    return (text for text in pipeline.told() if "not processed" in text)


def test_three_nights_without_a_daemon_are_caught_up_in_order_and_each_once(daemon: Daemon) -> None:
    pipeline = daemon.pipeline
    job(pipeline, day(4))
    job(pipeline, day(0))  # the schedule itself caught up with its last tick
    assert daemon.look() == [], "the schedule comes first"
    requested = daemon.look(FIRST_WAIT)
    assert requested == [day(3), day(2), day(1)]
    for one in requested:
        tags = {"dagster/sensor_name": "missed_days", "clearfacts/triggered_by": "missed_days"}
        run = pipeline.run(one, tags=tags)
        assert (run.job.status, run.job.job_type) == ("completed", "scheduled")
        assert run.job.details["triggered_by"] == "missed_days"
    pipeline.check_all_delivered(*requested)
    daemon.now = datetime.now(UTC)
    assert daemon.look() == []
    assert missing_now(pipeline.engine, daemon.now) == []
    assert list(told(pipeline)) == []


def test_the_sensor_asks_for_the_daily_job(quick_daemon: Daemon) -> None:
    pipeline = quick_daemon.pipeline
    job(pipeline, day(1))
    quick_daemon.look()
    past = json.dumps({one: [0, "2026-01-01T00:00:00+00:00", False] for one in [day(0)]})
    context = dg.build_sensor_context(
        instance=pipeline.instance, cursor=past, resources={"database": resources.DatabaseResource()}
    )
    result = missed_days(context)
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or ()
    assert (request.partition_key, missed_days.job_name) == (day(0), "daily_processing")


@pytest.mark.parametrize(
    "known",
    [
        {"status": "failed"},
        {"status": "failed", "whole_day": False},
        {"whole_day": None},  # what was due, or a part of the assets
        {"whole_day": False, "job_type": "manual"},  # chosen invoices
        {"began": end_of(LAST) - timedelta(hours=5)},  # by hand, while the day lasted
        {"began": NOW + timedelta(days=400)},  # under a wrong clock
    ],
    ids=["failed", "incomplete", "not retrieved", "chosen invoices", "too early", "in the future"],
)
def test_what_is_not_the_whole_day_does_not_count(daemon: Daemon, known: dict[str, object]) -> None:
    job(daemon.pipeline, day(1))
    job(daemon.pipeline, day(0), **known)  # type: ignore[arg-type]
    daemon.look()
    assert daemon.look(FIRST_WAIT) == [day(0)]


def test_a_day_run_by_hand_counts(daemon: Daemon) -> None:
    job(daemon.pipeline, day(1))
    job(daemon.pipeline, day(0), job_type="manual")
    daemon.look()
    assert daemon.look(FIRST_WAIT) == []


def test_a_new_installation_is_not_flooded(daemon: Daemon) -> None:
    assert daemon.look(FIRST_WAIT) == []
    job(daemon.pipeline, "2026-01-05", began=NOW, job_type="manual")  # a person tries an old day
    assert daemon.look(FIRST_WAIT) == []
    assert missing_now(daemon.pipeline.engine, NOW) == []


def test_the_first_night_itself_is_owed(daemon: Daemon) -> None:
    job(daemon.pipeline, day(0), "failed")
    daemon.look()
    assert daemon.look(FIRST_WAIT) == [day(0)]


def test_a_day_that_fails_again_and_again_is_told_once(daemon: Daemon) -> None:
    pipeline = daemon.pipeline
    daemon.now = end_of(LAST) + timedelta(hours=4)  # its waits end before the next night, whenever this is played
    job(pipeline, day(1))
    job(pipeline, day(0), "failed")
    daemon.look()
    wait, runs = FIRST_WAIT, 0
    while daemon.look(wait) == [day(0)]:
        job(pipeline, day(0), "failed")
        runs, wait = runs + 1, NEXT_WAIT * 2**runs
        assert daemon.look(wait - timedelta(minutes=1)) == [], "the wait doubles"
        wait = timedelta(minutes=1)
    assert runs == MOST_RUNS
    assert daemon.look(timedelta(hours=1)) == []
    (text,) = told(pipeline)
    assert day(0) in text
    assert "clearfacts run --missing" in text


def test_days_beyond_the_setting_and_holes_further_back_are_told_and_not_run(daemon: Daemon) -> None:
    pipeline = daemon.pipeline
    pipeline.configure(SCHEDULE__CATCH_UP_DAYS=3)
    for back in (9, 7, 5, 2):
        job(pipeline, day(back))
    daemon.look()
    assert daemon.look(FIRST_WAIT) == [day(1), day(0)]
    (text,) = told(pipeline)
    assert all(day(back) in text for back in (8, 6, 4, 3))
    assert text.startswith("4 days were not processed")
    daemon.look(FIRST_WAIT)
    assert len(list(told(pipeline))) == 1


def test_a_long_absence_starts_a_few_days_at_once(quick_daemon: Daemon) -> None:
    job(quick_daemon.pipeline, day(10))
    quick_daemon.look()
    assert quick_daemon.look(FIRST_WAIT) == [day(back) for back in range(9, 9 - MOST_AT_ONCE, -1)]
    assert quick_daemon.look() == [day(back) for back in range(9 - MOST_AT_ONCE, -1, -1)]


def test_a_day_of_which_a_run_waits_or_runs_is_not_started_again(quick_daemon: Daemon) -> None:
    pipeline = quick_daemon.pipeline
    job(pipeline, day(1))
    quick_daemon.look()
    definition = pipeline.definitions.resolve_job_def("daily_processing")
    pipeline.instance.create_run_for_job(
        job_def=definition, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": day(0)}
    )
    assert quick_daemon.look(FIRST_WAIT) == []


def test_a_day_whose_run_a_person_stopped_is_theirs(quick_daemon: Daemon) -> None:
    pipeline = quick_daemon.pipeline
    job(pipeline, day(1))
    stopped = job(pipeline, day(0), "failed")
    definition = pipeline.definitions.resolve_job_def("daily_processing")
    pipeline.instance.create_run_for_job(
        job_def=definition, run_id=str(stopped), status=dg.DagsterRunStatus.CANCELED, tags={}
    )
    quick_daemon.look()
    assert quick_daemon.look(FIRST_WAIT) == []
    assert planned(quick_daemon.cursor)[day(0)].told


def test_an_older_database_that_was_put_back_is_caught_up(quick_daemon: Daemon) -> None:
    """The cursor and Dagster's runs are newer than our ledger, which forgot the last two days."""
    pipeline = quick_daemon.pipeline
    job(pipeline, day(2))
    quick_daemon.look()
    assert quick_daemon.look(FIRST_WAIT) == [day(1), day(0)]
    for one in (day(1), day(0)):
        definition = pipeline.definitions.resolve_job_def("daily_processing")
        pipeline.instance.create_run_for_job(
            job_def=definition, status=dg.DagsterRunStatus.SUCCESS, tags={"dagster/partition": one}
        )
    assert quick_daemon.look(NEXT_WAIT) == [day(1), day(0)]


def test_nothing_is_started_while_the_schedule_is_switched_off(quick_daemon: Daemon, tmp_path: Path) -> None:
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
    from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
    from dagster._core.test_utils import instance_for_test

    pipeline = quick_daemon.pipeline
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("clearfacts_assets"), "__repository__")
    origin = RemoteInstigatorOrigin(repository, "nightly")
    job(pipeline, day(1))
    off = InstigatorState(
        origin, InstigatorType.SCHEDULE, InstigatorStatus.STOPPED, ScheduleInstigatorData(nightly.cron_schedule)
    )
    (tmp_path / "dagster").mkdir()
    with instance_for_test(temp_dir=str(tmp_path / "dagster")) as pipeline.instance:
        quick_daemon.look()
        pipeline.instance.add_instigator_state(off)
        assert quick_daemon.look(FIRST_WAIT) == []
        pipeline.instance.update_instigator_state(off.with_status(InstigatorStatus.RUNNING))
        assert quick_daemon.look() == [day(0)]


def test_a_plan_made_under_a_wrong_clock_delays_a_day_by_hours_and_not_for_ever(quick_daemon: Daemon) -> None:
    job(quick_daemon.pipeline, day(1))
    quick_daemon.cursor = json.dumps({day(0): [1, "2035-01-01T00:00:00+00:00", False]})
    assert quick_daemon.look() == []
    assert quick_daemon.look(NEXT_WAIT * 2**MOST_RUNS) == [day(0)]


def test_the_command_lists_and_runs_them(command: Command) -> None:
    from clearfacts_assets.storage.invoices.jobs import JobRepository

    jobs = JobRepository(command.engine())
    whole = {"job_type": "scheduled", "correlation_id": None, "details": {"whole_day": True}}
    for back, status in ((17, "completed"), (0, "failed")):
        at = end_of(LAST - timedelta(days=back)) + timedelta(hours=2)
        job_id = uuid4()
        jobs.begin(job_id, partition_key=day(back), now=at, **whole)  # type: ignore[arg-type]
        jobs.finish(job_id, status, error_message="no ERP" if status == "failed" else None, now=at)
    for back in range(15, 0, -1):
        at = end_of(LAST - timedelta(days=back)) + timedelta(hours=2)
        job_id = uuid4()
        jobs.begin(job_id, partition_key=day(back), now=at, **whole)  # type: ignore[arg-type]
        jobs.finish(job_id, "completed", error_message=None, now=at)
    listed = command.json("jobs", "missing")["missing"]
    assert [(one["date"], one["reason"], one["by_itself"]) for one in listed] == [
        (day(16), "was never run", False),
        (day(0), "no ERP", True),
    ]
    assert day(16) in command("jobs", "missing").stdout
    ran = command.json("run", "--missing")["jobs"]
    assert [(one["partition"], one["status"]) for one in ran] == [(day(16), "completed"), (day(0), "completed")]
    assert command.json("jobs", "missing") == {"missing": []}
    assert command.json("run", "--missing") == {"jobs": []}
    command("run", "--missing", "--date", day(0), code=2)


def test_a_day_that_was_cut_counts_when_each_part_completed_after_it_was_over(daemon: Daemon) -> None:
    pipeline = daemon.pipeline
    job(pipeline, day(3))
    for back, parts in ((2, ("1/3", "2/3", "3/3")), (1, ("1/3", "3/3")), (0, ("1/2", "2/2"))):
        for part in parts:
            job(pipeline, day(back), part=part)
    job(pipeline, day(1), "failed", part="2/3")
    job(pipeline, day(0), part="2/2", began=end_of(LAST) - timedelta(hours=2))  # an older job of the same part
    assert [one.day for one in missing_now(pipeline.engine, NOW)] == [day(1)]
    job(pipeline, day(1), part="2/3")
    assert missing_now(pipeline.engine, NOW) == []

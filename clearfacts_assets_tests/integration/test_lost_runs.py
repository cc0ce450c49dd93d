"""A run that died without a word is closed, whatever its job and wherever it ran; one that lives is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from uuid import UUID, uuid4

import dagster as dg
import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import OperationalError

from clearfacts_assets.orchestration.heartbeat import beating
from clearfacts_assets.orchestration.monitor import (
    MOST_COUNTED,
    NEVER,
    Silence,
    Watch,
    judged,
    look,
    remembered,
    written,
)
from clearfacts_assets.orchestration.process import lives_here, this_process
from clearfacts_assets.storage.database import reading, write
from clearfacts_assets.storage.operations import heartbeats
from clearfacts_assets.storage.operations.heartbeats import Heartbeat
from clearfacts_assets.storage.operations.tables import RunHeartbeat
from clearfacts_assets_tests.fixtures.pipeline import Pipeline

Status = dg.DagsterRunStatus
ELSEWHERE = {"host": "pod-7", "pid": 1, "place": "another boot id pid:[1]", "ticks": 1}
LIMIT = 60.0
NOTHING = Watch(None, {})


def process_of(pid: int) -> dict[str, object]:
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return {**this_process(), "pid": pid, "ticks": ticks}


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def begun(pipeline: Pipeline, job: str = "health_monitoring", status: Status = Status.STARTED) -> str:
    heartbeats.look(pipeline.engine, this_process())  # the watch is older than the run
    definition = pipeline.definitions.resolve_job_def(job)
    return pipeline.instance.create_run_for_job(job_def=definition, status=status).run_id


def state(pipeline: Pipeline, run_id: str) -> Status:
    run = pipeline.instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def looks(pipeline: Pipeline, seconds: float, every: float = 10.0, watch: Watch = NOTHING) -> tuple[list[str], Watch]:
    """Looks one after the other, for so many seconds."""
    lost: list[str] = []
    at = watch.looked_at or 1000.0
    end = at + seconds
    while at <= end and not lost:
        lost, new = look(pipeline.instance, pipeline.engine, watch, LIMIT, at)
        watch, at = remembered(written(new)), at + every
    return lost, watch


@pytest.mark.parametrize("job", ["health_monitoring", "document_follow_up"])
def test_a_run_of_any_job_whose_process_was_killed_is_closed_at_the_first_look(
    quick_pipeline: Pipeline, child: subprocess.Popen[bytes], job: str
) -> None:
    run_id = begun(quick_pipeline, job)
    heartbeats.beat(quick_pipeline.engine, UUID(run_id), process_of(child.pid), 0)
    assert look(quick_pipeline.instance, quick_pipeline.engine, NOTHING, LIMIT, 0)[0] == []
    child.kill()
    child.wait()
    assert look(quick_pipeline.instance, quick_pipeline.engine, NOTHING, LIMIT, 0)[0] == [run_id]
    assert state(quick_pipeline, run_id) is Status.FAILURE
    assert look(quick_pipeline.instance, quick_pipeline.engine, NOTHING, LIMIT, 0)[0] == []


def test_a_stopped_process_lives_however_long_it_is_silent(
    quick_pipeline: Pipeline, child: subprocess.Popen[bytes]
) -> None:
    run_id = begun(quick_pipeline)
    heartbeats.beat(quick_pipeline.engine, UUID(run_id), process_of(child.pid), 0)
    child.send_signal(signal.SIGSTOP)
    assert looks(quick_pipeline, 10 * LIMIT)[0] == []
    child.send_signal(signal.SIGCONT)
    assert state(quick_pipeline, run_id) is Status.STARTED


def test_a_run_on_another_machine_is_closed_when_it_has_been_silent_for_long(pipeline: Pipeline) -> None:
    run_id = begun(pipeline)
    heartbeats.beat(pipeline.engine, UUID(run_id), ELSEWHERE, 7)
    lost, watch = looks(pipeline, LIMIT - 10)
    assert (lost, watch.silent[run_id]) == ([], Silence(7, LIMIT - 10))
    heartbeats.beat(pipeline.engine, UUID(run_id), ELSEWHERE, 8)  # it was stopped for a while, and goes on
    lost, watch = looks(pipeline, LIMIT - 10, watch=watch)
    assert lost == []
    assert looks(pipeline, 20, watch=watch)[0] == [run_id]


def test_a_run_that_died_before_its_first_sign_of_life_is_closed_too(pipeline: Pipeline) -> None:
    run_id = begun(pipeline, status=Status.CANCELING)
    assert looks(pipeline, LIMIT - 10)[0] == []
    assert looks(pipeline, LIMIT)[0] == [run_id]
    assert state(pipeline, run_id) is Status.CANCELED


def test_a_run_from_before_the_first_look_ever_is_left_to_dagster(quick_pipeline: Pipeline) -> None:
    definition = quick_pipeline.definitions.resolve_job_def("health_monitoring")
    quick_pipeline.instance.create_run_for_job(job_def=definition, status=Status.STARTED)
    assert looks(quick_pipeline, 3 * LIMIT)[0] == []


def test_clocks_that_are_set_make_no_run_dead(pipeline: Pipeline) -> None:
    run_id = begun(pipeline)
    for number in range(20):
        heartbeats.beat(pipeline.engine, UUID(run_id), ELSEWHERE, number)
        wrong = datetime.now(UTC) - timedelta(hours=number)  # every machine's clock, and the database's, goes astray
        write(pipeline.engine, lambda connection, at=wrong: connection.execute(update(RunHeartbeat).values(beat_at=at)))
        assert look(pipeline.instance, pipeline.engine, NOTHING, LIMIT, 10.0 * number)[0] == []


def test_time_in_which_nobody_looked_does_not_count(quick_pipeline: Pipeline) -> None:
    """The watch was away, or the database did not answer: the run could not write either."""
    run_id = begun(quick_pipeline)
    heartbeats.beat(quick_pipeline.engine, UUID(run_id), ELSEWHERE, 7)
    _, watch = look(quick_pipeline.instance, quick_pipeline.engine, NOTHING, LIMIT, 0)
    lost, watch = look(quick_pipeline.instance, quick_pipeline.engine, watch, LIMIT, 3600)
    assert (lost, watch.silent[run_id].seconds) == ([], MOST_COUNTED)


def test_what_was_remembered_under_another_start_of_the_machine_does_not_count() -> None:
    watch = Watch(5.0, {"run": Silence(3, 50.0)})
    assert remembered(written(watch)) == watch
    assert remembered(written(watch).replace('"place": "', '"place": "other ')) == NOTHING


def test_a_database_that_takes_no_writes_makes_no_run_silent(quick_pipeline: Pipeline) -> None:
    begun(quick_pipeline)
    write(quick_pipeline.engine, lambda connection: connection.exec_driver_sql("DROP TABLE run_heartbeats"))
    with pytest.raises(OperationalError):
        look(quick_pipeline.instance, quick_pipeline.engine, NOTHING, LIMIT, 0)


def test_a_sign_of_life_in_the_moment_of_closing_saves_the_run(engine: Engine) -> None:
    run_id = uuid4()
    heartbeats.beat(engine, run_id, ELSEWHERE, 1)
    heartbeats.beat(engine, run_id, ELSEWHERE, 2)
    assert not heartbeats.declare_lost(engine, run_id, 1)
    assert heartbeats.declare_lost(engine, run_id, 2)
    assert not heartbeats.declare_lost(engine, run_id, 2)
    late = uuid4()
    heartbeats.beat(engine, late, ELSEWHERE, 0)
    assert not heartbeats.declare_lost(engine, late, None)


def test_a_run_that_was_taken_for_dead_learns_of_it(engine: Engine) -> None:
    run_id, told = uuid4(), Event()
    with beating(engine, run_id, 0.06, on_loss=told.set):
        while not heartbeats.declare_lost(engine, run_id, number_of(engine, run_id)):
            pass
        assert told.wait(120)
    assert rows(engine) == {run_id}, "so that it is not forgotten before everybody knows"


def test_a_heart_beats_while_its_run_runs_and_leaves_nothing_behind(engine: Engine) -> None:
    run_id = uuid4()
    with beating(engine, run_id, 0.06):
        while (number_of(engine, run_id) or 0) < 3:
            pass
        seen = heartbeats.look(engine, this_process()).runs[run_id]
        assert (seen.process["pid"], lives_here(seen.process)) == (os.getpid(), True)
    assert rows(engine) == {heartbeats.WATCH}


@pytest.mark.parametrize(
    ("beat", "before", "seconds", "dead"),
    [
        (None, None, 0.0, False),
        (None, Silence(NEVER, 55.0), 65.0, True),
        (Heartbeat(ELSEWHERE, 4, False), Silence(3, 55.0), 0.0, False),
        (Heartbeat(ELSEWHERE, 4, False), Silence(4, 49.0), 59.0, False),
        (Heartbeat(ELSEWHERE, 4, False), Silence(4, 50.0), 60.0, True),
        (Heartbeat(ELSEWHERE, 4, True), None, 0.0, True),
        (Heartbeat(this_process(), 4, False), Silence(4, 500.0), 0.0, False),
        (Heartbeat({**this_process(), "ticks": 1}, 4, False), None, 0.0, True),
    ],
)
def test_the_verdict(beat: Heartbeat | None, before: Silence | None, seconds: float, dead: bool) -> None:
    known, verdict = judged(beat, before, 10.0, LIMIT)
    assert (known.seconds, verdict) == (seconds, dead)


def number_of(engine: Engine, run_id: UUID) -> int | None:
    with reading(engine) as connection:
        return connection.scalar(select(RunHeartbeat.number).where(RunHeartbeat.run_id == run_id))


def rows(engine: Engine) -> set[UUID]:
    with reading(engine) as connection:
        return set(connection.scalars(select(RunHeartbeat.run_id)))

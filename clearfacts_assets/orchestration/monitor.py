"""The watch over runs: one that died without a word is closed in Dagster, so that the queue moves on without a person.

Dagster learns of a run's death from whatever launched it; when that died too (the daemon, the container, the machine),
the run stays STARTED and keeps its place for hours. Here a run is dead when its process is provably gone, or, where
that cannot be seen (another machine, another container, another start of the machine), when it has given no sign of
life for the setting ``runs.silence``. That time is counted in looks that succeeded, on a clock that nobody sets: not
while the watch was away, the database did not answer, or wall clocks were put right. What can be seen to live is never
taken for dead, however silent.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets import settings
from clearfacts_assets.orchestration.process import lives_here, place, this_process
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets.storage.operations import heartbeats
from clearfacts_assets.storage.operations.heartbeats import Heartbeat

EVERY = 10  # seconds between two looks
MOST_COUNTED = 2 * EVERY  # seconds of silence that one look adds, however long ago the one before was
WATCHED = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
NEVER = -1  # the number of a beat that was never given


@dataclass(frozen=True, slots=True)
class Silence:
    """A run, and for how many seconds of looking it has given no sign."""

    number: int  # of its last beat
    seconds: float


@dataclass(frozen=True, slots=True)
class Watch:
    """What is remembered from one look to the next."""

    looked_at: float | None  # on the monotonic clock of this start of this machine
    silent: Mapping[str, Silence]  # by run


@dg.sensor(name="lost_runs", minimum_interval_seconds=EVERY, default_status=dg.DefaultSensorStatus.RUNNING)
def lost_runs(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SensorResult:
    """Closes runs whose process has died without a word, of any job, so that those that wait in the queue can start."""
    silence = settings.load().runs.silence
    lost, watch = look(context.instance, database.engine(), remembered(context.cursor), silence, time.monotonic())
    return dg.SensorResult(
        skip_reason=f"{len(lost)} runs were lost, {len(watch.silent)} are under way", cursor=written(watch)
    )


def look(
    instance: dg.DagsterInstance, engine: Engine, before: Watch, silence: float, now: float
) -> tuple[list[str], Watch]:
    """One look at all runs that Dagster believes to be under way. Returns those that were closed.

    Raises what the database raises; then nothing is remembered, and the time does not count.
    """
    records = instance.get_run_records(dg.RunsFilter(statuses=WATCHED))
    seen = heartbeats.look(engine, this_process())
    passed = 0.0 if before.looked_at is None else min(max(now - before.looked_at, 0.0), MOST_COUNTED)
    lost: list[str] = []
    silent: dict[str, Silence] = {}
    for record in records:
        run_id = record.dagster_run.run_id
        beat = seen.runs.get(UUID(run_id))
        if beat is None and record.create_timestamp < seen.watched_since:
            continue  # begun by a version that gave no signs: Dagster's own limits hold for it
        now_silent, dead = judged(beat, before.silent.get(run_id), passed, silence)
        if dead and _close(instance, engine, run_id, beat, now_silent.seconds):
            lost.append(run_id)
        else:
            silent[run_id] = now_silent
    return lost, Watch(now, silent)


def judged(beat: Heartbeat | None, before: Silence | None, passed: float, limit: float) -> tuple[Silence, bool]:
    """For how long the run is silent now, and whether it is dead. ``passed`` is the time that this look may count."""
    number = NEVER if beat is None else beat.number
    known = Silence(number, 0.0)
    if before is not None and before.number == number:
        known = replace(before, seconds=before.seconds + passed)
    if beat is not None and beat.lost:
        return known, True  # noted, and then the watch died before it told Dagster
    lives = lives_here(beat.process) if beat is not None else None
    if lives is not None:
        return (Silence(number, 0.0) if lives else known), not lives
    return known, known.seconds >= limit


def remembered(cursor: str | None) -> Watch:
    """What the sensor's cursor holds; nothing where it was written under another start of the machine."""
    held = json.loads(cursor) if cursor else {}
    if held.get("place") != place():
        return Watch(None, {})
    return Watch(
        held["looked_at"], {run: Silence(number, seconds) for run, (number, seconds) in held["silent"].items()}
    )


def written(watch: Watch) -> str:
    """The same as the cursor holds it."""
    silent = {run: [one.number, round(one.seconds, 1)] for run, one in watch.silent.items()}
    return json.dumps({"place": place(), "looked_at": watch.looked_at, "silent": silent})


def _close(instance: dg.DagsterInstance, engine: Engine, run_id: str, beat: Heartbeat | None, seconds: float) -> bool:
    """Close the run, unless it ended or gave a sign in this very moment."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.status not in WATCHED:
        return False
    if not (beat is not None and beat.lost) and not heartbeats.declare_lost(
        engine, UUID(run_id), None if beat is None else beat.number
    ):
        return False
    host = beat.process.get("host", "an unknown machine") if beat else "an unknown machine"
    message = (
        f"The process of this run is gone: it was killed, or the machine stopped (it ran on {host}; "
        f"silent for {seconds:.0f} s). What it left is done by the next run of the same kind."
    )
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message=message)
    else:
        instance.report_run_failed(run, message=message)
    storage = instance.event_log_storage
    if storage.supports_global_concurrency_limits:
        storage.free_concurrency_slots_for_run(run_id)  # Dagster itself does so a minute later
    return True

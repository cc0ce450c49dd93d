"""Figures of /metrics that are computed anew only where something has changed, and those of Dagster's clockwork."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, TickData, TickStatus
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from sqlalchemy import Engine, insert, update

from clearfacts_assets.api.backlog_metrics import of_ticks
from clearfacts_assets.storage.database import write
from clearfacts_assets.storage.invoices.counts import pages_retrieved
from clearfacts_assets.storage.invoices.days import number_missing
from clearfacts_assets.storage.invoices.tables import Job
from clearfacts_assets_tests.fixtures.metrics import runs_told

NIGHT = datetime(2026, 11, 20, 2, tzinfo=UTC)  # after the 19th, which was over three hours before
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def job(day: int, *, pages: int, status: str = "completed") -> dict[str, Any]:
    began = NIGHT + timedelta(days=day)
    return {
        "id": uuid.uuid4(),
        "job_type": "scheduled",
        "status": status,
        "partition_key": (began - timedelta(days=1)).date().isoformat(),
        "whole_day": True,
        "started_at": began,
        "completed_at": began,
        "created_at": began,
        "updated_at": began,
        "metadata": {"retrieval": {"pages": pages}},
    }


def test_days_and_pages_are_looked_for_anew_when_a_job_begins_or_changes(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, third = job(0, pages=2), job(2, pages=3, status="failed")
    now = NIGHT + timedelta(days=2, minutes=30)
    write(engine, lambda connection: connection.execute(insert(Job), [first]))
    assert (number_missing(engine, now), pages_retrieved(engine)) == (2, 2)
    write(engine, lambda connection: connection.execute(insert(Job), [third]))
    assert (number_missing(engine, now), pages_retrieved(engine)) == (2, 5)
    done = update(Job).where(Job.id == third["id"]).values(status="completed", updated_at=now)
    write(engine, lambda connection: connection.execute(done))
    assert (number_missing(engine, now), pages_retrieved(engine)) == (1, 5)
    monkeypatch.setattr("clearfacts_assets.storage.invoices.days.missing_now", None)
    monkeypatch.setattr("clearfacts_assets.storage.invoices.counts._pages", None)
    assert (number_missing(engine, now), pages_retrieved(engine)) == (1, 5)


def test_a_day_that_has_become_owed_is_missing_without_any_job(engine: Engine) -> None:
    write(engine, lambda connection: connection.execute(insert(Job), [job(0, pages=1)]))
    assert [number_missing(engine, NIGHT + timedelta(days=days, hours=3)) for days in (0, 1, 3)] == [0, 1, 3]


def test_runs_are_counted_anew_when_one_has_changed_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    @dg.job(name="daily_processing")
    def nothing() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        assert runs_told(instance, "SUCCESS") == 0
        for number in (1, 2):
            nothing.execute_in_process(instance=instance, run_config=QUIET)
            assert runs_told(instance, "SUCCESS") == number
        monkeypatch.setattr("clearfacts_assets.api.metrics._runs", None)
        assert runs_told(instance, "SUCCESS") == 2


def test_the_last_tick_of_each_schedule_and_sensor_is_told_as_dagster_has_it(tmp_path: Path) -> None:
    code = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="somewhere"))
    repository = RemoteRepositoryOrigin(code, "__repository__")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert next(of_ticks(None, instance)).samples == []  # type: ignore[arg-type]
        for name, kinds in {"due": ("SKIPPED", "SUCCESS"), "nightly": ("SKIPPED",), "never": ()}.items():
            origin = repository.get_instigator_origin(name)
            state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING)
            instance.add_instigator_state(state)
            for number, kind in enumerate(kinds):
                instance.create_tick(
                    TickData(
                        instigator_origin_id=state.instigator_origin_id,
                        instigator_name=name,
                        instigator_type=InstigatorType.SENSOR,
                        selector_id=state.selector_id,
                        status=TickStatus(kind),
                        timestamp=(NIGHT + timedelta(seconds=30 * number)).timestamp(),
                        run_ids=[],
                    )
                )
        (ticks,) = of_ticks(None, instance)  # type: ignore[arg-type]
    assert {(one.labels["instigator"], one.labels["status"], one.value) for one in ticks.samples} == {
        ("due", "success", NIGHT.timestamp() + 30),
        ("nightly", "skipped", NIGHT.timestamp()),
    }

"""Dagster's queue with our dagster.yaml: the parts of a day run at once, two runs of one part do not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from clearfacts_assets.home import packaged
from clearfacts_assets.orchestration.run_queue import SLICE_TAG, slice_of

DAY = "2026-11-18"


@dg.op
def raw_invoices() -> None:
    """What a part is chosen on, by its name."""


@dg.job
def daily() -> None:
    raw_invoices()


class Queue:
    """Of our dagster.yaml, with room for four runs; nothing is started, only taken from it."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance

    def put(self, part: object = None, day: str | None = DAY, **tags: str) -> str:
        config = {} if part is None else {"ops": {"raw_invoices": {"config": {"part": part}}}}
        tags |= {"dagster/partition": day} if day else {}
        run = self.instance.create_run_for_job(
            job_def=daily, run_config=config, tags=tags, remote_job_origin=_origin(), job_code_origin=None
        )
        asked = dg.SubmitRunContext(run, workspace=None)  # type: ignore[arg-type]  # nobody asks for it
        return self.instance.run_coordinator.submit_run(asked).run_id

    def next(self) -> list[str]:
        """What Dagster's daemon starts at its next look; they are running then."""
        from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

        with QueuedRunCoordinatorDaemon(interval_seconds=1) as daemon:
            taken = daemon._get_runs_to_dequeue(self.instance, self.instance.get_concurrency_config(), None)
        for run in taken:
            self.instance.report_dagster_event(
                dg.DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, run.job_name), run.run_id
            )
        return [run.run_id for run in taken]

    def slice(self, run_id: str) -> str | None:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.tags.get(SLICE_TAG)


def _origin() -> Any:
    """Where a run's code is, which Dagster wants to know of what waits in its queue."""
    from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

    return RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("nowhere"), "__repository__"), "daily")


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    written = yaml.safe_load(Path(packaged("dagster.yaml")).read_text("utf-8"))
    written["concurrency"]["runs"]["max_concurrent_runs"] = 4
    written.pop("python_logs")  # another test's business: it would change this process's logging
    home = tmp_path_factory.mktemp("queue")
    (home / "dagster.yaml").write_text(yaml.safe_dump(written))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@pytest.fixture
def queue(instance: dg.DagsterInstance) -> Iterator[Queue]:
    yield Queue(instance)
    instance.run_storage.wipe()


def test_our_dagster_yaml_has_this_queue_and_its_daemon(instance: dg.DagsterInstance) -> None:
    limits = instance.get_concurrency_config().run_queue_config
    assert limits is not None
    assert [(one["key"], one["limit"]) for one in limits.tag_concurrency_limits] == [(SLICE_TAG, 1)]
    assert "QUEUED_RUN_COORDINATOR" in instance.get_required_daemon_types()


def test_the_parts_of_one_day_run_at_once_and_two_runs_of_one_part_do_not(queue: Queue) -> None:
    first, second, again = queue.put("1/2"), queue.put("2/2"), queue.put("1/2")
    assert [queue.slice(one) for one in (first, second, again)] == [f"{DAY} 1/2", f"{DAY} 2/2", f"{DAY} 1/2"]
    assert queue.next() == [first, second]
    assert queue.next() == []
    queue.instance.report_run_canceled(queue.instance.get_run_by_id(first))  # type: ignore[arg-type]
    assert queue.next() == [again]


def test_two_runs_of_one_day_wait_for_each_other_whatever_started_them(queue: Queue) -> None:
    nightly, button, other = queue.put(), queue.put(**{"dagster/backfill": "abcd"}), queue.put(day="2026-11-17")
    assert queue.next() == [nightly, other]
    assert queue.slice(button) == DAY


def test_what_is_no_partitions_waits_for_nothing(queue: Queue) -> None:
    health = [queue.put(day=None) for _ in range(2)]
    assert [queue.slice(one) for one in health] == [None, None]
    assert queue.next() == health


@pytest.mark.parametrize("part", ["", 3, ["1/2"], {"env": "PART"}])
def test_what_is_no_part_counts_as_the_whole_day(part: object) -> None:
    config = {"ops": {"raw_invoices": {"config": {"part": part}}}}
    assert slice_of(dg.DagsterRun(job_name="daily", run_config=config, tags={"dagster/partition": DAY})) == DAY


@pytest.mark.parametrize("config", [{"ops": []}, {"ops": {"raw_invoices": None}}, {}])
def test_a_configuration_of_another_shape_is_no_ones_part(config: dict[str, object]) -> None:
    assert slice_of(dg.DagsterRun(job_name="daily", run_config=config, tags={"dagster/partition": DAY})) == DAY
    assert slice_of(dg.DagsterRun(job_name="daily", run_config=config)) == ""

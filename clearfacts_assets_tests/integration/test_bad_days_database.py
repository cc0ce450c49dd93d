"""Bad days of our own database, through Dagster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.storage import migrate
from clearfacts_assets_tests.fixtures.databases import PostgresServer
from clearfacts_assets_tests.fixtures.pipeline import Pipeline


@pytest.fixture
def database_url_without_tables(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.fresh()
    yield url
    server.drop(url)


def failure_of(pipeline: Pipeline) -> str:
    """What Dagster shows of a run that could not even open its job."""
    run = pipeline.run_only()
    assert not run.success
    events = [event for event in run.all_events if event.is_step_failure]
    return str(events[0].step_failure_data.error)


def test_a_database_without_tables(pipeline: Pipeline, database_url_without_tables: str) -> None:
    pipeline.configure(DATABASE_URL=database_url_without_tables)
    message = failure_of(pipeline)
    assert "the database has no tables yet, or older ones: run `clearfacts db upgrade` first" in message
    assert pipeline.simulator.calls().get("clearfacts.upload", 0) == 0
    migrate.upgrade(database_url_without_tables)
    assert pipeline.run_only().success
    pipeline.check_all_delivered()


def test_a_database_that_cannot_be_reached(quick_pipeline: Pipeline, tmp_path: object) -> None:
    quick_pipeline.configure(DATABASE_URL=f"sqlite:///{tmp_path}/no-such-folder/clearfacts.db")
    message = failure_of(quick_pipeline)
    assert "the database does not answer" in message
    assert "CLEARFACTS_DATABASE_URL" in message


def test_a_password_in_the_address_is_not_told(quick_pipeline: Pipeline) -> None:
    canary = "S3CRET-CANARY"
    quick_pipeline.configure(DATABASE_URL=f"postgresql+psycopg://nobody:{canary}@127.0.0.1:1/none?connect_timeout=1")
    message = failure_of(quick_pipeline)
    assert canary not in message


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
@pytest.mark.parametrize("transport", ["graphql", "rest"])
def test_a_database_that_restarts_in_the_middle_of_the_delivery(
    pipeline: Pipeline, postgres_server: PostgresServer, transport: str
) -> None:
    pipeline.configure(DESTINATION__TRANSPORT=transport, DELIVERY__CONCURRENCY=2, DELIVERY__PATIENCE=20)
    pipeline.simulator.fault("clearfacts", "delay", seconds=0.05, match={"operation": "upload"})
    # The server dies with the thread that started it, so it is the run that goes into another one.
    with ThreadPoolExecutor(1) as beside:
        first = beside.submit(pipeline.run_only)
        while len(pipeline.simulator.accepted()) < 3:
            assert not first.done()
            time.sleep(0.01)
        postgres_server.stop(losing=False)
        postgres_server.start()
        assert first.result(60).run_id
    pipeline.simulator.clear_faults()
    second = pipeline.run()
    assert second.job.status == "completed"
    pipeline.check_nothing_twice()
    if transport == "graphql":
        pipeline.decide()
        assert pipeline.run().job.status == "completed"
    assert pipeline.states() == {State.DELIVERED: 11}
    pipeline.check_all_delivered()

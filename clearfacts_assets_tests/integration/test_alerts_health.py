"""Health: what a look at every system says, and that each change is told once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from clearfacts_assets import resources
from clearfacts_assets.health import reports
from clearfacts_assets.invoices.days import day_before
from clearfacts_assets.invoices.defs.sensors import alerts
from clearfacts_assets.storage.invoices.days import missing_now
from clearfacts_assets_tests.fixtures.databases import PostgresServer
from clearfacts_assets_tests.fixtures.pipeline import Pipeline

ASKED = ("java_backend", "destination", "slack", "database", "nightly_run")  # the names of the checks


def look(pipeline: Pipeline) -> dict[str, bool]:
    """One look, and what is told is sent: the systems' verdicts."""
    result = pipeline.health()
    assert result.success
    if pipeline_answers(result):
        alerts.tend(pipeline.instance, pipeline.engine, resources.slack())
    found = result.get_asset_check_evaluations()
    return {one.check_name.removesuffix("_answers"): one.passed for one in found}


def pipeline_answers(result: object) -> bool:
    return all(
        one.passed
        for one in result.get_asset_check_evaluations()  # type: ignore[attr-defined]
        if one.check_name == "database_answers"
    )


@pytest.mark.parametrize("transport", ["graphql", "rest"])
def test_when_all_is_well_nobody_is_told(quick_pipeline: Pipeline, transport: str) -> None:
    quick_pipeline.configure(DESTINATION__TRANSPORT=transport)
    assert look(quick_pipeline) == dict.fromkeys(ASKED, True)
    assert quick_pipeline.told() == []


@pytest.mark.parametrize(
    ("check", "system", "target"),
    [("java_backend", "java_backend", "erp"), ("destination", "clearfacts", "clearfacts")],
)
def test_a_system_that_goes_down_and_comes_back_is_told_once_each(
    quick_pipeline: Pipeline, check: str, system: str, target: str
) -> None:
    quick_pipeline.simulator.fault(target, "status", status=401)
    for _ in range(3):
        assert look(quick_pipeline) == {**dict.fromkeys(ASKED, True), check: False}
    quick_pipeline.simulator.clear_faults()
    for _ in range(2):
        assert look(quick_pipeline) == dict.fromkeys(ASKED, True)
    down, up = quick_pipeline.told()
    assert down.startswith(f"{system} is down")
    assert up.startswith(f"{system} answers again")
    quick_pipeline.simulator.fault(target, "down")
    look(quick_pipeline)
    assert len(quick_pipeline.told()) == 3


def test_a_destination_is_called_by_its_name_everywhere(quick_pipeline: Pipeline, tmp_path: Path) -> None:
    quick_pipeline.configure(DESTINATION__TRANSPORT="peppol_folder", DESTINATION__FOLDER=tmp_path / "outbound")
    result = quick_pipeline.health()
    alerts.tend(quick_pipeline.instance, quick_pipeline.engine, resources.slack())
    (event,) = result.asset_materializations_for_node("service_health")
    records = event.metadata["systems"].records
    assert [record.data["system"] for record in records] == ["java_backend", "peppol", *ASKED[2:]]
    (text,) = quick_pipeline.told()
    assert text.startswith("peppol is down")
    assert "check destination.folder" in text
    checks = [one.metadata["message"].value for one in result.get_asset_check_evaluations()]
    shown = [one.system for one in reports.newest(quick_pipeline.instance)]
    assert "Clearfacts" not in repr([text, checks, event.metadata, shown])
    (tmp_path / "outbound").mkdir()
    assert look(quick_pipeline) == dict.fromkeys(ASKED, True)
    assert quick_pipeline.told()[-1].startswith("peppol answers again")


def test_slack_s_own_outage_is_told_when_it_is_back(quick_pipeline: Pipeline) -> None:
    number = quick_pipeline.simulator.fault("slack", "status", status=503, match={"operation": "auth_test"})
    assert look(quick_pipeline)["slack"] is False
    assert quick_pipeline.simulator.applied(number) == 1
    quick_pipeline.simulator.clear_faults()
    assert look(quick_pipeline)["slack"] is True
    assert [text.partition(" ")[0] for text in quick_pipeline.told()] == ["slack", "slack"]


def test_a_night_without_a_completed_run_is_told_once_and_its_end_too(pipeline: Pipeline) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=3)
    first, details = day_before(long_ago), {"whole_day": True}
    pipeline.jobs.begin(
        uuid4(), job_type="scheduled", partition_key=first, correlation_id=None, details=details, now=long_ago
    )
    (old,) = pipeline.jobs.unfinished()
    pipeline.jobs.finish(old.id, "completed", error_message=None, now=long_ago)
    assert look(pipeline)["nightly_run"] is False
    assert look(pipeline)["nightly_run"] is False
    (text,) = pipeline.told()
    assert text.startswith("nightly_run is down")
    assert "clearfacts run --missing" in text
    days_missed = [one.day for one in missing_now(pipeline.engine, datetime.now(UTC))]
    assert len(days_missed) >= 2, "each night counts, not the last one only"
    assert all(day in text for day in days_missed)
    for days in range(3):
        assert look(pipeline)["nightly_run"] is False
        assert pipeline.run(day_before(datetime.now(UTC) - timedelta(days=days))).job.status == "completed"
    assert look(pipeline)["nightly_run"] is True
    assert any(text.startswith("nightly_run answers again") for text in pipeline.told())


def test_numbers_that_plot(quick_pipeline: Pipeline) -> None:
    quick_pipeline.simulator.fault("erp", "down")
    (event,) = quick_pipeline.health().asset_materializations_for_node("service_health")
    assert event.metadata["healthy"].value == 4
    assert event.metadata["down"].value == 1
    assert all(
        isinstance(event.metadata[f"{system}_seconds"].value, float) for system in ("clearfacts", "slack", "database")
    )


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_the_database_s_outage_is_told_at_once_and_once_though_the_outbox_is_in_it(
    pipeline: Pipeline, postgres_server: PostgresServer
) -> None:
    assert look(pipeline)["database"] is True
    postgres_server.stop()
    try:
        # The settings are in it too; they are as last seen, and only what is truly down is said to be so.
        assert {name for name, well in look(pipeline).items() if not well} == {"database", "nightly_run"}
        assert look(pipeline)["database"] is False
        assert [text.partition(":")[0] for text in pipeline.told()] == ["database is down"]
    finally:
        postgres_server.start()
    assert look(pipeline)["database"] is True
    assert look(pipeline)["database"] is True
    assert [text.partition(":")[0] for text in pipeline.told()] == ["database is down", "database answers again"]

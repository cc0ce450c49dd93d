"""Chargeback in Dagster: deliveries from the folder, the checks, and the catalogue that follows the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from clearfacts_assets.chargeback.attribution.review import ReviewDecision, Verdict
from clearfacts_assets.chargeback.defs.automation import delivered_exports, followed
from clearfacts_assets.chargeback.defs.partitions import SOURCE_PARTITIONS
from clearfacts_assets.chargeback.lifecycle import Event
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets.settings import load
from clearfacts_assets.simulator.cost_exports import Edition, write_month
from clearfacts_assets.storage.chargeback.charges import ChargeFilter
from clearfacts_assets.storage.chargeback.importing import ImportRequest, import_files
from clearfacts_assets.storage.chargeback.periods import PeriodRepository
from clearfacts_assets.storage.chargeback.review import ReviewRepository
from clearfacts_assets_tests.fixtures.chargeback import NOW
from clearfacts_assets_tests.fixtures.pipeline import Pipeline

MONTH, SOURCE = "2026-09", "cloud"
KEY = f"{MONTH}|{SOURCE}"
WANTED = ImportRequest(source=SOURCE, period=MONTH)
CHARGES, APPROVED = dg.AssetKey("charges"), dg.AssetKey("approved_charges")


class Landing:
    """A landing folder, and the runs and looks that read it."""

    def __init__(self, folder: Path, pipeline: Pipeline) -> None:
        self.folder, self.pipeline = folder, pipeline
        pipeline.configure(CHARGEBACK__LANDING=folder, CHARGEBACK__LANDING_QUIET=0)
        pipeline.instance.add_dynamic_partitions(SOURCE_PARTITIONS, [SOURCE])

    def put(self, month: str = MONTH, **said: Any) -> Path:
        return write_month(self.folder / SOURCE / month, SOURCE, month, **said)

    def materialize(
        self, key: str = KEY, *, job: str = "import_of_charges", **config: bool
    ) -> dg.ExecuteInProcessResult:
        ops = {"ops": {"charges": {"config": config}}} if config else {}
        return self.pipeline.run_only(key, job=job, run_config=ops)

    def look(self, cursor: str | None) -> dg.SensorResult:
        context = dg.build_sensor_context(instance=self.pipeline.instance, cursor=cursor)
        result = delivered_exports(context, database=DatabaseResource())
        assert isinstance(result, dg.SensorResult)
        return result

    def alerts(self) -> list[str]:
        with self.pipeline.engine.connect() as connection:
            found = connection.execute(text("SELECT message FROM alerts ORDER BY created_at"))
            return [str(one) for one in found.scalars()]


@pytest.fixture
def landing(tmp_path: Path, pipeline: Pipeline) -> Landing:
    return Landing(tmp_path / "landing", pipeline)


@pytest.fixture
def quick_landing(tmp_path: Path, quick_pipeline: Pipeline) -> Landing:
    return Landing(tmp_path / "landing", quick_pipeline)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def metadata(result: dg.ExecuteInProcessResult, asset: str = "charges") -> Mapping[str, Any]:
    (event,) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items() if not isinstance(value, dg.TableMetadataValue)}


def test_a_delivery_becomes_charges_with_its_checks_and_the_same_files_change_nothing(landing: Landing) -> None:
    landing.put()
    first = landing.materialize()
    assert first.success
    told = metadata(first)
    assert (told["dagster/row_count"], told["refused rows"], told["waiting for a decision"]) == (20, 1, 3)
    assert told["nothing new"] is False
    assert told["charts, USD"].count("data:image/svg+xml") == 3
    assert checks(first) == {
        "every_row_is_a_charge_or_refused": True,
        "every_charge_has_a_payer": False,
        "nothing_costs_far_more_than_usual": True,
    }
    again = metadata(landing.materialize())
    assert (again["nothing new"], again["import"]) == (True, told["import"])
    assert ["1 row was refused" in one for one in landing.alerts()] == [True]


def test_what_is_due_is_shown_with_its_way_from_the_provider(landing: Landing) -> None:
    landing.put()
    landing.materialize()
    result = landing.materialize(MONTH, job="approval_of_charges")
    totals = PeriodRepository(landing.pipeline.engine).totals(MONTH)["USD"]
    assert metadata(result, "approved_charges")["due, USD"] == pytest.approx(float(totals.due))
    assert checks(result) == {"provider_to_due_leaves_nothing": True, "nothing_waits_for_a_decision": False}


def test_a_record_that_became_nothing_turns_the_check_red(quick_landing: Landing) -> None:
    quick_landing.put()
    quick_landing.materialize()
    with quick_landing.pipeline.engine.begin() as connection:
        connection.execute(text("INSERT INTO cost_row_chunks SELECT import_file, 10000, 1, data FROM cost_row_chunks"))
    assert checks(quick_landing.materialize())["every_row_is_a_charge_or_refused"] is False


def test_a_delivery_that_would_withdraw_too_much_fails_in_words_and_is_told_once(landing: Landing) -> None:
    landing.put()
    landing.materialize()
    landing.put(edition=Edition.SHORT)
    failed = landing.materialize()
    assert not failed.success
    (failure,) = [one for one in failed.all_events if one.is_step_failure]
    assert "would be withdrawn" in str(failure.step_failure_data.user_failure_data)
    assert ["was not imported" in one for one in landing.alerts()] == [False, True]
    assert PeriodRepository(landing.pipeline.engine).totals(MONTH)["USD"].charges == 20
    assert landing.materialize(withdraw_more=True).success
    assert PeriodRepository(landing.pipeline.engine).totals(MONTH)["USD"].charges < 20


def test_a_broken_file_fails_the_run_and_changes_nothing(quick_landing: Landing) -> None:
    path = quick_landing.put()
    path.write_bytes(b"\x1f\x8b broken")
    assert not quick_landing.materialize().success
    (alert,) = quick_landing.alerts()
    assert "was not imported" in alert
    assert PeriodRepository(quick_landing.pipeline.engine).list() == []


def test_without_files_a_materialization_shows_what_the_ledger_holds(quick_landing: Landing, tmp_path: Path) -> None:
    file = write_month(tmp_path, SOURCE, MONTH)
    engine = quick_landing.pipeline.engine
    outcome, _ = import_files(engine, [file], WANTED, load().chargeback, usage={}, actor="pat", now=NOW)
    told = metadata(quick_landing.materialize())
    assert (told["import"], told["imported by"], told["dagster/row_count"]) == (outcome.import_id, "pat", 20)
    assert "nothing new" not in told


def test_the_sensor_asks_for_a_complete_delivery_once_and_tells_of_strays_once(quick_landing: Landing) -> None:
    quick_landing.put()
    (quick_landing.folder / "lost.csv").write_text("x")
    first = quick_landing.look(None)
    (request,) = first.run_requests or []
    assert str(request.partition_key) == KEY
    assert quick_landing.look(first.cursor).run_requests == []
    (alert,) = quick_landing.alerts()
    assert "lost.csv" in alert


def test_an_import_that_no_run_did_is_shown_in_the_catalogue_once(quick_landing: Landing, tmp_path: Path) -> None:
    engine, instance = quick_landing.pipeline.engine, quick_landing.pipeline.instance
    file = write_month(tmp_path, SOURCE, MONTH)
    import_files(engine, [file], WANTED, load().chargeback, usage={}, actor="pat", now=NOW)
    early = followed(instance, engine, None, NOW)
    assert _keys(early) == {(APPROVED, MONTH)}  # who imported it may still show it
    late = followed(instance, engine, early.cursor, NOW + timedelta(minutes=2))
    assert _keys(late) == {(CHARGES, KEY)}
    for event in late.asset_events:
        instance.report_runless_asset_event(event)
    assert followed(instance, engine, None, NOW + timedelta(minutes=2)).asset_events[0].asset_key == APPROVED
    assert _keys(followed(instance, engine, late.cursor, NOW + timedelta(minutes=3))) == set()


def test_each_change_of_a_month_shows_what_is_due_anew(quick_landing: Landing, tmp_path: Path) -> None:
    engine, instance = quick_landing.pipeline.engine, quick_landing.pipeline.instance
    quick_landing.put()
    quick_landing.materialize()
    cursor = followed(instance, engine, None, NOW).cursor
    review = ReviewRepository(engine)
    waiting = ChargeFilter(period=MONTH, status=("flagged",))
    review.decide(waiting, ReviewDecision(Verdict.REJECT, "nobody's"), actor="rita", now=NOW)
    decided = followed(instance, engine, cursor, NOW)
    assert _keys(decided) == {(APPROVED, MONTH)}
    PeriodRepository(engine).change(MONTH, Event.CLOSE, actor="pat", now=NOW)
    closed = followed(instance, engine, decided.cursor, NOW)
    (event,) = [one for one in closed.asset_events if isinstance(one, dg.AssetMaterialization)]
    assert event.metadata["state"].value == "closed"


def _keys(result: dg.SensorResult) -> set[tuple[dg.AssetKey, str]]:
    return {
        (one.asset_key, str(one.partition)) for one in result.asset_events if isinstance(one, dg.AssetMaterialization)
    }

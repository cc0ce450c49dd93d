"""Parts of the pipeline on their own: what an operator selects in Dagster's UI works on what earlier runs left."""

from __future__ import annotations

from clearfacts_assets_tests.fixtures.pipeline import DAY, Pipeline

RAW, VALIDATED, PROCESSED, METRICS = "raw_invoices", "validated_invoices", "processed_invoices", "job_metrics"


def test_each_asset_on_its_own_goes_on_where_the_one_before_it_ended(pipeline: Pipeline) -> None:
    raw = pipeline.run(assets=[RAW])
    assert raw.job.status == "completed"
    assert (raw.counts.total, raw.counts.pending) == (12, 12)
    validated = pipeline.run(assets=[VALIDATED])
    assert (validated.counts.total, validated.counts.failed, validated.counts.pending) == (12, 1, 11)
    assert pipeline.accepted() == {}
    processed = pipeline.run(assets=[PROCESSED])
    assert (processed.counts.total, processed.counts.sent, processed.counts.failed) == (12, 11, 1)
    metrics = pipeline.run(assets=[METRICS])
    assert [run.job.status for run in (validated, processed, metrics)] == ["completed"] * 3
    assert metrics.metadata(METRICS)["processed"] == 11
    pipeline.check_all_delivered()


def test_processed_alone_after_a_whole_run_sends_nothing(quick_pipeline: Pipeline) -> None:
    quick_pipeline.run()
    again = quick_pipeline.run(assets=[PROCESSED])
    assert (again.counts.total, again.counts.duplicates, again.counts.failed) == (12, 11, 1)
    quick_pipeline.check_all_delivered()


def test_validated_alone_after_a_whole_run_finds_the_same(quick_pipeline: Pipeline) -> None:
    whole = quick_pipeline.run()
    again = quick_pipeline.run(assets=[VALIDATED])
    assert again.reasons.keys() == {row.invoice_id for row in again.rows.values()}
    failed = {name: row.error_message for name, row in again.rows.items() if row.status == "failed"}
    assert failed == whole.reasons
    quick_pipeline.run(assets=[PROCESSED, METRICS])
    quick_pipeline.check_all_delivered()


def test_metrics_alone_show_what_the_newest_job_of_the_day_came_to(quick_pipeline: Pipeline) -> None:
    whole = quick_pipeline.run()
    alone = quick_pipeline.run(assets=[METRICS])
    assert alone.job.status == "completed"
    shown, again = whole.metadata(METRICS), alone.metadata(METRICS)
    names = ("total_invoices", "processed", "failed", "duplicates", "pending", "amounts_delivered")
    assert {name: again[name] for name in names} == {name: shown[name] for name in names}
    assert again["why_some_did_not_leave"] == shown["why_some_did_not_leave"]
    assert again["show"] == f"clearfacts jobs show {whole.job.id}"
    third = quick_pipeline.run(assets=[METRICS])
    assert third.metadata(METRICS)["processed"] == 11
    assert third.checks["counts_are_conserved"]


def test_metrics_alone_on_a_day_that_nobody_ran_show_nothing(quick_pipeline: Pipeline) -> None:
    alone = quick_pipeline.run(assets=[METRICS])
    assert alone.job.status == "completed"
    assert alone.metadata(METRICS)["total_invoices"] == 0


def test_downstream_alone_on_a_day_that_nobody_retrieved_does_nothing(quick_pipeline: Pipeline) -> None:
    alone = quick_pipeline.run(assets=[VALIDATED, PROCESSED, METRICS])
    assert alone.job.status == "completed"
    assert alone.counts.total == 0
    assert quick_pipeline.accepted() == {}


def test_what_another_day_left_is_not_touched(quick_pipeline: Pipeline) -> None:
    quick_pipeline.run(DAY, assets=[RAW, VALIDATED])
    other = quick_pipeline.run("2026-11-17", assets=[PROCESSED, METRICS])
    assert other.counts.total == 0
    assert quick_pipeline.accepted() == {}


def test_forcing_only_the_delivery_sends_again(quick_pipeline: Pipeline) -> None:
    quick_pipeline.run()
    config = {"ops": {PROCESSED: {"config": {"force_processing": True}}}}
    forced = quick_pipeline.run(assets=[PROCESSED, METRICS], run_config=config)
    assert forced.counts.sent == 11
    assert set(quick_pipeline.accepted().values()) == {2}

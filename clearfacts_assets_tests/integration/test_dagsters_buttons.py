"""What Dagster's own buttons do to a day: it ends complete, or red; and nothing leaves twice."""

from __future__ import annotations

import dagster as dg
import pytest

from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.invoices.validation.engine import Validator
from clearfacts_assets.storage.invoices.review_queue import days_due
from clearfacts_assets_tests.fixtures.pipeline import DAY, Pipeline

FORCE = {"force_processing": True}
UPLOAD = {"operation": "upload"}
REFUSED = {"code": "UNSUPPORTED_FILE"}


def test_re_execution_from_failure_stays_red_while_the_erp_has_given_only_some_pages(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(SOURCE__PAGE_SIZE=5)
    quick_pipeline.simulator.fault("erp", "status", status=503, after=1, times=2, match={"operation": "list"})
    partial = quick_pipeline.run()
    assert partial.job.status == "failed"
    assert partial.counts.total == 5
    again = quick_pipeline.re_execute(partial)
    assert again.job.status == "failed"
    assert "The ERP gave only 1 page." in again.message
    assert "This run does not do that part again" in again.message
    once_more = quick_pipeline.re_execute(again)
    assert (once_more.job.status, once_more.message) == ("failed", again.message)
    whole = quick_pipeline.re_execute(once_more, all_of_it=True)
    assert whole.job.status == "completed"
    quick_pipeline.check_all_delivered()


def test_what_a_killed_run_had_not_validated_is_validated_by_its_re_execution(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: Validator, items: object) -> object:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Validator, "validate_many", die)
        died = pipeline.run()
    assert died.job.status == "failed"
    assert died.counts.pending == 12
    again = pipeline.re_execute(died)
    assert again.job.status == "completed"
    assert (again.counts.total, again.counts.sent, again.counts.failed) == (12, 11, 1)
    pipeline.check_all_delivered()
    assert pipeline.jobs.counts(died.job.id).pending == 0
    assert days_due(pipeline.engine) == {}


def test_re_execution_of_a_run_for_chosen_invoices_takes_no_other_ones(
    quick_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = quick_pipeline.run(assets=["raw_invoices", "validated_invoices"])
    chosen = sorted(name for name, row in first.rows.items() if row.status == "pending")[:2]
    with monkeypatch.context() as patch:
        patch.setattr(Validator, "validate_many", lambda self, items: 1 / 0)
        died = quick_pipeline.run(job="manual_trigger", config={"invoice_ids": chosen})
    again = quick_pipeline.re_execute(died)
    assert (again.job.status, sorted(again.rows)) == ("completed", chosen)
    assert len(quick_pipeline.simulator.accepted()) == 2


@pytest.mark.parametrize("all_of_it", [True, False], ids=["all", "from failure"])
def test_re_executing_a_forced_run_sends_nothing_a_third_time(quick_pipeline: Pipeline, *, all_of_it: bool) -> None:
    quick_pipeline.run()
    quick_pipeline.simulator.fault("clearfacts", "graphql_errors", times=1, match=UPLOAD, extensions=REFUSED)
    forced = quick_pipeline.run(job="manual_trigger", config=FORCE)
    sent = quick_pipeline.accepted()
    assert set(sent.values()) == {1, 2}
    failed = quick_pipeline.instance.get_run_by_id(forced.run_id)
    assert failed is not None
    if failed.status is not dg.DagsterRunStatus.FAILURE:
        all_of_it = True  # there is no failure from which to go on
    again = quick_pipeline.re_execute(forced, all_of_it=all_of_it)
    assert quick_pipeline.accepted() == sent
    assert again.counts.sent == 0


def test_a_retry_of_a_forced_job_is_the_same_wish_also_after_another_one(pipeline: Pipeline) -> None:
    pipeline.run()
    first = pipeline.run(job="manual_trigger", config=FORCE)
    pipeline.run(job="manual_trigger", config=FORCE)
    assert set(pipeline.accepted().values()) == {3}
    again = pipeline.re_execute(first, all_of_it=True)
    assert again.counts.sent == 0
    assert set(pipeline.accepted().values()) == {3}


def test_a_rerun_of_the_day_by_the_schedule_changes_nothing(quick_pipeline: Pipeline) -> None:
    quick_pipeline.run()
    sent = quick_pipeline.accepted()
    for assets in (None, ["processed_invoices", "job_metrics"], ["validated_invoices", "processed_invoices"]):
        assert quick_pipeline.run(assets=assets).job.status == "completed"
    assert quick_pipeline.accepted() == sent
    assert quick_pipeline.states()[State.DELIVERED] == 11
    assert days_due(quick_pipeline.engine) == {}
    assert DAY == "2026-11-18"

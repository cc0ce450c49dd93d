"""Bad days of the ERP, through Dagster: the right end, a message that helps, and a rerun that delivers what is left."""

from __future__ import annotations

import socket

import pytest

from clearfacts_assets_tests.fixtures.bad_days import BAD_DAYS, LIST, BadDay
from clearfacts_assets_tests.fixtures.pipeline import DAY, Pipeline

PAGE = 5  # 12 invoices come as pages of 5, 5 and 2
# One that is tried again, and one that is not. What all the others come to is what the client says of them, and
# contract/test_java_backend_simulated.py holds that.
END_TO_END = [bad for bad in BAD_DAYS if str(bad) in ("malformed", "status-401")]


def in_pages(pipeline: Pipeline, bad: BadDay) -> None:
    pipeline.configure(SOURCE__PAGE_SIZE=PAGE, **bad.settings)


def test_without_a_first_page_nothing_happens_and_the_message_says_why(
    quick_pipeline: Pipeline, subtests: pytest.Subtests
) -> None:
    """One run after the other, and the day is still delivered in the end."""
    for bad in END_TO_END:
        with subtests.test(str(bad)):
            in_pages(quick_pipeline, bad)
            quick_pipeline.simulator.clear_faults()
            quick_pipeline.simulator.fault("erp", bad.kind, match=LIST, **bad.options)
            run = quick_pipeline.run()
            assert not run.result.success
            assert run.job.status == "failed"
            assert run.counts.total == 0
            assert run.message.startswith("Nothing was retrieved.")
            assert "/erp/invoices (page 1" in run.message
            assert [words for words in bad.says if words not in run.message] == []
            assert quick_pipeline.simulator.calls().get("clearfacts.upload", 0) == 0
    quick_pipeline.simulator.clear_faults()
    assert quick_pipeline.run().job.status == "completed"
    quick_pipeline.check_all_delivered()


@pytest.mark.parametrize("bad", END_TO_END, ids=str)
def test_what_came_before_a_bad_page_is_delivered_and_the_message_names_the_page(
    quick_pipeline: Pipeline, bad: BadDay
) -> None:
    in_pages(quick_pipeline, bad)
    quick_pipeline.simulator.fault("erp", bad.kind, match=LIST, after=1, **bad.options)
    run = quick_pipeline.run()
    assert not run.result.success
    assert run.job.status == "failed"
    assert run.counts.total == PAGE
    assert run.counts.sent + run.counts.failed == PAGE
    assert run.message.startswith("The ERP gave only 1 page.")
    assert "/erp/invoices (page 2, cursor" in run.message
    assert [words for words in bad.says if words not in run.message] == []
    assert run.checks["retrieval_is_complete"] is False
    assert run.metadata("raw_invoices")["complete"] is False
    assert run.metadata("job_metrics")["processed"] == run.counts.sent
    assert len(quick_pipeline.simulator.accepted()) == run.counts.sent
    quick_pipeline.simulator.clear_faults()
    again = quick_pipeline.run()
    assert again.job.status == "completed"
    assert again.counts.duplicates == run.counts.sent
    quick_pipeline.check_all_delivered()


def test_a_part_of_a_day_is_delivered_on_each_database(pipeline: Pipeline) -> None:
    pipeline.configure(SOURCE__PAGE_SIZE=PAGE)
    pipeline.simulator.fault("erp", "status", status=500, match=LIST, after=2)
    run = pipeline.run()
    assert (run.job.status, run.counts.total, run.counts.pending) == ("failed", 10, 0)
    assert "The ERP gave only 2 pages." in run.message
    pipeline.simulator.clear_faults()
    pipeline.run()
    pipeline.check_all_delivered()


def test_a_fault_that_passes_is_not_even_seen(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(SOURCE__PAGE_SIZE=PAGE)
    number = quick_pipeline.simulator.fault("erp", "down", match=LIST, after=1, times=1)
    assert quick_pipeline.run().job.status == "completed"
    assert quick_pipeline.simulator.applied(number) == 1
    quick_pipeline.check_all_delivered()


def test_nobody_listens_at_the_erp_s_address(quick_pipeline: Pipeline) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        quick_pipeline.configure(SOURCE__BASE_URL=address)
        run = quick_pipeline.run()
    assert run.job.status == "failed"
    assert f"{address}/invoices (page 1" in run.message
    assert "ConnectError" in run.message


def test_no_address_of_the_erp_is_set(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(SOURCE__BASE_URL="")
    run = quick_pipeline.run()
    assert run.job.status == "failed"
    assert "CLEARFACTS_SOURCE__BASE_URL" in run.message


def test_a_cursor_that_leads_back_ends_the_day_and_keeps_what_came(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(SOURCE__PAGE_SIZE=PAGE)
    quick_pipeline.simulator.fault("erp", "looping_cursor")
    run = quick_pipeline.run()
    assert run.job.status == "failed"
    assert "round in a circle" in run.message
    assert run.counts.total == PAGE
    assert run.counts.pending == 0
    assert run.checks["counts_are_conserved"]
    quick_pipeline.simulator.clear_faults()
    quick_pipeline.run()
    quick_pipeline.check_all_delivered()


def test_overlapping_pages_count_each_invoice_once(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(SOURCE__PAGE_SIZE=PAGE)
    quick_pipeline.simulator.fault("erp", "repeated_rows", rows=3)
    run = quick_pipeline.run()
    assert run.job.status == "completed"
    assert (run.counts.total, run.counts.sent, run.counts.failed) == (12, 11, 1)
    assert run.metadata("raw_invoices")["repeated_rows"] > 0
    assert run.checks["counts_are_conserved"]
    quick_pipeline.check_all_delivered()


def test_an_invoice_edited_between_two_pages_leaves_once_as_it_was_last(pipeline: Pipeline) -> None:
    pipeline.configure(SOURCE__PAGE_SIZE=PAGE)
    number = pipeline.simulator.fault("erp", "edited_between_pages", times=1)
    run = pipeline.run()
    assert pipeline.simulator.applied(number) == 1
    assert run.job.status == "completed"
    assert (run.counts.total, run.counts.sent) == (12, 11)
    assert run.job.details["retrieval"]["replaced"] == 1
    assert run.checks["counts_are_conserved"]
    pipeline.check_all_delivered()


def test_an_invoice_edited_after_its_delivery_is_held_for_a_person(pipeline: Pipeline) -> None:
    first = pipeline.run()
    pipeline.configure(SOURCE__PAGE_SIZE=PAGE)
    pipeline.simulator.fault("erp", "edited_between_pages", times=1)
    second = pipeline.run()
    assert second.job.status == "completed"
    assert (second.counts.sent, second.counts.duplicates, second.counts.pending) == (0, 10, 1)
    (reason,) = [text for name, text in second.reasons.items() if name not in first.reasons]
    assert reason.startswith("held for a person")
    assert second.checks["no_delivery_is_unknown"] is False
    pipeline.check_all_delivered()


def test_a_record_that_cannot_be_used_fails_alone(quick_pipeline: Pipeline, subtests: pytest.Subtests) -> None:
    """One run after the other: what is left of the day is sent by the first one, and the record by the last one."""
    quick_pipeline.simulator.reset(per_day=6, broken_share=0, duplicate_share=0)
    for variant, sent, before in (("no_ubl", 5, 0), ("not_an_object", 0, 5)):
        with subtests.test(variant):
            quick_pipeline.simulator.clear_faults()
            quick_pipeline.simulator.fault("erp", "bad_record", variant=variant, row=2, match=LIST)
            run = quick_pipeline.run()
            assert run.job.status == "completed"
            assert (run.counts.total, run.counts.failed) == (6, 1)
            assert (run.counts.sent, run.counts.duplicates) == (sent, before)
            (reason,) = [text for name, text in run.reasons.items() if run.rows[name].status == "failed"]
            assert reason.startswith("the record is unusable: ")
    quick_pipeline.simulator.clear_faults()
    again = quick_pipeline.run()
    assert (again.counts.sent, again.counts.duplicates) == (1, 5)
    quick_pipeline.check_all_delivered()


def test_a_day_that_seems_empty_loses_nothing(quick_pipeline: Pipeline) -> None:
    quick_pipeline.simulator.fault("erp", "empty_day")
    run = quick_pipeline.run()
    assert (run.job.status, run.counts.total) == ("completed", 0)
    quick_pipeline.simulator.clear_faults()
    quick_pipeline.run(DAY)
    quick_pipeline.check_all_delivered()


def test_chosen_invoices_that_cannot_be_had_end_the_run_with_the_invoice_s_name(quick_pipeline: Pipeline) -> None:
    ids = [one.invoice_id for one in quick_pipeline.simulator.generator.describe(quick_pipeline.day).entries[:3]]
    quick_pipeline.simulator.fault("erp", "down", match={"operation": "one"}, after=1)
    run = quick_pipeline.run(job="manual_trigger", config={"invoice_ids": ids})
    assert run.job.status == "failed"
    assert ids[1] in run.message
    assert run.counts.total == 1
    quick_pipeline.simulator.clear_faults()
    again = quick_pipeline.run(job="manual_trigger", config={"invoice_ids": ids})
    assert again.job.status == "completed"
    assert again.counts.total == 3
    quick_pipeline.check_nothing_twice()

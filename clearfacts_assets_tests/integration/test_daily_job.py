"""The daily job through Dagster on good days: what is sent, what is not, and that nothing is sent twice."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal

import pytest
from lxml import etree

from clearfacts_assets.simulator.generator import Entry, Kind
from clearfacts_assets_tests.fixtures.pipeline import DAY, Finished, Pipeline

DAY_BEFORE, DAY_AFTER = "2026-11-17", "2026-11-19"
# Both days hold broken records, copies within the day, and records of the day before that come again.
MIXED = {"seed": 20, "per_day": 12, "broken_share": 0.2, "duplicate_share": 0.3}
CBC = "{urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2}"
CAC = "{urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2}"


def entries(pipeline: Pipeline, day: str = DAY) -> tuple[Entry, ...]:
    return pipeline.simulator.generator.describe(date.fromisoformat(day)).entries


def figures(run: Finished) -> tuple[int, int, int, int, int]:
    counts = run.counts
    return counts.total, counts.sent, counts.failed, counts.duplicates, counts.pending


def amounts(pipeline: Pipeline, *days: str) -> dict[tuple[str, str], Decimal]:
    """What the days' right documents add up to, each counted once, read from the XML itself."""
    generator = pipeline.simulator.generator
    origins = {(one.day, one.index): one for day in days for one in entries(pipeline, day) if one.kind != Kind.BROKEN}
    sums: dict[tuple[str, str], Decimal] = {}
    for entry in origins.values():
        root = etree.fromstring(generator.document(entry).encode())
        payable = root.find(f"{CAC}LegalMonetaryTotal/{CBC}PayableAmount")
        kind = "credit_note" if "CreditNote" in root.tag else "invoice"
        key = kind, payable.get("currencyID")
        sums[key] = sums.get(key, Decimal(0)) + Decimal(payable.text)
    return sums


def check_amounts(pipeline: Pipeline, run: Finished, day: str) -> None:
    shown = {
        (row["document"], row["currency"]): Decimal(row["amount"])
        for row in run.metadata("job_metrics")["amounts_delivered"]
    }
    assert shown == amounts(pipeline, day) == pipeline.invoices.amounts_sent(run.job.id)


@pytest.mark.parametrize("transport", ["graphql", "rest"])
def test_a_day_is_delivered_as_the_erp_has_it_and_its_amounts_are_exact(pipeline: Pipeline, transport: str) -> None:
    pipeline.simulator.reset(**MIXED)
    pipeline.configure(DESTINATION__TRANSPORT=transport)
    first, second = pipeline.run(DAY_BEFORE), pipeline.run(DAY)
    assert (first.result.success, first.job.status, second.job.status) == (True, "completed", "completed")
    assert figures(first) == (12, 9, 2, 1, 0)
    check_amounts(pipeline, first, DAY_BEFORE)
    assert figures(second) == (12, 6, 3, 3, 0)
    broken = {one.invoice_id for day in (DAY_BEFORE, DAY) for one in entries(pipeline, day) if one.kind is Kind.BROKEN}
    assert set(first.reasons) | set(second.reasons) == broken
    sent = [row for run in (first, second) for row in run.rows.values() if row.status == "sent"]
    assert Counter(row.content_sha256 for row in sent) == pipeline.accepted()
    documents = {document["uuid"]: document for document in pipeline.simulator.accepted()}
    for row in sent:
        (uuid,) = [uuid for uuid in documents if uuid in str(row.clearfacts_response)]
        assert documents.pop(uuid)["sha256"] == row.content_sha256
    assert {document["transport"] for document in pipeline.simulator.accepted()} == {transport}
    pipeline.check_all_delivered(DAY_BEFORE, DAY)


@pytest.mark.parametrize("transport", ["graphql", "rest"])
def test_a_second_run_sends_nothing_and_force_sends_again_knowingly_and_says_so(
    pipeline: Pipeline, transport: str
) -> None:
    pipeline.configure(DESTINATION__TRANSPORT=transport)
    first = pipeline.run()
    uploads = pipeline.simulator.calls()["clearfacts.upload"]
    second = pipeline.run()
    assert figures(first) == (12, 11, 1, 0, 0)
    assert figures(second) == (12, 0, 1, 11, 0)
    assert second.job.status == "completed"
    assert pipeline.simulator.calls()["clearfacts.upload"] == uploads == 11
    assert all(
        "delivered before" in (row.error_message or "") for row in second.rows.values() if row.status != "failed"
    )
    forced = pipeline.run(
        job="manual_trigger", config={"force_processing": True}, tags={"clearfacts/triggered_by": "An Operator"}
    )
    assert figures(forced) == (12, 11, 1, 0, 0)
    assert set(pipeline.accepted().values()) == {2}
    keys = [document["idempotency_key"] for document in pipeline.simulator.accepted()]
    assert transport == "graphql" or len(set(keys)) == 22
    assert forced.job.details["force_processing"] is True
    (delivery, *_) = pipeline.deliveries.list().items
    (decision,) = pipeline.deliveries.get(delivery.id).decisions
    assert decision.details["actor"] == "An Operator"
    assert str(forced.job.id) in decision.details["reason"]
    assert figures(pipeline.run()) == (12, 0, 1, 11, 0)


def test_chosen_invoices_are_taken_whatever_their_day(pipeline: Pipeline) -> None:
    chosen = [entries(pipeline, DAY_BEFORE)[0].invoice_id, entries(pipeline, DAY_AFTER)[1].invoice_id]
    run = pipeline.run(job="manual_trigger", config={"invoice_ids": chosen})
    assert run.job.status == "completed"
    assert figures(run) == (2, 2, 0, 0, 0)
    assert set(run.rows) == set(chosen)
    assert len(pipeline.simulator.accepted()) == 2


def test_an_unknown_id_fails_alone_and_one_given_twice_is_one_invoice(pipeline: Pipeline) -> None:
    known = entries(pipeline)[0].invoice_id
    run = pipeline.run(job="manual_trigger", config={"invoice_ids": ["NOBODY-KNOWS-ME", known, known]})
    assert figures(run) == (2, 1, 1, 0, 0)
    assert run.checks["counts_are_conserved"]
    assert run.job.status == "completed"
    assert "NOBODY-KNOWS-ME" in run.reasons["NOBODY-KNOWS-ME"]
    assert run.job.details["retrieval"]["missing"] == ["NOBODY-KNOWS-ME"]
    assert len(pipeline.simulator.accepted()) == 1


def test_an_empty_day_is_a_completed_job_with_nothing_in_it(pipeline: Pipeline) -> None:
    pipeline.simulator.reset(per_day=0)
    run = pipeline.run()
    assert run.job.status == "completed"
    assert figures(run) == (0, 0, 0, 0, 0)
    assert run.checks == dict.fromkeys(
        ("retrieval_is_complete", "no_delivery_is_unknown", "nothing_is_nowhere", "counts_are_conserved"), True
    )
    assert run.metadata("job_metrics")["total_invoices"] == 0


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_days_of_23_and_25_hours_lose_nothing_and_take_nothing_from_their_neighbours(
    quick_pipeline: Pipeline, day: str
) -> None:
    quick_pipeline.simulator.reset(per_day=25, broken_share=0, duplicate_share=0)
    run = quick_pipeline.run(day)
    assert set(run.rows) == {one.invoice_id for one in entries(quick_pipeline, day)}
    assert figures(run) == (25, 25, 0, 0, 0)


def test_a_backfill_in_any_order_delivers_each_invoice_once(pipeline: Pipeline) -> None:
    pipeline.simulator.reset(**MIXED)
    days = [DAY_AFTER, DAY_BEFORE, DAY]
    runs = [pipeline.run(day) for day in [*days, *days]]
    assert {run.job.status for run in runs} == {"completed"}
    expected = pipeline.simulator.generator.expect([date.fromisoformat(day) for day in days])
    assert sum(run.counts.sent for run in runs[:3]) == expected.processed
    assert sum(run.counts.failed for run in runs[:3]) == expected.failed
    assert [run.counts.sent for run in runs[3:]] == [0, 0, 0]
    pipeline.check_all_delivered(*days)


def test_the_validation_s_worker_processes_say_the_same(quick_pipeline: Pipeline) -> None:
    """The other tests validate in this process; here is what production has."""
    quick_pipeline.configure(VALIDATION__WORKERS=1)
    quick_pipeline.simulator.reset(**MIXED)
    assert figures(quick_pipeline.run()) == (12, 8, 3, 1, 0)

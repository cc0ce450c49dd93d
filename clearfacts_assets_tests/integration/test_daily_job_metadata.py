"""What an operator sees of a run in Dagster, what the job's row keeps, and what neither may hold."""

from __future__ import annotations

import dagster as dg
import pytest

from clearfacts_assets_tests.fixtures.pipeline import DAY, Pipeline

ASSETS = ("raw_invoices", "validated_invoices", "processed_invoices", "job_metrics")


def test_numbers_tables_and_links(pipeline: Pipeline) -> None:
    pipeline.configure(SERVE__PUBLIC_URL="https://billing.example.be", SOURCE__PAGE_SIZE=5)
    run = pipeline.run()
    raw, validated, processed, metrics = (run.metadata(asset) for asset in ASSETS)
    assert (raw["dagster/row_count"], raw["new"], raw["pages"], raw["complete"]) == (12, 12, 3, True)
    assert raw["window"] == "2026-11-17T23:00Z to 2026-11-18T23:00Z"
    assert (validated["dagster/row_count"], validated["accepted"], validated["rejected"]) == (12, 11, 1)
    (refused,) = validated["not_accepted"]
    assert (refused["invoice"], refused["decision"]) == (next(iter(run.reasons)), "reject")
    assert refused["reason"] == next(iter(run.reasons.values()))
    errors = [line for line in validated["most_frequent_rules"] if line["severity"] == "error"]
    assert [(line["rule"], line["documents"]) for line in errors] == [(refused["reason"].partition(":")[0], 1)]
    assert errors[0]["in_words"] in refused["reason"]
    assert (processed["sent"], processed["waiting"], processed["not_sent"]) == (11, 0, "none")
    assert (metrics["total_invoices"], metrics["processed"], metrics["failed"]) == (12, 11, 1)
    (why,) = metrics["why_some_did_not_leave"]
    assert (why["invoices"], why["for_example"]) == (1, refused["invoice"])
    assert refused["reason"].startswith(why["reason"])
    for shown in (raw, validated, processed, metrics):
        assert shown["run"] == f"https://billing.example.be/runs/{run.run_id}"
        assert shown["show"] == f"clearfacts jobs show {run.run_id}"


def test_numbers_are_numbers_so_that_they_plot(quick_pipeline: Pipeline) -> None:
    run = quick_pipeline.run()
    for asset in ASSETS:
        (event,) = run.result.asset_materializations_for_node(asset)
        kinds = {type(value) for name, value in event.metadata.items() if name not in ("run", "show", "window")}
        assert kinds & {dg.IntMetadataValue, dg.FloatMetadataValue}, asset
    numbers = run.metadata("job_metrics")
    assert all(isinstance(numbers[name], int) for name in ("total_invoices", "processed", "failed", "pending"))
    assert all(isinstance(numbers[name], float) for name in ("seconds", "invoices_per_second"))


def test_the_row_tells_who_started_it_and_what_it_came_to(pipeline: Pipeline) -> None:
    nightly = pipeline.run(tags={"dagster/schedule_name": "nightly", "clearfacts/correlation_id": "abc-123"})
    job = nightly.job
    assert (job.job_type, job.partition_key, job.correlation_id) == ("scheduled", DAY, "abc-123")
    assert (job.details["triggered_by"], job.details["job_name"]) == ("nightly", "daily_processing")
    assert job.details["results"] == {"total_invoices": 12, "processed": 11, "failed": 1, "duplicates": 0}
    assert job.started_at is not None
    assert job.completed_at is not None
    assert job.started_at <= job.completed_at
    assert {document["correlation_id"] for document in pipeline.simulator.accepted()} == {"abc-123"}
    by_hand = pipeline.run()
    assert (by_hand.job.job_type, by_hand.job.correlation_id) == ("manual", by_hand.run_id)


@pytest.mark.parametrize("fault", [None, "erp", "clearfacts"])
@pytest.mark.parametrize("transport", ["graphql", "rest"])
def test_no_secret_is_in_what_dagster_or_the_job_keeps_of_a_run(
    quick_pipeline: Pipeline, transport: str, fault: str | None
) -> None:
    quick_pipeline.configure(DESTINATION__TRANSPORT=transport, SLACK__TOKEN="xoxb-canary-77aa")
    simulator = quick_pipeline.simulator
    secrets = [simulator.erp_token, simulator.clearfacts_token, "xoxb-canary-77aa"]
    if fault:
        # The other side repeats what it was sent.
        heard = simulator.erp_token if fault == "erp" else simulator.clearfacts_token
        simulator.fault(fault, "status", status=401, message=f"the token {heard} is bad")
    run = quick_pipeline.run()
    assert run.job.status == ("failed" if fault else "completed")
    stored = [dg.serialize_value(entry) for entry in quick_pipeline.instance.all_logs(run.run_id)]
    stored += [str(run.result.dagster_run), str(run.job), str(run.rows)]
    stored += [str(quick_pipeline.deliveries.get(one.id)) for one in quick_pipeline.deliveries.list().items]
    assert [secret for secret in secrets for text in stored if secret in text] == []

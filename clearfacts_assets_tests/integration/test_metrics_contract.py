"""The metrics, by name: each has its type, its help text and its labels; none has more series than is good."""

from __future__ import annotations

import dagster as dg
import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from clearfacts_assets.api.invoices.metrics import OUTCOMES
from clearfacts_assets.api.metrics import JOBS, RUN_ENDS, of_assets
from clearfacts_assets.definitions import defs
from clearfacts_assets.invoices.lifecycle import Event, State
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.metrics import runs_told

# Of the contract: names and what they are. Then what an operator needs.
EXPECTED = {
    "http_requests_total": ("counter", {"method", "route", "status"}),
    "http_request_duration_seconds": ("histogram", {"method", "route"}),
    "invoice_processing_total": ("counter", {"status"}),
    "invoice_processing_duration_seconds": ("histogram", set()),
    "external_api_calls_total": ("counter", {"system", "outcome"}),
    "external_api_call_duration_seconds": ("histogram", {"system"}),
    "dagster_job_runs_total": ("counter", {"job", "status"}),
    "dagster_job_duration_seconds": ("histogram", {"job", "status"}),
    "dagster_asset_materializations_total": ("counter", {"asset"}),
    "dagster_operation_executions_total": ("counter", {"operation", "status"}),
    "cpu_usage_percent": ("gauge", set()),
    "memory_usage_bytes": ("gauge", set()),
    "disk_usage_percent": ("gauge", set()),
    "network_io_bytes": ("gauge", {"direction"}),
    "invoice_deliveries": ("gauge", {"state"}),
    "invoice_days_missing": ("gauge", set()),
    "alerts_outbox": ("gauge", {"state"}),
    "dagster_last_tick_timestamp_seconds": ("gauge", {"instigator", "status"}),
    "chargeback_periods": ("gauge", {"state"}),
    "chargeback_statements": ("gauge", {"state"}),
    "chargeback_mails": ("gauge", {"state"}),
    "chargeback_refused_rows": ("gauge", set()),
    "chargeback_charges_waiting": ("gauge", set()),
    "chargeback_unattributed_amount": ("gauge", {"currency"}),
}
# These appear with what they tell of; test_backlog.py has them.
LATER = {
    "invoice_deliveries_oldest_timestamp_seconds",
    "nightly_run_last_success_timestamp_seconds",
    "java_backend_newest_invoice_timestamp_seconds",
    "alerts_outbox_oldest_timestamp_seconds",
    "chargeback_mails_oldest_timestamp_seconds",
}
MOST_SERIES = 300  # of one metric; a histogram has one a bucket


@pytest.fixture
def families(quick_api: RunningApi) -> dict[str, Metric]:
    client = quick_api.client()
    client.get("/api/v1/jobs").raise_for_status()
    text = client.get("/metrics").raise_for_status().text
    return {one.name + ("_total" if one.type == "counter" else ""): one for one in text_string_to_metric_families(text)}


def test_each_metric_has_its_type_its_help_and_its_labels_and_few_series(families: dict[str, Metric]) -> None:
    told = {
        name: (one.type, {label for sample in one.samples for label in sample.labels} - {"le"})
        for name, one in families.items()
        if name not in LATER
    }
    without = {"dagster_job_duration_seconds": ("histogram", set[str]())}  # nothing has run yet
    without |= {"dagster_asset_materializations_total": ("counter", set())}
    without |= {"dagster_operation_executions_total": ("counter", set())}
    without |= {"dagster_last_tick_timestamp_seconds": ("gauge", set())}
    without |= {"chargeback_unattributed_amount": ("gauge", set())}
    assert {name: one for name, one in told.items() if one != EXPECTED.get(name) and one != without.get(name)} == {}
    assert set(EXPECTED) - set(told) == set()
    assert [name for name, one in families.items() if not one.documentation] == []
    assert {name: len(one.samples) for name, one in families.items() if len(one.samples) > MOST_SERIES} == {}


def test_what_has_not_happened_yet_is_0_so_that_its_first_time_is_an_increase(families: dict[str, Metric]) -> None:
    def labels(name: str, *wanted: str) -> set[tuple[str, ...]]:
        return {tuple(sample.labels[one] for one in wanted) for sample in families[name].samples}

    assert {(job, end) for job in JOBS for end in RUN_ENDS} <= labels("dagster_job_runs_total", "job", "status")
    assert {(one,) for one in OUTCOMES} <= labels("external_api_calls_total", "outcome")
    assert labels("invoice_processing_total", "status") == {(one.value,) for one in InvoiceStatus}
    assert labels("invoice_deliveries", "state") == {(one.value,) for one in State}


def test_the_jobs_and_outcomes_are_those_that_there_are() -> None:
    assert {job.name for job in defs.jobs or []} | {"__ASSET_JOB"} == set(JOBS)
    assert set(OUTCOMES) - {"open"} <= {one.value for one in Event}
    assert {one.value for one in dg.DagsterRunStatus} >= set(RUN_ENDS)


def test_the_first_run_of_a_job_that_fails_is_an_increase() -> None:
    @dg.op
    def fails() -> None:
        raise ValueError("no")

    @dg.job(name="daily_processing")
    def failing() -> None:
        fails()

    with dg.DagsterInstance.ephemeral() as instance:
        before = runs_told(instance, "FAILURE")
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        failing.execute_in_process(instance=instance, raise_on_error=False, run_config=quiet)
        assert (before, runs_told(instance, "FAILURE")) == (0, 1)


def test_what_is_made_is_counted_when_it_has_happened_and_not_anew_before(monkeypatch: pytest.MonkeyPatch) -> None:
    @dg.asset
    def thing() -> int:
        return 1

    def told(instance: dg.DagsterInstance) -> dict[str, float]:
        made, _ = of_assets(None, instance)  # type: ignore[arg-type]
        return {one.labels["asset"]: one.value for one in made.samples}

    with dg.DagsterInstance.ephemeral() as instance:
        assert told(instance) == {}
        for number in (1, 2):
            dg.materialize([thing], instance=instance)
            assert told(instance) == {"thing": number}
        monkeypatch.setattr("clearfacts_assets.api.metrics._assets", None)
        assert told(instance) == {"thing": 2}

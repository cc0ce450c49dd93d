"""All that Dagster sees: assets, checks, jobs, schedules, sensors, and what may not be among it.

A change of the graph changes the snapshot below, on purpose: operators and dashboards go by these names.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap

from clearfacts_assets import settings
from clearfacts_assets.definitions import defs
from clearfacts_assets_tests.fixtures.resources import all_resources

PROJECT = Path(__file__).resolve().parents[2]
CANARIES = {
    "CLEARFACTS_SOURCE__TOKEN": "canary-erp-3f1c",
    "CLEARFACTS_DESTINATION__TOKEN": "canary-clearfacts-7a42",
    "CLEARFACTS_SLACK__TOKEN": "xoxb-canary-slack-9d0e",
    "CLEARFACTS_DATABASE_URL": "postgresql+psycopg://someone:canary-database-11bb@127.0.0.1:1/none",
}

CHARGEBACK = ("chargeback", ["team:research-computing"])
DELIVERY = ("invoice_delivery", ["team:finance"])
ASSETS = {
    # asset: (depends on, group, owners, kinds, partitioned)
    "raw_invoices": ([], *DELIVERY, {"java", "xml"}, True),
    "validated_invoices": (["raw_invoices"], *DELIVERY, {"xml"}, True),
    "processed_invoices": (["validated_invoices"], *DELIVERY, {"http", "xml"}, True),
    "job_metrics": (["processed_invoices"], *DELIVERY, {"metrics"}, True),
    "delivered_documents": (["processed_invoices"], *DELIVERY, {"http"}, False),
    "ledger_lines": (["approved_charges"], "chargeback", ["team:research-computing"], set(), True),
    "statements": (["ledger_lines"], "chargeback", ["team:research-computing"], set(), True),
    "statement_emails": (["statements"], "chargeback", ["team:research-computing"], set(), True),
    "service_health": ([], "monitoring", ["team:operations"], {"http"}, False),
    "retention": ([], "monitoring", ["team:operations"], set(), False),
    "charges": ([], *CHARGEBACK, {"csv", "pandas"}, True),
    "approved_charges": (["charges"], *CHARGEBACK, {"pandas"}, True),
    "gl_journal": (["statements"], *CHARGEBACK, {"csv"}, True),
    "statement_invoices": (["statements"], *CHARGEBACK, {"xml"}, True),
}
CHECKS = {
    ("raw_invoices", "retrieval_is_complete"),
    ("processed_invoices", "no_delivery_is_unknown"),
    ("processed_invoices", "nothing_is_nowhere"),
    ("job_metrics", "counts_are_conserved"),
    ("delivered_documents", "every_delivered_document_is_known"),
    ("delivered_documents", "every_question_was_answered"),
    *(("service_health", f"{name}_answers") for name in ("java_backend", "destination", "slack", "database")),
    ("service_health", "nightly_run_answers"),
    ("charges", "every_row_is_a_charge_or_refused"),
    ("charges", "every_charge_has_a_payer"),
    ("charges", "nothing_costs_far_more_than_usual"),
    ("approved_charges", "provider_to_due_leaves_nothing"),
    ("approved_charges", "nothing_waits_for_a_decision"),
    ("ledger_lines", "lines_add_up_to_what_is_billed"),
    ("ledger_lines", "every_rule_applies"),
    ("ledger_lines", "pools_are_given_on"),
    ("statements", "statements_are_the_ledgers_due"),
    ("statements", "every_statement_was_made"),
    ("statement_emails", "every_mail_is_accounted_for"),
    ("gl_journal", "every_journal_balances"),
    ("gl_journal", "provider_to_ledger_leaves_nothing"),
    ("gl_journal", "nothing_waits_to_be_booked"),
    ("statement_invoices", "every_document_is_accepted"),
    ("statement_invoices", "every_external_statement_has_its_invoice"),
}


def specs() -> dict[str, dg.AssetSpec]:
    made_here = defs.resolve_asset_graph().materializable_asset_keys
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs() if spec.key in made_here}


def test_the_assets_are_these() -> None:
    found = {
        name: (
            [dependency.asset_key.to_user_string() for dependency in spec.deps],
            spec.group_name,
            spec.owners,
            spec.kinds,
            spec.partitions_def is not None,
        )
        for name, spec in specs().items()
    }
    assert found == ASSETS


def test_each_asset_tells_an_operator_what_it_does() -> None:
    for name, spec in specs().items():
        assert len(spec.description or "") > 80, name


def test_partitions_are_the_days_in_brussels_since_a_fixed_day_and_today() -> None:
    for name, spec in specs().items():
        if ASSETS[name][4] and ASSETS[name][1] == "invoice_delivery":
            days = spec.partitions_def
            assert isinstance(days, dg.DailyPartitionsDefinition)
            assert (f"{days.start:%Y-%m-%d}", days.timezone, days.end_offset) == ("2026-01-01", "Europe/Brussels", 1)


def test_charges_are_partitioned_by_month_and_source_since_a_fixed_month() -> None:
    months, charges = (specs()[name].partitions_def for name in ("approved_charges", "charges"))
    assert isinstance(months, dg.MonthlyPartitionsDefinition)
    assert (months.get_first_partition_key(), months.timezone, months.end_offset) == ("2019-01", "UTC", 2)
    assert isinstance(charges, dg.MultiPartitionsDefinition)
    assert charges.get_partitions_def_for_dimension("month") == months
    assert charges.get_partitions_def_for_dimension("source").name == "cost_sources"  # type: ignore[attr-defined]


def test_the_checks_are_these_and_each_says_what_it_means() -> None:
    graph = defs.resolve_asset_graph()
    assert {(key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys} == CHECKS
    for key in graph.asset_check_keys:
        if key.asset_key != dg.AssetKey("service_health"):
            assert len(graph.get_check_spec(key).description or "") > 20, key


def test_the_jobs_are_these_and_run_in_one_process() -> None:
    jobs = {job.name: job for job in defs.get_repository_def().get_all_jobs()}
    assert set(jobs) == {
        "daily_processing",
        "delivery_of_what_is_due",
        "issue_of_statements",
        "sending_of_statements",
        "manual_trigger",
        "health_monitoring",
        "document_follow_up",
        "retention_of_data",
        "import_of_charges",
        "approval_of_charges",
        "application_of_rules",
        "export_of_journals",
        "invoicing_of_statements",
        "__ASSET_JOB",
    }
    # The implicit job is what "Materialize" and backfills run.
    assert {job.executor_def.name for job in jobs.values()} == {"in_process"}
    for name in ("daily_processing", "manual_trigger"):
        assets = {key.to_user_string() for key in jobs[name].asset_layer.selected_asset_keys}
        assert assets == {name for name in ASSETS if ASSETS[name][1] == "invoice_delivery"} - {"delivered_documents"}
        assert jobs[name].description


def test_schedules_and_sensors_run_without_anybody_switching_them_on() -> None:
    repository = defs.get_repository_def()
    schedules = {one.name: (one.cron_schedule, one.execution_timezone) for one in repository.schedule_defs}
    assert schedules == {
        "nightly": ("0 2 * * *", "Europe/Brussels"),
        "follow_up": ("0 6 * * *", "Europe/Brussels"),
        "health": ("*/10 * * * *", "UTC"),
        "retention": ("0 5 * * 0", "Europe/Brussels"),
    }
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "job_failed",
        "job_completed",
        "alert_dispatch",
        "due_deliveries",
        "missed_days",
        "lost_runs",
        "delivered_exports",
        "ledger_changes",
        "journal_currencies",
        "accruals_over",
        "statements_finalized",
        "waiting_statements",
    }
    assert {one.default_status for one in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}
    assert {one.default_status for one in repository.sensor_defs} == {dg.DefaultSensorStatus.RUNNING}


def test_one_pool_bounds_the_runs_that_deliver() -> None:
    pools = {name: defs.resolve_assets_def(name).op.pool for name in ASSETS}
    ledger = dict.fromkeys(("charges", "ledger_lines", "statements", "statement_emails"), "ledger")
    ledger |= {"gl_journal": "ledger", "statement_invoices": "ledger"}
    assert pools == {**dict.fromkeys(ASSETS), "processed_invoices": "clearfacts", **ledger}


@pytest.mark.parametrize(
    ("asset", "fields"),
    [
        ("raw_invoices", {"invoice_ids", "force_processing", "part"}),
        ("processed_invoices", {"force_processing"}),
        ("charges", {"append", "withdraw_more"}),
        ("retention", {"dry_run"}),
    ],
)
def test_the_launchpad_offers(asset: str, fields: set[str]) -> None:
    kind = defs.resolve_assets_def(asset).op.config_schema.as_field().config_type
    assert set(kind.fields) == fields  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore")
def test_no_secret_is_in_what_dagster_stores_of_the_definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    settings.load.cache_clear()
    try:
        loaded = dg.Definitions(assets=defs.assets, jobs=defs.jobs, sensors=defs.sensors, resources=all_resources())
    finally:
        settings.load.cache_clear()
    snapshot = dg.serialize_value(RepositorySnap.from_def(loaded.get_repository_def()))
    assert "raw_invoices" in snapshot
    assert [value for value in CANARIES.values() if value in snapshot] == []
    assert "canary" not in snapshot


# Loads the definitions and reports every file that was opened for writing and every socket that was made.
LOAD = """
import sys, json, os
touched = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "os.mkdir", "sqlite3.connect"):
        touched.append([event, repr(arguments)])
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        touched.append([event, repr(arguments)])
sys.addaudithook(watch)
from clearfacts_assets.definitions import defs
defs.get_repository_def()
print(json.dumps(touched))
"""


@pytest.mark.slow
def test_definitions_load_with_an_empty_environment_and_touch_nothing(tmp_path: Path) -> None:
    environment = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(PROJECT), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", LOAD], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_dg_is_content_with_the_definitions() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLEARFACTS_")}
    done = subprocess.run(
        [Path(sys.executable).with_name("dg"), "check", "defs"],
        env={**environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr

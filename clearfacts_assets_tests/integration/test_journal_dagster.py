"""Journals in Dagster: a month and a currency, exported once, with the checks of the general ledger."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from clearfacts_assets.chargeback.defs.journals import CURRENCIES, accruals_due, journal_currencies
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets_tests.fixtures.chargeback import Books, row
from clearfacts_assets_tests.fixtures.journals import NOW, Bookkeeping
from clearfacts_assets_tests.fixtures.statements import Office

GL = dg.AssetKey("gl_journal")


def told(result):
    (event,) = result.asset_materializations_for_node("gl_journal")
    return {
        name: [dict(one.data) for one in value.records] if isinstance(value, dg.TableMetadataValue) else value.value
        for name, value in event.metadata.items()
    }


def test_a_month_and_currency_is_exported_once_and_checked(quick_pipeline, renderer, tmp_path):
    pipeline = quick_pipeline
    office = Office(Books(pipeline.engine, tmp_path), renderer)
    office.books.put(row(BilledCost="10.00"))
    office.close()
    office.generate()
    drop = tmp_path / "drop"
    pipeline.configure(JOURNALS__DROP=drop)
    added = journal_currencies(dg.build_sensor_context(instance=pipeline.instance), database=DatabaseResource())
    assert [one.partition_keys for one in added.dynamic_partitions_requests] == [["USD"]]
    pipeline.instance.add_dynamic_partitions(CURRENCIES, ["USD"])
    failed = pipeline.run_only("USD|2025-03", job="export_of_journals", run_config={})
    assert not failed.success  # nobody said which fund is credited
    assert "has no credit fund" in str(failed.failure_data_for_node("gl_journal").user_failure_data.description)
    assert list(drop.glob("*")) == []
    pipeline.configure(JOURNALS__CREDIT_FUND="IT-CLOUD", JOURNALS__DEFAULT_ACCOUNT="54000")
    _an_accrual_is_taken_back_by_itself(pipeline, office)
    for file in drop.iterdir():
        file.unlink()  # the general ledger fetched them
    first = pipeline.run_only("USD|2025-03", job="export_of_journals", run_config={})
    assert {one.check_name: one.passed for one in first.get_asset_check_evaluations()} == {
        **{"every_journal_balances": True, "provider_to_ledger_leaves_nothing": True},
        **{"nothing_waits_to_be_booked": True},
    }
    shown = told(first)
    assert (shown["written now"], shown["dagster/row_count"]) == ("J-2025-03-0001_USD_gl.csv", 2)
    assert shown["by fund"] == [
        {"fund": "BIO-000001", "debit": "10.00", "credit": "0.00", "net": "10.00"},
        {"fund": "IT-CLOUD", "debit": "0.00", "credit": "10.00", "net": "-10.00"},
    ]
    assert [one.name for one in drop.iterdir()] == ["J-2025-03-0001_USD_gl.csv"]
    assert accruals_due(pipeline.engine, NOW).run_requests == []
    again = told(pipeline.run_only("USD|2025-03", job="export_of_journals", run_config={}))
    assert (again["written now"], [one["number"] for one in again["journals"]]) == ("nothing", ["J-2025-03-0001"])


def _an_accrual_is_taken_back_by_itself(pipeline, office):
    """That of February, in March, by the run that the sensor asks for."""
    office.books.put(row(BilledCost="4.00", BillingPeriodStart="2025-02-01T00:00:00Z"), name="february.csv")
    bookkeeping = Bookkeeping(office)
    bookkeeping.service.accrue("2025-02", bookkeeping.asked())
    assert accruals_due(pipeline.engine, datetime(2025, 2, 28, 23, tzinfo=UTC)).run_requests == []
    look = accruals_due(pipeline.engine, NOW)
    assert [one.partition_keys for one in look.dynamic_partitions_requests] == [["USD"]]
    (request,) = look.run_requests
    assert (request.partition_key, request.run_key) == ("USD|2025-02", "J-2025-02-0001-2025-04-03")
    run = pipeline.run_only(request.partition_key, job="export_of_journals", run_config=request.run_config)
    shown = told(run)
    assert shown["written now"] == "J-2025-02-0002_USD_gl.csv"
    assert [(one["kind"], one["state"], one["accounting_date"]) for one in shown["journals"]] == [
        ("accrual", "reversed", "2025-02-28"),
        ("reversal", "exported", "2025-03-01"),
    ]
    assert [one["net"] for one in shown["by fund"]] == ["0.00", "0.00"]
    assert accruals_due(pipeline.engine, NOW).run_requests == []

"""The check ``counts_are_conserved``: red where an invoice is lost or doubled, green whatever else went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete

from clearfacts_assets import resources
from clearfacts_assets.invoices.defs.checks import counts_are_conserved
from clearfacts_assets.invoices.model import SourceDocument
from clearfacts_assets.storage.invoices.tables import InvoiceRow
from clearfacts_assets_tests.fixtures.engines import lose_a_commit
from clearfacts_assets_tests.fixtures.pipeline import DAY, Finished, Pipeline

NOW = datetime.now(UTC)
PARTS = ["processed_invoices", "job_metrics"]


def lose(pipeline: Pipeline, run: Finished) -> None:
    """One invoice of the run is gone, and nobody knows why."""
    first = sorted(run.rows)[0]
    with pipeline.engine.begin() as connection:
        connection.execute(delete(InvoiceRow).where(InvoiceRow.job_id == run.job.id, InvoiceRow.invoice_id == first))


def verdict(pipeline: Pipeline, run: Finished) -> tuple[bool, Mapping[str, Any]]:
    found = counts_are_conserved(pipeline.jobs, run.job.id)
    return found.passed, {name: value.value for name, value in found.metadata.items()}


@pytest.mark.parametrize("carried", [False, True], ids=["retrieved", "carried over"])
def test_an_invoice_that_is_gone_is_seen(pipeline: Pipeline, carried: bool) -> None:
    run = pipeline.run()
    if carried:
        run = pipeline.run(assets=PARTS)
    assert run.checks["counts_are_conserved"]
    lose(pipeline, run)
    passed, numbers = verdict(pipeline, run)
    assert not passed
    assert (numbers["came_in"], numbers["rows"], numbers["total"]) == (12, 11, 11)
    assert not pipeline.run(assets=["job_metrics"]).checks["counts_are_conserved"]


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
@pytest.mark.parametrize("happens", [True, False], ids=["commit unheard", "commit lost"])
def test_a_page_that_is_stored_again_is_no_loss(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, happens: bool
) -> None:
    engine = resources.DatabaseResource().engine()
    lost = lose_a_commit(engine, monkeypatch, of="invoices", happens=happens)
    run = pipeline.run()
    assert len(lost) == 1
    assert run.job.status == "completed"
    assert run.checks["counts_are_conserved"]
    assert verdict(pipeline, run)[1]["came_in"] == run.counts.total == 12
    told = run.metadata("raw_invoices")
    assert (told["new"], told["repeated_rows"]) == (12, 0)


def test_a_run_that_was_killed_before_it_could_note_what_came_is_not_accused(pipeline: Pipeline) -> None:
    job = pipeline.jobs.begin(
        uuid4(), job_type="scheduled", partition_key=DAY, correlation_id=None, details={}, now=NOW
    )
    pipeline.invoices.store(job.id, [SourceDocument("A-1", NOW, b"<a/>")], now=NOW)
    found = counts_are_conserved(pipeline.jobs, job.id)
    assert found.passed
    assert found.metadata["rows"].value == 1

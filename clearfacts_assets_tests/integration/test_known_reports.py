"""What was validated once is not validated again, as long as the rules are the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from clearfacts_assets.invoices.model import Decision, Finding, InvoiceStatus, Report, Severity, SourceDocument
from clearfacts_assets.invoices.validation.engine import report_as_json
from clearfacts_assets.invoices.validation.fingerprint import NOT_FOR_GOOD, fingerprint, is_for_good
from clearfacts_assets.invoices.validation.inspection import ValidationPlan
from clearfacts_assets.invoices.validation.rules import CustomRules, Release, RuleOptions
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets.storage.invoices.known_reports import marked, take_known_reports
from clearfacts_assets_tests.fixtures.pipeline import Pipeline
from clearfacts_assets_tests.fixtures.submissions import invoice

NOW, RULES = datetime(2026, 11, 21, 1, 0, tzinfo=UTC), "f" * 64
WRONG = Finding("BR-1", "en16931", Severity.ERROR, "no amount", "/Invoice", 3, "say the amount")
CONTENTS = {"a": b"<a/>", "b": b"<b/>"}
SAID = {"a": (Decision.ACCEPT, ()), "b": (Decision.REJECT, (WRONG,))}


def said(invoice_id: str, content: bytes) -> Report:
    decision, findings = SAID[invoice_id]
    head = invoice(invoice_id) if decision is Decision.ACCEPT else None
    return Report("0" * 64, len(content), "peppol_bis3", head, decision, findings, (), 0.0)


@pytest.fixture
def rows(engine: Engine) -> InvoiceRepository:
    return InvoiceRepository(engine)


def stored(engine: Engine) -> UUID:
    job = JobRepository(engine).begin(
        uuid4(), job_type="manual", partition_key="2026-11-20", correlation_id=None, details={}, now=NOW
    )
    documents = [SourceDocument(name, NOW, content) for name, content in CONTENTS.items()]
    InvoiceRepository(engine).store(job.id, documents, now=NOW)
    JobRepository(engine).finish(job.id, "failed", error_message="Clearfacts is down", now=NOW)
    return job.id


def validate(rows: InvoiceRepository, job: UUID, rules: str = RULES) -> None:
    for batch in rows.batches_to_validate(job, 10):
        reports = [(row.id, said(row.invoice_id, row.content)) for row in batch]
        rows.record_reports(
            job, [(row, report, marked(report_as_json(report), rules)) for row, report in reports], now=NOW
        )


def known(engine: Engine, job: UUID, rules: str = RULES) -> dict[str, str]:
    return {name: one["decision"] for some in take_known_reports(engine, job, rules, now=NOW) for name, one in some}


def test_the_same_content_gets_the_same_report_without_being_validated(engine: Engine, rows: InvoiceRepository) -> None:
    validate(rows, first := stored(engine))
    second = stored(engine)
    assert known(engine, second) == {"a": "accept", "b": "reject"}
    assert list(rows.batches_to_validate(second, 10)) == []
    names = ("status", "error_message", "decision", "number", "supplier", "payable_amount", "processed_at")
    one, other = ({row.invoice_id: row for row in rows.list(job_id=job).items} for job in (first, second))
    for name in ("a", "b"):
        assert [getattr(one[name], key) for key in names] == [getattr(other[name], key) for key in names]
    assert other["b"].status == InvoiceStatus.FAILED
    ((candidate,),) = rows.batches_to_deliver(second, 10)
    assert (candidate.content, candidate.invoice.number) == (CONTENTS["a"], "a")


def test_what_other_rules_said_is_not_taken_over(engine: Engine, rows: InvoiceRepository) -> None:
    validate(rows, stored(engine), rules="0" * 64)
    second = stored(engine)
    assert known(engine, second) == {}
    ((a, b),) = rows.batches_to_validate(second, 10)
    assert [a.content, b.content] == list(CONTENTS.values())


def test_rules_are_the_same_only_where_plan_and_artefacts_are() -> None:
    plan = ValidationPlan()
    assert fingerprint(plan) == fingerprint(ValidationPlan())
    assert fingerprint(plan) != fingerprint(replace(plan, options=RuleOptions(attachment_bytes=7)))


def test_the_first_day_of_a_release_asks_anew(tmp_path: Path) -> None:
    first = date(2027, 5, 17)
    release = Release("peppol_bis3", "3.0.21", first, CustomRules(tmp_path / "new.sch", "0" * 64))
    plan = ValidationPlan(options=RuleOptions(releases=(release,)))
    before, then, later = (fingerprint(plan, first + timedelta(days)) for days in (-1, 0, 9))
    assert before != then == later


@pytest.mark.parametrize("rule", sorted(NOT_FOR_GOOD))
def test_what_was_said_of_a_document_that_could_not_be_inspected_is_not_for_good(rule: str) -> None:
    report = said("b", b"<b/>")
    assert is_for_good(report)
    assert not is_for_good(replace(report, findings=(replace(WRONG, rule=rule),)))


def test_a_day_that_is_run_again_validates_nothing_again(quick_pipeline: Pipeline) -> None:
    first = quick_pipeline.run()
    (rejected,) = [name for name, row in first.rows.items() if row.decision == Decision.REJECT]
    assert first.metadata("validated_invoices")["validated_before"] == 0
    again = quick_pipeline.run()
    told = again.metadata("validated_invoices")
    assert (told["validated_before"], told["rejected"], told["dagster/row_count"]) == (1, 1, 1)
    assert again.reasons[rejected] == first.reasons[rejected]
    assert told["not_accepted"] == first.metadata("validated_invoices")["not_accepted"]

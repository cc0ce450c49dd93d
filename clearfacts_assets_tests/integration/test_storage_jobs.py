"""The jobs table: truthful at every moment, and never turned back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from clearfacts_assets.invoices.model import SourceDocument
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.job_views import JobCounts
from clearfacts_assets.storage.invoices.jobs import JobRecord, JobRepository
from clearfacts_assets.storage.paging import BadCursor

NOW = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)


@pytest.fixture
def jobs(engine: Engine) -> JobRepository:
    return JobRepository(engine)


def begin(jobs: JobRepository, job_id: UUID | None = None, *, minutes: int = 0, **details) -> JobRecord:
    return jobs.begin(
        job_id or uuid4(),
        job_type="manual",
        partition_key="2026-11-20",
        correlation_id="c-1",
        details=details,
        now=NOW + timedelta(minutes=minutes),
    )


def test_a_job_begins_once_however_many_assets_begin_it(jobs: JobRepository) -> None:
    first = begin(jobs, a=1)
    second = begin(jobs, first.id, minutes=5, b=2)
    assert second.status == "running"
    assert second.started_at == second.created_at == NOW
    assert second.details == {"a": 1, "b": 2}
    assert jobs.get(first.id) == second


def test_a_finished_job_is_never_turned_back(jobs: JobRepository) -> None:
    job = begin(jobs)
    later = NOW + timedelta(minutes=3)
    assert jobs.finish(job.id, "failed", error_message="the run was killed", now=later, details_update={"x": 1})
    assert not jobs.finish(job.id, "completed", error_message=None, now=later)
    assert begin(jobs, job.id, minutes=9, y=2).status == "failed"
    found = jobs.get(job.id)
    assert found is not None
    assert (found.error_message, found.details, found.duration_seconds) == ("the run was killed", {"x": 1}, 180)


def test_a_job_ends_completed_or_failed_only(jobs: JobRepository) -> None:
    with pytest.raises(ValueError, match="completed or failed"):
        jobs.finish(begin(jobs).id, "running", error_message=None, now=NOW)


def test_finishing_an_unknown_job_changes_nothing(jobs: JobRepository) -> None:
    assert not jobs.finish(uuid4(), "failed", error_message=None, now=NOW)
    jobs.update_details(uuid4(), {"a": 1}, now=NOW)
    assert jobs.get(uuid4()) is None


def test_details_are_added_to(jobs: JobRepository) -> None:
    job = begin(jobs, a=1, b=1)
    jobs.update_details(job.id, {"b": 2, "c": [3]}, now=NOW)
    found = jobs.get(job.id)
    assert found is not None
    assert found.details == {"a": 1, "b": 2, "c": [3]}


def test_lists_are_newest_first_filtered_and_paged(jobs: JobRepository) -> None:
    made = [begin(jobs, minutes=minute // 2).id for minute in range(7)]  # some at the same time
    jobs.finish(made[0], "completed", error_message=None, now=NOW)
    pages, cursor = [], None
    while True:
        page = jobs.list(limit=3, cursor=cursor)
        pages.append([job.id for job in page.items])
        cursor = page.next_cursor
        if cursor is None:
            break
    assert [len(page) for page in pages] == [3, 3, 1]
    assert {job for page in pages for job in page} == set(made)
    assert pages[0][0] == made[6]
    assert [job.id for job in jobs.list(status="completed").items] == [made[0]]
    assert jobs.list(job_type="scheduled").items == []
    assert len(jobs.list(partition_key="2026-11-20").items) == 7
    assert {job.id for job in jobs.unfinished()} == set(made[1:])
    with pytest.raises(BadCursor):
        jobs.list(cursor="nonsense")


def test_counts_and_errors_of_a_job(jobs: JobRepository, engine: Engine) -> None:
    job = begin(jobs)
    assert jobs.counts(job.id) == JobCounts()
    documents = [SourceDocument("a", NOW, b"<a/>"), SourceDocument("b", NOW, b"", problem="no document")]
    InvoiceRepository(engine).store(job.id, documents, now=NOW)
    assert jobs.counts(job.id) == JobCounts(failed=1, pending=1)
    (error,) = jobs.errors(job.id)
    assert (error.invoice_id, error.error, error.timestamp) == ("b", "no document", NOW)
    assert jobs.errors(job.id, limit=0) == []

"""One key, one job: whatever the day is by now, on however many replicas, and whoever hears of the commit."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, func, select

from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets.storage.database import open_engine, reading
from clearfacts_assets.storage.invoices.job_requests import JobRequest, JobRequests
from clearfacts_assets.storage.invoices.jobs import JobRecord
from clearfacts_assets.storage.invoices.tables import Job
from clearfacts_assets_tests.fixtures.engines import lose_a_commit

MIDNIGHT = datetime(2026, 11, 20, 23, tzinfo=UTC)
ERP = Actor("erp")
KEYS = 8


def asked(requests: JobRequests, job_id: UUID, day: int, now: datetime) -> JobRecord | None:
    return requests.reserve(JobRequest(job_id, f"2026-11-{day}", {"triggered_by": "erp"}), ERP, now=now)


def test_a_key_that_comes_to_two_replicas_on_both_sides_of_midnight_has_one_job(migrated_url: str) -> None:
    replicas = [open_engine(migrated_url) for _ in range(2)]
    gates = [threading.Barrier(2) for _ in range(KEYS)]
    keys = [uuid4() for _ in range(KEYS)]

    def ask(replica: int) -> list[JobRecord | None]:
        requests, found = JobRequests(replicas[replica]), []
        try:
            for number, key in enumerate(keys):
                gates[number].wait()
                # Each key has two days of its own, which no other job is in the way of.
                found.append(asked(requests, key, 10 + 2 * number + replica, MIDNIGHT + timedelta(seconds=replica)))
        finally:
            for gate in gates[len(found) :]:
                gate.abort()
        return found

    with ThreadPoolExecutor(2) as pool:
        answers = list(zip(*pool.map(ask, range(2)), strict=True))
    assert [sum(answer is None for answer in both) for both in answers] == [1] * KEYS
    with reading(replicas[0]) as connection:
        assert connection.scalar(select(func.count()).select_from(Job)) == KEYS
    for engine in replicas:
        engine.dispose()


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
@pytest.mark.parametrize("happens", [True, False], ids=["commit unheard", "commit lost"])
def test_a_job_whose_row_was_committed_unheard_is_still_to_be_launched(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, happens: bool
) -> None:
    lost = lose_a_commit(engine, monkeypatch, of="jobs", happens=happens)
    requests, key = JobRequests(engine), uuid4()
    assert asked(requests, key, 20, MIDNIGHT) is None
    assert len(lost) == 1
    again = asked(requests, key, 20, MIDNIGHT + timedelta(seconds=1))
    assert again is not None
    assert again.created_at == MIDNIGHT

"""Of a job that has ended Dagster is not asked, whoever reads it and whatever else is under way."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert

from clearfacts_assets.storage.invoices.tables import Job
from clearfacts_assets_tests.fixtures.api import RunningApi

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize("path", ["/jobs/{}", "/invoices/status/{}"])
def test_dagster_is_asked_of_jobs_under_way_only_by_those_who_read_them(quick_api: RunningApi, path: str) -> None:
    under_way, over, asked = uuid4(), uuid4(), list[UUID]()
    watch = quick_api.app.state.services.watch
    watch.monotonic, watch._next = lambda: float("inf"), float("-inf")  # always due
    watch.instance = type("Asked", (), {"get_run_by_id": lambda self, run_id: asked.append(UUID(run_id))})()
    with quick_api.engine.begin() as connection:
        for job_id, status in ((under_way, "pending"), (over, "completed")):
            connection.execute(
                insert(Job).values(
                    id=job_id, job_type="manual", status=status, created_at=datetime.now(UTC), updated_at=NOON
                )
            )
    client = quick_api.client("user")
    for _ in range(3):
        assert client.get(f"/api/v1{path.format(over)}").status_code == 200
        assert client.get(f"/api/v1{path.format(uuid4())}").status_code == 404
    assert set(asked) <= {under_way}
    asked.clear()
    assert client.get(f"/api/v1{path.format(over)}").json()["data"]["status"] == "completed"
    assert asked == []
    assert client.get(f"/api/v1{path.format(under_way)}").status_code == 200
    assert asked == [under_way]

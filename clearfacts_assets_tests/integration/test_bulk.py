"""Many rows by one statement: written as SQLAlchemy writes them one by one, and counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, Table, bindparam, insert, select, update

from clearfacts_assets.storage.bulk import execute_many
from clearfacts_assets.storage.invoices.tables import Job

JOBS = cast(Table, Job.__table__)
NOW = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)
ELSEWHERE = NOW.astimezone(timezone(timedelta(hours=1)))
HOSTILE = {"a\x00": "\ud800", "n": float("nan"), "é": ["x", 1, None]}


def row(details: Any, moment: datetime) -> dict[str, Any]:
    about = {"job_type": "manual", "status": "pending", "error_message": "a\x00b", "metadata": details}
    return {"id": uuid4(), **about, "whole_day": False, "created_at": moment, "updated_at": NOW}


@pytest.mark.parametrize("details", [{}, {"one": [1, "two"]}, HOSTILE])
def test_rows_are_as_if_written_one_by_one(engine: Engine, details: Any) -> None:
    many, alone = [row(details, ELSEWHERE), row(details, NOW)], row(details, ELSEWHERE)
    with engine.begin() as connection:
        execute_many(connection, insert(JOBS), many)
        connection.execute(insert(JOBS), alone)
        found = {one["id"]: {**one, "id": None} for one in connection.execute(select(JOBS)).mappings()}
    assert [found[one["id"]] for one in many] == [found[alone["id"]]] * 2


def test_the_two_hours_of_the_night_in_which_clocks_go_back_stay_apart(engine: Engine) -> None:
    night = [datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=ZoneInfo("Europe/Brussels")) for fold in (0, 1)]
    with engine.begin() as connection:
        execute_many(connection, insert(JOBS), [row({}, moment) for moment in night])
        found = sorted(connection.scalars(select(Job.created_at)))
    assert found == [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1)]


def test_only_rows_that_are_there_are_counted(engine: Engine) -> None:
    rows = [row({}, NOW) for _ in range(3)]
    statement = update(JOBS).where(JOBS.c.id == bindparam("which")).values(status=bindparam("became"))
    with engine.begin() as connection:
        execute_many(connection, insert(JOBS), rows)
        asked = [{"which": one["id"], "became": "failed"} for one in rows[:2]] + [
            {"which": uuid4(), "became": "failed"}
        ]
        assert execute_many(connection, statement, asked) == 2
        assert execute_many(connection, statement, []) == 0
        assert sorted(connection.scalars(select(Job.status))) == ["failed", "failed", "pending"]

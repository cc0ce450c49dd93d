"""Days taken from a folder by real runs: what comes late is sent by the next run, once."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from clearfacts_assets.invoices.days import ZONE
from clearfacts_assets.simulator.trade import RECEIVERS
from clearfacts_assets.storage.invoices.tables import Delivery, Job
from clearfacts_assets_tests.fixtures.pipeline import Pipeline
from clearfacts_assets_tests.fixtures.ubl_documents import document

MONTH_AGO = timedelta(days=30)


@pytest.fixture
def inbox(pipeline: Pipeline, tmp_path: Path) -> Path:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    pipeline.configure(SOURCE__KIND="folder", SOURCE__FOLDER=inbox)
    return inbox


def put(path: Path, number: str) -> Path:
    """A settled file, an hour old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(document(number=number, buyer_vat=f"BE{RECEIVERS[0].number}"))
    set_age(path, timedelta(hours=1))
    return path


def set_age(path: Path, age: timedelta) -> None:
    moment = (datetime.now(UTC) - age).timestamp()
    os.utime(path, (moment, moment))


def arrived_on(path: Path) -> date:
    return datetime.fromtimestamp(path.stat().st_ctime, tz=ZONE).date()


def test_what_was_moved_in_with_an_old_time_is_sent_by_the_run_of_its_arrival_and_once(
    pipeline: Pipeline, inbox: Path, tmp_path: Path
) -> None:
    batch = tmp_path / "batch"
    set_age(put(batch / "a.xml", "F-1"), MONTH_AGO)
    batch.rename(inbox / "batch")
    put(inbox / "b.xml", "F-2")
    today = arrived_on(inbox / "b.xml")
    first = pipeline.run(today.isoformat())
    assert {name: row.status for name, row in first.rows.items()} == {"batch/a.xml": "sent", "b.xml": "sent"}
    again = pipeline.run(today.isoformat())
    assert {row.status for row in again.rows.values()} == {"duplicate"}
    assert len(pipeline.simulator.accepted()) == 2


@pytest.fixture
def yesterday(pipeline: Pipeline, inbox: Path) -> str:
    """The day before; this installation has been at work for ten days."""
    day = arrived_on(inbox) - timedelta(days=1)
    assert pipeline.run(day.isoformat()).rows == {}
    with pipeline.engine.begin() as connection:
        connection.execute(update(Job).values(created_at=datetime.now(UTC) - timedelta(days=10)))
    return day.isoformat()


def test_what_no_run_took_is_late_and_sent_once(pipeline: Pipeline, inbox: Path, yesterday: str) -> None:
    set_age(put(inbox / "a.xml", "F-1"), timedelta(days=5))
    set_age(put(inbox / "before.xml", "F-2"), MONTH_AGO)
    assert {name: row.status for name, row in pipeline.run(yesterday).rows.items()} == {"a.xml": "sent"}
    assert pipeline.run(yesterday).rows == {}
    assert len(pipeline.simulator.accepted()) == 1


def test_what_was_late_and_could_not_be_sent_is_taken_until_it_is(
    pipeline: Pipeline, inbox: Path, yesterday: str
) -> None:
    set_age(put(inbox / "a.xml", "F-1"), timedelta(days=5))
    pipeline.simulator.fault("clearfacts", "status", status=429, times=100)
    assert pipeline.run(yesterday).rows["a.xml"].status == "pending"
    pipeline.simulator.clear_faults()
    with pipeline.engine.begin() as connection:
        connection.execute(update(Delivery).values(not_before=datetime.now(UTC)))
    assert pipeline.run(yesterday).rows["a.xml"].status == "sent"
    assert pipeline.run(yesterday).rows == {}

"""One wrong clock silences nobody: what was told is known by what it was about, and in which order it was written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text, update

from clearfacts_assets import settings
from clearfacts_assets.health.alerts import tell_of_health
from clearfacts_assets.health.probes import Health
from clearfacts_assets.invoices.defs.notifications import tell_of_waiting
from clearfacts_assets.invoices.lifecycle import State, Verdict
from clearfacts_assets.notifications.outbox import DispatchCount, NotTold, dispatch, enqueue
from clearfacts_assets.storage import migrate
from clearfacts_assets.storage.database import write
from clearfacts_assets.storage.invoices.tables import Delivery
from clearfacts_assets_tests.fixtures.pipeline import Pipeline

pytestmark = pytest.mark.waits

NOW = datetime.now(UTC)
YEARS = timedelta(days=4 * 365)


def park(pipeline: Pipeline, day: str) -> None:
    """One delivery of the day that waits for a person."""
    pipeline.configure(DESTINATION__TRANSPORT="graphql", DELIVERY__UNKNOWNS_IN_A_ROW=100, DELIVERY__PATIENCE=20)
    pipeline.simulator.clear_faults()
    pipeline.simulator.fault("clearfacts", "accept_then_500", times=1)
    pipeline.run(day)


def since(pipeline: Pipeline, moment: datetime) -> None:
    """All that waits began to wait at this moment, by the clock that there was."""
    waits = update(Delivery).where(Delivery.state == State.PARKED).values(updated_at=moment)
    write(pipeline.engine, lambda connection: connection.execute(waits))


def resolve_all(pipeline: Pipeline) -> None:
    for one in pipeline.deliveries.list(states=[State.PARKED]).items:
        pipeline.deliveries.resolve(one.id, Verdict.WAIVE, reason="seen", actor="a person", now=NOW)


@pytest.mark.parametrize("wrong", [YEARS, -YEARS], ids=["ahead", "behind"])
@pytest.mark.parametrize("resolved", [True, False], ids=["resolved", "still waiting"])
def test_after_a_wrong_clock_what_waits_is_told_all_the_same(
    quick_pipeline: Pipeline, wrong: timedelta, resolved: bool
) -> None:
    pipeline, known = quick_pipeline, settings.load()
    if wrong < timedelta():
        park(pipeline, "2026-11-16")
        assert tell_of_waiting(pipeline.engine, known, now=NOW)
        resolve_all(pipeline)
    park(pipeline, "2026-11-18")
    since(pipeline, NOW + wrong)
    assert tell_of_waiting(pipeline.engine, known, now=NOW + wrong)
    assert not tell_of_waiting(pipeline.engine, known, now=NOW + wrong)
    if resolved:
        resolve_all(pipeline)
    park(pipeline, "2026-11-17")
    assert tell_of_waiting(pipeline.engine, known, now=datetime.now(UTC)), "the clock is right again"
    assert not tell_of_waiting(pipeline.engine, known, now=datetime.now(UTC))


def test_after_a_wrong_clock_a_system_that_comes_back_or_goes_down_is_told(engine: Engine) -> None:
    known = settings.Settings()

    def told(healthy: bool, now: datetime) -> int:
        return tell_of_health(engine, known, [Health("java_backend", healthy, "HTTP 503", 0.1)], now=now)

    assert told(False, NOW + YEARS) == 1
    assert told(True, NOW) == 1
    assert told(True, NOW + timedelta(minutes=10)) == 0
    assert told(False, NOW + timedelta(minutes=20)) == 1
    assert told(False, NOW + timedelta(minutes=30)) == 0
    assert told(True, NOW + timedelta(minutes=40)) == 1


def test_an_alert_that_was_postponed_under_a_wrong_clock_is_sent(engine: Engine) -> None:
    def refuse(channel: str, message: Mapping[str, Any]) -> None:
        raise NotTold("Slack is down")

    enqueue(engine, "job:1", "#invoices", {"text": "hello"}, NOW)
    assert dispatch(engine, refuse, lambda: NOW + timedelta(days=2)) == DispatchCount(postponed=1)
    sent: list[str] = []
    assert dispatch(engine, lambda channel, message: sent.append(channel), lambda: NOW) == DispatchCount(sent=1)
    assert sent == ["#invoices"]


def test_alerts_from_before_know_what_they_are_about(database_url: str) -> None:
    """Version 0011 reads the subjects that older versions wrote, once."""
    migrate.upgrade(database_url, "0010")
    engine = create_engine(database_url)
    subjects = {
        "job:3f": NOW - timedelta(hours=5),
        "waiting:2030-01-01T00:00:00+00:00": NOW + YEARS,
        "waiting:2026-11-20T01:02:03+00:00": NOW - timedelta(hours=4),
        "due-left:2026-11-18:7a": NOW - timedelta(hours=3),
        "health:java_backend:down:2026-11-20T01:02:03+00:00": NOW - timedelta(hours=2),
        "something else": NOW - timedelta(hours=1),
    }
    with engine.begin() as connection:
        for number, (subject, created) in enumerate(subjects.items()):
            connection.execute(
                text(
                    "INSERT INTO alerts (id, subject, channel, message, state, attempts, created_at) "
                    "VALUES (:id, :subject, '#invoices', '{}', 'sent', 1, :created)"
                ),
                {"id": f"{number:032x}", "subject": subject, "created": created.isoformat(" ")},
            )
    migrate.upgrade(database_url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT kind, about, at IS NOT NULL, number FROM alerts ORDER BY number")).all()
    engine.dispose()
    assert [(kind, about, bool(at)) for kind, about, at, _ in rows] == [
        ("waiting", None, True),  # under a wrong clock
        ("job", "3f", False),
        ("waiting", None, True),
        ("due-left", "2026-11-18", False),
        ("health-down", "java_backend", True),
        ("other", None, False),
    ]
    assert [row[3] for row in rows] == [1, 2, 3, 4, 5, 6]

"""The outbox on both databases: told once, never lost, whatever Slack does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select

from clearfacts_assets.notifications import outbox
from clearfacts_assets.notifications.outbox import DispatchCount, NotTold, dispatch, enqueue
from clearfacts_assets.notifications.slack import Slack, open_client
from clearfacts_assets.outcome_kinds import OutcomeKind
from clearfacts_assets.storage.operations.tables import Alert
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

START = datetime(2026, 11, 21, 2, tzinfo=UTC)
MESSAGE = {"text": "hello", "blocks": [{"type": "divider"}]}


class Clock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, step: timedelta) -> None:
        self.now += step


class Told:
    """A Slack on paper: keeps what it was told, and refuses while it has failures left."""

    def __init__(self, *failures: NotTold | None) -> None:
        self.failures = list(failures)
        self.messages: list[tuple[str, Mapping[str, Any]]] = []
        self.tries = 0

    def __call__(self, channel: str, message: Mapping[str, Any]) -> None:
        self.tries += 1
        failure = self.failures.pop(0) if self.failures else None
        if failure:
            raise failure
        self.messages.append((channel, message))


@pytest.fixture
def clock() -> Clock:
    return Clock()


def rows(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(Alert.__table__).order_by(Alert.created_at)))


def fill(engine: Engine, count: int) -> None:
    for number in range(count):
        assert enqueue(engine, f"run-failed/{number}", "#invoices", MESSAGE, START + timedelta(seconds=number - count))


def test_an_alert_is_written_down_and_told_once(engine: Engine, clock: Clock) -> None:
    assert enqueue(engine, "run-failed/1", "#invoices", MESSAGE, START)
    assert not enqueue(engine, "run-failed/1", "#other", {"text": "again"}, START)
    told = Told()
    assert dispatch(engine, told, clock) == DispatchCount(sent=1)
    assert dispatch(engine, told, clock) == DispatchCount()
    assert told.messages == [("#invoices", MESSAGE)]
    (row,) = rows(engine)
    assert (row.state, row.attempts, row.sent_at, row.not_before) == ("sent", 1, START, None)
    assert not enqueue(engine, "run-failed/1", "#invoices", MESSAGE, START + timedelta(days=30))


def test_enqueue_belongs_to_its_callers_transaction(engine: Engine) -> None:
    connection = engine.connect()
    with connection.begin() as transaction:
        assert enqueue(connection, "run-failed/1", "#invoices", MESSAGE, START)
        transaction.rollback()
    connection.close()
    assert rows(engine) == []


def test_two_that_write_down_the_same_subject_at_once_make_one_alert(engine: Engine) -> None:
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda _: enqueue(engine, "run-failed/1", "#c", MESSAGE, START), range(16)))
    assert sum(done) == 1
    assert len(rows(engine)) == 1


def test_a_slack_that_is_down_loses_nothing(engine: Engine, clock: Clock) -> None:
    fill(engine, 3)
    down = Told(*[NotTold("Slack is down")] * 3)
    assert dispatch(engine, down, clock) == DispatchCount(postponed=1), "the others are not tried in vain"
    assert down.tries == 1
    assert [row.state for row in rows(engine)] == ["pending"] * 3
    assert rows(engine)[0].last_error == "Slack is down"
    clock.forward(timedelta(hours=3))
    up = Told()
    assert dispatch(engine, up, clock) == DispatchCount(sent=3)
    assert len(up.messages) == 3
    assert [row.last_error for row in rows(engine)] == [None] * 3


def test_one_bad_message_does_not_hold_the_others(engine: Engine, clock: Clock) -> None:
    fill(engine, 3)
    told = Told(NotTold("invalid_blocks", outcome=OutcomeKind.REFUSED))
    assert dispatch(engine, told, clock) == DispatchCount(sent=2, postponed=1)
    assert len(told.messages) == 2


def test_waits_double_up_to_an_hour_and_honour_retry_after(engine: Engine, clock: Clock) -> None:
    fill(engine, 1)
    waits = []
    for asked in (None, None, None, 700.0, 999_999.0, None, None, None, None):
        assert dispatch(engine, Told(NotTold("busy", retry_after=asked)), clock) == DispatchCount(postponed=1)
        (row,) = rows(engine)
        waits.append((row.not_before - clock.now).total_seconds())
        clock.now = row.not_before - timedelta(microseconds=1)
        assert dispatch(engine, Told(), clock) == DispatchCount(), "not before its time"
        clock.now = row.not_before
    assert waits == [30, 60, 120, 700, 3600, 960, 1920, 3600, 3600]


def test_patience_ends_after_days_and_says_so(engine: Engine, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    fill(engine, 1)
    created = rows(engine)[0].created_at
    clock.now = created + outbox.GIVE_UP_AFTER - timedelta(seconds=1)
    assert dispatch(engine, Told(NotTold("down")), clock) == DispatchCount(postponed=1)
    clock.forward(timedelta(hours=1))
    with caplog.at_level(logging.ERROR):
        assert dispatch(engine, Told(NotTold("still down")), clock) == DispatchCount(given_up=1)
    (row,) = rows(engine)
    assert (row.state, row.last_error, row.not_before) == ("given_up", "still down", None)
    assert "run-failed/0" in caplog.text
    assert "still down" in caplog.text
    clock.forward(timedelta(days=30))
    assert dispatch(engine, Told(), clock) == DispatchCount()


def test_an_old_alert_that_can_be_told_is_told(engine: Engine, clock: Clock) -> None:
    fill(engine, 1)
    clock.forward(timedelta(days=30))
    assert dispatch(engine, Told(), clock) == DispatchCount(sent=1)


def test_a_dispatch_takes_a_batch_oldest_first(engine: Engine, clock: Clock) -> None:
    for number in (3, 1, 2):
        enqueue(engine, f"s/{number}", f"#{number}", MESSAGE, START - timedelta(seconds=10 - number))
    told = Told()
    assert dispatch(engine, told, clock, batch=2) == DispatchCount(sent=2)
    assert dispatch(engine, told, clock, batch=2) == DispatchCount(sent=1)
    assert [channel for channel, _ in told.messages] == ["#1", "#2", "#3"]


def test_two_dispatchers_do_not_tell_twice(engine: Engine, clock: Clock) -> None:
    fill(engine, 12)
    told, lock = [], threading.Lock()
    start = threading.Barrier(4)

    def send(channel: str, message: Mapping[str, Any]) -> None:
        with lock:
            told.append(channel)

    def run(_: int) -> DispatchCount:
        start.wait()
        return dispatch(engine, send, clock)

    with ThreadPoolExecutor(4) as threads:
        counts = list(threads.map(run, range(4)))
    assert len(told) == sum(count.sent for count in counts) == 12


def test_a_dispatcher_that_dies_while_it_sends_leaves_the_alert_to_a_later_one(engine: Engine, clock: Clock) -> None:
    fill(engine, 1)

    def die(channel: str, message: Mapping[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dispatch(engine, die, clock)
    assert dispatch(engine, Told(), clock) == DispatchCount(), "it may still be at it"
    clock.forward(outbox.CLAIM)
    assert dispatch(engine, Told(), clock) == DispatchCount(sent=1)


def test_a_late_failure_does_not_undo_what_another_dispatcher_told(engine: Engine, clock: Clock) -> None:
    fill(engine, 1)

    def late(channel: str, message: Mapping[str, Any]) -> None:
        clock.forward(outbox.CLAIM)
        assert dispatch(engine, Told(), clock) == DispatchCount(sent=1)
        raise NotTold("too late")

    dispatch(engine, late, clock)
    (row,) = rows(engine)
    assert (row.state, row.last_error) == ("sent", None)


def test_hostile_words_are_stored(engine: Engine, clock: Clock) -> None:
    subject = "s" * 300 + "\x00\ud800"
    message = {"text": "nul \x00 half \ud800", "blocks": [{"text": ["\x00"]}]}
    assert enqueue(engine, subject, "#c", message, START)
    assert not enqueue(engine, subject, "#c", message, START)
    assert enqueue(engine, subject + "another", "#c", message, START)
    assert dispatch(engine, Told(NotTold("\x00" * 5000, outcome=OutcomeKind.REFUSED)), clock).postponed == 1
    assert all(len(row.subject) <= 255 for row in rows(engine))


def test_a_real_outage_ends_and_the_alert_arrives(engine: Engine, clock: Clock, simulator: RunningSimulator) -> None:
    slack = Slack(open_client(simulator.slack_token, simulator.slack_url))
    fill(engine, 2)
    simulator.fault("slack", "status", status=503, times=1)
    assert dispatch(engine, slack.send, clock) == DispatchCount(postponed=1)
    assert dispatch(engine, slack.send, clock) == DispatchCount(sent=1)
    clock.forward(outbox.FIRST_WAIT)
    assert dispatch(engine, slack.send, clock) == DispatchCount(sent=1)
    assert len(simulator.slack_messages()) == 2

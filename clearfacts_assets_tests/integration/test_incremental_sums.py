"""Sums of tables that grow for ever: right at once, of what is new each time, of what is old in turn, by the index."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    event,
    func,
    insert,
    select,
    update,
)

from clearfacts_assets.storage.incremental_sums import NEWEST, RECENT, Question, Slices, Times, sums_of
from clearfacts_assets.storage.types import UtcDateTime

FIRST = datetime(2026, 11, 20, 1, 30, tzinfo=UTC)
NIGHTS = NEWEST + RECENT + 6
seen = Table(
    "seen",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("began", UtcDateTime, nullable=False),
    Column("state", String(10), nullable=False),
    Column("seconds", Float),
    Index("ix_seen_began", "began"),
)
QUESTION = Question(seen, seen.c.began, seen.c.state, seen.c.seconds, (1.0, 10.0))


@pytest.fixture
def filled(engine: Engine) -> Iterator[Engine]:
    """Three rows a night, one of which has no end."""
    seen.create(engine)
    rows = [
        {"began": FIRST + timedelta(days=night, minutes=20 * row), "state": state, "seconds": seconds}
        for night in range(NIGHTS)
        for row, (state, seconds) in enumerate([("sent", 0.5), ("sent", 20.0), ("pending", None)])
    ]
    with engine.begin() as connection:
        connection.execute(insert(seen), rows)
    yield engine
    seen.drop(engine)


def change(engine: Engine, night: int) -> None:
    """What waited in this night is sent, after five seconds."""
    start = FIRST + timedelta(days=night)
    these = (seen.c.began >= start) & (seen.c.began < start + timedelta(hours=2)) & (seen.c.state == "pending")
    with engine.begin() as connection:
        connection.execute(update(seen).where(these).values(state="sent", seconds=5.0))


def truth(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return dict(connection.execute(select(seen.c.state, func.count()).group_by(seen.c.state)).tuples().all())


def test_the_first_time_all_is_summed(filled: Engine) -> None:
    found = Slices(QUESTION).sums(filled)
    assert found.rows == truth(filled) == {"sent": 2 * NIGHTS, "pending": NIGHTS}
    assert found.times == Times((NIGHTS, NIGHTS), 2 * NIGHTS, 20.5 * NIGHTS)


def test_what_changes_in_the_newest_slices_and_after_them_is_seen_at_once(filled: Engine) -> None:
    slices = Slices(QUESTION, monotonic=lambda: 0.0)
    slices.sums(filled)
    change(filled, NIGHTS - 1)
    with filled.begin() as connection:
        connection.execute(insert(seen), [{"began": FIRST + timedelta(days=NIGHTS), "state": "held", "seconds": None}])
    found = slices.sums(filled)
    assert found.rows == truth(filled)
    assert found.rows["held"] == 1
    assert found.times.up_to == (NIGHTS, NIGHTS + 1)


def test_what_changes_in_the_hour_before_the_newest_one_is_seen_at_once(filled: Engine) -> None:
    ticks = iter(range(10**6))
    slices = Slices(QUESTION, monotonic=lambda: float(next(ticks)))
    with filled.begin() as connection:
        next_hour = FIRST + timedelta(days=NIGHTS - 1, hours=2)
        connection.execute(insert(seen), [{"began": next_hour, "state": "held", "seconds": None}])
    slices.sums(filled)
    change(filled, NIGHTS - 1)
    assert slices.sums(filled).rows == truth(filled)


@pytest.mark.parametrize(("night", "looks"), [(NIGHTS - NEWEST - 1, 2 * RECENT), (0, 2 * NIGHTS)])
def test_what_changes_in_an_older_slice_is_seen_in_turn(filled: Engine, night: int, looks: int) -> None:
    ticks = iter(range(10**6))
    slices = Slices(QUESTION, monotonic=lambda: float(next(ticks)))  # so that one slice fits into each look
    slices.sums(filled)
    change(filled, night)
    assert truth(filled) in [slices.sums(filled).rows for _ in range(looks)]


def test_where_all_fit_into_the_time_all_are_looked_at(filled: Engine) -> None:
    slices = Slices(QUESTION, monotonic=lambda: 0.0)
    slices.sums(filled)
    for night in range(NIGHTS):
        change(filled, night)
    assert slices.sums(filled).rows == truth(filled) == {"sent": 3 * NIGHTS}


def test_a_look_asks_by_the_index_alone(filled: Engine) -> None:
    asked: list[str] = []
    slices = Slices(QUESTION, monotonic=iter(map(float, range(10**6))).__next__)
    slices.sums(filled)
    event.listen(filled, "before_cursor_execute", lambda _c, _cursor, statement, *_: asked.append(statement))
    slices.sums(filled)
    counted = [one for one in asked if "count(" in one]
    assert len(counted) == NEWEST + 2  # with the hour before, and one of the others
    assert all("seen.began >= " in one and "seen.began < " in one for one in counted)


def test_a_process_keeps_what_it_knows_of_an_engine(filled: Engine) -> None:
    made: list[Question] = []

    def question() -> Question:
        made.append(QUESTION)
        return QUESTION

    assert sums_of(filled, "seen", question).rows == sums_of(filled, "seen", question).rows
    assert len(made) == 1


def test_a_table_without_rows_has_sums_too(engine: Engine) -> None:
    seen.create(engine)
    found = Slices(QUESTION).sums(engine)
    seen.drop(engine)
    assert (found.rows, found.times) == ({}, Times((0, 0), 0, 0.0))

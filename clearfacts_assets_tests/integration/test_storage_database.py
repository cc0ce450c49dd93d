"""Reads wait for nobody, writes wait for each other, collisions are survived."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Column, Engine, MetaData, Table, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from clearfacts_assets.storage.database import collided, commit_to_disk, database_now, open_engine, read, reading, write
from clearfacts_assets.storage.invoices.tables import DeliveryAttempt
from clearfacts_assets.storage.types import ExactDecimal, Json, UtcDateTime, Words

THINGS = Table(
    "things",
    MetaData(),
    Column("words", Words),
    Column("json", Json),
    Column("moment", UtcDateTime),
    Column("amount", ExactDecimal),
)


@pytest.fixture
def things(engine: Engine) -> Engine:
    THINGS.metadata.create_all(engine)
    return engine


def test_a_read_does_not_wait_for_a_writer(things: Engine) -> None:
    with things.begin() as writer:
        writer.execute(insert(THINGS).values(words="unfinished"))
        with reading(things) as connection:
            assert connection.execute(select(THINGS.c.words)).all() == []


def test_a_writer_does_not_wait_for_a_read(things: Engine) -> None:
    with reading(things) as connection:
        connection.execute(select(THINGS.c.words)).all()
        write(things, lambda other: other.execute(insert(THINGS).values(words="done")))
    with reading(things) as connection:
        assert connection.execute(select(THINGS.c.words)).scalars().all() == ["done"]


def test_writers_wait_for_each_other(things: Engine) -> None:
    write(things, lambda connection: connection.execute(insert(THINGS).values(amount=Decimal(0))))

    def add_one() -> None:
        for _ in range(20):
            write(things, one_more)

    def one_more(connection) -> None:
        amount = connection.execute(select(THINGS.c.amount).with_for_update()).scalar_one()
        connection.execute(THINGS.update().values(amount=amount + 1))

    threads = [threading.Thread(target=add_one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(things) as connection:
        assert connection.execute(select(THINGS.c.amount)).scalar_one() == 60


def test_a_deadlock_or_a_busy_file_is_tried_again(migrated_url: str) -> None:
    """Two transactions lock two rows in opposite order; on SQLite the second finds the file busy. Both get done."""
    engine = open_engine(migrated_url)
    THINGS.metadata.create_all(engine)
    write(engine, lambda connection: connection.execute(insert(THINGS), [{"words": "a"}, {"words": "b"}]))
    both_hold_one, one_is_done, tries = threading.Barrier(2), threading.Event(), []

    def take(first: str, second: str) -> None:
        def work(connection) -> None:
            tries.append(first)
            if tries.count(first) > 1:  # back before the other wakes up, it might lose again
                one_is_done.wait(300)
            connection.execute(THINGS.update().where(THINGS.c.words == first).values(amount=Decimal(1)))
            if tries.count(first) == 1 and engine.dialect.name == "postgresql":
                both_hold_one.wait(300)
            connection.execute(THINGS.update().where(THINGS.c.words == second).values(amount=Decimal(2)))

        write(engine, work)
        one_is_done.set()

    threads = [threading.Thread(target=take, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(tries) == (3 if engine.dialect.name == "postgresql" else 2)
    with engine.connect() as connection:
        amounts = dict(connection.execute(select(THINGS.c.words, THINGS.c.amount)).tuples().all())
    assert sorted(amounts.values()) == [1, 2], "both did both, one after the other"
    engine.dispose()


def test_work_that_is_wrong_is_not_tried_again(things: Engine) -> None:
    tries = []

    def work(connection) -> None:
        tries.append(1)
        connection.execute(text("SELECT nonsense FROM nowhere"))

    with pytest.raises(DBAPIError) as raised:
        write(things, work)
    assert not collided(raised.value)
    assert len(tries) == 1


def test_a_connection_lost_before_the_commit_is_survived_and_at_the_commit_only_by_repeatable_work(
    postgres_server, migrated_template: str
) -> None:
    engine = open_engine(postgres_server.fresh(migrated_template))

    def before_the_commit(connection) -> int:
        tries.append(1)
        if len(tries) == 1:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return connection.execute(text("SELECT 1")).scalar_one()

    tries: list[int] = []
    assert write(engine, before_the_commit) == 1
    assert len(tries) == 2

    def work(connection) -> int:
        """Its connection is cut by somebody else when all is done but the commit."""
        tries.append(1)
        one, backend = connection.execute(text("SELECT 1, pg_backend_pid()")).one()
        if len(tries) == 1:
            with engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:backend, 5000)"), {"backend": backend})
        return one

    tries = []
    with pytest.raises(DBAPIError):
        write(engine, work)
    tries = []
    assert write(engine, work, repeatable=True) == 1
    assert len(tries) == 2
    tries = []
    assert read(engine, before_the_commit) == 1
    assert len(tries) == 2
    engine.dispose()


def test_patience_ends(things: Engine) -> None:
    waited: list[float] = []

    def busy(connection) -> None:
        error = type("Busy", (Exception,), {"sqlstate": "40001", "sqlite_errorcode": 5})()
        raise DBAPIError("UPDATE", {}, error)

    with pytest.raises(DBAPIError):
        write(things, busy, patience=0.1, sleep=waited.append)
    assert waited[:3] == [0.01, 0.02, 0.04]


def test_postgresql_refuses_a_write_in_a_read(postgres_server, migrated_template: str) -> None:
    engine = open_engine(postgres_server.fresh(migrated_template))
    with reading(engine) as connection, pytest.raises(DBAPIError, match="read-only"):
        connection.execute(text("DELETE FROM jobs"))
    engine.dispose()


def test_foreign_keys_hold(engine: Engine) -> None:
    attempt = {
        "delivery_id": uuid4(),
        "fence": 1,
        "generation": 1,
        "content_sha256": "",
        "started_at": datetime.now(UTC),
    }
    with pytest.raises(IntegrityError):
        write(engine, lambda connection: connection.execute(insert(DeliveryAttempt), attempt))


def test_the_databases_time_is_now(engine: Engine) -> None:
    with reading(engine) as connection:
        assert abs(database_now(connection) - datetime.now(UTC)) < timedelta(seconds=5)


def test_hostile_text_and_json_come_back_escaped(things: Engine) -> None:
    words = "a\x00b\ud800é€"
    json = {"k\x00": ["\ud800", {"n": float("nan")}, 1.5, None, True], "big": 10**30}
    write(things, lambda connection: connection.execute(insert(THINGS).values(words=words, json=json)))
    with reading(things) as connection:
        row = connection.execute(select(THINGS)).one()
    assert row.words == r"a\x00b\ud800é€"
    assert row.json == {r"k\x00": [r"\ud800", {"n": "nan"}, 1.5, None, True], "big": 10**30}


def test_times_come_back_in_utc_and_need_a_zone(things: Engine) -> None:
    brussels = datetime(2026, 7, 1, 2, 0, tzinfo=timezone(timedelta(hours=2)))
    write(things, lambda connection: connection.execute(insert(THINGS).values(moment=brussels)))
    with reading(things) as connection:
        found = connection.execute(select(THINGS.c.moment)).scalar_one()
    assert (found, found.utcoffset()) == (brussels, timedelta(0))
    with pytest.raises(StatementError, match="no zone"):
        write(things, lambda connection: connection.execute(insert(THINGS).values(moment=datetime(2026, 7, 1))))  # noqa: DTZ001


@pytest.mark.parametrize("amount", ["0.10", "123456789012345678901234.56", "-0.000000000001", "1E+3"])
def test_amounts_come_back_exactly(things: Engine, amount: str) -> None:
    write(things, lambda connection: connection.execute(insert(THINGS).values(amount=Decimal(amount))))
    with reading(things) as connection:
        assert connection.execute(select(THINGS.c.amount)).scalar_one() == Decimal(amount)


def test_a_float_is_no_amount(things: Engine) -> None:
    with pytest.raises(StatementError, match="not a float"):
        write(things, lambda connection: connection.execute(insert(THINGS).values(amount=0.1)))


def test_what_must_not_be_forgotten_is_on_disk_when_it_is_committed(engine: Engine) -> None:
    def how(connection) -> str:
        commit_to_disk(connection)
        question = "SHOW synchronous_commit" if engine.dialect.name == "postgresql" else "PRAGMA synchronous"
        return str(connection.execute(text(question)).scalar_one())

    assert write(engine, how) in ("on", "2")  # SQLite's 2 is FULL


def test_a_process_that_ends_leaves_a_sqlite_database_in_one_file(migrated_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "left.db"
    file.write_bytes(migrated_file.read_bytes())
    program = (
        "import sys; from clearfacts_assets.storage.database import open_engine; engine = open_engine(sys.argv[1])\n"
        "with engine.begin() as connection: connection.exec_driver_sql('CREATE TABLE left_behind (it TEXT)')\n"
    )
    subprocess.run([sys.executable, "-c", program, f"sqlite:///{file}"], check=True)
    assert [one.name for one in tmp_path.iterdir()] == ["left.db"]

"""The databases that tests are lent: as new each time, whatever the test before did to them."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from clearfacts_assets.health.systems import DatabaseAway, database_answers
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets_tests.fixtures.databases import PostgresServer, database_name

ENTRY = "INSERT INTO leases (name, holder, until) VALUES ('one', gen_random_uuid(), now())"


def tables(server: PostgresServer, url: str) -> dict[str, int]:
    """How many rows each has."""
    with psycopg.connect(f"host={server.folder} user=postgres dbname={database_name(url)}") as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for (name,) in names}


def test_rows_are_gone_and_the_old_address_leads_nowhere(
    postgres_server: PostgresServer, migrated_template: str
) -> None:
    first = postgres_server.lend(migrated_template)
    empty = tables(postgres_server, first)
    engine = create_engine(first)
    with engine.begin() as connection:
        connection.execute(text(ENTRY))
    postgres_server.take_back(first)
    second = postgres_server.lend(migrated_template)
    assert second != first
    assert tables(postgres_server, second) == empty
    for _ in range(2):  # the connection that it had, and a new one
        with pytest.raises(OperationalError), engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    engine.dispose()
    postgres_server.take_back(second)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE more (a int)",
        "DROP TABLE leases CASCADE",
        "DROP TRIGGER audit_logs_no_change ON audit_logs",
        "ALTER TABLE leases ADD COLUMN more int",
        "UPDATE alembic_version SET version_num = '0001'",
    ],
)
def test_tables_that_a_test_changed_are_seen_by_no_other(
    postgres_server: PostgresServer, migrated_template: str, change: str
) -> None:
    url = postgres_server.lend(migrated_template)
    with psycopg.connect(f"host={postgres_server.folder} user=postgres dbname={database_name(url)}") as connection:
        connection.execute(change)
    postgres_server.take_back(url)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(f"host={postgres_server.folder} user=postgres dbname={database_name(url)}")


def test_a_lent_database_outlives_a_crash_that_comes_at_once(
    postgres_server: PostgresServer, migrated_template: str
) -> None:
    postgres_server.take_back(postgres_server.lend(migrated_template))
    url = postgres_server.lend(migrated_template)
    postgres_server.stop()
    postgres_server.start()
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    postgres_server.take_back(url)


def test_a_database_that_is_not_there_is_told_from_one_without_tables(postgres_server: PostgresServer) -> None:
    url = postgres_server.fresh()
    postgres_server.drop(url)
    with pytest.raises(DatabaseAway, match=r"does not exist.*Check the name in CLEARFACTS_DATABASE_URL"):
        database_answers(open_engine(url))

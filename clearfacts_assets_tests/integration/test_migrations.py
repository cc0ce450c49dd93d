"""The migrations build what the models describe, on both databases, up and down."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.exc import DBAPIError

from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.storage import migrate
from clearfacts_assets.storage.accounts import audit
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets.storage.chargeback.periods import PeriodRepository
from clearfacts_assets.storage.database import open_engine, reading
from clearfacts_assets.storage.invoices.tables import Base
from clearfacts_assets.storage.types import Json
from clearfacts_assets_tests.fixtures.chargeback import NOW, Books, row

HEAD = ScriptDirectory.from_config(migrate.configuration()).get_current_head()

# Names that others rely on: reports and queries read these columns.
CONTRACT = {
    "users": "id username email password_hash role is_active created_at updated_at",
    "jobs": "id job_type status triggered_by started_at completed_at error_message metadata created_at updated_at",
    "invoices": "id job_id invoice_id ubl_data status clearfacts_response error_message processed_at created_at "
    "updated_at",
    "audit_logs": "id user_id action resource_type resource_id details ip_address user_agent created_at",
    "configuration": "id key value description is_encrypted created_at updated_at",
}
CONTRACT_INDEXES = {
    "jobs": "status created_at job_type",
    "invoices": "job_id status invoice_id processed_at",
    "audit_logs": "user_id action created_at",
    "configuration": "key",
}
CONTRACT_UNIQUE = {"users": "username email", "configuration": "key"}


def inspector(url: str) -> Inspector:
    return inspect(create_engine(url))


def test_upgrade_reaches_the_newest_version_and_may_be_repeated(database_url: str) -> None:
    assert migrate.current(database_url) is None
    assert migrate.upgrade(database_url) == HEAD
    assert migrate.upgrade(database_url) == HEAD
    assert migrate.current(database_url) == HEAD


def test_downgrade_leaves_no_table_of_ours_and_upgrade_brings_them_back(database_url: str) -> None:
    migrate.upgrade(database_url)
    assert migrate.downgrade(database_url, "base") is None
    assert set(inspector(database_url).get_table_names()) == {"alembic_version"}
    assert migrate.upgrade(database_url) == HEAD
    assert set(inspector(database_url).get_table_names()) == {"alembic_version", *Base.metadata.tables}


def test_every_version_goes_down_and_up_again(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = ScriptDirectory.from_config(migrate.configuration())
    monkeypatch.setattr(ScriptDirectory, "from_config", lambda _: scripts)  # else all files are read a hundred times
    versions = [script.revision for script in reversed(list(scripts.walk_revisions()))]
    for version in versions:
        assert migrate.upgrade(database_url, version) == version
        migrate.downgrade(database_url, "-1")
        assert migrate.upgrade(database_url, version) == version


def test_models_and_migrations_agree(migrated_url: str) -> None:
    engine = open_engine(migrated_url)
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_contract_columns_and_indexes_are_there(migrated_url: str) -> None:
    found = inspector(migrated_url)
    for table, columns in CONTRACT.items():
        assert set(columns.split()) <= {column["name"] for column in found.get_columns(table)}, table
    for table, columns in CONTRACT_INDEXES.items():
        assert set(columns.split()) <= {str(index["column_names"][0]) for index in found.get_indexes(table)}, table
    for table, columns in CONTRACT_UNIQUE.items():
        unique = {",".join(constraint["column_names"]) for constraint in found.get_unique_constraints(table)}
        assert set(columns.split()) <= unique, table


def test_the_business_key_is_unique_in_the_database(migrated_url: str) -> None:
    unique = [constraint["column_names"] for constraint in inspector(migrated_url).get_unique_constraints("deliveries")]
    assert ["key_digest", "revision"] in unique


def test_the_database_knows_exactly_the_states_of_the_life_cycle(migrated_url: str) -> None:
    checks = {check["name"]: check["sqltext"] for check in inspector(migrated_url).get_check_constraints("deliveries")}
    for state in State:
        assert f"'{state.value}'" in checks["ck_deliveries_state"]
    assert checks["ck_deliveries_state"].count("'") == 2 * len(State)


def test_native_types_on_postgresql(postgres_server, migrated_template: str) -> None:
    url = postgres_server.fresh(migrated_template)
    types = {
        (table, column["name"]): type(column["type"]).__name__
        for table in ("jobs", "invoices", "audit_logs")
        for column in inspector(url).get_columns(table)
    }
    assert types["jobs", "metadata"] == "JSONB"
    assert types["invoices", "clearfacts_response"] == "JSONB"
    assert types["invoices", "id"] == "UUID"
    assert types["invoices", "payable_amount"] == "NUMERIC"
    assert types["audit_logs", "ip_address"] == "INET"


def test_two_processes_may_upgrade_at_once(database_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert [future.result() for future in [pool.submit(migrate.upgrade, database_url) for _ in range(2)]] == [
            HEAD,
            HEAD,
        ]


def test_upgrade_creates_the_folder_of_a_sqlite_file(tmp_path: Path) -> None:
    file = tmp_path / "100 %" / "home" / "clearfacts.db"
    assert migrate.upgrade(f"sqlite:///{file}") == HEAD
    assert file.is_file()


def test_alembic_alone_is_told_what_to_call_instead() -> None:
    from alembic import command

    with pytest.raises(RuntimeError, match="clearfacts db upgrade"):
        command.current(migrate.configuration())


def test_whole_days_of_before_are_whole_days_and_go_back_to_their_notes(database_url: str) -> None:
    migrate.upgrade(database_url, "0040")
    engine = create_engine(database_url)
    jobs = sa.table("jobs", sa.column("metadata", Json()), sa.column("whole_day", sa.Boolean()))
    notes = [{"whole_day": True, "window": ["a", "b"]}, {"whole_day": False}, {}]
    names, when = "id, job_type, status, metadata, created_at, updated_at", "'2026-11-20 01:00:00'"
    rows = [f"('{uuid4().hex}', 'manual', 'completed', '{json.dumps(one)}', {when}, {when})" for one in notes]
    with engine.begin() as connection:
        connection.execute(sa.text(f"INSERT INTO jobs ({names}) VALUES {', '.join(rows)}".replace(":", r"\:")))
    migrate.upgrade(database_url, "0090")
    with engine.connect() as connection:
        assert sorted(connection.scalars(sa.select(jobs.c.whole_day))) == [False, False, True]
    with engine.begin() as connection:
        connection.execute(jobs.update().where(jobs.c.whole_day).values(metadata={"window": ["a", "b"]}))
    migrate.downgrade(database_url, "0040")
    with engine.connect() as connection:
        after = list(connection.scalars(sa.select(jobs.c["metadata"])))
    assert notes[0] in after
    assert sorted(map(str, after)) == sorted(map(str, [{"window": ["a", "b"], "whole_day": True}, notes[1], notes[2]]))


def test_the_last_two_versions_go_down_and_up_again_with_what_is_in_them(engine: Engine, tmp_path: Path) -> None:
    """What an operator does who goes back to the program of before, and forward again."""
    url, books = engine.url.render_as_string(hide_password=False), Books(engine, tmp_path)
    books.put(row(BilledCost="12.34"))
    books.finalize("2025-03")
    versions = [one.revision for one in ScriptDirectory.from_config(migrate.configuration()).walk_revisions()][:3]
    migrate.downgrade(url, versions[2])
    before = _everything(url)
    assert migrate.upgrade(url) == versions[0] == HEAD
    migrate.downgrade(url, versions[2])
    assert _everything(url) == before
    migrate.upgrade(url)
    assert len(before["charges"]) == 1
    (verdict,) = PeriodRepository(engine).verify()
    assert verdict.problem == ""
    assert audit.verify(engine).broken is None
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM charges"))


def test_a_log_that_was_cut_does_not_go_back_to_a_program_that_cannot_verify_it(engine: Engine) -> None:
    with engine.begin() as connection:
        audit.record(connection, actor=Actor("x"), action="x.y", resource_type="x", resource_id=None, now=NOW)
        assert audit.cut(connection, before=NOW + timedelta(days=1), actor=Actor("x"), now=NOW) == 1
    engine.dispose()
    with pytest.raises(RuntimeError, match="not downgraded"):
        migrate.downgrade(engine.url.render_as_string(hide_password=False), "0071")
    assert audit.verify(engine).broken is None


def _everything(url: str) -> dict[str, list[str]]:
    """All rows of all tables, as text."""
    reading_it = create_engine(url)
    with reading_it.connect() as connection:
        tables = inspect(connection).get_table_names()
        found = {name: sorted(map(str, connection.execute(sa.text(f'SELECT * FROM "{name}"')))) for name in tables}
    reading_it.dispose()
    return found

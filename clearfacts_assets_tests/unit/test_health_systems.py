"""What is said while a database is down: of it, and of the systems that cannot be asked because of that."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster._core.storage.runs.sqlite import SqliteRunStorage
from dagster._core.test_utils import instance_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from sqlalchemy import text

from clearfacts_assets import settings
from clearfacts_assets.health.probes import ask
from clearfacts_assets.health.readiness import asked
from clearfacts_assets.health.systems import ASKED, questions, shown
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets_tests.fixtures.resources import all_resources


def test_a_system_that_could_not_be_asked_is_not_said_to_be_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'nowhere' / 'clearfacts.db'}"
    monkeypatch.setenv("CLEARFACTS_DATABASE_URL", url)
    monkeypatch.setenv("CLEARFACTS_HOME", str(tmp_path))
    monkeypatch.setenv("CLEARFACTS_SOURCE__BASE_URL", "http://127.0.0.1:9")
    settings.load.cache_clear()
    known = all_resources()
    ways = questions(open_engine(url), known["source"], known["clearfacts"], known["slack"], "")  # type: ignore[arg-type]
    verdicts = {system: ask(system, ways[system]) for system in map(shown, ASKED)}
    settings.load.cache_clear()
    assert not any(verdict.healthy for verdict in verdicts.values())
    assert "unable to open" in verdicts["database"].message
    assert {name for name, verdict in verdicts.items() if verdict.message.startswith("not asked")} == {
        "java_backend",
        "clearfacts",
        "slack",
        "nightly_run",
    }
    assert not any(tells_statements(verdict.message) for verdict in verdicts.values())


def tells_statements(message: str) -> bool:
    """Everybody with health:read sees it: what we ask a database is not for them."""
    return any(word in message for word in ("SELECT", "SQL:", "sqlalche.me"))


def test_a_database_without_tables_is_told_without_the_statement(database_url: str) -> None:
    known = all_resources()
    engine = open_engine(database_url)
    ways = questions(engine, known["source"], known["clearfacts"], known["slack"], "")  # type: ignore[arg-type]
    verdict = ask("nightly_run", ways["nightly_run"])
    engine.dispose()
    assert not verdict.healthy
    assert "clearfacts db upgrade" in verdict.message
    assert not tells_statements(verdict.message)


def test_dagsters_own_database_is_told_without_the_statement(tmp_path: Path) -> None:
    with (
        instance_for_test(temp_dir=str(tmp_path)) as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace,
    ):
        assert isinstance(instance.run_storage, SqliteRunStorage)
        with instance.run_storage.connect() as connection:
            connection.execute(text("DROP TABLE daemon_heartbeats"))
        (daemon,) = [one for one in asked(open_engine("sqlite://"), workspace) if one.system == "daemon"]
    assert not daemon.healthy
    assert "no such table" in daemon.message
    assert not tells_statements(daemon.message)

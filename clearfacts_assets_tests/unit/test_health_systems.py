"""What is said of a system that cannot be asked because our own database is down."""

from __future__ import annotations

from pathlib import Path

import pytest

from clearfacts_assets import resources, settings
from clearfacts_assets.health.probes import ask
from clearfacts_assets.health.systems import SYSTEMS, questions
from clearfacts_assets.storage.database import open_engine


def test_a_system_that_could_not_be_asked_is_not_said_to_be_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'nowhere' / 'clearfacts.db'}"
    monkeypatch.setenv("CLEARFACTS_DATABASE_URL", url)
    monkeypatch.setenv("CLEARFACTS_HOME", str(tmp_path))
    monkeypatch.setenv("CLEARFACTS_SOURCE__BASE_URL", "http://127.0.0.1:9")
    settings.load.cache_clear()
    known = resources.from_settings()
    asked = questions(open_engine(url), known["source"], known["clearfacts"], known["slack"])  # type: ignore[arg-type]
    verdicts = {system: ask(system, asked[system]) for system in SYSTEMS}
    settings.load.cache_clear()
    assert not any(verdict.healthy for verdict in verdicts.values())
    assert "unable to open" in verdicts["database"].message
    assert {name for name, verdict in verdicts.items() if verdict.message.startswith("not asked")} == set(SYSTEMS) - {
        "database"
    }

"""A deadline for one call beyond half the lease of a claim is refused, with the reason, in every way of setting it.

The API and a value that stands in the table already: ``test_api_people.py``.
"""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from clearfacts_assets import configuration, settings
from clearfacts_assets.settings import Settings
from clearfacts_assets_tests.fixtures.command import Command

REASON = (
    "delivery.lease must be at least twice destination.deadline, or another run could take over a call that is under "
    "way: they are 120 and 60.5 seconds"
)


def test_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARFACTS_DELIVERY__LEASE", "120")
    monkeypatch.setenv("CLEARFACTS_DESTINATION__DEADLINE", "60")
    assert Settings().destination.deadline == 60
    monkeypatch.setenv("CLEARFACTS_DESTINATION__DEADLINE", "60.5")
    settings.load.cache_clear()
    with pytest.raises(ValidationError, match=REASON):
        settings.load()
    settings.load.cache_clear()


def test_by_settings_of_a_program() -> None:
    with pytest.raises(ValidationError, match=REASON):
        Settings(delivery={"lease": 120}, destination={"deadline": 60.5})  # type: ignore[arg-type]


def test_by_what_is_stored_while_the_system_runs() -> None:
    beside = Settings(delivery={"lease": 120})  # type: ignore[arg-type]
    assert configuration.as_json("destination.deadline", 60, beside) == "60.0"
    with pytest.raises(configuration.BadValue, match=REASON):
        configuration.as_json("destination.deadline", 60.5, beside)
    assert configuration.problem_of("destination.deadline", "60.5", beside) == REASON


def test_by_a_command(command: Command) -> None:
    command.environment |= {"CLEARFACTS_DELIVERY__LEASE": "120", "CLEARFACTS_DESTINATION__DEADLINE": "60.5"}
    refused = command("jobs", "list", code=1)
    assert REASON in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr

"""``clearfacts settings`` and the document that it writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from pydantic import ValidationError
from typer.testing import CliRunner

from clearfacts_assets.cli import settings as command
from clearfacts_assets.cli import settings_catalogue
from clearfacts_assets.settings import CONFIG_VARIABLE, Settings, load

PROJECT = Path(__file__).resolve().parents[2]
CANARY = "canary-7f3a"


@pytest.fixture(autouse=True)
def _untouched_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for setting in settings_catalogue.catalogue():
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    load.cache_clear()
    yield
    load.cache_clear()


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(command.settings)
    return app


def printed(app: typer.Typer, *arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_document_is_current() -> None:
    document = (PROJECT / "docs" / "settings.md").read_text("utf-8")
    assert document == settings_catalogue.document(), "run: .venv/bin/clearfacts settings --markdown > docs/settings.md"


def test_every_setting_says_what_it_is_for() -> None:
    assert [setting.name for setting in settings_catalogue.catalogue() if not setting.purpose] == []


def test_the_document_is_the_same_whatever_is_set(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARFACTS_SERVE__PORT", "4321")
    assert printed(app, "--markdown") == settings_catalogue.document()
    assert "4321" not in settings_catalogue.document()


def test_each_value_says_where_it_comes_from(app: typer.Typer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("serve: {port: 4000, host: 0.0.0.0}\nsource: {page_size: 7}\n")
    monkeypatch.setenv(CONFIG_VARIABLE, str(file))
    monkeypatch.setenv("CLEARFACTS_SERVE__PORT", "4321")
    monkeypatch.setenv("CLEARFACTS_DELIVERY", '{"concurrency": 3}')
    monkeypatch.setenv("CLEARFACTS_SLACK__CHANNEL", "")  # empty counts as none
    told = {row["name"]: (row["value"], row["origin"]) for row in json.loads(printed(app, "--json"))}
    assert told["serve.port"] == ("4321", "environment")
    assert told["serve.host"] == ("0.0.0.0", "file")
    assert told["source.page_size"] == ("7", "file")
    assert told["delivery.concurrency"] == ("3", "environment")
    assert told["slack.channel"] == ("#invoices", "default")


@pytest.mark.parametrize("form", [[], ["--json"], ["--markdown"]])
def test_no_form_shows_a_secret(app: typer.Typer, monkeypatch: pytest.MonkeyPatch, form: list[str]) -> None:
    secrets = [setting for setting in settings_catalogue.catalogue() if setting.secret]
    assert {"database_url", "source.token", "destination.token", "slack.token"} <= {one.name for one in secrets}
    for setting in secrets:
        value = f"postgresql+psycopg://me:{CANARY}@db/x" if setting.name == "database_url" else CANARY
        monkeypatch.setenv(setting.variable, value)
    shown = printed(app, *form)
    assert CANARY not in shown
    assert form == ["--markdown"] or "(set)" in shown


@pytest.mark.parametrize(
    "wrong",
    [
        '[{"outcome": "refused"}]',
        '[{"code": "A", "words": "b", "outcome": "refused"}]',
        '[{"words": "(", "outcome": "refused"}]',
        '[{"code": "A", "outcome": "accepted"}]',
    ],
)
def test_a_known_error_that_means_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("CLEARFACTS_DESTINATION__KNOWN_ERRORS", wrong)
    with pytest.raises(ValidationError, match=r"destination\.known_errors"):
        Settings()


def test_the_table_names_value_and_origin(app: typer.Typer) -> None:
    line = next(line for line in printed(app).splitlines() if "serve.port" in line)
    assert ("3000" in line, "default" in line) == (True, True)


def test_two_forms_at_once_are_refused(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["--json", "--markdown"]).exit_code == 2


def test_the_documented_variable_is_the_one_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings_catalogue.variable(["destination", "connect_timeout"]), "7.5")
    assert Settings().destination.connect_timeout == 7.5

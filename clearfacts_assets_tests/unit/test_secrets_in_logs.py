"""Whatever secret is set, the log of a command hides it, wherever it stands in the settings."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from clearfacts_assets import settings
from clearfacts_assets.cli import settings_catalogue
from clearfacts_assets.cli.startup import ready
from clearfacts_assets.telemetry.logging import NAMESPACE

CANARY = "canary-7f3a"
SECRETS = [setting for setting in settings_catalogue.catalogue() if setting.secret]
FORMS = {
    "database_url": f"postgresql+psycopg://me:{CANARY}@db/x",
    "network.proxy": f"http://me:{CANARY}@proxy:3128",
    "auth.limits_url": f"redis://:{CANARY}@redis:6379",
    "auth.signing_keys": f"old:0123456789abcdef,new:{CANARY}",
    "auth.encryption_keys": f"new:{CANARY}",
}


@pytest.fixture(autouse=True)
def _as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    logger = logging.getLogger(NAMESPACE)
    before = (logger.handlers[:], logger.level, logger.propagate)
    monkeypatch.setenv("CLEARFACTS_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    settings.load.cache_clear()
    yield
    settings.load.cache_clear()
    logger.handlers[:], logger.level, logger.propagate = before


@pytest.mark.parametrize("secret", SECRETS, ids=lambda setting: setting.name)
def test_a_secret_is_in_no_line(
    secret: settings_catalogue.Setting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(secret.variable, FORMS.get(secret.name, CANARY))
    ready()
    logging.getLogger(f"{NAMESPACE}.somewhere").warning("the other side quoted %s and closed the line", CANARY)
    told = capsys.readouterr().err
    assert "closed the line" in told
    assert CANARY not in told


def test_what_is_no_secret_of_an_address_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEARFACTS_DATABASE_URL", FORMS["database_url"])
    monkeypatch.setenv("CLEARFACTS_NETWORK__PROXY", "direct")
    ready()
    logging.getLogger(f"{NAMESPACE}.somewhere").warning("we ask db directly, by postgresql")
    assert "we ask db directly, by postgresql" in capsys.readouterr().err

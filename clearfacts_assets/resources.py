"""What assets of both domains are given: Slack, the rule sets, the database, as Dagster resources over plain clients.

The fields are what an operator may see and, addresses excepted, change in the launchpad. Secrets are not fields:
Dagster stores and shows resource configuration, so tokens are read from the settings at the moment a client is opened,
and go to no other place than the settings name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import dagster as dg
from dagster_slack import SlackResource as DagsterSlackResource
from pydantic import HttpUrl
from slack_sdk.web.client import WebClient
from sqlalchemy import Engine

from clearfacts_assets import settings
from clearfacts_assets.configuration import effective_settings
from clearfacts_assets.invoice_settings import ValidationSettings, validator_from
from clearfacts_assets.invoices.validation.engine import Validator
from clearfacts_assets.notifications.slack import open_client
from clearfacts_assets.storage.chargeback.invoicing.laying_out import lay_out
from clearfacts_assets.storage.database import open_engine


class SlackResource(DagsterSlackResource):
    """Slack with an address of its own, so that tests and the demo speak to a simulated one.

    It is Dagster's resource, for whoever adds an asset that posts: only the client differs, which has time limits, our
    way out, and the token that is in force.
    """

    token: str = ""  # never configured here: see the module's docstring
    base_url: str
    channel: str

    def get_client(self) -> WebClient:
        """A client with a timeout; the token comes from the settings."""
        refuse_another("slack.base_url", self.base_url, str(settings.load().slack.base_url))
        network = settings.load().way_out
        return open_client(effective_settings().slack.token.get_secret_value(), self.base_url, network=network)


class ValidationResource(dg.ConfigurableResource[None]):
    """The rule sets, with their worker processes. Building them takes seconds, so a process builds them once."""

    def validator(self) -> Validator:
        """As the settings say; ends with this process. Raises BadPolicy where the policy file cannot be used."""
        return _validator(settings.load().validation)


@lru_cache(maxsize=1)
def _validator(configured: ValidationSettings) -> Validator:
    return validator_from(configured)


class DatabaseResource(dg.ConfigurableResource[None]):
    """Our own database; one engine with pooled connections per process and address."""

    def engine(self) -> Engine:
        return _engine(settings.load().business_database_url)


@lru_cache(maxsize=4)
def _engine(url: str) -> Engine:
    return open_engine(url)


class SettingMissing(Exception):
    """A setting without which the work cannot be done."""

    def __init__(self, name: str, meaning: str) -> None:
        variable = "CLEARFACTS_" + name.upper().replace(".", "__")
        super().__init__(f"the setting {name} ({meaning}) is missing: set {variable}, or {name} in the settings file")


class AnotherPlace(Exception):
    """A run was told to send our token, or to read, where the settings do not point."""

    def __init__(self, name: str, asked: str) -> None:
        super().__init__(
            f"{name} was changed to {asked} for this run: our tokens and documents go only where the settings point. "
            "Leave resources as they are in the launchpad; who runs this installation changes the setting"
        )


def refuse_another(name: str, asked: str, configured: str) -> None:
    """Raises AnotherPlace where a run was given another place than the settings name."""
    if asked != configured:
        raise AnotherPlace(name, asked)


def as_shown(place: HttpUrl | Path | None) -> str:
    """An address or a folder, as the launchpad shows it; empty where there is none."""
    return str(place).rstrip("/") if isinstance(place, HttpUrl) else str(place or "")


def statement_files(engine: Engine) -> Callable[[Path], object]:
    """What puts every invoice of a statement into a folder, where the two domains meet: another machine may have made
    it. It raises OSError."""
    return partial(lay_out, engine)


def slack() -> SlackResource:
    """Slack as the settings have it."""
    configured = settings.load().slack
    return SlackResource(base_url=str(configured.base_url), channel=configured.channel)


def from_settings() -> dict[str, dg.ConfigurableResource[None]]:
    """The resources of both domains, by the names that assets, sensors and checks ask for."""
    return {"slack": slack(), "validation": ValidationResource(), "database": DatabaseResource()}

"""What the assets are given: each outside system and the database, as Dagster resources over plain clients.

The fields are what an operator may see and, addresses excepted, change in the launchpad. Secrets are not fields:
Dagster stores and shows resource configuration, so tokens are read from the settings at the moment a client is opened,
and go to no other place than the settings name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import dagster as dg
from dagster_slack import SlackResource as DagsterSlackResource
from pydantic import HttpUrl
from slack_sdk.web.client import WebClient
from sqlalchemy import Engine

from clearfacts_assets import settings
from clearfacts_assets.configuration import effective_settings
from clearfacts_assets.credentials import Renewal
from clearfacts_assets.invoice_settings import ValidationSettings, validator_from
from clearfacts_assets.invoices.delivery.receivers import Admit, Directory, ReceiverCheck, everything
from clearfacts_assets.invoices.destinations import (
    DestinationOptions,
    KnownError,
    destination_of,
    open_destination,
)
from clearfacts_assets.invoices.ports import (
    DeliveryLedger,
    Destination,
    InvoiceSource,
    ListsAdministrations,
    SourceDenied,
)
from clearfacts_assets.invoices.sources import SourceOptions, open_source, place_of
from clearfacts_assets.invoices.validation.engine import Validator
from clearfacts_assets.notifications.slack import open_client
from clearfacts_assets.storage.chargeback.invoicing.laying_out import lay_out
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets.storage.invoices.taken_files import TakenFiles


class SourceResource(dg.ConfigurableResource[None]):
    """Where invoices come from: the Java backend, or a folder of dropped UBL files."""

    kind: str
    base_url: str | None
    folder: str | None
    page_size: int

    @contextmanager
    def open(self, correlation_id: str = "") -> Iterator[InvoiceSource]:
        """A client for one run, closed at its end. Raises SettingMissing where the address is not set."""
        source = self._make(correlation_id)
        try:
            yield source
        finally:
            source.close()

    def _make(self, correlation_id: str) -> InvoiceSource:
        configured, limits, place = settings.load(), effective_settings().source, place_of(self.kind)
        name, asked = f"source.{place.setting}", getattr(self, place.setting)
        if not asked:
            raise SettingMissing(name, place.meaning)
        _refuse_another(name, asked, _written(getattr(configured.source, place.setting)))
        options = SourceOptions(
            place=asked,
            token=limits.token.get_secret_value(),
            page_size=self.page_size,
            connect_timeout=limits.connect_timeout,
            deadline=limits.deadline,
            attempts=limits.attempts,
            longest_wait=limits.longest_wait,
            page_bytes=limits.page_bytes,
            document_bytes=limits.document_bytes,
            correlation_id=correlation_id,
            network=configured.way_out,
            memory=TakenFiles(_engine(configured.business_database_url)),
        )
        if self.kind == "statements":
            lay_out_statements(_engine(configured.business_database_url), Path(asked))
        return open_source(self.kind, options)


def lay_out_statements(engine: Engine, folder: Path) -> None:
    """Put every invoice of a statement into the folder, for another machine may have made it. Raises SourceDenied."""
    try:
        lay_out(engine, folder)
    except OSError as error:
        raise SourceDenied(
            f"invoices of statements cannot be put into {folder} ({error.strerror}): make room there, and allow us to "
            "write, or set source.folder to another place"
        ) from error


class ClearfactsResource(dg.ConfigurableResource[None]):
    """Clearfacts, by the transport that the settings choose."""

    transport: str
    base_url: str
    login_url: str
    invoice_type: str
    concurrency: int

    @contextmanager
    def open(self, correlation_id: str = "", should_stop: Callable[[], bool] = lambda: False) -> Iterator[Destination]:
        """A client for one run, closed at its end. It waits no longer to repeat a question once it ``should_stop``."""
        limits, delivery = effective_settings().destination, effective_settings().delivery
        # Whoever asks may have calls under way, and settles them only afterwards. So a whole question, at most this and
        # one deadline, takes half a lease: the calls have the other half.
        patience = max(0.0, min(delivery.patience, delivery.lease / 2 - limits.deadline))
        configured = settings.load()
        place = configured.destination
        _refuse_another("destination.base_url", self.base_url, _written(place.base_url))
        _refuse_another("destination.login_url", self.login_url, _written(place.login_url))
        options = DestinationOptions(
            base_url=self.base_url,
            login_url=self.login_url,
            folder=_written(place.folder),
            token=limits.token.get_secret_value(),
            connect_timeout=limits.connect_timeout,
            deadline=limits.deadline,
            longest_wait=limits.longest_wait,
            connections=self.concurrency,
            renew=Renewal(_engine(configured.business_database_url), self.login_url, correlation_id),
            correlation_id=correlation_id,
            network=configured.way_out,
            known_errors=tuple(KnownError(one.outcome, one.code, one.words) for one in place.known_errors),
            patience=patience,
            should_stop=should_stop,
        )
        destination = open_destination(self.transport, options)
        try:
            yield destination
        finally:
            destination.close()

    def admit(self, destination: Destination, ledger: DeliveryLedger) -> Admit:
        """What one run lets go on: documents of known receivers, where the settings and the transport allow to ask."""
        configured = effective_settings().destination
        if not (configured.check_receivers and isinstance(destination, ListsAdministrations)):
            return everything
        directory = _directory(self.base_url)
        return ReceiverCheck(ledger, destination, directory, self.invoice_type, configured.receivers_fresh).admit


def destination_name() -> str:
    """Where the settings send invoices: clearfacts, or peppol."""
    return destination_of(settings.load().destination.transport)


@lru_cache(maxsize=4)
def _directory(base_url: str) -> Directory:
    return Directory()


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
        _refuse_another("slack.base_url", self.base_url, str(settings.load().slack.base_url))
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


def _refuse_another(name: str, asked: str, configured: str) -> None:
    if asked != configured:
        raise AnotherPlace(name, asked)


def _written(place: HttpUrl | Path | None) -> str:
    """An address or a folder, as the launchpad shows it; empty where there is none."""
    return str(place).rstrip("/") if isinstance(place, HttpUrl) else str(place or "")


def slack() -> SlackResource:
    """Slack as the settings have it."""
    configured = settings.load().slack
    return SlackResource(base_url=str(configured.base_url), channel=configured.channel)


def from_settings() -> dict[str, dg.ConfigurableResource[None]]:
    """The resources by the names that assets, sensors and checks ask for."""
    configured = settings.load()
    return {
        "source": SourceResource(
            kind=configured.source.kind,
            base_url=_written(configured.source.base_url) or None,
            folder=_written(configured.source.folder) or None,
            page_size=configured.source.page_size,
        ),
        "clearfacts": ClearfactsResource(
            transport=configured.destination.transport,
            base_url=_written(configured.destination.base_url),
            login_url=_written(configured.destination.login_url),
            invoice_type=configured.destination.invoice_type,
            concurrency=configured.delivery.concurrency,
        ),
        "slack": slack(),
        "validation": ValidationResource(),
        "database": DatabaseResource(),
    }

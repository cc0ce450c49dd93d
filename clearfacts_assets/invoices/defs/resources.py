"""What the invoices' assets are given: the source and the destination that the settings name, as Dagster resources.

What holds for the fields of all resources is said in clearfacts_assets/resources.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

import dagster as dg

from clearfacts_assets import settings
from clearfacts_assets.configuration import effective_settings
from clearfacts_assets.invoices.defs.token_renewal import Renewal
from clearfacts_assets.invoices.delivery.receivers import Admit, Directory, ReceiverCheck, everything
from clearfacts_assets.invoices.destinations import (
    DestinationOptions,
    KnownError,
    destination_of,
    open_destination,
)
from clearfacts_assets.invoices.ports import DeliveryLedger, Destination, InvoiceSource, ListsAdministrations
from clearfacts_assets.invoices.sources import SourceOptions, open_source, place_of
from clearfacts_assets.resources import DatabaseResource, SettingMissing, as_shown, refuse_another, statement_files
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
        refuse_another(name, asked, as_shown(getattr(configured.source, place.setting)))
        engine = DatabaseResource().engine()
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
            memory=TakenFiles(engine),
            fill_folder=statement_files(engine),
        )
        return open_source(self.kind, options)


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
        refuse_another("destination.base_url", self.base_url, as_shown(place.base_url))
        refuse_another("destination.login_url", self.login_url, as_shown(place.login_url))
        options = DestinationOptions(
            base_url=self.base_url,
            login_url=self.login_url,
            folder=as_shown(place.folder),
            token=limits.token.get_secret_value(),
            connect_timeout=limits.connect_timeout,
            deadline=limits.deadline,
            longest_wait=limits.longest_wait,
            connections=self.concurrency,
            renew=Renewal(DatabaseResource().engine(), self.login_url, correlation_id),
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


def source() -> SourceResource:
    """The source as the settings have it."""
    configured = settings.load().source
    return SourceResource(
        kind=configured.kind,
        base_url=as_shown(configured.base_url) or None,
        folder=as_shown(configured.folder) or None,
        page_size=configured.page_size,
    )


def clearfacts() -> ClearfactsResource:
    """The destination as the settings have it."""
    configured = settings.load()
    return ClearfactsResource(
        transport=configured.destination.transport,
        base_url=as_shown(configured.destination.base_url),
        login_url=as_shown(configured.destination.login_url),
        invoice_type=configured.destination.invoice_type,
        concurrency=configured.delivery.concurrency,
    )


def from_settings() -> dict[str, dg.ConfigurableResource[None]]:
    """The invoices' own resources, by the names that assets, sensors and checks ask for."""
    return {"source": source(), "clearfacts": clearfacts()}

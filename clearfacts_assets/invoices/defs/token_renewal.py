"""Clearfacts' token when it is refused: another one, if somebody has set one or a refresh token buys one.

Any number of processes may be refused at once. One of them renews, under a lease; the others take what it got, because
a refresh token is good for one use and its successor must not be lost.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from clearfacts_assets import configuration, settings
from clearfacts_assets.configuration import effective_settings
from clearfacts_assets.invoice_settings import DestinationSettings
from clearfacts_assets.invoices.destinations.oauth import Client, Tokens, refreshed
from clearfacts_assets.invoices.ports import DestinationError
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets.storage.accounts.configuration import NewValue
from clearfacts_assets.storage.accounts.keyring import KeyringError, cipher
from clearfacts_assets.storage.accounts.keys_in_use import agree
from clearfacts_assets.storage.operations.leases import leased

logger = logging.getLogger(__name__)

LEASE = "destination.token"
DEADLINE_SECONDS = 10.0  # for the login's answer
KEEP_SECONDS = 60.0  # for which the new tokens are tried to be kept while the database is away
LEASE_SECONDS = 2 * DEADLINE_SECONDS + KEEP_SECONDS
WAIT_SECONDS = DEADLINE_SECONDS + 2  # for another process that renews
POLL_SECONDS = 0.1
ACTOR = Actor("token renewal")


class Renewal:
    """``renew`` of a client of Clearfacts, with our settings and our database behind it."""

    def __init__(self, engine: Engine, login_url: str, correlation_id: str = "") -> None:
        self._engine, self._login_url, self._correlation_id = engine, login_url, correlation_id

    def __call__(self, refused: str) -> str | None:
        """Another token than the one that was refused, or None where there is none. Raises DestinationError."""
        try:
            return self._renew(refused)
        except (SQLAlchemyError, KeyringError) as error:
            told = f"{error}" if isinstance(error, KeyringError) else "our database does not answer"
            raise DestinationError(told) from error

    def _renew(self, refused: str) -> str | None:
        patience = time.monotonic() + WAIT_SECONDS
        configured = _destination()
        while _token(configured) == refused:
            if not (configured.client_id and configured.refresh_token.get_secret_value()):
                return None
            with leased(self._engine, LEASE, LEASE_SECONDS) as ours:
                configured = _destination()  # another process may have renewed it since we looked
                if ours and _token(configured) == refused:
                    return self._buy(configured)
            if not ours:
                if time.monotonic() > patience:
                    raise DestinationError("another process is renewing it and does not come to an end")
                time.sleep(POLL_SECONDS)
        return _token(configured)

    def _buy(self, configured: DestinationSettings) -> str:
        ring = configuration.encryption_keys(settings.load())
        agree(self._engine, ring, datetime.now(UTC))
        cipher(ring)  # nothing is spent that could not be kept, or that others could not read
        tokens = refreshed(
            Client(self._login_url, configured.client_id, configured.client_secret.get_secret_value()),
            configured.refresh_token.get_secret_value(),
            connect_timeout=configured.connect_timeout,
            deadline=DEADLINE_SECONDS,
            correlation_id=self._correlation_id,
            network=settings.load().way_out,
        )
        try:
            self._keep(tokens)
        except SQLAlchemyError as error:
            logger.error("the renewed token could not be kept (%s): %s", type(error).__name__, _what_to_do(tokens))
        else:
            effective_settings(anew=True)  # so that this process does not show the old one for some seconds more
            logger.info("Clearfacts refused the token; it was renewed")
        return tokens.access

    def _keep(self, tokens: Tokens) -> None:
        """Both or none: with the old ones nothing more can be had."""
        news = {"destination.refresh_token": tokens.refresh, "destination.token": tokens.access}
        configured = settings.load()
        configuration.repository(self._engine, configured).set_all(
            [
                NewValue(
                    key,
                    configuration.as_json(key, value, configured),
                    True,
                    configuration.field_of(key).description or "",
                )
                for key, value in news.items()
                if value is not None
            ],
            actor=ACTOR,
            now=datetime.now(UTC),
            patience=KEEP_SECONDS,
        )


def _what_to_do(lost: Tokens) -> str:
    if lost.refresh is None:
        return "this run goes on with it, the next one renews it again"
    return (
        "this run goes on with it, but the refresh token that came with it is lost and the one before is used up: "
        "log in at Clearfacts anew and set destination.refresh_token"
    )


def _destination() -> DestinationSettings:
    return effective_settings(anew=True).destination


def _token(configured: DestinationSettings) -> str:
    return configured.token.get_secret_value().strip()

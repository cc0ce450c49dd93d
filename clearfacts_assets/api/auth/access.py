"""Everything that decides who comes in, made once per process from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fastapi import Request
from sqlalchemy import Engine

from clearfacts_assets import configuration
from clearfacts_assets.api.auth.authentication import Authentication, Cookie
from clearfacts_assets.api.auth.logins import Logins
from clearfacts_assets.settings import Settings
from clearfacts_assets.storage.accounts.keys_in_use import agree_at_start


@dataclass(frozen=True, slots=True)
class Access:
    """Who comes in, and how."""

    engine: Engine
    configured: Settings
    authentication: Authentication
    logins: Logins

    @classmethod
    def over(cls, engine: Engine, configured: Settings) -> Access:
        """Raises KeyringError for keys that are too weak to start with, and for those of this machine alone where
        others share the database."""
        signing = configuration.signing_keys(configured)
        for ring in (signing, configuration.encryption_keys(configured)):
            agree_at_start(engine, ring, datetime.now(UTC))
            ring.all()
        address = configured.serve.public_url
        origin = None
        if address is not None:
            default_port = {"http": 80, "https": 443}[address.scheme]
            port = "" if address.port in (None, default_port) else f":{address.port}"
            origin = f"{address.scheme}://{address.host}{port}"
        cookie = Cookie(secure=address is not None and address.scheme == "https")
        authentication = Authentication(
            engine, signing, cookie, public_origin=origin, longest_pause=timedelta(minutes=configured.auth.idle_minutes)
        )
        return cls(engine, configured, authentication, Logins(engine, signing, authentication, configured.auth))


async def access(request: Request) -> Access:
    """The application's, for routes."""
    found: Access = request.app.state.access
    return found

"""What the commands of statements share: how they are made, as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clearfacts_assets.storage.chargeback.issuing.issuer import StatementIssuer


def issuer(engine: Engine) -> StatementIssuer:
    """Makes and issues statements as the settings say."""
    from clearfacts_assets.settings import load
    from clearfacts_assets.storage.chargeback.issuing.configured_issuer import issuer_of

    return issuer_of(engine, load().statements)

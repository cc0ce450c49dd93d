"""What the commands of statements share: how they are made, as the settings say."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clearfacts_assets.chargeback.statements.framing import Organisation
    from clearfacts_assets.chargeback.statements.making import Made, Order
    from clearfacts_assets.chargeback.statements.workshop import Outfit
    from clearfacts_assets.storage.chargeback.issuing.orders import Manner
    from clearfacts_assets.storage.chargeback.issuing.register import StatementIssuer


def organisation() -> Organisation:
    from clearfacts_assets.chargeback.statements.framing import Organisation
    from clearfacts_assets.settings import load

    said = load().statements
    return Organisation(
        said.organisation,
        said.unit,
        said.address,
        said.contact,
        said.logo,
        said.accent,
        said.paper,
        said.fonts,
        said.notes,
    )


def manner() -> Manner:
    from clearfacts_assets.settings import load
    from clearfacts_assets.storage.chargeback.issuing.orders import Manner

    said = load().statements
    return Manner(organisation(), said.detail == "charge", said.by_fund, said.grace, said.dispute_days)


def outfit() -> Outfit:
    from clearfacts_assets.chargeback.statements.workshop import Outfit
    from clearfacts_assets.settings import load

    said = load().statements
    return Outfit(said.templates, said.font_paths)


def issuer(engine: Engine) -> StatementIssuer:
    """Makes and issues statements as the settings say."""
    from clearfacts_assets.chargeback.statements.workshop import make_all
    from clearfacts_assets.settings import load
    from clearfacts_assets.storage.chargeback.issuing.register import StatementIssuer

    clothes, workers = outfit(), load().statements.workers

    def make(orders: Iterable[Order]) -> Iterator[Made]:
        return make_all(orders, clothes, workers)

    with tempfile.TemporaryDirectory(prefix="clearfacts-press-") as folder:
        digest = clothes.press(Path(folder)).digest
    return StatementIssuer(engine, make, manner(), {"templates": digest})

"""Wishes that are carried out once: the id under which a change is asked for is kept in the change's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.storage.chargeback.tables import ChargebackWish


class WishReused(ChargebackError):
    """The id of this wish came before with another one."""


@dataclass(frozen=True, slots=True)
class Wish:
    """``id`` is the asker's own for this wish, ``digest`` of all that is wished for."""

    id: str
    digest: str


def kept(connection: Connection, wish: Wish | None) -> dict[str, Any] | None:
    """What became of the wish, where it was carried out before. Raises WishReused."""
    if wish is None:
        return None
    query = select(ChargebackWish.digest, ChargebackWish.answer).where(ChargebackWish.id == wish.id)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    if row.digest != wish.digest:
        raise WishReused("this Idempotency-Key came before with another request")
    return dict(row.answer)


def keep(connection: Connection, wish: Wish | None, answer: Mapping[str, Any], now: datetime) -> None:
    """Remember what became of the wish."""
    if wish is not None:
        connection.execute(insert(ChargebackWish).values(id=wish.id, digest=wish.digest, answer=dict(answer), at=now))

"""Rows by the beginning of their id, as people type it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Engine, String, cast, select

from clearfacts_assets.storage.database import reading

SHORTEST = 8  # characters: the part before an id's first dash, written alike on both databases
MOST = 20


def ids_beginning_with(engine: Engine, column: ColumnElement[Any], text: str) -> list[UUID]:
    """The ids of this column that begin so, at most MOST. Raises ValueError for what begins no id."""
    wanted = text.strip().lower()
    if len(wanted) < SHORTEST or set(wanted) - set("0123456789abcdef-"):
        raise ValueError(f"{text!r} is no id: it has at least {SHORTEST} of the characters 0-9, a-f and -")
    query = select(column).where(cast(column, String).like(f"{wanted[:SHORTEST]}%")).limit(MOST)
    with reading(engine) as connection:
        return [found for found in connection.scalars(query) if str(found).startswith(wanted)]

"""What all our tables share: how constraints are named, and which column type a Python type becomes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Date, Integer, MetaData
from sqlalchemy.orm import DeclarativeBase

from clearfacts_assets.storage.types import ExactDecimal, Identifier, Json, UtcDateTime


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    """A check that the column holds one of the values."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(str(value)) for value in values)})", name=column)


class Base(DeclarativeBase):
    """All our tables; constraint names are fixed so that migrations can name them on both databases."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        datetime: UtcDateTime,
        uuid.UUID: Identifier,
        dict[str, Any]: Json,
        list[Any]: Json,
        Decimal: ExactDecimal,
        date: Date,
        bool: Boolean,
        int: Integer,
    }

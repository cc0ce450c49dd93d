"""Exact sums in SQL. PostgreSQL has NUMERIC; SQLite keeps amounts as text and is given functions that add them."""

from __future__ import annotations

import sqlite3
from decimal import Decimal

from sqlalchemy import Connection

from clearfacts_assets.money import EXACT, plain


class _Sum:
    """``decimal_sum(amount)``: the exact sum as text."""

    def __init__(self) -> None:
        self._total, self._add = Decimal(0), EXACT.add

    def step(self, amount: str | int | None) -> None:
        if amount is not None:
            self._total = self._add(self._total, Decimal(amount))

    def finalize(self) -> str:
        return plain(self._total)


class _Less(_Sum):
    """``decimal_less(amount)``: the negative of the sum."""

    def finalize(self) -> str:
        return plain(EXACT.minus(self._total))


def _negative(amount: str | None) -> str | None:
    return None if amount is None else plain(EXACT.minus(Decimal(amount)))


def teach(connection: sqlite3.Connection) -> None:
    """Give a SQLite connection the functions."""
    connection.create_aggregate("decimal_sum", 1, _Sum)  # type: ignore[arg-type]
    connection.create_aggregate("decimal_less", 1, _Less)  # type: ignore[arg-type]
    connection.create_function("decimal_negative", 1, _negative, deterministic=True)


def sum_of(connection: Connection, column: str) -> str:
    """SQL for the exact sum of a column, 0 for no rows."""
    return (
        f"COALESCE(sum({column}), 0)"
        if connection.dialect.name == "postgresql"
        else f"COALESCE(decimal_sum({column}), '0')"
    )


def less_of(connection: Connection, column: str) -> str:
    """SQL for the negative of the exact sum of a column, 0 for no rows."""
    return (
        f"-COALESCE(sum({column}), 0)"
        if connection.dialect.name == "postgresql"
        else f"COALESCE(decimal_less({column}), '0')"
    )


def negative_of(connection: Connection, column: str) -> str:
    """SQL for the negative of one amount."""
    return f"-{column}" if connection.dialect.name == "postgresql" else f"decimal_negative({column})"

"""Exact sums in SQL. PostgreSQL has NUMERIC; SQLite keeps amounts as text and is given functions that add them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
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


class _Sums:
    """``decimal_sums(a, b, ...)``: the exact sum of each, with blanks between. One call a row instead of one a sum."""

    def __init__(self) -> None:
        self._totals: list[Decimal] = []

    def step(self, *amounts: str | None) -> None:
        add, seen = EXACT.add, dict[str | None, Decimal]()
        totals = self._totals or [Decimal(0)] * len(amounts)
        for place, amount in enumerate(amounts):
            if amount is not None:
                number = seen.get(amount)
                if number is None:  # often one amount stands there several times
                    number = seen[amount] = Decimal(amount)
                totals[place] = add(totals[place], number)
        self._totals = totals

    def finalize(self) -> str:
        return " ".join(map(plain, self._totals))


def _negative(amount: str | None) -> str | None:
    return None if amount is None else plain(EXACT.minus(Decimal(amount)))


def teach(connection: sqlite3.Connection) -> None:
    """Give a SQLite connection the functions."""
    connection.create_aggregate("decimal_sum", 1, _Sum)  # type: ignore[arg-type]
    connection.create_aggregate("decimal_sums", -1, _Sums)  # type: ignore[arg-type]
    connection.create_function("decimal_negative", 1, _negative, deterministic=True)


def sum_of(connection: Connection, column: str) -> str:
    """SQL for the exact sum of a column, 0 for no rows."""
    return (
        f"COALESCE(sum({column}), 0)"
        if connection.dialect.name == "postgresql"
        else f"COALESCE(decimal_sum({column}), '0')"
    )


def negative_of(connection: Connection, column: str) -> str:
    """SQL for the negative of one amount."""
    return f"-{column}" if connection.dialect.name == "postgresql" else f"decimal_negative({column})"


def sums_of(connection: Connection, columns: Sequence[str]) -> str:
    """SQL for the exact sums of several columns, as one text with blanks between."""
    if connection.dialect.name == "postgresql":
        return " || ' ' || ".join(f"COALESCE(sum({column}), 0)" for column in columns)
    return f"decimal_sums({', '.join(columns)})"

"""What a database refuses of one row is that row's matter: the others of its batch are written all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import DBAPIError

from clearfacts_assets.storage.bulk import execute_many
from clearfacts_assets.storage.database import refuses_a_row

LONGEST_REFUSAL = 300  # characters of the database's own words

Row = Mapping[str, Any]
# What may be written instead of a refused row, for the database's reason: the fullest first, the last one always fits.
Lesser = Callable[[Row, str], Iterator[Row]]


def write_rows(connection: Connection, statement: Executable, rows: Sequence[Row], lesser: Lesser) -> int:
    """Execute the statement for all rows; one that is refused is written as the first of ``lesser`` that is not.

    Returns how many were refused. Any other error of the database is raised, and so is the last refusal of a row of
    which nothing can be written.
    """
    if not rows:
        return 0
    try:
        _execute(connection, statement, rows)
        return 0
    except DBAPIError as error:
        if not refuses_a_row(error):
            raise
        refusal = error
    if len(rows) > 1:
        middle = len(rows) // 2
        return sum(write_rows(connection, statement, part, lesser) for part in (rows[:middle], rows[middle:]))
    for row in lesser(rows[0], _in_words(refusal)):
        try:
            _execute(connection, statement, [row])
            return 1
        except DBAPIError as error:
            if not refuses_a_row(error):
                raise
            refusal = error
    raise refusal


def _execute(connection: Connection, statement: Executable, rows: Sequence[Row]) -> None:
    with connection.begin_nested():  # PostgreSQL goes on after an error only from a savepoint
        execute_many(connection, statement, rows)


def _in_words(error: DBAPIError) -> str:
    told = getattr(getattr(error.orig, "diag", None), "message_primary", None) or str(error.orig)
    return " ".join(told.split())[:LONGEST_REFUSAL]

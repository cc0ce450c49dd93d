"""A document stands once: who relies on a row that has it, and who empties such rows, take turns.

On PostgreSQL, two transactions at once would each see the world without the other: a run finds the document kept, and
stores its row without it, in the very moment in which retention empties the row that kept it. SQLite has one writer.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, select

_LOCK = 0xD0C_5AFE  # PostgreSQL's advisory lock: many may rely on what is kept, or one may empty it


def relying(connection: Connection) -> None:
    """To the end of this transaction nobody empties a document. What was emptied before is seen from here on."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock_shared(_LOCK)))


def emptying(connection: Connection) -> None:
    """Wait for all that rely on documents; to the end of this transaction they wait in turn."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))

"""A span for each statement, while traces are on: what it does and to which table, never its values."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPICursor, ExceptionContext, ExecutionContext

from clearfacts_assets import tracing

_SPAN = "clearfacts_span"  # in the connection's info, while its statement runs
# The statement's first word, and the table that it names first.
_SUMMARY = re.compile(r'\s*(\w+)(?:.*?\b(?:FROM|INTO)\s+"?(\w+)|\s+(\w+))?', re.IGNORECASE | re.DOTALL)
LONGEST = 2000  # characters of a statement that are looked at


def traced(engine: Engine) -> Engine:
    """The engine; while traces are off, nothing is added to it."""
    if tracing.is_on():
        event.listen(engine, "before_cursor_execute", _begin)
        event.listen(engine, "after_cursor_execute", _end)
        event.listen(engine, "handle_error", _failed)
    return engine


def summary(statement: str) -> str:
    """Such as ``SELECT deliveries``: of few kinds, and without any value."""
    found = _SUMMARY.match(statement[:LONGEST])
    return " ".join(part for part in found.groups() if part) if found else "statement"


def _begin(
    connection: Connection,
    _cursor: DBAPICursor,
    statement: str,
    _parameters: Any,
    _context: ExecutionContext | None,
    many: bool,
) -> None:
    told: tracing.Attributes = {"db.system.name": connection.dialect.name, "clearfacts.many": many}
    connection.info[_SPAN] = tracing.begin(summary(statement), told, kind="CLIENT")


def _end(connection: Connection, *_: Any) -> None:
    connection.info.pop(_SPAN, tracing.NOTHING).end()


def _failed(context: ExceptionContext) -> None:
    if context.connection is None or context.connection.closed or context.connection.invalidated:
        return
    begun = context.connection.info.pop(_SPAN, tracing.NOTHING)
    begun.failed(type(context.original_exception).__name__)
    begun.end()

"""A span for each transaction, while traces are on: which statements it made, never their values.

A statement has a span of its own where it took long, where it failed, and outside of a transaction that is told.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPICursor, ExceptionContext, ExecutionContext

from clearfacts_assets import tracing

_TOLD = "clearfacts_told"  # in the connection's info, while its transaction is under way
_SINCE = "clearfacts_since"  # while its statement runs: since when, in nanoseconds since 1970
_BRACKETS = ("BEGIN", "SAVEPOINT", "RELEASE")  # statements that say where others begin and end
# The statement's first word, and the table that it names first.
_SUMMARY = re.compile(r'\s*(\w+)(?:.*?\b(?:FROM|INTO)\s+"?(\w+)|\s+(\w+))?', re.IGNORECASE | re.DOTALL)
LONGEST = 2000  # characters of a statement that are looked at
SLOW_SECONDS = 0.05  # from which on a statement is told by itself
MOST_KINDS = 8  # of statements that a transaction names


@dataclass(slots=True)
class _Transaction:
    statements: Counter[str] = field(default_factory=Counter)

    def noted(self) -> tracing.Attributes:
        kinds = [f"{name} x{count}" if count > 1 else name for name, count in self.statements.items()]
        more = [f"{len(kinds) - MOST_KINDS} more kinds"] if len(kinds) > MOST_KINDS else []
        return {
            "db.query.summary": ", ".join(kinds[:MOST_KINDS] + more),
            "clearfacts.statements": self.statements.total(),
        }


def traced(engine: Engine) -> Engine:
    """The engine; while traces are off, nothing is added to it."""
    if tracing.is_on():
        event.listen(engine, "before_cursor_execute", _begin)
        event.listen(engine, "after_cursor_execute", _end)
        event.listen(engine, "handle_error", _failed)
    return engine


@contextmanager
def told_by(span: tracing.Span, connection: Connection) -> Iterator[None]:
    """While this lasts, the connection's statements are told by the span, all together, at the end."""
    if span is tracing.NOTHING:
        yield
        return
    told, info = _Transaction(), connection.info
    info[_TOLD] = told
    try:
        yield
    finally:
        info.pop(_TOLD, None)
        span.note(told.noted())


def summary(statement: str) -> str:
    """Such as ``SELECT deliveries``: of few kinds, and without any value."""
    return _summary(statement[:LONGEST])


@lru_cache(maxsize=256)  # the same few statements come again and again
def _summary(statement: str) -> str:
    found = _SUMMARY.match(statement)
    return " ".join(part for part in found.groups() if part) if found else "statement"


def _begin(connection: Connection, *_: Any) -> None:
    connection.info[_SINCE] = time.time_ns()


def _end(
    connection: Connection,
    _cursor: DBAPICursor,
    statement: str,
    _parameters: Any,
    _context: ExecutionContext | None,
    _many: bool,
) -> None:
    since, transaction = connection.info.pop(_SINCE, None), connection.info.get(_TOLD)
    alone = transaction is None and not statement.startswith(_BRACKETS)
    if transaction is not None:
        transaction.statements[summary(statement)] += 1
    if since is not None and (alone or time.time_ns() - since >= 1e9 * SLOW_SECONDS):
        _span(connection.dialect.name, statement, since).end()


def _failed(context: ExceptionContext) -> None:
    connection = context.connection
    since = None
    if connection is not None and not connection.closed and not connection.invalidated:
        since = connection.info.pop(_SINCE, None)
    if since is not None and context.statement is not None:
        begun = _span(context.dialect.name, context.statement, since)
        begun.failed(type(context.original_exception).__name__)
        begun.end()


def _span(system: str, statement: str, since: int) -> tracing.Span:
    return tracing.begin(summary(statement), {"db.system.name": system}, kind="CLIENT", since=since)

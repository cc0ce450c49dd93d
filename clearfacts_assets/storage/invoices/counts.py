"""What all jobs and deliveries came to, counted for metrics: one grouped read each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, Engine, Float, Table, case, extract, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.tables import DeliveryAttempt, InvoiceRow, Job

SECONDS_OF_A_DAY = 86_400.0

_rows = cast(Table, InvoiceRow.__table__)
_attempts = cast(Table, DeliveryAttempt.__table__)
_jobs = cast(Table, Job.__table__)


@dataclass(frozen=True, slots=True)
class Times:
    """How many lasted at most so many seconds, cumulated over the bounds asked for, and all together."""

    up_to: tuple[int, ...]
    count: int
    total_seconds: float


class elapsed_seconds(FunctionElement[float]):  # noqa: N801 - it is used like a function
    """Seconds from one moment's column to another's, on both databases."""

    type = Float()
    inherit_cache = True


@compiles(elapsed_seconds, "sqlite")
def _on_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    start, end = (compiler.process(clause, **options) for clause in element.clauses)
    return f"((julianday({end}) - julianday({start})) * {SECONDS_OF_A_DAY})"


@compiles(elapsed_seconds, "postgresql")
def _on_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    start, end = element.clauses
    return str(compiler.process(extract("epoch", end - start), **options))


def invoices_by_status(engine: Engine) -> dict[str, int]:
    """All rows of all jobs, by what became of them."""
    query = select(_rows.c.status, func.count()).group_by(_rows.c.status)
    with reading(engine) as connection:
        return {status: int(number) for status, number in connection.execute(query)}


def invoice_times(engine: Engine, bounds: Sequence[float]) -> Times:
    """From an invoice's retrieval to its end, of those that have one."""
    return _times(
        engine, elapsed_seconds(_rows.c.created_at, _rows.c.processed_at), _rows.c.processed_at.is_not(None), bounds
    )


def attempts_by_outcome(engine: Engine) -> dict[str, int]:
    """All calls that handed a document to Clearfacts, by how they ended; those without an answer are ``open``."""
    outcome = func.coalesce(_attempts.c.outcome, "open")
    with reading(engine) as connection:
        return {
            str(name): int(number)
            for name, number in connection.execute(select(outcome, func.count()).group_by(outcome))
        }


def attempt_times(engine: Engine, bounds: Sequence[float]) -> Times:
    """From a claim to the settlement of its answer."""
    return _times(
        engine,
        elapsed_seconds(_attempts.c.started_at, _attempts.c.finished_at),
        _attempts.c.finished_at.is_not(None),
        bounds,
    )


def pages_retrieved(engine: Engine) -> int:
    """Pages that the source gave, over all jobs."""
    pages = _jobs.c["metadata"]["retrieval"]["pages"].as_integer()
    with reading(engine) as connection:
        return int(connection.scalar(select(func.coalesce(func.sum(pages), 0))) or 0)


def _times(engine: Engine, seconds: ColumnElement[Any], ended: ColumnElement[bool], bounds: Sequence[float]) -> Times:
    lasted = select(seconds.label("seconds")).where(ended).subquery()
    up_to = [func.coalesce(func.sum(case((lasted.c.seconds <= bound, 1), else_=0)), 0) for bound in bounds]
    query = select(func.count(), func.coalesce(func.sum(lasted.c.seconds), 0.0), *up_to)
    with reading(engine) as connection:
        count, total, *cumulated = connection.execute(query).one()
    return Times(tuple(int(number) for number in cumulated), int(count), float(total))

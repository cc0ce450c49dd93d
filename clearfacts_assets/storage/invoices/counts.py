"""What all jobs and deliveries came to, for metrics: sums of tables that grow (storage/incremental_sums.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Connection, Engine, Float, Table, extract, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.incremental_sums import Question
from clearfacts_assets.storage.invoices.days import state_of_jobs
from clearfacts_assets.storage.invoices.tables import Delivery, DeliveryAttempt, InvoiceRow, Job
from clearfacts_assets.storage.memo import Memo

SECONDS_OF_A_DAY = 86_400.0

_rows = cast(Table, InvoiceRow.__table__)
_attempts = cast(Table, DeliveryAttempt.__table__)
_jobs = cast(Table, Job.__table__)
_deliveries = cast(Table, Delivery.__table__)


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


def of_invoices(bounds: Sequence[float]) -> Question:
    """All rows of all jobs, by what became of them; seconds from an invoice's retrieval to its end."""
    lasted = elapsed_seconds(_rows.c.created_at, _rows.c.processed_at)
    return Question(_rows, _rows.c.created_at, _rows.c.status, lasted, bounds)


def of_attempts(bounds: Sequence[float]) -> Question:
    """All calls that handed a document to Clearfacts, by how they ended; those without an answer are ``open``. Seconds
    from a claim to the settlement of its answer."""
    lasted = elapsed_seconds(_attempts.c.started_at, _attempts.c.finished_at)
    return Question(_attempts, _attempts.c.started_at, func.coalesce(_attempts.c.outcome, "open"), lasted, bounds)


def of_deliveries() -> Question:
    """All deliveries, by where they stand."""
    return Question(_deliveries, _deliveries.c.created_at, _deliveries.c.state)


_PAGES: Memo[Engine, int] = Memo()


def pages_retrieved(engine: Engine) -> int:
    """Pages that the source gave, over all jobs."""
    with reading(engine) as connection:
        return _PAGES.get(engine, state_of_jobs(connection), lambda: _pages(connection))


def _pages(connection: Connection) -> int:
    pages = _jobs.c["metadata"]["retrieval"]["pages"].as_integer()
    return int(connection.scalar(select(func.coalesce(func.sum(pages), 0))) or 0)

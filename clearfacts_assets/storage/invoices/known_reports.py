"""What validation has said of a document before: a row with the same content takes it over, as long as the rules are
the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, Table, bindparam, select, update

from clearfacts_assets.invoices.model import Decision, InvoiceStatus
from clearfacts_assets.storage.database import read, write
from clearfacts_assets.storage.invoices.invoice_rows import HEAD, VERDICT
from clearfacts_assets.storage.invoices.tables import InvoiceRow

RULES = "rules"  # in a report as it is kept: the fingerprint of the rules that made it
ROWS_AT_ONCE = 200

_rows = cast(Table, InvoiceRow.__table__)


def marked(report: Mapping[str, Any], rules: str) -> dict[str, Any]:
    """A report as it is kept, where the same rules would say the same again."""
    return {**report, RULES: rules}


def take_known_reports(
    engine: Engine, job_id: UUID, rules: str, *, now: datetime
) -> Iterator[list[tuple[str, Mapping[str, Any]]]]:
    """Give the job's rows that wait for validation what these rules have said of the same content before.

    Yields, some at a time, their invoices' ids with the reports. What is not yielded has to be validated.
    """
    earlier = _rows.alias()
    newest = (
        select(earlier.c.id)
        .where(earlier.c.content_sha256 == _rows.c.content_sha256, earlier.c.decision.is_not(None))
        .order_by(earlier.c.created_at.desc())
        .limit(1)
        .correlate(_rows)
        .scalar_subquery()
    )
    known = _rows.alias()
    query = (
        select(_rows.c.id, _rows.c.invoice_id, *(known.c[name] for name in VERDICT))
        .select_from(_rows)
        .join(known, known.c.id == newest)
        .where(_rows.c.job_id == job_id, _rows.c.status == InvoiceStatus.PENDING, _rows.c.decision.is_(None))
        .order_by(_rows.c.invoice_id)
        .limit(ROWS_AT_ONCE)
    )
    last = ""
    while found := _page(engine, query.where(_rows.c.invoice_id > last) if last else query):
        last = found[-1].invoice_id
        taken = [row for row in found if _is_as_said(row, rules)]
        if taken:
            values = [_taken_over(row, now) for row in taken]

            def work(connection: Connection, values: list[dict[str, Any]] = values) -> None:
                connection.execute(_TAKE, values)

            write(engine, work, repeatable=True)
            yield [(row.invoice_id, row.report) for row in taken]


def _page(engine: Engine, query: Any) -> list[Row[Any]]:
    return list(read(engine, lambda connection: connection.execute(query).all()))


def _is_as_said(row: Row[Any], rules: str) -> bool:
    """Whether the earlier row is as its report says (the database may have refused a value), by these rules."""
    report = row.report or {}
    return report.get(RULES) == rules and report.get("decision") == row.decision


def _taken_over(row: Row[Any], now: datetime) -> dict[str, Any]:
    rejected = row.decision == Decision.REJECT
    return {
        "row": row.id,
        "decision": row.decision,
        "report": row.report,
        **{name: getattr(row, name) for name in HEAD},
        "status": InvoiceStatus.FAILED if rejected else InvoiceStatus.PENDING,
        "error_message": row.report.get("reason") or None,
        "processed_at": now if rejected else None,
        "updated_at": now,
    }


_TAKE = update(_rows).where(_rows.c.id == bindparam("row"), _rows.c.delivery_id.is_(None))

"""What became of a day's invoices, over all jobs of the day: each invoice once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import Engine, Table, case, func, select

from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.reasons import NOT_TRIED, Reason, by_reason
from clearfacts_assets.storage.invoices.tables import InvoiceRow, Job
from clearfacts_assets.storage.operations.tables import Alert

_rows, _jobs = cast(Table, InvoiceRow.__table__), cast(Table, Job.__table__)


@dataclass(frozen=True, slots=True)
class DayTotals:
    """How many invoices of a day have which status, and why some did not leave, the most frequent first."""

    by_status: dict[str, int]
    reasons: Sequence[Reason]


def day_totals(engine: Engine, day: str) -> DayTotals:
    """An invoice that any job of the day sent is sent; any other one is what its newest row says."""
    newest_first = (case((_rows.c.status == InvoiceStatus.SENT, 0), else_=1), _rows.c.created_at.desc(), _rows.c.id)
    place = func.row_number().over(partition_by=_rows.c.invoice_id, order_by=newest_first).label("place")
    ranked = (
        select(_rows.c.status, _rows.c.error_message, _rows.c.invoice_id, place)
        .join(_jobs, _jobs.c.id == _rows.c.job_id)
        .where(_jobs.c.partition_key == day)
        .subquery()
    )
    query = (
        select(ranked.c.status, ranked.c.error_message, func.count(), func.min(ranked.c.invoice_id))
        .where(ranked.c.place == 1)
        .group_by(ranked.c.status, ranked.c.error_message)
    )
    statuses, why = Counter[str](), []
    with reading(engine) as connection:
        for status, message, count, example in connection.execute(query):
            statuses[InvoiceStatus(status).value] += count
            if status in (InvoiceStatus.FAILED, InvoiceStatus.PENDING):
                why.append((message or NOT_TRIED, count, example))
    return DayTotals(dict(statuses), by_reason(why))


def is_told(engine: Engine, subject: str) -> bool:
    """Whether an alert of this subject was written down."""
    with reading(engine) as connection:
        return connection.scalar(select(Alert.id).where(Alert.subject == subject)) is not None

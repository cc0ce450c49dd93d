"""Why invoices of a job did not leave, counted by reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from sqlalchemy import Engine, Table, func, select

from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.tables import InvoiceRow

NOT_TRIED = "not tried yet"

_rows = cast(Table, InvoiceRow.__table__)
# What ``Report.reason`` adds of one document. It would make a reason of its own for nearly every invoice.
_OF_ONE_DOCUMENT = re.compile(r"(?: \(line \d+\))?(?: and \d+ more)?$")


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason, how many invoices it kept, and the source's id of the first of them."""

    text: str
    invoices: int
    example: str


def reasons_of(engine: Engine, job_id: UUID) -> list[Reason]:
    """Of all the job's failed and pending invoices, the most frequent first. Grows with the number of reasons."""
    query = (
        select(_rows.c.error_message, func.count(), func.min(_rows.c.invoice_id))
        .where(_rows.c.job_id == job_id, _rows.c.status.in_([InvoiceStatus.FAILED, InvoiceStatus.PENDING]))
        .group_by(_rows.c.error_message)
    )
    found: dict[str, Reason] = {}
    with reading(engine) as connection:
        for message, count, example in connection.execute(query):
            text = _OF_ONE_DOCUMENT.sub("", message or NOT_TRIED)
            known = found.get(text)
            if known is not None:
                count, example = count + known.invoices, min(example, known.example)
            found[text] = Reason(text, count, example)
    return sorted(found.values(), key=lambda reason: (-reason.invoices, reason.text))

"""Why invoices of a job did not leave, counted by reason and not by the values that stand in it.

A finding's reason is its rule, whatever number or name broke it. Any other message is a sentence of ours or of
Clearfacts with values put in; what is left when these are taken out is the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from sqlalchemy import Engine, Table, func, select

from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.tables import InvoiceRow

NOT_TRIED = "not tried yet"
VALUE = "…"
MOST_EXAMPLES = 3

_rows = cast(Table, InvoiceRow.__table__)
# What ``Report.reason`` adds of one document. It would make a reason of its own for nearly every invoice.
_OF_ONE_DOCUMENT = re.compile(r"(?: \(line \d+\))?(?: and \d+ more)?$")
_RULE = re.compile(r"([A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+): ")
# Rules that say in their words what is wrong, as XSD does.
_TELLS_MANY_THINGS = re.compile(r"DOC-|XSLT-")
# Quoted, or a word with a digit in it; not the numbers that are part of a reason's name.
_VALUES = re.compile(
    r"(?P<name>\bHTTP \d{3}\b|\bB[TG]-\d+\b|\bRFC \d+\b|\bUTF-\d+\b|\bISO-8859-\d+\b)"
    r"""|(?<!\w)'[^']*'(?!\w)|(?<!\w)"[^"]*"(?!\w)|(?<![\w`])[^\s`(),:;]*\d[^\s`();]*[^\s`(),:;.]|\d"""
)


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason, how many invoices it kept, and the source's ids of some of them."""

    text: str  # where values differ from invoice to invoice, VALUE stands for each
    invoices: int
    examples: tuple[str, ...]


def reasons_of(engine: Engine, job_id: UUID) -> list[Reason]:
    """Of all the job's failed and pending invoices, the most frequent first. Grows with the number of messages."""
    query = (
        select(_rows.c.error_message, func.count(), func.min(_rows.c.invoice_id))
        .where(_rows.c.job_id == job_id, _rows.c.status.in_([InvoiceStatus.FAILED, InvoiceStatus.PENDING]))
        .group_by(_rows.c.error_message)
    )
    with reading(engine) as connection:
        return by_reason(
            (message or NOT_TRIED, count, example) for message, count, example in connection.execute(query)
        )


def by_reason(messages: Iterable[tuple[str, int, str]]) -> list[Reason]:
    """One Reason for all messages of a kind; each comes with its count and an example."""
    groups: dict[str, list[tuple[str, int, str]]] = {}
    for message, count, example in messages:
        text = _OF_ONE_DOCUMENT.sub("", message)
        groups.setdefault(kind_of(text), []).append((text, count, example))
    return sorted(map(_as_one, groups.values()), key=lambda reason: (-reason.invoices, reason.text))


def kind_of(message: str) -> str:
    """The rule of a finding; of anything else the words without their values."""
    rule = _RULE.match(message)
    if rule and not _TELLS_MANY_THINGS.match(rule[1]):
        return rule[1]
    return without_values(message)


def without_values(message: str) -> str:
    rule = _RULE.match(message)
    start = rule.end() if rule else 0
    return message[:start] + _VALUES.sub(lambda found: found["name"] or VALUE, message[start:])


def _as_one(group: list[tuple[str, int, str]]) -> Reason:
    frequent = max(group, key=lambda told: (told[1], without_values(told[0]).count(VALUE), told[0]))[0]
    same = all(text == frequent for text, _, _ in group)
    return Reason(
        text=frequent if same else without_values(frequent),
        invoices=sum(count for _, count, _ in group),
        examples=tuple(sorted({example for _, _, example in group})[:MOST_EXAMPLES]),
    )

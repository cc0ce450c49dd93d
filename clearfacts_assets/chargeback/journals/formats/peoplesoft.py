"""PeopleSoft's flat file of journals: a record H (header), a record L for each line, a record C (control totals).

Fixed values of the preset: ``business_unit``, ``ledger``, ``source``, ``operator``. A credit is an amount below zero.
"""

from __future__ import annotations

from collections.abc import Iterator

from clearfacts_assets.chargeback.journals.cells import Cell, rows_as_csv
from clearfacts_assets.chargeback.journals.formats import FormatOptions
from clearfacts_assets.chargeback.journals.model import Journal, Side
from clearfacts_assets.money import EXACT

LONGEST_DESCRIPTION, LONGEST_REFERENCE = 30, 10


def written(journal: Journal, options: FormatOptions) -> Iterator[str]:
    return rows_as_csv(_rows(journal, options), neutralise=options.neutralise)


def _rows(journal: Journal, options: FormatOptions) -> Iterator[tuple[Cell, ...]]:
    said, head = options.preset, journal.header
    unit, ledger = said.get("business_unit", ""), said.get("ledger", "ACTUALS")
    day, source = f"{head.accounting_date:%m%d%Y}", said.get("source", "CBK")
    # NEXT lets PeopleSoft give the journal its id; ours stands in the description.
    title = f"{head.number} {head.description}"[:LONGEST_DESCRIPTION]
    yield ("H", unit, "NEXT", day, ledger, source, said.get("operator", ""), title, head.currency)
    for line in journal.lines:
        amount = line.amount if line.side is Side.DEBIT else EXACT.minus(line.amount)
        where = (line.account, *(line.segment(name) for name in ("orgn", "fund", "program", "activity", "location")))
        names = (line.description[:LONGEST_DESCRIPTION], line.statement[-LONGEST_REFERENCE:])
        yield ("L", unit, line.number, ledger, *where, amount, *names, head.currency)
    yield ("C", unit, head.currency, len(journal.lines), journal.debit, journal.credit)

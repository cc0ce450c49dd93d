"""Workday's Import Accounting Journal: one row a line, the header's fields repeated on each.

Fixed values of the preset: ``company``, ``ledger_type``, ``journal_source``, ``currency_rate_type``.
"""

from __future__ import annotations

from collections.abc import Iterator

from clearfacts_assets.chargeback.journals.cells import Cell, rows_as_csv
from clearfacts_assets.chargeback.journals.formats import FormatOptions
from clearfacts_assets.chargeback.journals.model import Journal

HEADER = (
    *("HeaderKey", "LineKey", "Submit", "Company", "LedgerType", "JournalSource", "AccountingDate", "Currency"),
    *("JournalEntryMemo", "DocumentNumber", "LineOrder", "LedgerAccount", "DebitAmount", "CreditAmount", "LineMemo"),
    *("ExternalReferenceID", "Fund", "CostCenter", "Program", "Activity", "Location", "Project"),
)


def written(journal: Journal, options: FormatOptions) -> Iterator[str]:
    return rows_as_csv(_rows(journal, options), neutralise=options.neutralise)


def _rows(journal: Journal, options: FormatOptions) -> Iterator[tuple[Cell, ...]]:
    yield HEADER
    said, head = options.preset, journal.header
    company, ledger = said.get("company", ""), said.get("ledger_type", "ACTUALS")
    about = (company, ledger, said.get("journal_source", "Chargeback"), head.accounting_date.isoformat(), head.currency)
    for line in journal.lines:
        worktags = (*(line.segment(name) for name in ("fund", "orgn", "program", "activity", "location")),)
        yield (
            *(head.number, line.number, "Y", *about, head.description, head.number, line.number, line.account),
            *(line.debit, line.credit, line.description, line.reference, *worktags, line.project_id),
        )

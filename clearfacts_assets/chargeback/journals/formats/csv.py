"""Everything that is known of each line, a column each: for a general ledger that has no format of its own."""

from __future__ import annotations

from collections.abc import Iterator

from clearfacts_assets.chargeback.journals.cells import Cell, rows_as_csv
from clearfacts_assets.chargeback.journals.formats import FormatOptions
from clearfacts_assets.chargeback.journals.model import Journal

HEADER = (
    *("journal", "line", "side", "amount", "currency", "fund_org", "account"),
    *("journal_date", "accounting_date", "fiscal_year", "fiscal_period", "period", "kind", "reverses"),
    *("description", "reference", "statement", "source", "pi_email", "project_id", "instead_of"),
)


def written(journal: Journal, options: FormatOptions) -> Iterator[str]:
    return rows_as_csv(_rows(journal), neutralise=options.neutralise)


def _rows(journal: Journal) -> Iterator[tuple[Cell, ...]]:
    segments = sorted({name for line in journal.lines for name in line.segments})
    yield (*HEADER, *segments)
    head = journal.header
    dates = (head.journal_date.isoformat(), head.accounting_date.isoformat(), head.fiscal_year, head.fiscal_period)
    about = (*dates, head.period, head.kind.value, head.reverses)
    for line in journal.lines:
        begin = (head.number, line.number, line.side.value, line.amount, head.currency, line.fund_org, line.account)
        names = (line.description, line.reference, line.statement, line.source, line.pi_email, line.project_id)
        yield (*begin, *about, *names, line.instead_of, *(line.segment(name) for name in segments))

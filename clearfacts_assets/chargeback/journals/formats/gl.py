"""Debit and credit lines, with what the fund's text was taken apart into."""

from __future__ import annotations

from collections.abc import Iterator

from clearfacts_assets.chargeback.journals.cells import Cell, rows_as_csv
from clearfacts_assets.chargeback.journals.formats import FormatOptions
from clearfacts_assets.chargeback.journals.model import Journal, Line, Side

HEADER = (
    *("Fund", "Orgn", "Account", "Program", "Activity", "Location", "Debit", "Credit", "Description", "Reference ID"),
    *("FundOrg", "Currency", "AccountingDate", "FiscalYear", "FiscalPeriod", "Statement"),
)


def written(journal: Journal, options: FormatOptions) -> Iterator[str]:
    return rows_as_csv(_rows(journal), neutralise=options.neutralise)


def _rows(journal: Journal) -> Iterator[tuple[Cell, ...]]:
    yield HEADER
    head = journal.header
    about = (head.currency, head.accounting_date.isoformat(), head.fiscal_year, head.fiscal_period)
    for line in journal.lines:
        sides = (line.amount, None) if line.side is Side.DEBIT else (None, line.amount)
        yield (*places(line), *sides, line.description, line.reference, line.fund_org, *about, line.statement)


def places(line: Line) -> tuple[str, ...]:
    """Fund, organisation, account, program, activity, location."""
    said = line.segments.get
    return (
        *(said("fund", ""), said("orgn", ""), line.account),
        *(said("program", ""), said("activity", ""), said("location", "")),
    )

"""An amount for each investigator, project and fund. No debit and credit: a list to look at."""

from __future__ import annotations

from collections.abc import Iterator

from clearfacts_assets.chargeback.journals.cells import Cell, rows_as_csv
from clearfacts_assets.chargeback.journals.formats import FormatOptions
from clearfacts_assets.chargeback.journals.model import Journal
from clearfacts_assets.chargeback.journals.summing import summed

HEADER = ("BillingPeriod", "PIEmail", "ProjectID", "FundOrg", "TotalAmount", "Currency", "ChargeCount")
BY = ("period", "pi_email", "project_id", "fund_org", "currency")


def written(journal: Journal, options: FormatOptions) -> Iterator[str]:
    return rows_as_csv(_rows(journal), neutralise=options.neutralise)


def _rows(journal: Journal) -> Iterator[tuple[Cell, ...]]:
    yield HEADER
    for key, charges, amount in summed(journal.parts, BY):
        yield (*key[:4], amount, key[4], charges)

"""An amount for each investigator, project, fund and service of a statement. No debit and credit: a list to look at."""

from __future__ import annotations

from collections.abc import Iterator

from clearfacts_assets.chargeback.journals.cells import Cell, rows_as_csv
from clearfacts_assets.chargeback.journals.formats import FormatOptions
from clearfacts_assets.chargeback.journals.model import Journal
from clearfacts_assets.chargeback.journals.summing import summed

HEADER = (
    *("BillingPeriod", "PIEmail", "ProjectID", "FundOrg", "ServiceName", "Amount", "ResourceCount"),
    *("Currency", "AccountCode", "Source", "Statement"),
)
BY = (
    "period",
    "pi_email",
    "project_id",
    "fund_org",
    "service",
    "currency",
    "account_code",
    "source",
    "statement",
)


def written(journal: Journal, options: FormatOptions) -> Iterator[str]:
    return rows_as_csv(_rows(journal), neutralise=options.neutralise)


def _rows(journal: Journal) -> Iterator[tuple[Cell, ...]]:
    yield HEADER
    for key, charges, amount in summed(journal.parts, BY):
        yield (*key[:5], amount, charges, *key[5:])

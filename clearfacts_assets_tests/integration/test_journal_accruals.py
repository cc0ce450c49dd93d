"""Accruals: a month that is not invoiced yet is in the ledger, and out of it again as soon as it is over, once."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from clearfacts_assets.chargeback.journals.lifecycle import BatchNotAllowed
from clearfacts_assets.chargeback.journals.model import NothingToPost
from clearfacts_assets.storage.chargeback.journals.checking import check
from clearfacts_assets_tests.fixtures.chargeback import row
from clearfacts_assets_tests.fixtures.journals import sides

LAST_DAY, FIRST_DAY = datetime(2025, 3, 31, 23, 59, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC)


def accrued(bookkeeping, **said):
    """A month with charges and without statements, accrued."""
    bookkeeping.office.books.put(row(BilledCost="10.004", ResourceId="a"))
    return bookkeeping.service.accrue("2025-03", bookkeeping.asked(**({"now": LAST_DAY} | said)))


def test_an_accrual_is_taken_back_by_itself_once_its_month_is_over_and_only_once(bookkeeping):
    (accrual,) = accrued(bookkeeping)
    assert bookkeeping.net() == {"BIO-000001": "10.00", "IT-CLOUD": "-10.00"}
    service = bookkeeping.service
    assert service.end_accruals(bookkeeping.asked(now=LAST_DAY)) == []
    would = service.end_accruals(bookkeeping.asked(now=FIRST_DAY, dry_run=True))
    assert [one.state for one in would] == ["not kept"]
    (back,) = service.end_accruals(bookkeeping.asked(now=FIRST_DAY, draft=True))  # what has left never stays a draft
    head = back.journal.header
    assert (head.kind.value, head.reverses, head.accounting_date, head.fiscal_period, back.state) == (
        *("reversal", accrual.journal.header.number, date(2025, 4, 1), 4, "exported"),
    )
    assert sides(back.journal) == [("C", "BIO-000001", "54000", "10.00"), ("D", "IT-CLOUD", "54000", "10.00")]
    assert bookkeeping.net() == {}
    assert service.end_accruals(bookkeeping.asked(now=FIRST_DAY)) == []
    assert [one["state"] for one in bookkeeping.repository.list()] == ["reversed", "exported"]
    assert [one["reason"] for one in bookkeeping.repository.whole("J-2025-03-0001")["events"]][-1] == (
        "an accrual is taken back in the month after"
    )


def test_the_months_own_export_takes_its_accrual_back_first_and_no_month_has_its_costs_twice(bookkeeping):
    accrued(bookkeeping)
    bookkeeping.office.close()
    bookkeeping.office.generate()
    with pytest.raises(BatchNotAllowed, match="the accrual J-2025-03-0001 of 2025-03 still stands, and would count"):
        bookkeeping.export(now=LAST_DAY)  # March is not over
    back, charges = bookkeeping.export(now=FIRST_DAY)
    assert (back.journal.header.reverses, back.journal.header.accounting_date) == ("J-2025-03-0001", date(2025, 4, 1))
    assert (charges.journal.header.kind.value, charges.journal.header.accounting_date) == ("charges", date(2025, 4, 1))
    assert bookkeeping.net() == {"BIO-000001": "10.00", "IT-CLOUD": "-10.00"}
    assert check(bookkeeping.engine, "2025-03").done
    with pytest.raises(NothingToPost, match="never exported twice"):
        bookkeeping.export()


def test_the_next_months_export_takes_the_last_months_accrual_back(quick_bookkeeping):
    accrued(quick_bookkeeping)
    with pytest.raises(NothingToPost, match="2025-02 has no issued statement"):
        quick_bookkeeping.export("2025-02")  # an earlier month leaves a later one's accrual alone
    with pytest.raises(NothingToPost, match="2025-04 has no issued statement"):
        quick_bookkeeping.export("2025-04", currency="JPY")
    (back,) = quick_bookkeeping.export("2025-04")
    assert (back.journal.header.reverses, quick_bookkeeping.net()) == ("J-2025-03-0001", {})
    with pytest.raises(NothingToPost, match="2025-04 has no issued statement"):
        quick_bookkeeping.export("2025-04")


def test_an_accrual_that_is_a_draft_is_its_authors_to_send_or_to_drop(quick_bookkeeping):
    accrued(quick_bookkeeping, draft=True)
    assert quick_bookkeeping.service.end_accruals(quick_bookkeeping.asked()) == []
    assert [one["state"] for one in quick_bookkeeping.repository.list()] == ["draft"]

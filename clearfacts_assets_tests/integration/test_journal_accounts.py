"""Account codes by FOCUS' ServiceCategory: journals split where the chart does, to the statements' very cents."""

from __future__ import annotations

from decimal import Decimal

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from clearfacts_assets.chargeback.journals.chart import Chart
from clearfacts_assets.chargeback.journals.model import CannotPost
from clearfacts_assets.storage import migrate
from clearfacts_assets.storage.chargeback.journals.checking import check
from clearfacts_assets_tests.fixtures.chargeback import outcome_rows, row
from clearfacts_assets_tests.fixtures.journals import sides

CODES = {"Compute": "54200", "Stor*": "54300"}
# Half cents, of which a statement makes 0.02, 0.01 and so on: what is split has to sum to what was printed.
ROWS = [
    row(BilledCost="1.005", ResourceId="a", ServiceCategory="Compute"),
    row(BilledCost="2.005", ResourceId="b", ServiceName="Disk", ServiceCategory="Storage"),
    row(BilledCost="0.015", ResourceId="c", ServiceName="Transfer", ServiceCategory="Storage"),
    row(BilledCost="0.015", ResourceId="d", ServiceName="Transfer", ServiceCategory="Networking"),
    row(BilledCost="-0.505", ResourceId="e", ServiceName="Transfer", ServiceCategory="Networking"),
    row(BilledCost="4.00", ResourceId="f", ServiceName="Support"),  # its category is not said
    row(BilledCost="8.00", ResourceId="g", ServiceName="HPC cpu", ServiceCategory="Compute"),
]


def debits(done):
    """Account -> what its lines charge, credits below zero."""
    found: dict[str, Decimal] = {}
    for side, fund, account, amount in sides(done.journal):
        if fund == "BIO-000001":
            found[account] = found.get(account, Decimal(0)) + (1 if side == "D" else -1) * Decimal(amount)
    return found


def test_accounts_are_told_apart_by_category_and_their_cents_sum_to_the_statement(bookkeeping):
    chart = Chart(credit_fund="IT-CLOUD", account_codes={"HPC*": "54100"}, category_accounts=CODES)
    bookkeeping.month(*ROWS)
    bookkeeping.chart = chart
    with pytest.raises(CannotPost) as refused:
        bookkeeping.export()
    assert refused.value.problems == (
        "Support of aws has no account code (sources set --account-code, or journals.default_account)",
        "Transfer of aws has no account code (sources set --account-code, or journals.default_account)",
    )
    assert bookkeeping.repository.list() == []
    bookkeeping.chart = Chart(
        credit_fund="IT-CLOUD", default_account="54000", account_codes={"HPC*": "54100"}, category_accounts=CODES
    )
    (done,) = bookkeeping.export()
    by_account = debits(done)
    with bookkeeping.engine.connect() as connection:
        due = connection.execute(text("SELECT due FROM statements WHERE version > 0")).scalar_one()
        cents = connection.execute(
            text(
                "SELECT c.service_category, sc.service, sc.cents FROM statement_charges sc "
                "JOIN charges c ON c.id = sc.charge_id ORDER BY sc.charge_id"
            )
        ).all()
    assert [one.service_category for one in cents] == [
        *("Compute", "Storage", "Storage", "Networking", "Networking", "", "Compute"),
    ]
    printed = [Decimal(one.cents) for one in cents]
    assert by_account == {
        "54200": printed[0],
        "54300": printed[1] + printed[2],
        "54000": printed[3] + printed[4] + printed[5],
        "54100": printed[6],
    }
    assert sum(by_account.values()) == Decimal(due) == Decimal("14.54")
    assert done.journal.debit == done.journal.credit
    assert check(bookkeeping.engine, "2025-03").done
    kept = bookkeeping.repository.journal("J-2025-03-0001")
    assert sorted((one.service, one.category, one.amount) for one in kept.parts) == sorted(
        (one.service, one.category, one.amount) for one in done.journal.parts
    )


def test_an_accrual_is_split_by_category_too(quick_bookkeeping):
    quick_bookkeeping.chart = Chart(credit_fund="IT-CLOUD", default_account="54000", category_accounts=CODES)
    quick_bookkeeping.office.books.put(*ROWS[:2])
    (done,) = quick_bookkeeping.service.accrue("2025-03", quick_bookkeeping.asked())
    assert set(debits(done)) == {"54200", "54300"}


def test_a_late_correction_keeps_its_category_and_the_totals_follow(bookkeeping):
    """What is gone from a finalized month is taken back in the next one, in the account that it was charged to."""
    books = bookkeeping.office.books
    books.put(*ROWS[:2])
    books.finalize("2025-03")
    books.put(ROWS[1], confirmed=True)
    with bookkeeping.engine.begin() as connection:
        query = "SELECT kind, service_category FROM charges WHERE period = '2025-04'"
        assert connection.execute(text(query)).all() == [("reversal", "Compute")]
        query = "SELECT service_category, rows FROM charge_totals WHERE period = '2025-04'"
        assert connection.execute(text(query)).all() == [("Compute", 1)]
    with (
        pytest.raises(DatabaseError, match="what a charge says never changes"),
        bookkeeping.engine.begin() as connection,
    ):
        connection.execute(text("UPDATE charges SET service_category = 'x' WHERE period = '2025-04'"))


def test_what_was_imported_before_charges_kept_categories_is_of_an_unknown_one(bookkeeping):
    """An upgrade in the middle of a month: what is there already goes by service and source, what comes by category."""
    engine = bookkeeping.engine
    url = engine.url.render_as_string(hide_password=False)
    bookkeeping.office.books.put(ROWS[0])
    before = ScriptDirectory.from_config(migrate.configuration()).get_revision("0170").down_revision
    engine.dispose()
    migrate.downgrade(url, before)
    migrate.upgrade(url)
    outcome = bookkeeping.office.books.put(ROWS[0], row(BilledCost="3.00", ResourceId="z", ServiceCategory="Compute"))
    assert outcome_rows(outcome) == {"equal": 1, "new": 1}  # nothing is imported anew for its category's sake
    bookkeeping.office.close()
    bookkeeping.office.generate()
    bookkeeping.chart = Chart(credit_fund="IT-CLOUD", default_account="54000", category_accounts=CODES)
    assert debits(bookkeeping.export()[0]) == {"54000": Decimal("1.01"), "54200": Decimal("3.00")}
    assert check(engine, "2025-03").done

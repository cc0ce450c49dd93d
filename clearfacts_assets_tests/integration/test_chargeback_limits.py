"""What an import does when the disk is full, and what funds have left."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from clearfacts_assets.storage.chargeback.budgets import spending_of_funds
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets.storage.database import disk_is_full, in_words
from clearfacts_assets_tests.fixtures.chargeback import ADA, NOW, Books, row

TABLES = ("charges", "cost_imports", "cost_import_files", "cost_row_chunks", "charge_totals", "billing_periods")


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)  # a server's disk is not ours to fill
def test_a_full_disk_stops_an_import_in_words_and_nothing_is_half_done(books: Books) -> None:
    rows = [row(ResourceId=f"res-{number}") for number in range(3000)]
    with books.engine.connect() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()

    def no_room(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages + 20}")

    books.engine.dispose()
    event.listen(books.engine, "connect", no_room)
    with pytest.raises(OperationalError) as full:
        books.put(*rows)
    assert disk_is_full(full.value)
    assert in_words(full.value).startswith(
        "the disk of the database is full: database or disk is full. Nothing of this"
    )
    event.remove(books.engine, "connect", no_room)
    books.engine.dispose()
    with books.engine.connect() as connection:
        assert [connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in TABLES] == [0] * 6
    assert books.put(*rows).rows == 3000
    books.counted()


def test_a_fund_has_left_what_is_not_due_and_other_currencies_are_not_set_against_it(books: Books) -> None:
    registry = RegistryRepository(books.engine)
    funds = [
        {"fund_org": ADA["fund_org"], "budget": Decimal(10), "currency": "USD"},
        {"fund_org": "BIO-2", "budget": Decimal(5), "currency": "EUR"},
    ]
    registry.put("funds", funds, actor="pat", now=NOW)
    books.put(row(BilledCost="12.345"), row(BilledCost="3", BillingCurrency="EUR", ResourceId="b"))
    found = {(one.fund_org, one.currency): one for one in spending_of_funds(books.engine)}
    first = found[ADA["fund_org"], "USD"]
    assert (first.due, first.left, first.as_result()["overspent"]) == (Decimal("12.345"), Decimal("-2.345"), True)
    assert found[ADA["fund_org"], "EUR"].left is None
    assert found["BIO-2", "EUR"].left == Decimal(5)

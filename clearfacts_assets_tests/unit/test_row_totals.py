"""What a file's rows add up to while they are read."""

from __future__ import annotations

from decimal import Decimal

from clearfacts_assets.chargeback.ingest.row_totals import RowTotals
from clearfacts_assets.chargeback.ingest.rows import STAGED
from clearfacts_assets.chargeback.ports import ByColumn

THIRD = "0.3333333333333333333333333333333333"


def row(**said: str | bytes | None) -> tuple[str | bytes | None, ...]:
    usual = {
        "period": "2025-03",
        "currency": "EUR",
        "billed": "1.10",
        "amount": "1.10",
        "listed": "2",
        "status": "clear",
    }
    return tuple({**dict.fromkeys(STAGED, ""), **usual, **said}[name] for name in STAGED)


def test_each_group_has_its_rows_and_the_exact_sum_of_each_cost() -> None:
    totals = RowTotals()
    totals.add(ByColumn.of([row(effective=THIRD), row(effective=None), row(service="Storage", billed="-0.10")]))
    totals.add(ByColumn.of([row(effective=THIRD)]))
    found = {group[5]: (sums[0], [str(one) for one in sums[1:]]) for group, sums in totals.groups("2025-03")}
    assert found == {
        "": (3, ["3.30", "0.6666666666666666666666666666666666", "0", "0", "6", "3.30"]),
        "Storage": (1, ["-0.10", "0", "0", "0", "2", "1.10"]),
    }


def test_periods_and_currencies_are_never_added_to_each_other() -> None:
    totals = RowTotals()
    totals.add(ByColumn.of([row(), row(currency="USD"), row(period="2025-04")]))
    assert totals.by_currency("2025-03") == {"EUR": (1, Decimal("1.10")), "USD": (1, Decimal("1.10"))}
    assert totals.by_currency("2025-04") == {"EUR": (1, Decimal("1.10"))}
    assert totals.by_currency("2025-05") == {}


def test_with_more_groups_than_memory_should_hold_the_sums_by_currency_stay_exact() -> None:
    totals = RowTotals(most=100)
    totals.add(ByColumn.of([row(invoice_id=str(number)) for number in range(101)]))
    assert not totals.whole
    totals.add(ByColumn.of([row(), row(currency="USD", amount=THIRD)]))
    assert totals.by_currency("2025-03") == {
        "EUR": (102, Decimal("112.20")),
        "USD": (1, Decimal(THIRD)),
    }


def test_what_was_invoiced_is_the_same_whether_groups_were_given_up_or_not() -> None:
    rows = [row(invoice_id=f"INV-{number % 3}", service=str(number), billed=f"{number}.10") for number in range(50)]
    few, many = RowTotals(most=7), RowTotals()
    for start in range(0, 50, 5):
        few.add(ByColumn.of(rows[start : start + 5]))
        many.add(ByColumn.of(rows[start : start + 5]))
    assert (few.whole, many.whole) == (False, True)
    assert few.tie_out() == many.tie_out()
    assert [(one["invoice_id"], one["rows"], one["billed"]) for one in many.tie_out()] == [
        ("INV-0", 17, "409.70"),
        ("INV-1", 17, "426.70"),
        ("INV-2", 16, "393.60"),
    ]

"""All samples: exact totals of every cost and currency; what must be refused is, what must wait waits."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from clearfacts_assets.chargeback.model import FileRefused
from clearfacts_assets.money import EXACT, NO_CURRENCY
from clearfacts_assets.storage.chargeback.reconciling import reconcile
from clearfacts_assets_tests.fixtures.chargeback import SAMPLES, Books

COSTS = {"BilledCost": "billed", "EffectiveCost": "effective", "ContractedCost": "contracted", "ListCost": "list"}
TRUTHS: dict[str, Any] = {
    f"{folder}/{name}": truth
    for folder in ("focus", "real")
    for name, truth in json.loads((SAMPLES / folder / "truth.json").read_text("utf-8")).items()
}


def test_there_are_all_of_them() -> None:
    assert len(TRUTHS) == 67


@pytest.mark.parametrize("name", sorted(TRUTHS))
def test_a_sample_comes_to_its_exact_totals(books: Books, name: str) -> None:
    truth = TRUTHS[name]
    try:
        outcome = books.ingest(SAMPLES / name)
    except FileRefused:
        assert truth["whole_file"] in ("refuse", "may_refuse")
        return
    assert truth.get("whole_file") != "refuse"
    refused = {one.line for one in outcome.refusals}
    may = {one["line"]: one for one in truth.get("may_refuse", ())}
    assert {one["line"] for one in truth.get("must_refuse", ())} <= refused
    assert sums(books) == expected(truth, [one for line, one in may.items() if line in refused])
    waiting = {one["line"] for one in books.charges(status=("flagged",))}
    assert {one["line"] for one in truth.get("must_flag", ())} <= waiting
    extra = refused - may.keys() - {one["line"] for one in truth.get("must_refuse", ())}
    assert not extra or "extra_lines" in truth or name == "focus/shape/unterminated-quote.csv"


def sums(books: Books) -> dict[str, dict[str, Decimal]]:
    found: dict[str, dict[str, Decimal]] = {}
    with books.engine.connect() as connection:
        for charge in connection.execute(text("SELECT * FROM charges")).mappings():
            totals = found.setdefault(charge["currency"], dict.fromkeys(COSTS, Decimal(0)))
            for column, name in COSTS.items():
                totals[column] = EXACT.add(totals[column], Decimal(charge[name] or 0))
    return {currency: shortened(totals) for currency, totals in found.items()}


def expected(truth: dict[str, Any], refused: list[dict[str, Any]]) -> dict[str, dict[str, Decimal]]:
    if "billed" in truth:  # the corrections: two sums, in no currency
        truth = {"totals": {"": dict.fromkeys(COSTS, truth["billed"]) | {"ListCost": truth["list"]}}}
    found = {}
    for currency, totals in truth.get("totals", {}).items():
        left = {column: Decimal(totals[column]) for column in COSTS}
        for one in refused:
            for column in COSTS if one["currency"] == currency else ():
                left[column] = EXACT.subtract(left[column], Decimal(one[column]))
        if not refused or any(left.values()):
            found[currency or NO_CURRENCY] = shortened(left)
    return found


def shortened(totals: dict[str, Decimal]) -> dict[str, Decimal]:
    """The truths were added up with 28 digits; our own sums have more."""
    return {column: +amount for column, amount in totals.items()}


def test_both_parts_of_a_delivery_are_one_import(books: Books) -> None:
    parts = [SAMPLES / "focus/parts" / f"aws-0000{number}.csv.gz" for number in (1, 2)]
    outcome = books.ingest(*parts)
    truth = [Decimal(TRUTHS[f"focus/parts/{one.name}"]["totals"]["USD"]["BilledCost"]) for one in parts]
    assert (outcome.rows, books.total().billed) == (40, sum(truth))


def test_every_row_of_the_tag_samples_has_who_pays(books: Books) -> None:
    books.ingest(SAMPLES / "focus/cells/tags.csv")
    found = {one["resource_id"]: one for one in books.charges()}
    for want in TRUTHS["focus/cells/tags.csv"]["expect"]:
        charge = found[want["resource"]]
        assert {name: charge[name] for name in ("pi_email", "project_id", "fund_org")} == {
            name: want[name] for name in ("pi_email", "project_id", "fund_org")
        }
        assert charge["status"] == "clear"


def test_a_restated_month_is_compared_row_by_row(books: Books) -> None:
    books.ingest(SAMPLES / "focus/restated/2025-03-first.csv")
    outcome = books.ingest(SAMPLES / "focus/restated/2025-03-second.csv")
    diff = TRUTHS["focus/restated/2025-03-second.csv"]["diff"]
    (difference,) = outcome.differences
    rows = {kind: change.rows for kind, change in difference.changes.items()}
    assert rows == {
        "equal": diff["unchanged"],
        "changed": diff["changed"],
        "mended": 0,
        "unmended": 0,
        "retagged": diff["retagged"],
        "withdrawn": diff["removed"],
        "new": diff["added"],
    }
    assert difference.changes["withdrawn"].before == {"USD": Decimal(diff["removed_billed"])}
    books.counted()


def test_a_correction_names_the_one_charge_that_it_can_mean(books: Books) -> None:
    books.ingest(SAMPLES / "focus/restated/2025-03-second.csv")
    books.ingest(SAMPLES / "focus/restated/2025-04-with-corrections.csv")
    found = {one["line"]: (one["corrects"] is not None, one["flags"]) for one in books.charges(period="2025-04")}
    assert found[7] == (True, [])
    assert found[8] == (False, ["correction_to_confirm"])
    assert "correction_to_confirm" in found[9][1]


def test_statements_count_each_list_price_once(books: Books) -> None:
    books.ingest(SAMPLES / "focus/money/commitment.csv")
    assert books.total().list == Decimal("460")
    for provider in ("1_2_cost_and_usage_aws", "1_2_cost_and_usage_azure", "1_3_cost_and_usage_gcp"):
        name = f"focus_{provider}.csv"
        books.ingest(SAMPLES / "real" / name, source=provider)
        with books.engine.connect() as connection:
            rows = connection.execute(
                text("SELECT category, listed, list FROM charges WHERE source = :s"), {"s": provider}
            ).all()
        rows = [one for one in rows if one.category != "Purchase" or Decimal(one.listed)]
        assert sum(Decimal(one.list) for one in rows) == Decimal(
            TRUTHS[f"real/{name}"]["list_without_covering_purchases"]
        )


def test_two_funds_of_one_project_stay_apart(books: Books) -> None:
    books.ingest(SAMPLES / "focus/money/two-funds-one-project.csv")
    assert {fund: str(amount) for fund, amount in books.total().by_fund.items()} == {
        "BIO-000001": "6.98",
        "BIO-000002": "20.02",
    }


def test_an_invoice_detail_is_kept_for_the_tie_out_and_not_billed(books: Books) -> None:
    books.ingest(SAMPLES / "focus/clean/focus-1.4.csv", source="cloud")
    with books.engine.connect() as connection:
        ((invoice, issuer),) = connection.execute(text("SELECT DISTINCT invoice_id, issuer FROM charges")).all()
    billed = books.total().billed
    detail = {
        "InvoiceId": invoice,
        "InvoiceDetailId": "1",
        "InvoiceIssuerName": issuer,
        "InvoiceIssueStatus": "Issued",
        "BillingAccountId": "007700112233",
        "BillingCurrency": "USD",
        "BillingPeriodStart": "2025-03-01T00:00:00Z",
        "BilledCost": str(billed + 1),
    }
    outcome = books.put(detail, name="invoice.csv", source="cloud")
    assert (outcome.applied, outcome.rows, len(outcome.notes)) == (True, 0, 1)
    assert books.total().billed == billed
    (one,) = reconcile(books.engine, "2025-03")
    assert [Decimal(invoice["to_invoice"]) for invoice in one.invoices] == [1]

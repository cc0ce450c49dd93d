"""Public bug reports of other tools, as small inputs with the right value."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from clearfacts_assets.chargeback.ingest.conformance import examine
from clearfacts_assets.chargeback.model import Mode
from clearfacts_assets.storage.chargeback.reconciling import reconcile
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets_tests.fixtures.chargeback import NOW, SAMPLES, Books, outcome_rows

CASES = SAMPLES / "cases"


def case(number: str) -> tuple[Any, dict[str, Any]]:
    (folder,) = CASES.glob(f"{number}-*")
    return folder, json.loads((folder / "expected.json").read_text("utf-8"))["expect"]


def basis(books: Books, name: str) -> None:
    RegistryRepository(books.engine).set_source("aws", {"basis": name}, actor="pat", now=NOW)


def test_every_spelling_of_scientific_notation_is_taken(books: Books) -> None:
    folder, expect = case("01")
    outcome = books.ingest(folder / "aws_2025-03.csv", period="2025-03")
    assert (outcome.rows, outcome.refused) == (expect["charges"], expect["refused"])
    assert books.total().billed == Decimal(expect["billed"])


def test_a_purchase_with_effective_cost_never_counts_twice(books: Books) -> None:
    folder, expect = case("02")
    books.ingest(folder / "azure_2025-03.csv", period="2025-03")
    assert (books.total().charges, str(books.total().billed)) == (expect["charges"], expect["billed"])
    assert str(books.total().effective) == expect["effective_as_given"]
    assert books.total().due == 100
    assert books.total().flags["purchase_with_effective_cost"] == 1
    found = [one for one in examine(folder / "azure_2025-03.csv").findings if "covering" in one["rule"]]
    assert [one["line"] for one in found] == [2]
    basis(books, "effective")
    books.ingest(folder / "azure_2025-03.csv", period="2025-03", confirmed=True)
    assert str(books.total().due) == expect["effective_right"]
    assert [one["line"] for one in books.charges(status=("flagged",))] == [2]


def test_list_price_of_purchase_and_usage_is_not_added(books: Books) -> None:
    folder, expect = case("03")
    basis(books, "effective")
    books.ingest(folder / "aws_2025-03.csv", period="2025-03")
    total = books.total()
    assert (str(total.billed), str(total.effective)) == (expect["billed"], expect["effective"])
    assert (str(total.list), str(total.discount)) == (
        expect["list_for_statement"],
        expect["discount_on_effective_basis"],
    )


def test_a_list_price_of_zero_is_unknown_and_no_saving(books: Books) -> None:
    folder, expect = case("04")
    books.ingest(folder / "azure_2025-03.csv", period="2025-03")
    total = books.total()
    assert str(total.due) == expect["due"]
    assert total.flags["unknown_list_price"] == expect["rows_with_unknown_list"]
    assert (str(total.list), str(total.discount)) == ("130.00", "30.00")


def test_a_month_that_comes_twice_counts_once(books: Books) -> None:
    folder, expect = case("05")
    books.ingest(folder / "aws_march_1-10.csv", period="2025-03")
    outcome = books.ingest(folder / "aws_march_full.csv", period="2025-03")
    second = expect["second_import"]
    assert outcome_rows(outcome) == {"equal": second["unchanged"], "new": second["added"]}
    assert (books.total().charges, str(books.total().billed)) == (expect["charges"], expect["billed"])


def test_identifiers_keep_their_zeros(books: Books) -> None:
    folder, expect = case("07")
    books.ingest(folder / "aws_2025-03.csv", period="2025-03")
    (charge, *_) = books.charges()
    names = {"sub_account": "sub_account", "sku": "sku", "resource_id": "resource_id", "fund_org": "fund_org"}
    assert {name: charge[column] for name, column in names.items()} == {name: expect[name] for name in names}
    assert charge["project_id"] == expect["project"]


def test_quotes_in_tags_break_nothing(books: Books) -> None:
    folder, expect = case("08")
    books.ingest(folder / "aws_2025-03.csv", period="2025-03")
    total = books.total()
    assert (total.charges, str(total.billed), total.flagged) == (expect["charges"], expect["billed"], 0)
    assert {project: str(amount) for project, amount in total.by_project.items()} == expect["projects"]


def test_two_values_of_one_key_are_flagged_not_guessed(books: Books) -> None:
    folder, expect = case("09")
    books.ingest(folder / "azure_2025-03.csv", period="2025-03")
    total = books.total()
    assert (total.charges, str(total.billed), str(total.flagged)) == (
        expect["charges"],
        expect["billed"],
        expect["flagged"],
    )
    assert {person: str(amount) for person, amount in total.by_pi.items()} == expect["by_pi"]
    assert str(total.unattributed) == "4.00"


def test_a_number_with_two_points_is_refused(books: Books) -> None:
    folder, expect = case("19")
    outcome = books.ingest(folder / "aws_2025-03.csv", period="2025-03")
    assert (books.total().charges, str(books.total().billed)) == (expect["charges"], expect["billed"])
    assert [{"line": r.line, "column": r.column, "value": r.value} for r in outcome.refusals] == expect["refused"]
    strict = books.ingest(folder / "aws_2025-03.csv", source="other", period="2025-03", strict=True)
    assert (strict.applied, books.charges(source="other")) == (False, [])


def test_a_list_cost_that_is_no_product_is_named_and_taken(books: Books) -> None:
    folder, expect = case("27")
    books.ingest(folder / "azure_2025-03.csv", period="2025-03")
    assert books.total().billed == Decimal(expect["billed"])
    found = [{"line": one["line"], "rule": one["rule"]} for one in examine(folder / "azure_2025-03.csv").findings]
    assert found == expect["conformance"]


def test_every_case_reconciles(books: Books) -> None:
    for file in sorted(CASES.glob("*/*.csv")):
        books.ingest(file, source=file.parent.name, mode=Mode.APPEND if "march_1" in file.name else Mode.SNAPSHOT)
    for period in ("2025-03", "2025-04", "2025-05"):
        for one in reconcile(books.engine, period):
            assert one.unexplained == 0, one

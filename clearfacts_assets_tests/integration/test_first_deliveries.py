"""The first delivery of a month, whose rows can only be equal to one another, and what guards the ledger meanwhile."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from clearfacts_assets.storage.chargeback.periods import PeriodRepository
from clearfacts_assets_tests.fixtures.chargeback import Books, outcome_rows, row, write

TWICE, ONCE = row(ResourceId="twice"), row(ResourceId="once")


def places(books: Books) -> list[tuple[str, int, int, int]]:
    """Of each charge: its resource, file, line and occurrence."""
    query = (
        "SELECT c.resource_id, f.number, c.line, c.occurrence FROM charges c "
        "JOIN cost_import_files f ON f.id = c.import_file WHERE c.withdrawn_by IS NULL ORDER BY f.number, c.line"
    )
    with books.engine.connect() as connection:
        return [tuple(one) for one in connection.execute(text(query))]


def test_equal_rows_of_several_files_are_numbered_in_their_order(books: Books) -> None:
    first = write(books.folder / "a.csv", [TWICE, ONCE, TWICE])
    second = write(books.folder / "b.csv", [TWICE, row(ResourceId="twice", BillingPeriodStart="2025-04-01")])
    outcome = books.ingest(first, second)
    assert (outcome_rows(outcome), outcome_rows(outcome, "2025-04")) == ({"new": 4}, {"new": 1})
    assert places(books) == [
        ("twice", 1, 2, 0),
        ("once", 1, 3, 0),
        ("twice", 1, 4, 1),
        ("twice", 2, 2, 2),
        ("twice", 2, 3, 0),
    ]
    books.counted()
    books.counted("2025-04")
    again = books.put(TWICE, TWICE, TWICE, ONCE, ONCE, name="c.csv")
    assert outcome_rows(again) == {"equal": 4, "new": 1}
    books.counted()


def test_what_another_source_has_brought_is_not_taken_for_an_equal_row(books: Books) -> None:
    books.put(TWICE, ONCE)
    assert outcome_rows(books.put(TWICE, TWICE, name="b.csv", source="other")) == {"new": 2}
    assert [(one["source"], one["flags"]) for one in books.charges(status=("flagged",))] == [
        ("other", ["suspected_duplicate"])
    ] * 2
    books.counted()


def test_a_first_delivery_may_come_after_all_of_an_earlier_one_was_taken_back(books: Books) -> None:
    books.put(TWICE, TWICE, ONCE)
    assert outcome_rows(books.put(row(ResourceId="new"), name="b.csv", confirmed=True)) == {"new": 1, "withdrawn": 3}
    assert outcome_rows(books.put(TWICE, TWICE, ONCE, name="c.csv", confirmed=True)) == {"new": 3, "withdrawn": 1}
    assert [occurrence for *_, occurrence in places(books)] == [0, 1, 0]
    books.counted()


def test_an_import_leaves_the_ledger_guarded(books: Books) -> None:
    def guards() -> list[str]:
        kept = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'charges'::regclass AND tgenabled = 'O' ORDER BY 1"
        if books.engine.dialect.name == "sqlite":
            kept = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'charges' ORDER BY name"
        with books.engine.connect() as connection:
            return list(connection.execute(text(kept)).scalars())

    before = guards()
    books.put(TWICE, TWICE, dry_run=True)
    books.put(TWICE, TWICE)
    assert guards() == before
    books.finalize("2025-03")
    named = ", ".join(f'"{one["name"]}"' for one in inspect(books.engine).get_columns("charges") if one["name"] != "id")
    other = named.replace('"occurrence"', "9")
    with pytest.raises(DBAPIError, match="finalized"), books.engine.begin() as connection:
        connection.execute(text(f"INSERT INTO charges ({named}) SELECT {other} FROM charges WHERE occurrence = 1"))
    assert [one.problem for one in PeriodRepository(books.engine).verify()] == [""]

"""What a person mended stands as long as the source still holds the same unreadable record. On both databases."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from clearfacts_assets.chargeback.model import FileRefused, Mode
from clearfacts_assets.chargeback.ports import Outcome
from clearfacts_assets.storage.chargeback.imports import ImportRepository
from clearfacts_assets.storage.chargeback.summaries import refused_rows
from clearfacts_assets_tests.fixtures.chargeback import NOW, Books, outcome_rows, row, write

GOOD = [row(BilledCost=f"{number}.00", ResourceId=f"r-{number}") for number in range(1, 11)]
BAD = row(BilledCost="1,5", ListCost="1.50", ContractedCost="1.50", EffectiveCost="1.50", ResourceId="bad")
MENDED_ROW = {"mended": 1}


def mend(books: Books, imported: Outcome, *amounts: str) -> Outcome:
    """The refused rows of an import, exported, mended by hand with these amounts, and imported alone."""
    assert imported.import_id is not None
    header, *rows = refused_rows(books.engine, imported.import_id)
    path = Path(books.folder / "mended.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for cells, amount in zip(rows, amounts, strict=True):
            writer.writerow([amount if name == "BilledCost" else one for name, one in zip(header, cells, strict=True)])
    return books.ingest(path, mode=Mode.APPEND)


def of(books: Books, resource: str = "bad") -> list[str]:
    return [one["amount"] for one in books.charges(resource_id=resource)]


def test_a_redelivery_with_the_same_unreadable_record_leaves_the_mended_row(books: Books) -> None:
    first = books.put(*GOOD, BAD)
    assert (first.refused, of(books)) == (1, [])
    mend(books, first, "1.50")
    (before,) = books.charges(resource_id="bad")
    again = books.put(*GOOD[:-1], row(BilledCost="11.00", ResourceId="r-10"), BAD)
    assert (again.refused, outcome_rows(again)) == (1, {"equal": 9, "changed": 1} | MENDED_ROW)
    (change,) = (one.changes["mended"] for one in again.differences)
    assert (change.before, change.after) == (change.after, change.before)
    assert [one["id"] for one in books.charges(resource_id="bad")] == [before["id"]]
    assert str(books.total().billed) == "57.50"
    books.counted()
    same = books.put(*GOOD, BAD)  # the file of the beginning, which came before what was mended
    assert outcome_rows(same) == {"equal": 9, "changed": 1} | MENDED_ROW
    assert books.put(*GOOD, BAD).unchanged
    assert of(books) == ["1.50"]


def test_another_record_in_its_place_asks_again_and_says_so(books: Books) -> None:
    mend(books, books.put(*GOOD, BAD), "1.50")
    other = books.put(*GOOD, BAD | {"BilledCost": "1,7"})
    assert (other.refused, outcome_rows(other)) == (1, {"equal": 10, "unmended": 1})
    (change,) = (one.changes["unmended"] for one in other.differences)
    assert ({k: str(v) for k, v in change.before.items()}, change.after) == ({"USD": "1.50"}, {})
    assert of(books) == []
    books.counted()
    mend(books, other, "1.70")
    assert outcome_rows(books.put(*GOOD, BAD | {"BilledCost": "1,7"}, name="b.csv")) == {"equal": 10} | MENDED_ROW
    assert of(books) == ["1.70"]


def test_a_record_that_the_provider_mended_replaces_what_a_person_made_of_it(books: Books) -> None:
    mend(books, books.put(*GOOD, BAD), "1.50")
    readable = books.put(*GOOD, BAD | {"BilledCost": "1.60"})
    assert outcome_rows(readable) == {"equal": 10, "changed": 1}
    assert of(books) == ["1.60"]
    back = books.put(*GOOD, BAD, name="back.csv")  # nobody has mended what stands there now
    assert outcome_rows(back) == {"equal": 10, "withdrawn": 1}


def test_the_provider_who_mends_it_as_a_person_did_changes_nothing(books: Books) -> None:
    mend(books, books.put(*GOOD, BAD), "1.50")
    (before,) = books.charges(resource_id="bad")
    assert outcome_rows(books.put(*GOOD, BAD | {"BilledCost": "1.50"})) == {"equal": 11}
    assert outcome_rows(books.put(*GOOD, BAD, name="back.csv")) == {"equal": 10} | MENDED_ROW
    assert [one["id"] for one in books.charges(resource_id="bad")] == [before["id"]]


def test_of_two_equal_records_each_stands_for_one(books: Books) -> None:
    mend(books, books.put(*GOOD, BAD, BAD), "1.50", "1.50")
    assert of(books) == ["1.50", "1.50"]
    assert outcome_rows(books.put(*GOOD, BAD, BAD, name="b.csv")) == {"equal": 10, "mended": 2}
    assert outcome_rows(books.put(*GOOD, BAD, confirmed=True)) == {"equal": 10, "mended": 1, "unmended": 1}
    assert of(books) == ["1.50"]


def test_rows_of_one_reason_are_told_apart_by_their_cells(books: Books) -> None:
    """Two files, whose refusals say the same of the same line."""
    twin = BAD | {"ResourceId": "twin"}
    first, second = write(books.folder / "a.csv", [BAD, *GOOD[:5]]), write(books.folder / "b.csv", [twin, *GOOD[5:]])
    both = books.ingest(first, second)
    mend(books, both, "1.50", "2.50")
    gone = write(books.folder / "c.csv", [twin | {"BilledCost": "9,9"}, *GOOD[5:]])
    assert outcome_rows(books.ingest(first, gone)) == {"equal": 10, "mended": 1, "unmended": 1}
    assert (of(books), of(books, "twin")) == (["1.50"], [])


def test_a_mended_row_of_a_finalized_month_is_not_reversed(books: Books) -> None:
    mend(books, books.put(*GOOD, BAD), "1.50")
    books.finalize("2025-03")
    late = books.put(*GOOD[:-1], row(BilledCost="11.00", ResourceId="r-10"), BAD)
    assert outcome_rows(late) == {"equal": 9, "changed": 1} | MENDED_ROW
    assert [one["kind"] for one in books.charges(period="2025-04")] == ["reversal", "adjustment"]
    changed = books.put(*GOOD, BAD | {"BilledCost": "1,7"}, name="c.csv", confirmed=True)
    assert outcome_rows(changed)["unmended"] == 1
    (reversal,) = (one for one in books.charges(period="2025-04") if one["resource_id"] == "bad")
    assert (reversal["kind"], reversal["amount"]) == ("reversal", "-1.50")
    assert outcome_rows(books.put(*GOOD, BAD, name="d.csv"))["mended"] == 1  # it is there again: so is the charge
    assert [one for one in books.charges(period="2025-04") if one["resource_id"] == "bad"] == []


def left_to_mend(books: Books, imported: Outcome) -> list[list[Any]]:
    assert imported.import_id is not None
    return list(refused_rows(books.engine, imported.import_id))[1:]


def test_mended_again_with_another_value_it_replaces_what_stood_for_the_record(books: Books) -> None:
    first = books.put(*GOOD, BAD)
    header, (cells,) = next(iter(refused_rows(books.engine, 1))), left_to_mend(books, first)
    mend(books, first, "1.50")
    assert left_to_mend(books, first) == []
    path = write(books.folder / "again.csv", [dict(zip(header, map(str, cells), strict=True)) | {"BilledCost": "1.70"}])
    again = books.ingest(path, mode=Mode.APPEND)
    assert outcome_rows(again) == {"changed": 1}
    (change,) = (one.changes["changed"] for one in again.differences)
    assert ([str(one) for one in change.before.values()], [str(one) for one in change.after.values()]) == (
        ["1.50"],
        ["1.70"],
    )
    assert (of(books), str(books.total().billed)) == (["1.70"], "56.70")
    books.counted()
    assert outcome_rows(books.put(*GOOD, BAD, name="same.csv")) == {"equal": 10} | MENDED_ROW
    assert of(books) == ["1.70"]
    assert outcome_rows(books.ingest(path, mode=Mode.APPEND)) == {"equal": 1}  # the very same row once more
    assert left_to_mend(books, first) == []


def test_what_was_mended_and_taken_back_waits_again(books: Books) -> None:
    first = books.put(*GOOD, BAD)
    mended = mend(books, first, "1.50")
    ImportRepository(books.engine).withdraw(mended.import_id or 0, reason="wrong", actor="pat", now=NOW)
    assert len(left_to_mend(books, first)) == 1
    mend(books, first, "1.50")
    assert (of(books), left_to_mend(books, first)) == (["1.50"], [])


def test_a_record_that_two_deliveries_hold_is_mended_once(books: Books) -> None:
    """Exported from either, before or after the other one was mended."""
    first = books.put(*GOOD, BAD)
    second = books.put(row(BilledCost="0.50"), *GOOD, BAD, name="longer.csv")  # another line, the same record
    old, new = (list(refused_rows(books.engine, one)) for one in (1, 2))
    mend(books, second, "1.50")
    assert (left_to_mend(books, first), left_to_mend(books, second)) == ([], [])
    for number, (header, cells) in enumerate((old, new)):
        said = dict(zip(header, map(str, cells), strict=True)) | {"BilledCost": f"2.{number}0"}
        assert outcome_rows(books.ingest(write(books.folder / f"{number}.csv", [said]), mode=Mode.APPEND)) == {
            "changed": 1
        }
        assert of(books) == [f"2.{number}0"]
    books.counted()


def test_equal_records_that_are_mended_one_by_one_are_billed_each(books: Books) -> None:
    first = books.put(*GOOD, BAD, BAD)
    header, *rows = refused_rows(books.engine, 1)
    for number, cells in enumerate(rows):
        said = dict(zip(header, map(str, cells), strict=True)) | {"BilledCost": "1.50"}
        books.ingest(write(books.folder / f"{number}.csv", [said]), mode=Mode.APPEND)
    assert (of(books), left_to_mend(books, first)) == (["1.50", "1.50"], [])
    assert outcome_rows(books.put(*GOOD, BAD, BAD, name="b.csv")) == {"equal": 10, "mended": 2}
    assert outcome_rows(books.put(*GOOD, *[BAD | {"BilledCost": "1.50"}] * 2)) == {"equal": 12}


def test_one_record_mended_twice_in_one_file_is_refused_and_nothing_changes(books: Books) -> None:
    header, cells = refused_rows(books.engine, books.put(*GOOD, BAD).import_id or 0)
    said = dict(zip(header, map(str, cells), strict=True))
    both = write(books.folder / "both.csv", [said | {"BilledCost": one} for one in ("1.50", "1.70")])
    with pytest.raises(FileRefused) as told:
        books.ingest(both, mode=Mode.APPEND)
    assert (told.value.refusal.code, told.value.refusal.line) == ("mended_twice", 3)
    assert "line 2" in told.value.refusal.message
    assert of(books) == []


def test_what_the_provider_has_delivered_readably_is_not_mended_any_more(books: Books) -> None:
    first = books.put(*GOOD, BAD)
    header, cells = refused_rows(books.engine, first.import_id or 0)
    books.put(*GOOD, BAD | {"BilledCost": "1.60"}, name="readable.csv")
    said = dict(zip(header, map(str, cells), strict=True)) | {"BilledCost": "1.50"}
    with pytest.raises(FileRefused) as told:
        books.ingest(write(books.folder / "late.csv", [said]), mode=Mode.APPEND)
    assert (told.value.refusal.code, "import 2" in told.value.refusal.message) == ("replaced_since", True)
    assert of(books) == ["1.60"]


def test_what_is_finalized_is_reversed_when_it_is_mended_again(books: Books) -> None:
    first = books.put(*GOOD, BAD)
    header, cells = refused_rows(books.engine, first.import_id or 0)
    mend(books, first, "1.50")
    books.finalize("2025-03")
    said = dict(zip(header, map(str, cells), strict=True))

    def due() -> list[tuple[str, str]]:
        return [(one["kind"], one["amount"]) for one in books.charges(period="2025-04")]

    for amount, stands in (("1.70", "1.70"), ("1.80", "1.80"), ("1.50", "1.50")):
        path = write(books.folder / f"{amount}.csv", [said | {"BilledCost": amount}])
        books.ingest(path, mode=Mode.APPEND)
        assert due() == [("reversal", "-1.50"), ("adjustment", stands)]
        books.counted("2025-04")
    books.put(*GOOD, BAD, name="again.csv")
    assert due() == [("reversal", "-1.50"), ("adjustment", "1.50")]
    assert left_to_mend(books, first) == []


def test_the_database_holds_one_charge_a_record(books: Books) -> None:
    mend(books, books.put(*GOOD, BAD), "1.50")
    with pytest.raises(IntegrityError), books.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO mended_records (source, record, occurrence, charge_id, refusal_id, import_id) "
                "SELECT source, record, occurrence, 1, refusal_id, import_id FROM mended_records"
            )
        )


def test_what_was_mended_in_vain_still_says_which_record_it_mends(books: Books) -> None:
    first = books.put(*GOOD, BAD)
    vain = mend(books, first, "1,6")
    assert (vain.refused, of(books)) == (1, [])
    mend(books, vain, "1.60")
    assert of(books) == ["1.60"]
    assert left_to_mend(books, first) == []


def test_what_was_typed_anew_without_its_refusal_is_a_row_like_any_other(books: Books) -> None:
    books.put(*GOOD, BAD)
    books.put(BAD | {"BilledCost": "1.50"}, mode=Mode.APPEND, name="typed.csv")
    assert outcome_rows(books.put(*GOOD, BAD, name="again.csv")) == {"equal": 10, "withdrawn": 1}

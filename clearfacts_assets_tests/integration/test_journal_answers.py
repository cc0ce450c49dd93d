"""What the general ledger answers, and the tie-out from the provider's bill to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from clearfacts_assets.chargeback.attribution.review import Verdict
from clearfacts_assets.chargeback.journals.answers import read_answers
from clearfacts_assets.chargeback.journals.lifecycle import BatchNotAllowed
from clearfacts_assets.chargeback.journals.model import NoSuchBatch, NothingToPost
from clearfacts_assets.storage.chargeback.journals.checking import check
from clearfacts_assets.storage.chargeback.journals.repository import posted_by_hand
from clearfacts_assets_tests.fixtures.chargeback import row
from clearfacts_assets_tests.fixtures.journals import NOW, tags, two_funds


def test_what_the_general_ledger_answers_is_kept(bookkeeping):
    two_funds(bookkeeping)
    bookkeeping.export()
    refusal = b"journal,line,status,message\nJ-2025-03-0001,3,error,fund is closed\nJ-2025-03-0001,1,ok,\n"
    told = bookkeeping.repository.answered(read_answers(refusal), actor="erp", now=NOW)
    assert told == {"posted": [], "refused": {"J-2025-03-0001": [{"line": 3, "message": "fund is closed"}]}}
    verdict = check(bookkeeping.engine, "2025-03")
    assert (verdict.ties, verdict.done) == (True, False)
    assert verdict.waiting[0].startswith("J-2025-03-0001 was refused by the general ledger")
    posted = b"journal,status,reference\nJ-2025-03-0001,posted,DOC7\n"
    for _ in range(2):  # told twice is told once
        assert bookkeeping.repository.answered(read_answers(posted), actor="erp", now=NOW)["posted"] == [
            "J-2025-03-0001"
        ]
    shown = bookkeeping.repository.whole("J-2025-03-0001")
    assert (shown["state"], shown["posted_reference"], shown["answers"][0]["message"]) == (
        *("posted", "DOC7", "fund is closed"),
    )
    with pytest.raises(NoSuchBatch, match="J-2025-03-0001 has no line 9"):
        bookkeeping.repository.answered(
            read_answers(b"journal,line,status\nJ-2025-03-0001,9,error\n"), actor="erp", now=NOW
        )
    with pytest.raises(NoSuchBatch, match="there is no journal J-9"):
        bookkeeping.repository.answered(posted_by_hand("J-9", ""), actor="erp", now=NOW)


def test_from_the_providers_bill_to_the_journal_every_difference_has_a_name(bookkeeping):
    bookkeeping.office.books.put(
        row(BilledCost="10.004", ResourceId="a"),
        row(BilledCost="3.00", ResourceId="b"),
        row(BilledCost="2.00", ResourceId="c", Tags=tags(fund_org="")),
    )
    books = bookkeeping.office.books
    books.decide(Verdict.REJECT, books.charges(resource_id="b")[0]["id"])
    (one,) = check(bookkeeping.engine, "2025-03").currencies
    assert [(step.name, str(step.amount)) for step in one.steps][-1] == ("due, and on no statement yet", "-10.004")
    bookkeeping.office.close()
    bookkeeping.office.generate()
    verdict = check(bookkeeping.engine, "2025-03")
    assert verdict.waiting == ["issued, and in no journal yet: -10.00 (S-2025-03-0001)"]
    bookkeeping.export()
    verdict = check(bookkeeping.engine, "2025-03")
    (one,) = verdict.currencies
    assert (str(one.exported), str(one.due), str(one.printed), str(one.journal)) == (
        "15.004",
        "10.004",
        "10.00",
        "10.00",
    )
    assert [(step.name, str(step.amount)) for step in one.steps] == [
        ("rejected", "-3.00"),
        ("flagged, waiting for a decision", "-2.00"),
        ("rules: rounding", "-0.004"),
    ]
    assert (one.left, verdict.done, verdict.problems) == (0, True, [])


def test_who_bends_a_batch_past_the_triggers_is_seen(bookkeeping):
    two_funds(bookkeeping)
    bookkeeping.export()
    with bookkeeping.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE journal_lines DISABLE TRIGGER ALL"))
        else:
            connection.execute(text("DROP TRIGGER journal_lines_update"))
        connection.execute(text("UPDATE journal_lines SET fund_org = 'MINE-1' WHERE number = 1"))
    verdict = check(bookkeeping.engine, "2025-03")
    assert (verdict.ties, verdict.problems) == (
        *(False, ["J-2025-03-0001 is not what it was when it was made: its hash differs"]),
    )


def test_a_draft_leaves_by_being_exported(quick_bookkeeping):
    two_funds(quick_bookkeeping)
    quick_bookkeeping.export(draft=True)
    with pytest.raises(BatchNotAllowed, match="export it first"):
        quick_bookkeeping.repository.answered(posted_by_hand("J-2025-03-0001", ""), actor="fin", now=NOW)
    assert quick_bookkeeping.service.rewrite("J-2025-03-0001", quick_bookkeeping.asked()).state == "exported"


def test_a_proposed_statement_is_not_booked_yet(quick_bookkeeping):
    quick_bookkeeping.office.options = replace(quick_bookkeeping.office.options, grace=True)
    quick_bookkeeping.month(row(BilledCost="10.00"))
    with pytest.raises(NothingToPost):
        quick_bookkeeping.export()
    assert check(quick_bookkeeping.engine, "2025-03").waiting == [
        "proposed, and not issued yet: -10.00 (S-2025-03-0001)"
    ]
    quick_bookkeeping.office.repository.accept("S-2025-03-0001", actor="ada", now=NOW)
    assert str(quick_bookkeeping.export()[0].journal.debit) == "10.00"

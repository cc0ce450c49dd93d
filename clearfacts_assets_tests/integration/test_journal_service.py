"""Journals of a ledger, on both databases: each statement is booked once, what has left is only reversed, all ties."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from clearfacts_assets.chargeback.attribution.review import Verdict
from clearfacts_assets.chargeback.journals.chart import Chart
from clearfacts_assets.chargeback.journals.files import prepare
from clearfacts_assets.chargeback.journals.lifecycle import BatchNotAllowed
from clearfacts_assets.chargeback.journals.model import CannotPost, NothingToPost
from clearfacts_assets.storage.accounts.audit import entries
from clearfacts_assets.storage.chargeback.journals.checking import check
from clearfacts_assets.storage.chargeback.journals.repository import posted_by_hand
from clearfacts_assets.storage.chargeback.journals.statements import StatementBent
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets_tests.fixtures.chargeback import row
from clearfacts_assets_tests.fixtures.journals import NOW, sides, tags, two_funds


def correct(bookkeeping, resource, **fields):
    """Somebody decides that a charge is another fund's; the statements follow."""
    books = bookkeeping.office.books
    books.decide(Verdict.CORRECT, books.charges(resource_id=resource)[0]["id"], note="moved", **fields)
    bookkeeping.office.generate()


def test_a_month_is_booked_from_the_cents_of_its_statements(bookkeeping):
    two_funds(bookkeeping)
    (done,) = bookkeeping.export()
    assert (done.state, done.journal.header.number, done.journal.header.accounting_date) == (
        *("exported", "J-2025-03-0001", date(2025, 3, 31)),
    )
    assert sides(done.journal) == [
        ("D", "BIO-000001", "54000", "10.00"),
        ("C", "IT-CLOUD", "54000", "10.00"),
        ("D", "BIO-000002", "54000", "3.75"),
        ("C", "IT-CLOUD", "54000", "3.75"),
    ]
    kept = bookkeeping.repository.journal("J-2025-03-0001")
    assert (kept.lines, kept.header, list(kept.parts)) == (done.journal.lines, done.journal.header, list(kept.parts))
    assert sum(one.amount for one in kept.parts) == sum(one.amount for one in done.journal.parts)
    shown = bookkeeping.repository.whole("J-2025-03-0001")
    assert (shown["debit"], shown["credit"], shown["state"], len(shown["entries"])) == ("13.75", "13.75", "exported", 4)
    assert [one["number"] for one in shown["statements"]] == ["S-2025-03-0001", "S-2025-03-0002"]
    assert [one["event"] for one in shown["events"]] == ["drafted", "exported"]
    (entry,) = entries(bookkeeping.engine, action="chargeback_journal.exported").items
    assert (entry.resource_id, entry.details["actor"]) == ("J-2025-03-0001", "fin")


def test_a_statement_is_never_exported_twice(quick_bookkeeping):
    two_funds(quick_bookkeeping)
    quick_bookkeeping.export()
    with pytest.raises(NothingToPost, match="are in J-2025-03-0001 already, and are never exported twice"):
        quick_bookkeeping.export()
    with pytest.raises(NothingToPost, match="2025-04 has no issued statement"):
        quick_bookkeeping.export("2025-04")


def test_the_database_refuses_a_statement_in_two_live_batches(bookkeeping):
    two_funds(bookkeeping)
    bookkeeping.export()
    with bookkeeping.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO journal_batches SELECT 99, 'J-x', period, 99, kind, currency, 'draft', journal_date, "
                "accounting_date, fiscal_year, fiscal_period, description, reverses, 0, 0, 0, suspended, sha256, "
                "created_by, created_at, format, file_name, file_sha256, posted_reference FROM journal_batches"
            )
        )
        with pytest.raises(DatabaseError, match=r"(?i)unique"):
            connection.execute(
                text(
                    "INSERT INTO journal_statements SELECT 99, statement_id, sign, number, version, units, released_by "
                    "FROM journal_statements"
                )
            )


BENDING = [
    ("UPDATE journal_lines SET units = 1", "never changes"),
    ("DELETE FROM journal_lines", "(never changes|never deleted)"),
    ("UPDATE journal_batches SET debit = 1", "what was booked stays"),
    ("UPDATE journal_batches SET state = 'draft'", "no such way"),
    ("DELETE FROM journal_batches", "(never deleted|what was booked stays)"),
    ("UPDATE journal_statements SET units = 0", "what was booked stays"),
    ("UPDATE journal_events SET reason = 'x'", "only added to"),
    ("DELETE FROM journal_events", "only added to"),
    (
        "INSERT INTO journal_lines SELECT batch_id, 99, 99, side, units, fund_org, account, segments, description, "
        "reference, statement, source, pi_email, project_id, instead_of FROM journal_lines WHERE number = 1",
        "no further lines",
    ),
]


def test_what_has_left_never_changes_whoever_asks_the_database(bookkeeping):
    two_funds(bookkeeping)
    bookkeeping.export()
    for statement, told in BENDING:
        with pytest.raises(DatabaseError, match=told), bookkeeping.engine.begin() as connection:
            connection.execute(text(statement))


def test_a_batch_that_does_not_balance_cannot_leave(bookkeeping):
    two_funds(bookkeeping)
    bookkeeping.export(draft=True)
    with bookkeeping.engine.connect() as connection:
        connection.execute(
            text(
                "INSERT INTO journal_lines SELECT batch_id, 99, 99, 'D', 1, fund_org, account, segments, description, "
                "reference, statement, source, pi_email, project_id, instead_of FROM journal_lines WHERE number = 1"
            )
        )
        with pytest.raises(DatabaseError, match="only when it balances"):
            connection.execute(text("UPDATE journal_batches SET state = 'exported'"))


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)  # SQLite looks when the batch leaves
def test_on_postgresql_not_even_a_draft_stays_unbalanced(bookkeeping):
    two_funds(bookkeeping)
    with pytest.raises(DatabaseError, match="only when it balances"), bookkeeping.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO journal_batches (number, period, position, kind, currency, state, journal_date, "
                "accounting_date, fiscal_year, fiscal_period, description, lines, debit, credit, suspended, sha256, "
                "created_by, created_at, format, file_name, file_sha256, posted_reference) VALUES ('J', '2025-03', 9, "
                "'charges', 'USD', 'draft', '2025-03-31', '2025-03-31', 2025, 3, '', 0, 5, 4, '{}', '', '', now(), "
                "'', '', '', '')"
            )
        )


def test_cents_that_are_not_the_statements_are_refused(bookkeeping):
    two_funds(bookkeeping)
    with bookkeeping.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE statement_charges DISABLE TRIGGER ALL"))
        else:
            connection.execute(text("DROP TRIGGER statement_charges_facts"))
        connection.execute(text("UPDATE statement_charges SET cents = '9.99' WHERE charge_id = 1"))
    with pytest.raises(
        StatementBent, match=r"S-2025-03-0001, version 1: its lines come to 9.99\d*, and it says 10.00 USD"
    ):
        bookkeeping.export()


def test_where_the_chart_has_no_place_nothing_is_written(quick_bookkeeping, tmp_path):
    two_funds(quick_bookkeeping)
    quick_bookkeeping.chart = Chart(default_account="54000")
    with pytest.raises(CannotPost, match="the source aws has no credit fund"):
        quick_bookkeeping.export()
    assert quick_bookkeeping.repository.list() == []
    RegistryRepository(quick_bookkeeping.engine).set_source("aws", {"credit_fund_org": "IT-AWS"}, actor="pat", now=NOW)
    assert {line.fund_org for line in quick_bookkeeping.export()[0].journal.lines} >= {"IT-AWS"}


def test_a_rehearsal_says_the_same_and_keeps_nothing(quick_bookkeeping):
    two_funds(quick_bookkeeping)
    (would,) = quick_bookkeeping.export(dry_run=True)
    assert (would.state, quick_bookkeeping.repository.list()) == ("not kept", [])
    (done,) = quick_bookkeeping.export()
    assert (would.journal.lines, would.journal.header) == (done.journal.lines, done.journal.header)


def test_currencies_have_batches_of_their_own(bookkeeping):
    bookkeeping.month(row(ResourceId="a"), row(ResourceId="b", BillingCurrency="JPY", BilledCost="150"))
    found = bookkeeping.export()
    assert [(one.journal.header.number, one.journal.header.currency, str(one.journal.debit)) for one in found] == [
        ("J-2025-03-0001", "JPY", "150"),
        ("J-2025-03-0002", "USD", "1.00"),
    ]
    assert check(bookkeeping.engine, "2025-03").done


def test_a_reversal_nets_to_zero_and_frees_the_statements(quick_bookkeeping):
    two_funds(quick_bookkeeping)
    quick_bookkeeping.export()
    (back,) = quick_bookkeeping.reverse("J-2025-03-0001", reason="the wrong chart")
    assert (back.journal.header.reverses, back.journal.header.kind.value) == ("J-2025-03-0001", "reversal")
    assert quick_bookkeeping.net() == {}
    assert quick_bookkeeping.repository.get("J-2025-03-0001")["state"] == "reversed"
    for number, told in (("J-2025-03-0001", "is reversed already"), ("J-2025-03-0002", "is itself a reversal")):
        with pytest.raises(BatchNotAllowed, match=told):
            quick_bookkeeping.reverse(number)
    (again,) = quick_bookkeeping.export()
    assert again.journal.header.number == "J-2025-03-0003"
    assert quick_bookkeeping.net() == {"BIO-000001": "10.00", "BIO-000002": "3.75", "IT-CLOUD": "-13.75"}
    assert check(quick_bookkeeping.engine, "2025-03").done


def test_a_draft_books_and_is_discarded_without_a_counterpart(quick_bookkeeping):
    two_funds(quick_bookkeeping)
    (draft,) = quick_bookkeeping.export(draft=True)
    assert draft.state == "draft"
    with pytest.raises(NothingToPost):
        quick_bookkeeping.export()
    assert quick_bookkeeping.reverse("J-2025-03-0001") == []
    assert [one["state"] for one in quick_bookkeeping.repository.list()] == ["reversed"]
    assert quick_bookkeeping.export()[0].journal.header.number == "J-2025-03-0002"


def test_what_is_corrected_after_posting_is_transferred(bookkeeping):
    two_funds(bookkeeping)
    bookkeeping.export()
    bookkeeping.repository.answered(posted_by_hand("J-2025-03-0001", "DOC7"), actor="fin", now=NOW)
    correct(bookkeeping, "b", fund_org="BIO-000003")
    before = check(bookkeeping.engine, "2025-03")
    assert before.waiting == ["corrected since it was booked: journals transfer: 0.00 (S-2025-03-0002)"]
    with pytest.raises(NothingToPost):
        bookkeeping.export()
    (moved,) = bookkeeping.transfer()
    assert (moved.journal.header.kind.value, moved.journal.header.number) == ("transfer", "J-2025-03-0002")
    assert bookkeeping.net() == {
        "BIO-000001": "10.00", "BIO-000002": "-1.25", "BIO-000003": "5.00", "IT-CLOUD": "-13.75",
    }  # fmt: skip
    assert check(bookkeeping.engine, "2025-03").done
    with pytest.raises(NothingToPost):
        bookkeeping.transfer()
    with pytest.raises(BatchNotAllowed, match="J-2025-03-0002 has transferred statements of J-2025-03-0001"):
        bookkeeping.reverse("J-2025-03-0001")
    correct(bookkeeping, "b", fund_org="BIO-000004")
    bookkeeping.transfer()
    assert bookkeeping.net() == {
        "BIO-000001": "10.00", "BIO-000002": "-1.25", "BIO-000004": "5.00", "IT-CLOUD": "-13.75",
    }  # fmt: skip


def test_a_transfer_that_is_reversed_leaves_what_was_booked_before(quick_bookkeeping):
    two_funds(quick_bookkeeping)
    quick_bookkeeping.export()
    correct(quick_bookkeeping, "b", fund_org="BIO-000003")
    quick_bookkeeping.transfer()
    quick_bookkeeping.reverse("J-2025-03-0002")
    assert quick_bookkeeping.net() == {"BIO-000001": "10.00", "BIO-000002": "3.75", "IT-CLOUD": "-13.75"}
    (again,) = quick_bookkeeping.transfer()
    assert again.journal.header.number == "J-2025-03-0004"
    assert quick_bookkeeping.net()["BIO-000003"] == "5.00"
    quick_bookkeeping.reverse("J-2025-03-0004")
    quick_bookkeeping.reverse("J-2025-03-0001")
    assert quick_bookkeeping.net() == {}


def test_a_voided_statement_is_taken_out(quick_bookkeeping):
    two_funds(quick_bookkeeping)
    quick_bookkeeping.export()
    quick_bookkeeping.office.repository.void("S-2025-03-0001", actor="pat", reason="not theirs", now=NOW)
    quick_bookkeeping.transfer()
    assert quick_bookkeeping.net() == {"BIO-000002": "3.75", "IT-CLOUD": "-3.75"}


def test_an_accrual_is_reversed_in_the_next_month_and_hinders_a_second_count(quick_bookkeeping):
    quick_bookkeeping.office.books.put(row(BilledCost="10.004", ResourceId="a"))
    (accrual,) = quick_bookkeeping.service.accrue("2025-03", quick_bookkeeping.asked())
    assert (sides(accrual.journal)[0], accrual.journal.header.kind.value) == (
        *(("D", "BIO-000001", "54000", "10.00"), "accrual"),
    )
    with pytest.raises(BatchNotAllowed, match="the accrual J-2025-03-0001 of 2025-03 still stands"):
        quick_bookkeeping.service.accrue("2025-03", quick_bookkeeping.asked())
    quick_bookkeeping.office.close()
    quick_bookkeeping.office.generate()
    with pytest.raises(BatchNotAllowed, match="would count twice"):
        quick_bookkeeping.export(now=NOW.replace(month=3))  # while the month lasts
    (back,) = quick_bookkeeping.reverse("J-2025-03-0001")
    assert (back.journal.header.accounting_date, back.journal.header.fiscal_period) == (date(2025, 4, 1), 4)
    assert quick_bookkeeping.net() == {}
    quick_bookkeeping.export()
    assert check(quick_bookkeeping.engine, "2025-03").done
    with pytest.raises(NothingToPost):
        quick_bookkeeping.service.accrue("2025-03", quick_bookkeeping.asked())


def test_a_file_is_in_its_place_exactly_where_its_batch_is_kept(quick_bookkeeping, tmp_path):
    def written(journal):
        if not failing:
            return [prepare(tmp_path / f"{journal.header.number}.csv", [journal.header.number])]
        raise OSError("the disk is full")

    two_funds(quick_bookkeeping)
    failing = True
    quick_bookkeeping.said = {"prepare": written, "format": "gl"}
    with pytest.raises(OSError, match="full"):
        quick_bookkeeping.export()
    assert (quick_bookkeeping.repository.list(), list(tmp_path.glob("*J-*"))) == ([], [])
    failing = False
    (done,) = quick_bookkeeping.export()
    assert (done.files, done.files[0].read_text()) == ((tmp_path / "J-2025-03-0001.csv",), "J-2025-03-0001")
    shown = quick_bookkeeping.repository.get("J-2025-03-0001")
    assert (shown["format"], shown["file_name"]) == ("gl", "J-2025-03-0001.csv")
    done.files[0].unlink()
    assert quick_bookkeeping.service.rewrite("J-2025-03-0001", quick_bookkeeping.asked()).state == "exported"
    assert Path(tmp_path / "J-2025-03-0001.csv").read_text() == "J-2025-03-0001"


def test_a_service_of_two_sources_or_accounts_credits_each_its_own(bookkeeping):
    """Where the month does not know whose a service is, each charge is asked."""
    repository = RegistryRepository(bookkeeping.engine)
    for source in ("aws", "azure"):
        repository.set_source(source, {"credit_fund_org": f"IT-{source.upper()}"}, actor="pat", now=NOW)
    books = bookkeeping.office.books
    books.put(row(BilledCost="1.00", ResourceId="a"), row(BilledCost="2.00", ResourceId="b", ServiceName="Disk"))
    books.put(
        row(BilledCost="4.00", ResourceId="c", BillingAccountId="9"),
        row(BilledCost="8.00", ResourceId="d", BillingAccountId="9", Tags=tags(account_code="777")),
        source="azure",
        name="azure.csv",
    )
    bookkeeping.office.close()
    bookkeeping.office.generate()
    assert sorted(sides(bookkeeping.export()[0].journal)) == [
        ("C", "IT-AWS", "54000", "3.00"),
        ("C", "IT-AZURE", "54000", "4.00"),
        ("C", "IT-AZURE", "777", "8.00"),
        ("D", "BIO-000001", "54000", "3.00"),
        ("D", "BIO-000001", "54000", "4.00"),
        ("D", "BIO-000001", "777", "8.00"),
    ]

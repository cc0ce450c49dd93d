"""Statements of a ledger: issued once, corrected by another version, each charge on one that stands."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from clearfacts_assets.chargeback.attribution.review import Verdict
from clearfacts_assets.chargeback.lifecycle import Event, NotAllowed
from clearfacts_assets.chargeback.statements.lifecycle import StatementNotAllowed
from clearfacts_assets.chargeback.statements.model import NoSuchStatement, StatementKind
from clearfacts_assets.storage.chargeback.issuing.issue_plan import Issuance, IssueOptions
from clearfacts_assets.storage.chargeback.issuing.preconditions import NothingIssued
from clearfacts_assets.storage.chargeback.issuing.remarks import CannotRemark, Remarks
from clearfacts_assets.storage.chargeback.issuing.summaries import SummaryIssuer
from clearfacts_assets_tests.fixtures.chargeback import row, tags
from clearfacts_assets_tests.fixtures.statements import ORGANISATION, TODAY, Office, issue_two, two_projects, words


@pytest.fixture(scope="module")
def fill(renderer, tmp_path_factory):
    return lambda url: issue_two(url, renderer, tmp_path_factory.mktemp("exports"))


def test_each_project_has_a_statement_and_twice_issues_nothing_anew(office):
    two_projects(office)
    found = office.generate()
    assert (found.new, found.corrected, found.problems) == (["S-2025-03-0001", "S-2025-03-0002"], [], [])
    assert [(one["project"], one["due"], one["listed"]) for one in office.standing()] == [
        ("genome", "10.00", "12.00"),
        ("other", "12.00", "12.00"),
    ]
    again = office.generate()
    assert (again.new, again.corrected, again.unchanged) == ([], [], 2)
    (tie,) = office.repository.tie_out("2025-03")
    assert (tie.balanced, tie.printed, tie.ledger, tie.rounding) == (
        *(True, Decimal("22.00"), Decimal("22.00")),
        Decimal("0.00"),
    )


def test_an_open_period_or_none_has_no_statements(office):
    office.books.put(row())
    with pytest.raises(NotAllowed, match="2025-03 is open"):
        office.generate()
    with pytest.raises(NothingIssued):
        office.generate("2025-04")


def test_what_is_flagged_or_rejected_is_on_no_statement(office):
    office.books.put(row(ResourceId="a"), row(ResourceId="b", Tags=tags(fund_org="")), row(ResourceId="c"))
    office.books.decide(Verdict.REJECT, office.books.charges(resource_id="c")[0]["id"])
    office.close()
    office.generate()
    assert [one["due"] for one in office.standing()] == ["1.00"]


def test_two_with_one_local_part_and_one_project_name_are_two(office):
    office.books.put(
        row(BilledCost="1.00", ResourceId="a"),
        row(BilledCost="2.00", ResourceId="b", Tags=tags(pi_email="ada@physics.example.edu")),
    )
    office.close()
    office.generate()
    names = [office.repository.pdf(one["number"])[0] for one in office.standing()]
    assert len(set(names)) == 2
    for one, due in zip(office.standing(), ("1.00", "2.00"), strict=True):
        said = words(office.repository.pdf(one["number"])[1])
        assert one["subject"] in said
        assert f"{due} USD" in said


def test_a_correction_is_another_version_and_the_old_one_stays(issued):
    first = issued.repository.pdf("S-2025-03-0001", 1)[1]
    moved = issued.books.charges(resource_id="a")[0]["id"]
    issued.books.decide(Verdict.CORRECT, moved, project_id="other")
    found = issued.generate(now=TODAY + timedelta(days=2))
    assert (found.new, sorted(found.corrected)) == ([], ["S-2025-03-0001", "S-2025-03-0002"])
    assert found.difference == {"USD": Decimal("0.01")}  # 10.00 and 12.00 were 22.007 in all
    assert [(one["number"], one["version"], one["due"]) for one in issued.standing()] == [
        ("S-2025-03-0002", 2, "22.01"),
        ("S-2025-03-0001", 2, "0"),
    ] or [(one["number"], one["version"], one["due"]) for one in issued.standing()] == [
        ("S-2025-03-0001", 2, "0"),
        ("S-2025-03-0002", 2, "22.01"),
    ]
    old = issued.repository.get("S-2025-03-0001", 1)
    assert old["state"] == "corrected"
    assert issued.repository.pdf("S-2025-03-0001", 1)[1] == first
    assert "It replaces version 1, which said 12.00 USD: the difference is 10.01 USD." in words(
        issued.repository.pdf("S-2025-03-0002")[1]
    )
    assert issued.repository.difference("S-2025-03-0001")[-1] == ("in all", "10.00", "0", "-10.00")
    assert issued.generate().corrected == []


def test_a_charge_is_on_one_statement_that_stands_whatever_a_program_does(issued):
    with pytest.raises(DatabaseError), issued.books.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO statement_charges (statement_id, charge_id, share, line, fund, cost_center, service, "
                "listed, exact, cents, live) SELECT (SELECT max(id) FROM statements), charge_id, share, line, fund, "
                "cost_center, service, listed, exact, cents, live "
                "FROM statement_charges WHERE id = (SELECT min(id) FROM statement_charges)"
            )
        )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE statements SET due = '1'",
        "UPDATE statements SET number = 'S-1'",
        "DELETE FROM statements",
        "UPDATE statement_files SET pdf = inputs",
        "DELETE FROM statement_charges",
        "UPDATE statement_charges SET cents = '0'",
        "DELETE FROM statement_events",
    ],
)
def test_what_was_issued_cannot_be_changed_in_the_database(issued, statement):
    if issued.books.engine.dialect.name == "postgresql":
        statement = statement.replace("'1'", "1").replace("'0'", "0") if "number" not in statement else statement
    with pytest.raises(DatabaseError), issued.books.engine.begin() as connection:
        connection.execute(text(statement))


def test_a_voided_one_frees_its_charges_and_its_number_is_not_used_for_another(issued):
    issued.repository.void("S-2025-03-0001", actor="rita", reason="sent to the wrong school", now=TODAY)
    assert [one["number"] for one in issued.standing()] == ["S-2025-03-0002"]
    with pytest.raises(StatementNotAllowed):
        issued.repository.void("S-2025-03-0001", actor="rita", reason="again", now=TODAY)
    assert issued.generate().new == ["S-2025-03-0001"]
    assert issued.repository.get("S-2025-03-0001")["version"] == 2
    with pytest.raises(NoSuchStatement):
        issued.repository.get("S-2025-03-0009")


def test_two_at_once_issue_each_statement_once(office):
    two_projects(office)
    rival = Office(office.books, office.renderer)
    once = iter([rival.generate])
    office.between = lambda: next(once, lambda: None)()
    found = office.generate()
    assert (found.new, found.unchanged) == ([], 2)
    assert len(office.standing()) == 2


def test_a_charge_that_changes_meanwhile_is_not_printed_as_it_was(office):
    two_projects(office)
    rejected = office.books.charges(resource_id="a")[0]["id"]
    once = iter([lambda: office.books.decide(Verdict.REJECT, rejected)])
    office.between = lambda: next(once, lambda: None)()
    found = office.generate()
    assert found.new == ["S-2025-03-0002"]
    assert [one["due"] for one in office.standing()] == ["12.00"]


def test_a_dry_run_says_the_same_and_writes_nothing(office):
    two_projects(office)
    rehearsal = office.generate(dry_run=True)
    assert len(rehearsal.new) == 2
    assert rehearsal.difference == {"USD": Decimal("22.00")}
    assert office.standing() == []
    with office.books.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM statement_numbers")).scalar_one() == 0


def test_drafts_count_for_nothing_and_are_replaced(office):
    two_projects(office)
    office.generate(draft=True)
    office.generate(draft=True)
    assert office.standing() == []
    assert office.generate().new == ["S-2025-03-0001", "S-2025-03-0002"]
    states = [one["state"] for one in office.repository.list(replace(_all(), number="S-2025-03-0001"))]
    assert states == ["voided", "issued"] or sorted(states) == ["issued", "voided", "voided"]
    assert office.repository.get("S-2025-03-0001")["version"] == 1


def _all():
    from clearfacts_assets.storage.chargeback.issuing.repository import StatementFilter

    return StatementFilter()


def test_what_is_kept_gives_the_same_bytes_and_another_template_is_named(issued, tmp_path):
    from clearfacts_assets.chargeback.statements.typesetting import TypstRenderer

    assert issued.repository.recompute("S-2025-03-0001", issued.renderer).problem == ""
    own = tmp_path / "own"
    own.mkdir()
    (own / "investigator.typ").write_text('#import "parts.typ": *\n#show: page-of\n#attach-lines()\n= Other\n')
    other = TypstRenderer(tmp_path / "renderer", own)
    assert issued.repository.recompute("S-2025-03-0001", other).problem == "other templates or fonts than then"


def test_proposed_ones_are_accepted_by_silence_and_not_against_an_objection(office):
    office.options = IssueOptions(ORGANISATION, grace=True, dispute_days=14)
    two_projects(office)
    office.generate()
    assert {one["state"] for one in office.standing()} == {"proposed"}
    assert "accepted unless you object by 17 April 2025" in words(office.repository.pdf("S-2025-03-0001")[1])
    remarks = Remarks(office.books.engine)
    objection = remarks.object("S-2025-03-0002", "not my node", line=1, actor="ada@bio.example.edu", now=TODAY)
    later = TODAY + timedelta(days=15)
    assert office.repository.accept_silent(now=TODAY, actor="clearfacts") == []
    assert office.repository.accept_silent(now=later, actor="clearfacts") == ["S-2025-03-0001"]
    remarks.answer(objection, "it is: see the tag", "declined", actor="rita", now=later)
    assert office.repository.accept_silent(now=later, actor="clearfacts") == ["S-2025-03-0002"]
    (dispute,) = remarks.list(period="2025-03")
    assert (dispute["number"], dispute["line"], dispute["verdict"], dispute["answered_by"]) == (
        *("S-2025-03-0002", 1),
        *("declined", "rita"),
    )
    with pytest.raises(CannotRemark):
        remarks.answer(objection, "again", "agreed", actor="rita", now=later)
    with pytest.raises(CannotRemark):
        remarks.object("S-2025-03-0002", "no such line", line=99, actor="ada", now=later)


def test_a_fund_can_have_a_statement_of_its_own(office):
    office.options = IssueOptions(ORGANISATION, by_fund=True)
    two_projects(office)
    office.generate()
    assert [(one["project"], one["fund"], one["due"]) for one in office.standing()] == [
        ("genome", "BIO-000001", "10.00"),
        ("other", "BIO-000001", "5.00"),
        ("other", "BIO-000002", "7.00"),
    ]


def test_a_reversal_in_the_next_month_takes_back_the_very_cents(office):
    first = row(BilledCost="0.015", ResourceId="a"), row(BilledCost="0.011", ResourceId="b")
    office.books.put(*first)
    office.close()
    office.generate()
    printed = {one["charge_id"]: one["cents"] for one in office.repository.charges("S-2025-03-0001")}
    office.books.change("2025-03", Event.FINALIZE)
    gone = office.books.charges(resource_id="a")[0]["id"]
    office.books.put(first[1], confirmed=True)
    office.close("2025-04")
    office.generate("2025-04")
    (reversal,) = office.repository.charges("S-2025-04-0001")
    assert reversal["exact"] == Decimal("-0.02")  # the very cents of the ledger's line
    assert reversal["cents"] == -printed[gone]
    assert "Reversal of a charge of March 2025" in words(office.repository.pdf("S-2025-04-0001")[1])


def test_departments_and_years_repeat_what_statements_say(office):
    office.books.put(
        row(BilledCost="10.004", ResourceId="a", Tags=tags(cost_center="BIO")),
        row(BilledCost="5.003", ResourceId="b", Tags=tags(project_id="other", cost_center="BIO")),
    )
    office.close()
    office.generate()
    summaries = SummaryIssuer(office.issuer, office.books.engine)
    department = StatementKind.DEPARTMENT
    assert summaries.month(department, "2025-03", Issuance("pat", TODAY)).new == ["D-2025-03-0001"]
    assert summaries.month(department, "2025-03", Issuance("pat", TODAY)).new == []
    assert office.repository.get("D-2025-03-0001")["due"] == "15.00"
    found = summaries.year("2025", "ada@bio.example.edu", None, Issuance("pat", TODAY))
    assert found.new == ["Y-2025-0001", "Y-2025-0002"]
    assert office.repository.get("Y-2025-0001")["due"] == "10.00"
    assert summaries.month(StatementKind.SPONSOR, "2025-03", Issuance("pat", TODAY)).new == []

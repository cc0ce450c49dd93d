"""Deliveries against the ledger: atomic, repeatable, late rows posted later, and finalized periods nobody bends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from clearfacts_assets.chargeback.attribution.review import CannotDecide, ReviewDecision, Verdict
from clearfacts_assets.chargeback.lifecycle import Event, NotAllowed
from clearfacts_assets.chargeback.model import ChargebackError, FileRefused, Mode
from clearfacts_assets.storage.accounts.audit import entries
from clearfacts_assets.storage.chargeback.charges import ChargeFilter, NoSuchCharge
from clearfacts_assets.storage.chargeback.imports import ImportRepository
from clearfacts_assets.storage.chargeback.periods import PeriodRepository, StillWaiting
from clearfacts_assets.storage.chargeback.reconciling import reconcile
from clearfacts_assets.storage.chargeback.review import ReviewRepository
from clearfacts_assets_tests.fixtures.chargeback import NOW, Books, outcome_rows, row, write

THREE = [row(ResourceId=f"res-{n}", BilledCost=f"{n}.00") for n in (1, 2, 3)]


def test_the_same_file_again_changes_nothing(books: Books) -> None:
    first = books.put(*THREE)
    again = books.put(*THREE)
    assert (again.unchanged, again.import_id) == (True, first.import_id)
    assert outcome_rows(again) == {"equal": 3}


def test_other_spellings_of_the_same_rows_are_equal(books: Books) -> None:
    books.put(*THREE)
    spelled = [dict(reversed(one.items())) | {"BilledCost": f"{one['BilledCost']}0", "x_new": ""} for one in THREE]
    assert outcome_rows(books.put(*spelled, name="other.csv")) == {"equal": 3}


def test_equal_rows_are_charges_each(books: Books) -> None:
    books.put(*[row()] * 3)
    assert (books.total().charges, books.total().billed) == (3, 3)
    assert outcome_rows(books.put(*[row()] * 4, name="b.csv")) == {"equal": 3, "new": 1}


def test_a_dry_run_shows_the_difference_and_leaves_nothing(books: Books) -> None:
    outcome = books.put(*THREE, dry_run=True)
    assert (outcome.applied, outcome_rows(outcome)) == (False, {"new": 3})
    with books.engine.connect() as connection:
        for table in ("charges", "cost_imports", "cost_row_chunks", "billing_periods"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0


def test_more_than_a_little_is_withdrawn_only_with_somebodys_word(books: Books) -> None:
    books.put(*THREE)
    refused = books.put(THREE[0], name="b.csv")
    assert (refused.applied, outcome_rows(refused)) == (False, {"equal": 1, "withdrawn": 2})
    assert "--yes" in refused.why
    assert books.total().charges == 3
    assert books.put(THREE[0], name="b.csv", confirmed=True).applied
    assert books.total().charges == 1
    books.counted()


def test_money_counts_for_the_threshold_too(books: Books) -> None:
    small = [row(ResourceId=f"small-{n}", BilledCost="0.01") for n in range(30)]
    books.put(*small, row(ResourceId="large", BilledCost="500"))
    assert not books.put(*small, name="b.csv").applied


def test_an_appended_file_withdraws_nothing_and_counts_once(books: Books) -> None:
    books.put(*THREE)
    more = [THREE[0], row(ResourceId="res-4", BilledCost="4.00")]
    assert outcome_rows(books.put(*more, name="b.csv", mode=Mode.APPEND)) == {"equal": 1, "new": 1}
    assert books.total().billed == 10
    (one,) = reconcile(books.engine, "2025-03")
    assert (one.unexplained, one.due) == (0, 10)


def test_snapshots_of_two_accounts_leave_each_other_alone(books: Books) -> None:
    books.put(*THREE)
    other = [one | {"BillingAccountId": "008"} for one in THREE]
    assert outcome_rows(books.put(*other, name="b.csv")) == {"new": 3}


def test_a_row_that_strayed_into_another_month_is_flagged_and_replaces_nothing(books: Books) -> None:
    books.put(*[one | {"BillingPeriodStart": "2025-04-01"} for one in THREE], period="2025-04")
    stray = row(ResourceId="stray", BillingPeriodStart="2025-04-01T00:00:00Z")
    books.put(*THREE, stray, name="march.csv", period="2025-03")
    assert books.total("2025-04").charges == 4
    (flagged,) = books.charges(period="2025-04", status=("flagged",))
    assert flagged["flags"] == ["period_mismatch"]


def test_a_decision_survives_where_amount_and_attribution_are_equal(books: Books) -> None:
    held = [row(ResourceId=f"res-{n}", Tags="", SkuId=f"SKU-{n}") for n in (1, 2)]
    books.put(*held, THREE[2])
    first, second, _ = (one["id"] for one in books.charges())
    books.decide(Verdict.APPROVE, first, note="known")
    books.decide(Verdict.APPROVE, second)
    # The first row says something new that costs nothing; the second one costs more.
    books.put(held[0] | {"InvoiceId": "INV-2"}, held[1] | {"BilledCost": "1.10"}, THREE[2], name="b.csv")
    found = {one["sku"]: one for one in books.charges() if one["id"] != 3}
    assert (found["SKU-1"]["status"], found["SKU-2"]["status"]) == ("approved", "flagged")
    books.counted()
    with books.engine.connect() as connection:
        carried = connection.execute(text("SELECT carried_from, note, actor FROM charge_decisions ORDER BY id")).all()
    assert carried[-1] == (first, "known", "rita")


def test_review_approves_rejects_corrects_and_undoes(books: Books) -> None:
    books.put(row(Tags="", ResourceId="a"), row(Tags="", ResourceId="b"), row(ResourceId="c"))
    a, b, c = (one["id"] for one in books.charges())
    assert (books.total().due, books.total().flagged) == (1, 2)
    books.decide(Verdict.CORRECT, a, pi_email="bo@phys.example.edu", project_id="qcd", fund_org="PHYS-1")
    books.decide(Verdict.REJECT, b, note="a test machine")
    books.decide(Verdict.REJECT, c)
    total = books.total()
    assert (total.due, total.flagged, total.rejected, total.billed) == (1, 0, 2, 1)
    assert total.by_pi == {"bo@phys.example.edu": 1}
    books.decide(Verdict.UNDO, c)
    books.decide(Verdict.UNDO, a)
    assert {one["id"]: one["status"] for one in books.charges()} == {a: "flagged", b: "rejected", c: "clear"}
    assert books.total().by_pi == {"ada@bio.example.edu": 1}
    books.counted()
    with pytest.raises(CannotDecide):
        books.decide(Verdict.UNDO, a)
    with pytest.raises(CannotDecide):
        books.decide(Verdict.APPROVE, c)
    with pytest.raises(NoSuchCharge):
        books.decide(Verdict.APPROVE, 999)


def test_a_decision_about_what_has_changed_since_is_refused(books: Books) -> None:
    books.put(row(Tags=""))
    (charge,) = books.charges()
    books.decide(Verdict.REJECT, charge["id"])
    review, which = ReviewRepository(books.engine), ChargeFilter(ids=(charge["id"],))
    with pytest.raises(CannotDecide):
        review.decide(which, ReviewDecision(Verdict.APPROVE, seen={charge["id"]: "flagged"}), actor="rita", now=NOW)
    assert books.charges()[0]["status"] == "rejected"


def test_imports_decisions_and_periods_are_in_the_audit_log(books: Books) -> None:
    books.put(row(Tags=""))
    books.decide(Verdict.REJECT, books.charges()[0]["id"])
    books.finalize("2025-03")
    actions = [one.action for one in entries(books.engine).items]
    assert sorted(actions) == [
        "billing_period.closed",
        "billing_period.finalized",
        "charge.rejected",
        "cost_import.applied",
    ]


def test_what_is_refused_is_named_and_the_rest_imported(books: Books) -> None:
    outcome = books.put(THREE[0], row(BilledCost="1,5", ListCost="1"), row(BillingCurrency=""), THREE[1])
    named = [(one.line, one.column, one.value, one.code) for one in outcome.refusals]
    assert named == [(3, "BilledCost", "1,5", "ambiguous_comma"), (4, "BillingCurrency", "", "missing")]
    assert (outcome.rows, outcome.refused, books.total().charges) == (2, 2, 2)


def test_a_charge_leads_to_its_original_record(books: Books) -> None:
    file = write(books.folder / "export.csv", [row(ChargeDescription='two\nlines, "quoted"'), THREE[1]])
    books.ingest(file)
    with books.engine.connect() as connection:
        where = connection.execute(text("SELECT import_file, row FROM charges ORDER BY id")).all()
    originals = [ImportRepository(books.engine).original(*one)[1] for one in where]
    lines = file.read_text("utf-8").splitlines(keepends=True)
    assert [one.rstrip() for one in originals] == ["".join(lines[1:3]).rstrip(), lines[3].rstrip()]


def test_a_file_that_is_broken_in_the_middle_leaves_nothing(books: Books) -> None:
    file = write(books.folder / "export.csv", THREE)
    file.write_bytes(file.read_bytes() + b'"\x81\x8d","x"\n')
    with pytest.raises(FileRefused) as refused:
        books.ingest(file)
    assert refused.value.refusal.code == "encoding"
    assert books.totals() == {}


def test_two_imports_of_one_period_at_once_come_to_what_one_after_the_other_does(books: Books) -> None:
    files = [write(books.folder / f"{n}.csv", [row(ResourceId=f"r{i}") for i in range(200)]) for n in range(2)]
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda file: books.ingest(file), files))
    assert sorted(outcome_rows(one).get("new", 0) for one in outcomes) == [0, 200]
    assert books.total().charges == 200
    books.counted()


def test_an_import_is_taken_back(books: Books) -> None:
    first = books.put(*THREE)
    assert first.import_id
    assert ImportRepository(books.engine).withdraw(first.import_id, reason="wrong file", actor="pat", now=NOW) == 3
    assert books.totals() == {}
    with pytest.raises(ChargebackError):
        ImportRepository(books.engine).withdraw(first.import_id, reason="again", actor="pat", now=NOW)
    assert outcome_rows(books.put(*THREE)) == {"new": 3}


def test_imports_are_taken_back_last_one_first_and_every_step_reconciles(books: Books) -> None:
    def left() -> list[Decimal]:
        return [one.unexplained for one in reconcile(books.engine, "2025-03")]

    imports = ImportRepository(books.engine)
    first = books.put(*THREE)
    second = books.put(THREE[0], THREE[1] | {"BilledCost": "2.50"}, name="b.csv", confirmed=True)
    assert (first.import_id, second.import_id) == (1, 2)
    with pytest.raises(ChargebackError):
        imports.withdraw(1, reason="x", actor="pat", now=NOW)
    imports.withdraw(2, reason="x", actor="pat", now=NOW)
    assert (books.total().billed, left()) == (1, [0])
    books.put(*THREE)
    assert (books.total().billed, left()) == (6, [0])


def test_a_closed_period_takes_no_import_until_it_is_reopened(books: Books) -> None:
    books.put(*THREE)
    books.change("2025-03", Event.CLOSE)
    with pytest.raises(NotAllowed):
        books.put(THREE[0], name="b.csv")
    books.change("2025-03", Event.REOPEN)
    assert books.put(*THREE, row(ResourceId="res-4"), name="b.csv").applied


def test_a_period_with_waiting_charges_is_not_finalized(books: Books) -> None:
    books.put(row(Tags=""))
    books.change("2025-03", Event.CLOSE)
    with pytest.raises(StillWaiting):
        books.change("2025-03", Event.FINALIZE)
    books.decide(Verdict.REJECT, books.charges()[0]["id"])
    books.change("2025-03", Event.FINALIZE)


def test_preparer_and_finalizer_can_be_required_to_differ(books: Books) -> None:
    books.put(*THREE)
    books.change("2025-03", Event.CLOSE)
    with pytest.raises(NotAllowed):
        books.change("2025-03", Event.FINALIZE, two_people=True)
    books.change("2025-03", Event.FINALIZE, two_people=True, actor="rita")


def test_what_comes_late_is_billed_in_the_next_open_period_and_names_what_it_corrects(books: Books) -> None:
    books.put(*THREE)
    books.finalize("2025-03")
    late = [THREE[0], THREE[1] | {"BilledCost": "2.50"}, row(ResourceId="res-9", BilledCost="9.00")]
    outcome = books.put(*late, name="late.csv", confirmed=True)
    (difference,) = outcome.differences
    assert (difference.period, difference.posted) == ("2025-03", "2025-04")
    found = {(one["kind"], one["resource_id"]): one for one in books.charges(period="2025-04")}
    amounts = {key: one["amount"] for key, one in found.items()}
    assert amounts == {
        ("reversal", "res-2"): "-2.00",
        ("adjustment", "res-2"): "2.50",
        ("reversal", "res-3"): "-3.00",
        ("adjustment", "res-9"): "9.00",
    }
    ids = {one["resource_id"]: one["id"] for one in books.charges(period="2025-03")}
    assert found["reversal", "res-2"]["corrects"] == found["adjustment", "res-2"]["corrects"] == ids["res-2"]
    assert (books.total("2025-03").billed, books.total("2025-04").billed) == (6, Decimal("6.50"))
    (one,) = reconcile(books.engine, "2025-03")
    assert (one.unexplained, one.exported, one.due) == (0, Decimal("12.50"), 6)
    (one,) = reconcile(books.engine, "2025-04")
    assert (one.unexplained, one.exported, one.due) == (0, 0, Decimal("6.50"))


def test_late_rows_come_once_and_go_again(books: Books) -> None:
    books.put(*THREE)
    books.finalize("2025-03")
    late = [*THREE[:2], row(ResourceId="res-9", BilledCost="9.00")]
    books.put(*late, name="late.csv", confirmed=True)
    again = books.put(*[dict(reversed(one.items())) for one in late], name="spelled.csv", confirmed=True)
    assert outcome_rows(again)["equal"] == 3
    assert books.total("2025-04").billed == 6
    books.put(*THREE, name="as-it-was.csv", confirmed=True)
    assert books.charges(period="2025-04") == []
    books.counted("2025-04")
    books.put(*late, name="late-again.csv", confirmed=True)
    books.finalize("2025-04")
    books.put(*THREE, name="and-back.csv", confirmed=True)
    amounts = {(one["kind"], one["resource_id"]): one["amount"] for one in books.charges(period="2025-05")}
    assert amounts == {("reversal", "res-9"): "-9.00", ("adjustment", "res-3"): "3.00"}
    assert sum(books.total(period).billed for period in ("2025-03", "2025-04", "2025-05")) == 6


BENT = [
    "UPDATE charges SET amount = '0' WHERE id = 1",
    "UPDATE charges SET status = 'rejected' WHERE id = 1",
    "UPDATE charges SET withdrawn_by = 1 WHERE id = 1",
    "DELETE FROM charges WHERE id = 1",
    "INSERT INTO charges SELECT * FROM (SELECT * FROM charges WHERE id = 1) c",
    "UPDATE billing_periods SET state = 'open' WHERE name = '2025-03'",
    "UPDATE billing_periods SET hash = 'x' WHERE name = '2025-03'",
    "DELETE FROM billing_periods",
    "DELETE FROM charge_decisions",
    "UPDATE charge_decisions SET note = 'x'",
    "UPDATE cost_attributions SET pi_email = 'x@y.zz'",
    "DELETE FROM cost_row_chunks",
    "UPDATE charge_totals SET amount = '0' WHERE period = '2025-03'",
    "DELETE FROM charge_totals WHERE period = '2025-03'",
    "DELETE FROM billing_period_events",
]


@pytest.mark.parametrize("statement", BENT)
def test_raw_sql_cannot_bend_a_finalized_period(books: Books, statement: str) -> None:
    books.put(*THREE, row(Tags="", ResourceId="held"))
    books.decide(Verdict.APPROVE, books.charges(status=("flagged",))[0]["id"])
    books.finalize("2025-03")
    if books.engine.dialect.name == "postgresql":
        statement = statement.replace("amount = '0'", "amount = 0")
    with pytest.raises(DBAPIError), books.engine.begin() as connection:
        connection.execute(text(statement))
    assert [one.problem for one in PeriodRepository(books.engine).verify()] == [""]


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_sqlites_replace_cannot_bend_either(books: Books) -> None:
    books.put(*THREE)
    books.finalize("2025-03")
    with pytest.raises(DBAPIError), books.engine.begin() as connection:
        connection.execute(text("INSERT OR REPLACE INTO charges SELECT * FROM charges WHERE id = 1"))


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("one", [1, 3])
def test_sqlites_replace_cannot_move_a_charge_into_another_period(books: Books, one: int) -> None:
    books.put(*THREE)
    books.finalize("2025-03")
    columns = [c["name"] for c in inspect(books.engine).get_columns("charges")]
    named = ", ".join(f'"{name}"' for name in columns)
    moved = named.replace('"period"', "'2025-09'").replace('"withdrawn_by"', "NULL")
    statement = text(f"INSERT OR REPLACE INTO charges ({named}) SELECT {moved} FROM charges WHERE id = {one}")
    for bent in (text("UPDATE cost_imports SET last_charge = NULL"), text("DELETE FROM cost_imports"), statement):
        with pytest.raises(DBAPIError), books.engine.begin() as connection:
            connection.execute(bent)
    assert [one.problem for one in PeriodRepository(books.engine).verify()] == [""]


def test_amounts_never_change_in_an_open_period_either(books: Books) -> None:
    books.put(*THREE)
    with pytest.raises(DBAPIError), books.engine.begin() as connection:
        connection.execute(text("UPDATE charges SET amount = billed + 1"))


def test_a_superusers_change_is_seen_by_the_chain(books: Books) -> None:
    for period in ("2025-03", "2025-04"):
        books.put(*[one | {"BillingPeriodStart": f"{period}-01"} for one in THREE], name=f"{period}.csv")
        books.finalize(period)
    with books.engine.begin() as connection:
        if books.engine.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE charges DISABLE TRIGGER ALL"))
        else:
            for name in ("charges_update", "charges_facts"):
                connection.execute(text(f"DROP TRIGGER {name}"))
        connection.execute(text("UPDATE charges SET amount = billed + 1 WHERE id = 1"))
    first, second = PeriodRepository(books.engine).verify()
    assert "not those that were finalized" in first.problem
    assert (second.period, second.problem) == ("2025-04", "")


def test_a_hash_is_the_same_on_both_databases(books: Books) -> None:
    books.put(*THREE)
    books.finalize("2025-03")
    (one,) = PeriodRepository(books.engine).verify()
    assert one.hash == HASH


HASH = "2b6fa5182efedf06d6c845dcfb6b3be7043d5894c94058ff87d756732bc95c7b"

"""What a month's lines come to, quickly and completely: after whatever changed, and whoever changed it, both say the
same, and what is too many or too few is told."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from clearfacts_assets.chargeback.attribution.mapping import AttributionRules
from clearfacts_assets.chargeback.attribution.registry import NotBilled
from clearfacts_assets.chargeback.attribution.review import Verdict
from clearfacts_assets.chargeback.lifecycle import Event
from clearfacts_assets.chargeback.model import Mode
from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.money import normal_text
from clearfacts_assets.storage.chargeback.attributing import attribute_again
from clearfacts_assets.storage.chargeback.imports import ImportRepository
from clearfacts_assets.storage.chargeback.issuing.due_reconciliation import WayToDue, way_to_due
from clearfacts_assets.storage.chargeback.overriding import OverrideRepository
from clearfacts_assets.storage.chargeback.rates.line_sums import LineSums, added_up, kept_sums
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets.storage.database import reading
from clearfacts_assets_tests.fixtures.chargeback import NOW, row, tags, uses
from clearfacts_assets_tests.fixtures.rates import Rules
from clearfacts_assets_tests.fixtures.statements import Office

ALONE = "charges without lines: apply the rules again"
STRAYS = "lines of charges that are no longer due: apply the rules again"
NO_USE = {"ConsumedQuantity": "", "ConsumedUnit": ""}
EUROS = row(BilledCost="7.00", BillingCurrency="EUR", ResourceId="euros", **NO_USE)
JOB = row(
    **{"BilledCost": "3.00", "InvoiceIssuerName": "rate card", "ServiceName": "HPC cpu", "ResourceId": "job"},
    **{"ConsumedQuantity": "2", "ConsumedUnit": "core-hour"},
)


def ruled(rules: Rules) -> None:
    """March with a line for every kind of charge: bought, in euros, priced here; marked up, split, and half paid."""
    rules.books.put(*uses("60.005", "60.00", "10.00", **NO_USE), EUROS, JOB)
    rules.add(RuleKind.RATE, "HPC cpu / internal", service="HPC cpu", unit="core-hour", price="2", currency="USD")
    rules.add(RuleKind.MARKUP, "handling", percent="10")
    parts = [{"fund_org": "A", "part": "50%"}, {"fund_org": "B", "part": "50%"}]
    rules.add(RuleKind.SPLIT, "halves", scope={"resources": ["r2"]}, parts=parts)
    rules.add(RuleKind.SUBSIDY, "half", payer="Dean", percent="50")
    rules.run()


def sums(engine: Engine, period: str = "2025-03") -> tuple[LineSums | None, LineSums]:
    with reading(engine) as connection:
        return kept_sums(connection, period), added_up(connection, period, ruled=True)


def said(one: LineSums) -> dict[tuple[Any, ...], Decimal]:
    """All that comes to something."""
    found = {(currency, *place): amount for currency, of in one.kinds.items() for place, amount in of.items()}
    found |= {
        (currency, name): amount for name in ("strays", "alone") for currency, amount in getattr(one, name).items()
    }
    return {place: amount for place, amount in found.items() if amount}


def agreed(engine: Engine, period: str = "2025-03") -> dict[str, WayToDue]:
    """What `month` tells, from what is kept; and that every line, added up, says the same."""
    kept, whole = sums(engine, period)
    assert kept is not None
    assert said(kept) == said(whole)
    return told(engine, period)


def told(engine: Engine, period: str = "2025-03") -> dict[str, WayToDue]:
    """The same, whether something is kept or not."""
    found = way_to_due(engine, period)
    assert found == way_to_due(engine, period, complete=True)
    return {one.currency: one for one in found}


def changed(engine: Engine, statement: str, **values: object) -> None:
    """By SQL alone, past everything that the program does."""
    with engine.begin() as connection:
        assert connection.execute(text(statement), values).rowcount == 1


def step(found: dict[str, WayToDue], name: str, currency: str = "USD") -> str:
    return normal_text(dict(found[currency].steps).get(name, Decimal(0)))


def test_what_is_kept_is_what_every_line_comes_to_after_each_change_of_a_month(rules: Rules) -> None:
    books, engine = rules.books, rules.engine
    ruled(rules)
    found = agreed(engine)
    assert {(name, normal_text(one.charges), str(one.due), one.unexplained) for name, one in found.items()} == {
        ("EUR", "7", "3.85", Decimal(0)),
        ("USD", "133.005", "73.70", Decimal(0)),
    }
    ids = {one["resource_id"]: one["id"] for one in books.charges(period="2025-03")}
    for verdict in (Verdict.REJECT, Verdict.UNDO, Verdict.REJECT):
        books.decide(verdict, ids["r2"], ids["job"], ids["euros"])
        agreed(engine)
    strayed = agreed(engine)  # also of a currency in which nothing else is due
    assert {one: step(strayed, STRAYS, one) for one in strayed} == {"EUR": "3.85", "USD": "35.2"}
    rules.run()
    assert step(agreed(engine), STRAYS) == "0"
    books.decide(Verdict.UNDO, ids["r2"])
    assert step(agreed(engine), ALONE) == "-60.005"
    books.decide(Verdict.CORRECT, ids["r3"], project_id="other")
    agreed(engine)
    rules.run()
    agreed(engine)


def test_what_is_kept_follows_imports_overrides_and_what_is_not_billed(rules: Rules) -> None:
    books, engine = rules.books, rules.engine
    ruled(rules)
    books.put(row(BilledCost="5.00", ResourceId="more"), mode=Mode.APPEND, name="more.csv")
    assert step(agreed(engine), ALONE) == "-5"
    again = books.put(*uses("60.005", "61.00", "10.00", **NO_USE), EUROS, name="again.csv", confirmed=True)
    assert (again.applied, step(agreed(engine), ALONE)) == (True, "-61")
    rules.run()
    agreed(engine)
    assert again.import_id is not None
    ImportRepository(engine).withdraw(again.import_id, reason="wrong", actor="pat", now=NOW)
    assert step(agreed(engine), STRAYS) != "0"
    rules.run()
    entry = {"resource": "r4", "project_id": "elsewhere", "reason": "moved"}
    OverrideRepository(engine).add([entry], actor="rita", now=NOW)
    attribute_again(engine, AttributionRules())
    agreed(engine)
    RegistryRepository(engine).add_exception(NotBilled("resource", "r4", "spare"), actor="pat", now=NOW)
    attribute_again(engine, AttributionRules())
    assert step(agreed(engine), STRAYS) == "5.5"
    rules.run()
    assert step(agreed(engine), STRAYS) == "0"


def test_what_is_kept_outlives_statements_and_the_end_of_a_month_and_corrections_have_theirs(office: Office) -> None:
    books, engine, rules = office.books, office.books.engine, Rules(office.books)
    ruled(rules)
    office.close()
    office.generate()
    assert agreed(engine)["USD"].issued
    books.change("2025-03", Event.REOPEN)
    books.decide(Verdict.REJECT, books.charges(resource_id="r3")[0]["id"])
    assert step(agreed(engine), STRAYS) == "33"
    books.finalize("2025-03")  # which applies the rules
    assert step(agreed(engine), STRAYS) == "0"
    books.put(*uses("60.005", "60.00", "12.00", **NO_USE), EUROS, JOB, name="late.csv", confirmed=True)
    agreed(engine)
    assert way_to_due(engine, "2025-04")[0].basis == "charges: rules were not applied yet"
    for one in books.charges(period="2025-04", status=("flagged",)):
        books.decide(Verdict.APPROVE, one["id"])
    rules.run("2025-04")
    assert agreed(engine, "2025-04")["USD"].unexplained == 0
    reversal = next(one for one in books.charges(period="2025-04") if one["kind"] == "reversal")
    books.decide(Verdict.REJECT, reversal["id"])
    assert step(agreed(engine, "2025-04"), STRAYS) != "0"


NEW_LINE = (
    "INSERT INTO ledger_lines (period, run_id, charge_id, share, position, step, kind, payer, attribution, currency, "
    "amount, note) SELECT period, run_id, {charge}, share, 999, step, kind, payer, attribution, currency, {amount}, '' "
    "FROM ledger_lines WHERE withdrawn_run IS NULL AND kind = 'list' AND charge_id = :id"
)
NAMES = (
    "period, origin_period, kind, source, import_id, import_file, row, line, account, sub_account, category, "
    "charge_class, currency, listed, amount, charge_start, charge_end, service, resource_id, resource_name, sku, "
    "quantity, unit, invoice_id, issuer, tag_set, read_attribution, attribution, read_flags, flags, status, fingerprint"
)
NEW_CHARGE = f"INSERT INTO charges (id, {NAMES}, occurrence) SELECT {{id}}, {NAMES}, 99 FROM charges WHERE id = :id"


@pytest.mark.parametrize(
    ("charge", "amount", "name", "too_much"),
    [
        ("charge_id", "'4.00'", "", "4"),  # a line too many of a charge that is due: of no step, so unexplained
        ("0", "'4.00'", "", "4"),
        ("777", "'4.00'", STRAYS, "4"),
    ],
)
def test_a_line_that_sql_adds_is_told(rules: Rules, charge: str, amount: str, name: str, too_much: str) -> None:
    ruled(rules)
    id_ = rules.books.charges(resource_id="r4")[0]["id"]
    exact = amount if rules.engine.name == "sqlite" else f"CAST({amount} AS numeric)"
    changed(rules.engine, NEW_LINE.format(charge=charge, amount=exact), id=id_)
    assert sums(rules.engine)[0] is None
    found = told(rules.engine)
    assert (step(found, name) if name else normal_text(-found["USD"].unexplained)) == too_much
    rules.run()
    assert agreed(rules.engine)["USD"].unexplained == 0


def test_a_line_that_sql_withdraws_is_told(rules: Rules) -> None:
    ruled(rules)
    id_ = rules.books.charges(resource_id="r4")[0]["id"]
    one = "SELECT id FROM ledger_lines WHERE charge_id = :id AND kind = 'markup' AND withdrawn_run IS NULL"
    changed(rules.engine, f"UPDATE ledger_lines SET withdrawn_run = 99 WHERE id IN ({one})", id=id_)
    assert sums(rules.engine)[0] is None
    assert told(rules.engine)["USD"].unexplained == 0  # of the markup's step, which is smaller now
    assert str(told(rules.engine)["USD"].due) == "72.70"
    rules.run()
    assert str(agreed(rules.engine)["USD"].due) == "73.70"


def test_a_charge_that_sql_moves_or_adds_is_told_at_once(rules: Rules) -> None:
    engine = rules.engine
    ruled(rules)
    id_ = rules.books.charges(resource_id="r4")[0]["id"]
    for standing, stray in (("status = 'rejected'", "5.5"), ("status = 'clear'", "0"), ("withdrawn_by = 1", "5.5")):
        changed(engine, f"UPDATE charges SET {standing} WHERE id = :id", id=id_)
        assert said(sums(engine)[0] or LineSums()) == said(sums(engine)[1])
        assert step(told(engine), STRAYS) == stray
    # The totals of charges know nothing of it: what is left over shows.
    assert told(engine)["USD"].unexplained == Decimal("10.00")
    other = rules.books.charges(resource_id="r3")[0]["id"]
    changed(engine, NEW_CHARGE.format(id="id + 1000"), id=other)
    assert said(sums(engine)[0] or LineSums()) == said(sums(engine)[1])
    assert step(told(engine), ALONE) == "-60"


def test_a_charge_that_sql_adds_before_the_last_one_is_refused_or_told(rules: Rules) -> None:
    """On SQLite it is refused, since it may have replaced another one."""
    engine = rules.engine
    if engine.name == "postgresql":
        with engine.begin() as connection:  # as after imports that were only looked at
            connection.execute(text("SELECT setval(pg_get_serial_sequence('charges', 'id'), 100)"))
    ruled(rules)
    other = rules.books.charges(resource_id="r3")[0]["id"]
    for number in ("50", "-3") if engine.name == "postgresql" else ("-3",):
        add = NEW_CHARGE.format(id=number).replace("99 FROM", f"{abs(int(number))} FROM")
        if engine.name == "sqlite":
            with pytest.raises(DBAPIError, match="the period is finalized"):
                changed(engine, add, id=other)
            agreed(engine)
        else:
            changed(engine, add, id=other)
            assert sums(engine)[0] is None
            assert step(told(engine), ALONE) == "-60"
            rules.run()
            agreed(engine)


def test_months_keep_their_sums_apart_and_a_run_that_changes_nothing_mends_them(rules: Rules) -> None:
    books, engine = rules.books, rules.engine
    ruled(rules)
    april = {"BillingPeriodStart": "2025-04-01T00:00:00Z", "BillingPeriodEnd": "2025-05-01T00:00:00Z"}
    books.put(row(BilledCost="2.00", Tags=tags(project_id="spring"), **april), name="april.csv")
    rules.run("2025-04")
    agreed(engine)
    agreed(engine, "2025-04")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM ledger_sums WHERE period = '2025-03'"))  # as before sums were kept
    assert sums(engine)[0] is None
    assert told(engine)["USD"].unexplained == 0
    assert rules.run().run_id is None
    agreed(engine)
    assert rules.run(dry_run=True).run_id is None

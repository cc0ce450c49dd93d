"""Random ledgers and random rules, without a database: nothing lost, nothing below zero, every cent with one payer."""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from clearfacts_assets.chargeback.ingest.payers import attribution_digest
from clearfacts_assets.chargeback.model import Attribution
from clearfacts_assets.chargeback.rates.apportioning import half_up, in_cents, shared
from clearfacts_assets.chargeback.rates.book import RuleBook, version_of
from clearfacts_assets.chargeback.rates.computing import Computed, Inputs, compute
from clearfacts_assets.chargeback.rates.costing import divided
from clearfacts_assets.chargeback.rates.entries import ChargeFacts
from clearfacts_assets.chargeback.rates.model import Due, Line, LineKind, RuleStep, dues
from clearfacts_assets.chargeback.rates.scope import Use

MONTH = "2025-03"
PEOPLE = {"ada": ("genome", "BIO"), "bo": ("quark", "PHYS"), "cy": ("ocean", "GEO")}
SERVICES = ("HPC cpu", "HPC gpu", "Storage")

amounts = st.decimals(min_value="0", max_value="5000", places=6, allow_nan=False, allow_infinity=False)
refunds = st.decimals(min_value="-50", max_value="0", places=4, allow_nan=False, allow_infinity=False)
charges = st.lists(
    st.tuples(
        st.sampled_from(sorted(PEOPLE)),
        st.sampled_from(SERVICES),
        amounts,
        st.integers(0, 60),  # percent of discount
        st.integers(1, 28),
        st.sampled_from(["USD", "USD", "JPY"]),
    ),
    max_size=25,
)
scopes = st.sampled_from([{}, {"projects": ["genome"]}, {"services": ["HPC*"]}, {"persons": ["bo"], "services": ["*"]}])
percents = st.sampled_from(["0", "7.5", "20", "33.333", "50", "100"])
caps = st.sampled_from(["0.01", "3", "99.99", "1000", "100000"])
some_rules = st.lists(
    st.one_of(
        st.tuples(st.just("markup"), percents, scopes),
        st.tuples(st.just("split"), st.sampled_from(["1/3", "62.5%", "0.1"]), scopes),
        st.tuples(st.just("pool"), st.sampled_from(["proportional", "even"]), scopes),
        st.tuples(st.just("allowance"), st.sampled_from(["1", "40", "100000"]), scopes),
        st.tuples(st.just("subsidy"), percents, scopes),
        st.tuples(st.just("credit"), caps, scopes),
        st.tuples(st.just("prepayment"), caps, scopes),
        st.tuples(st.just("minimum_bill"), caps, scopes),
    ),
    max_size=6,
)


def facts(rows: list[tuple[Any, ...]]) -> list[ChargeFacts]:
    found = []
    for number, (person, service, listed, discount, day, currency) in enumerate(rows, start=1):
        project, fund = PEOPLE[person]
        to = Attribution(person, project, fund, origin="tag")
        use = Use(service, "hpc", f"r{number}", "Usage", "", "")
        amount = listed * (100 - discount) / 100
        start = f"{MONTH}-{day:02d}"
        order = (f"{start}T00:00:00Z", number, b"", 0, number)
        head = (number, "charge", None, to, attribution_digest(to), use, start, currency)
        found.append(ChargeFacts(*head, listed, amount, "8", "core-hour", "", order))
    return found


def book(said: list[tuple[str, str, dict[str, Any]]]) -> RuleBook:
    return RuleBook(version_of(_row(number, *one)) for number, one in enumerate(said, start=1))


def _row(number: int, kind: str, value: str, scope: dict[str, Any]) -> dict[str, Any]:
    rest = Fraction(1) - (Fraction(Decimal(value[:-1])) / 100 if value.endswith("%") else _fraction(value))
    credit = {"payer": "Sponsor", "amount": value, "currency": "USD", "scope": scope}
    definition: dict[str, Any] = {
        "markup": {"percent": value, "scope": scope},
        "split": {"scope": scope, "parts": [{"fund_org": "X", "part": value}, {"fund_org": "Y", "part": str(rest)}]},
        "pool": {"method": value, "scope": scope or {"services": ["Storage"]}},
        "allowance": {"payer": "Center", "quantity": value, "unit": "core-hour", "scope": scope},
        "subsidy": {"payer": "Dean", "percent": value, "scope": scope},
        "credit": credit | {"per": "project"},
        "prepayment": credit | {"payer": "prepaid", "prepayment": True},
        "minimum_bill": {"amount": value, "currency": "USD"},
    }[kind]
    real = "credit" if kind == "prepayment" else kind
    named = {"id": number, "rule_id": number, "name": f"{kind} {number}", "number": 1, "valid_from": "", "valid_to": ""}
    return named | {"kind": real, "definition": definition}


def _fraction(value: str) -> Fraction:
    try:
        return Fraction(value)
    except (ValueError, ZeroDivisionError):
        return Fraction(0)


class Result:
    """Lines, and what is due."""

    def __init__(self, computed: Computed, known: dict[bytes, Attribution]) -> None:
        self.computed, self.lines = computed, list(computed.lines)
        ordered = sorted(self.lines, key=lambda one: one[:3])
        self.dues: list[Due] = list(dues(MONTH, [(line, known[line.attribution]) for line in ordered]))


def run(rows: list[tuple[Any, ...]] | list[ChargeFacts], rules: RuleBook) -> Result:
    given_charges = [one if isinstance(one, ChargeFacts) else None for one in rows]
    found: list[ChargeFacts] = facts(rows) if None in given_charges else rows  # type: ignore[arg-type, assignment]
    known = {one.digest: one.to for one in found}

    def digest(to: Attribution) -> bytes:
        known[attribution_digest(to)] = to
        return attribution_digest(to)

    return Result(compute(Inputs(MONTH, found, rules), digest), known)


@settings(max_examples=60, deadline=None)
@given(charges, some_rules)
def test_nothing_is_lost_and_every_cent_has_one_payer(rows: list[Any], said: list[Any]) -> None:
    result = run(rows, book(said))
    costs: dict[str, Decimal] = defaultdict(Decimal)
    for one in facts(rows):
        costs[one.currency] += one.amount
    by_currency: dict[str, list[Line]] = defaultdict(list)
    for line in result.lines:
        by_currency[line.currency].append(line)
    for currency, lines in by_currency.items():
        own = sum(line.amount for line in lines if line.kind in (LineKind.LIST, LineKind.DISCOUNT))
        assert own == costs[currency]
        cost = sum(line.amount for line in lines if line.kind in (LineKind.LIST, LineKind.DISCOUNT, LineKind.MARKUP))
        rounding = sum(line.amount for line in lines if line.kind is LineKind.ROUNDING)
        due = sum(line.amount for line in lines)
        others = -sum(line.amount for line in lines if line.payer)
        given_on = sum(line.amount for line in lines if line.kind is LineKind.POOL and not line.payer)
        carried = sum(line.amount for line in lines if line.kind is LineKind.CARRIED)
        assert cost + rounding == due + others - given_on - carried
        for payer in {line.payer for line in lines if line.payer}:
            paid = in_cents(-sum(line.amount for line in lines if line.payer == payer), currency)
            assert paid == int(paid)
            assert paid >= 0


@settings(max_examples=60, deadline=None)
@given(charges, some_rules)
def test_every_due_is_whole_cents_and_not_below_zero(rows: list[Any], said: list[Any]) -> None:
    for one in run(rows, book(said)).dues:
        if one.charge_id:
            assert one.due >= 0, one
        assert in_cents(one.due, one.currency) == int(in_cents(one.due, one.currency))


@settings(max_examples=30, deadline=None)
@given(charges, st.lists(st.tuples(st.just("credit"), caps, scopes), max_size=3))
def test_a_cap_is_never_passed(rows: list[Any], said: list[Any]) -> None:
    rules = book(said)
    paid: dict[tuple[int | None, str], Decimal] = defaultdict(Decimal)
    result = run(rows, rules)
    for due in result.dues:
        for line in result.lines:
            if (line.charge_id, line.share) == (due.charge_id, due.share) and line.kind is LineKind.CREDIT:
                paid[line.rule_version, due.to.project_id] -= line.amount
    for (version, _), amount in paid.items():
        credit = next(one.definition for one in rules.versions if one.id == version)
        assert amount <= credit.amount  # type: ignore[union-attr]


@settings(max_examples=30, deadline=None)
@given(charges, some_rules, st.randoms(use_true_random=False))
def test_the_order_in_which_charges_come_changes_nothing(
    rows: list[Any], said: list[Any], chance: random.Random
) -> None:
    rules, ordered = book(said), facts(rows)
    shuffled = list(ordered)
    chance.shuffle(shuffled)
    assert set(run(ordered, rules).lines) == set(run(shuffled, rules).lines)


@settings(max_examples=30, deadline=None)
@given(charges)
def test_a_bill_is_off_by_no_more_than_half_a_cent_and_a_fund_by_less_than_one(rows: list[Any]) -> None:
    split = {"scope": {}, "parts": [{"fund_org": f, "part": "1/3"} for f in "XYZ"]}
    named = {"id": 1, "rule_id": 1, "name": "s", "number": 1, "valid_from": "", "valid_to": "", "kind": "split"}
    result = run(rows, RuleBook([version_of(named | {"definition": split})]))
    exact: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for one in facts(rows):
        exact[one.to.pi_email, one.currency] += one.amount
    due: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    by_fund: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for found in result.dues:
        due[found.to.pi_email, found.currency] += found.due
        by_fund[found.to.pi_email, found.currency, found.to.fund_org] += found.due
    for key, amount in exact.items():
        assert in_cents(due[key], key[1]) == half_up(in_cents(amount, key[1]))
        for fund in "XYZ":
            assert abs(in_cents(by_fund[(*key, fund)] - amount / 3, key[1])) < Decimal("1.001")


@given(st.decimals(min_value=-9999, max_value=9999, places=7), st.lists(st.integers(1, 999), min_size=1, max_size=9))
def test_parts_of_an_amount_add_up_to_it_exactly(amount: Decimal, weights: list[int]) -> None:
    fractions = [Fraction(one, sum(weights)) for one in weights]
    assert sum(divided(amount, fractions)) == amount


@given(st.integers(-10_000, 10_000), st.lists(st.integers(0, 99), min_size=1, max_size=9).filter(any))
def test_shared_cents_add_up_and_nobody_without_weight_has_any(total: int, weights: list[int]) -> None:
    parts = shared(total, weights)
    assert sum(parts) == total
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if not weight)


def test_the_last_cents_of_a_cap_go_by_the_moment_of_use_and_then_by_charge() -> None:
    rows = [("ada", "HPC cpu", Decimal(60), 0, day, "USD") for day in (9, 3, 3)]
    credit = ("credit", "99.99", {})
    result = run(rows, book([credit]))
    paid = {line.charge_id: -line.amount for line in result.lines if line.step is RuleStep.CREDIT}
    assert {charge: str(amount) for charge, amount in paid.items()} == {2: "60.00", 3: "39.99"}

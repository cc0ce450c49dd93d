"""Money on paper: an exact sum is rounded once, and lines, columns and the amount due agree to the cent."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearfacts_assets.chargeback.statements.formatting import breakable, harmless, money, quantity, span
from clearfacts_assets.chargeback.statements.grouping import printed_lines
from clearfacts_assets.chargeback.statements.model import Relief, file_name, total
from clearfacts_assets.chargeback.statements.rounding import apportioned, charge_cents
from clearfacts_assets.money import exact_sum, exponent
from clearfacts_assets_tests.fixtures.statements import charge

CURRENCIES = st.sampled_from(["USD", "EUR", "JPY", "KWD"])
EXACT = st.decimals(-10_000, 10_000, places=6, allow_nan=False)
# Made once: one that is made for each draw is looked at anew each time, which takes longer than the draw.
HOW_MANY = st.integers(1, 25)
OTHER_PRICE = st.none() | EXACT
SUBSIDIES = st.lists(st.tuples(st.sampled_from(["half", "cap"]), EXACT), max_size=2)
FUNDS = st.sampled_from(["A-1", "B-2"])
RESOURCES = st.sampled_from(["one", "two", "three"])
CATEGORIES = st.sampled_from(["Usage", "Usage", "Credit", "Tax"])


@st.composite
def due_charges(draw):
    """A random ledger: discounts, subsidies in percent and in money, credits, refunds."""
    found = []
    for id_ in range(1, draw(HOW_MANY) + 1):
        charged, other = draw(EXACT), draw(OTHER_PRICE)
        subsidies = draw(SUBSIDIES)
        found.append(
            charge(
                id_,
                str(charged),
                str(charged if other is None else other),
                fund=draw(FUNDS),
                resource_id=draw(RESOURCES),
                category=draw(CATEGORIES),
                subsidies=tuple(Relief(name, "sponsor", amount) for name, amount in subsidies),
            )
        )
    return found


@pytest.mark.slow
@settings(deadline=None)
@given(due_charges(), CURRENCIES)
def test_lines_and_columns_add_up_and_the_sum_is_rounded_once(charges, currency):
    lines = printed_lines(charges, currency)
    unit = Decimal(1).scaleb(-exponent(currency))
    sums = total(line.cents for line in lines)
    assert sums.due == exact_sum(one.due for one in charges).quantize(unit, ROUND_HALF_UP)
    for one in (*(line.cents for line in lines), sums):
        assert one.listed + one.discount + one.subsidy + one.credit == one.due
    for line in lines:
        assert abs(line.cents.due - exact_sum(one.due for one in line.charges)) <= unit
        assert sum(line.of_each) == line.cents.due
        for amount in (line.cents.listed, line.cents.due, *line.of_each):
            assert amount == amount.quantize(unit)
    assert sums.subsidy == exact_sum(one.subsidy for one in charges).quantize(unit, ROUND_HALF_UP)
    assert sums.credit == exact_sum(one.credit for one in charges).quantize(unit, ROUND_HALF_UP)


@pytest.mark.slow
@settings(deadline=None)
@given(due_charges(), CURRENCIES, st.randoms())
def test_the_order_of_charges_changes_no_cent(charges, currency, random):
    other = list(charges)
    random.shuffle(other)
    assert printed_lines(charges, currency) == printed_lines(other, currency)


@settings(deadline=None)
@given(st.dictionaries(st.integers(), EXACT, min_size=1, max_size=30))
def test_cents_are_the_exact_amounts_rounded_down_and_one_more_for_the_largest_remainders(exact):
    wanted = exact_sum(exact.values()).quantize(Decimal("0.01"), ROUND_HALF_UP)
    cents = apportioned(exact, wanted, "USD")
    assert sum(cents.values()) == wanted
    assert all(abs(cents[key] - exact[key]) < Decimal("0.01") for key in exact)


def test_a_subsidy_in_money_is_never_rounded_away():
    share = Relief("Monthly cap", "Research Office", Decimal(-100) / 80)
    charges = [charge(id_, "284.8460444444", subsidies=(share,)) for id_ in range(1, 81)]
    charges.append(charge(81, "284.8460444480", subsidies=()))
    sums = total(line.cents for line in printed_lines(charges, "USD"))
    assert sums.subsidy == Decimal("-100.00")
    assert sums.listed == Decimal("23072.53")
    assert sums.due == Decimal("22972.53")


def test_ties_go_to_the_lower_id():
    lines = printed_lines([charge(id_, "0.005") for id_ in (3, 1, 2)], "USD")
    assert {line.charges[0].charge_id: str(line.cents.due) for line in lines} == {1: "0.01", 2: "0.01", 3: "0.00"}


def test_many_small_charges_of_one_resource_keep_their_share():
    small = [charge(id_, "0.006", resource_id="a") for id_ in range(1, 1001)]
    smaller = [charge(id_, "0.004", resource_id="b") for id_ in range(1001, 2001)]
    lines = printed_lines([*small, *smaller], "USD")
    assert {line.charges[0].resource_id: str(line.cents.due) for line in lines} == {"a": "6.00", "b": "4.00"}


def test_a_reversal_takes_back_the_very_cents():
    # Alone, -0.015 would be rounded to -0.02; what was printed is 0.01.
    reversal = charge(9, "-0.015", kind="reversal", corrects=4, origin_period="2025-02")
    (line,) = printed_lines([reversal], "USD", printed_before={(4, 0): Decimal("0.01")})
    assert line.cents.due == Decimal("-0.01")
    (unknown,) = printed_lines([reversal], "USD")
    assert unknown.cents.due == Decimal("-0.02")


@pytest.mark.parametrize(("currency", "due"), [("JPY", "3"), ("KWD", "2.500"), ("USD", "2.50"), ("CREDITS", "2.50")])
def test_each_currency_has_its_own_smallest_unit(currency, due):
    (line,) = printed_lines([charge(1, "2.5")], currency)
    assert str(line.cents.due) == due


def test_a_line_that_is_spread_over_its_charges_spreads_all_of_it():
    charges = [charge(id_, "0.3333") for id_ in (1, 2, 3)]
    assert [str(one) for one in charge_cents(charges, Decimal("1.00"), "USD")] == ["0.34", "0.33", "0.33"]


def test_providers_credits_are_credits_and_no_discount():
    (usage, credit) = printed_lines([charge(1, "8.00", "10.00"), charge(2, "-3.00", category="Credit")], "USD")
    assert (str(usage.cents.discount), str(usage.cents.credit)) == ("-2.00", "0")
    assert (str(credit.cents.listed), str(credit.cents.discount), str(credit.cents.credit)) == ("0.00", "0", "-3.00")


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("2025-03", "ada@bio.edu", "genome"), "2025-03_ada@bio.edu_genome"),
        (("../../etc/passwd",), "etc-passwd"),
        (("a/b\\c:d*e",), "a-b-c-d-e"),
        (("..", "x"), "x"),
        (("Åse Żółć",), "Ase-Zoc"),
        (("ספרים", "S-1"), "S-1"),
        (("p" * 500,), "p" * 60),
        (("a\nb\x00c",), "a-b-c"),
    ],
)
def test_a_file_name_cannot_be_bent(parts, name):
    assert file_name(*parts) == name


def test_texts_are_printed_as_people_write_them():
    assert money(Decimal("-1234.5"), "USD") == "-1,234.50"
    assert money(Decimal("-0.00"), "USD") == "0.00"
    assert money(Decimal("1234.5"), "JPY") == "1,234"
    assert quantity(Decimal("1234.50000"), "GiB") == "1,234.5 GiB"
    assert quantity(None, "GiB") == ""
    assert span("2025-03-01", "2025-03-31") == "1–31 Mar"
    assert span("2025-02-27", "2025-03-02") == "27 Feb–2 Mar"
    assert harmless("a\r\nBcc: x\u202ey\x00z") == "a Bcc: x y z"


def test_a_long_name_can_be_broken_everywhere_and_a_short_one_nowhere():
    assert breakable("i-0123456789") == "i-0123456789"
    assert breakable("x" * 200).count("\u200b") == 199
    assert breakable("arn:aws:ec2:eu-1:0077:instance/i-1").replace("\u200b", "") == "arn:aws:ec2:eu-1:0077:instance/i-1"

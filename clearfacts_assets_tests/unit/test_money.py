"""Amounts: exact or refused; rounding half away from zero; currencies never added."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearfacts_assets.money import (
    BadAmount,
    CurrenciesDiffer,
    Money,
    exact_sum,
    normal_text,
    parse_amount,
    plain,
    rounded,
)

TAKEN = {
    "1.6e1": "16",
    "1.60599E-05": "0.0000160599",
    "-3.0E+2": "-300",
    "1,234.50": "1234.50",
    "-1,234,567.891": "-1234567.891",
    " 12.50 ": "12.50",
    "+7.25": "7.25",
    ".5": "0.5",
    "5.": "5",
    "-0.00": "0.00",
    "00012.30": "12.30",
    "123456789012345.123456789012345": "123456789012345.123456789012345",
    "(12.00)": "-12.00",
    "$12.00": "12.00",
    "-$12.00": "-12.00",
    "12.00 USD": "12.00",
    "12.00-": "-12.00",
    "\u22125.00": "-5.00",
    "1'234.50": "1234.50",
    "1\u00a0234.50": "1234.50",
    "$10,000.00 ": "10000.00",
}
REFUSED = {
    "": "missing",
    "1,5": "ambiguous_comma",
    "1,234": "ambiguous_comma",
    "0,125": "ambiguous_comma",
    "12,34.5": "bad_number",
    "1.2.3": "bad_number",
    "-0.0.66962": "bad_number",
    "NaN": "bad_number",
    "Infinity": "bad_number",
    "1e999999": "number_too_long",
    "12abc": "bad_number",
    "0x1F": "bad_number",
    "=1+1": "formula",
    "\u0661\u0662\u0663": "bad_number",
    "1_000": "bad_number",
    "(-1)": "bad_number",
    "€12": "other_currency",
    "9" * 61: "number_too_long",
}


@pytest.mark.parametrize(("text", "amount"), TAKEN.items())
def test_an_amount_is_taken_with_all_its_digits(text: str, amount: str) -> None:
    assert parse_amount(text, "USD") == amount


@pytest.mark.parametrize(("text", "code"), REFUSED.items())
def test_what_is_not_one_exact_amount_is_refused(text: str, code: str) -> None:
    with pytest.raises(BadAmount) as refused:
        parse_amount(text, "USD")
    assert refused.value.code == code


def test_with_decimal_comma_point_and_comma_change_places() -> None:
    assert [parse_amount(text, decimal_comma=True) for text in ("1.234,50", "0,125", "-7")] == [
        "1234.50",
        "0.125",
        "-7",
    ]
    with pytest.raises(BadAmount):
        parse_amount("1,234.50", decimal_comma=True)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=15))
def test_a_plain_amount_is_read_as_itself(amount: Decimal) -> None:
    assert Decimal(parse_amount(plain(amount))) == amount
    assert Decimal(normal_text(amount)) == amount


@pytest.mark.parametrize(
    ("amount", "currency", "cents"),
    [("0.005", "USD", "0.01"), ("-0.005", "USD", "-0.01"), ("100.5", "JPY", "101"), ("1.0005", "KWD", "1.001")],
)
def test_rounding_is_half_away_from_zero_to_the_currencys_own_unit(amount: str, currency: str, cents: str) -> None:
    assert str(rounded(Decimal(amount), currency)) == cents


def test_sums_keep_every_digit() -> None:
    assert str(exact_sum([Decimal("123456789012345.123456789012345"), Decimal("0.1")])) == (
        "123456789012345.223456789012345"
    )


def test_currencies_are_never_added() -> None:
    with pytest.raises(CurrenciesDiffer):
        Money(Decimal(1), "USD") + Money(Decimal(1), "EUR")
    assert Money(Decimal("1.10"), "USD") + Money(Decimal("2.20"), "USD") == Money(Decimal("3.30"), "USD")
    assert str(-Money(Decimal("0.005"), "USD").rounded()) == "-0.01 USD"


def test_an_amount_of_money_is_never_a_float() -> None:
    with pytest.raises(TypeError):
        Money(0.1, "EUR")  # type: ignore[arg-type]

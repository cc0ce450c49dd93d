"""Lines of journals: balanced by construction, split by the chart, exact to the cent, in any order."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearfacts_assets import journal_settings
from clearfacts_assets.chargeback.attribution.registry import Fund
from clearfacts_assets.chargeback.journals.calendar import first_day_after, fiscal, last_day
from clearfacts_assets.chargeback.journals.chart import Chart, SourceAccounts
from clearfacts_assets.chargeback.journals.formats import FORMATS
from clearfacts_assets.chargeback.journals.lifecycle import BatchEvent, BatchNotAllowed, BatchState, after
from clearfacts_assets.chargeback.journals.model import BatchKind, CannotPost, Journal, Side, from_units, in_units
from clearfacts_assets.chargeback.journals.posting import NAMES_OF_DESCRIPTIONS, Wording, reversal_of, transfer_of
from clearfacts_assets.journal_settings import JournalSettings
from clearfacts_assets.money import exact_sum
from clearfacts_assets_tests.fixtures.journals import CHART, HEADER, journal, part, sides

CENTS = st.integers(-(10**12), 10**12).map(lambda units: Decimal(units).scaleb(-2))
PARTS = st.lists(
    st.builds(
        lambda amount, statement, fund, service, source, category: part(
            str(amount),
            statement=f"S-2025-03-{statement:04d}",
            fund_org=f"BIO-{fund}",
            service=service,
            source=source,
            category=category,
        ),
        CENTS,
        st.integers(1, 3),
        st.integers(1, 3),
        st.sampled_from(["VM", "HPC cpu"]),
        st.sampled_from(["aws", "cluster"]),
        st.sampled_from(["", "Compute", "Storage"]),
    ),
    max_size=25,
)


def by_fund(one: Journal) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for line in one.lines:
        sign = 1 if line.side is Side.DEBIT else -1
        sums[line.fund_org] = sums.get(line.fund_org, Decimal(0)) + sign * line.amount
    return {fund: amount for fund, amount in sums.items() if amount}


def charged(one: Journal) -> Decimal:
    return exact_sum(amount for fund, amount in by_fund(one).items() if not fund.startswith("IT-"))


@settings(max_examples=100, deadline=None)
@given(PARTS, st.randoms(use_true_random=False))
def test_every_journal_balances_and_is_what_its_statements_say_in_any_order(parts, chance):
    one = journal(*parts)
    assert one.debit == one.credit
    assert all(line.amount > 0 for line in one.lines)
    assert charged(one) == exact_sum(each.amount for each in parts)
    shuffled = list(parts)
    chance.shuffle(shuffled)
    assert journal(*shuffled).lines == one.lines
    for first, second in zip(one.lines[::2], one.lines[1::2], strict=True):
        assert (first.pair, first.amount, first.side) == (second.pair, second.amount, second.side.other)


@settings(max_examples=60, deadline=None)
@given(PARTS, st.randoms(use_true_random=False))
def test_accounts_by_category_split_what_statements_say_and_lose_nothing_in_any_order(parts, chance):
    chart = replace(CHART, account_codes={"HPC*": "70000"}, category_accounts={"Comp*": "54200", "Storage": "54300"})
    by_category = {"Compute": "54200", "Storage": "54300"}
    expected: dict[str, Decimal] = {}
    for one in parts:
        source = CHART.sources[one.source].account_code
        code = "70000" if one.service == "HPC cpu" else by_category.get(one.category, source)
        expected[code] = expected.get(code, Decimal(0)) + one.amount
    shuffled = list(parts)
    chance.shuffle(shuffled)
    found: dict[str, Decimal] = {}
    made = journal(*shuffled, chart=chart)
    for line in made.lines:
        if line.fund_org.startswith("BIO-"):
            sign = 1 if line.side is Side.DEBIT else -1
            found[line.account] = found.get(line.account, Decimal(0)) + sign * line.amount
    assert {code: amount for code, amount in found.items() if amount} == {
        code: amount for code, amount in expected.items() if amount
    }
    assert (made.debit, made.lines) == (made.credit, journal(*parts, chart=chart).lines)


@settings(max_examples=60, deadline=None)
@given(PARTS)
def test_a_reversal_nets_to_zero(parts):
    one = journal(*parts)
    back = reversal_of(replace(HEADER, number="J-2025-03-0002"), one.lines, one.parts)
    assert back.debit == back.credit == one.debit
    assert by_fund(Journal(HEADER, [*one.lines, *back.lines])) == {}
    assert exact_sum(each.amount for each in (*one.parts, *back.parts)) == 0


@settings(max_examples=60, deadline=None)
@given(PARTS, st.sampled_from(["", "21000"]), st.randoms(use_true_random=False))
def test_an_accrual_and_its_reversal_net_to_zero_a_fund_and_an_account_at_a_time(parts, account, chance):
    """An accrual has no statements behind it, and may be credited to an account of its own."""
    due = [replace(one, statement="", version=0) for one in parts]
    chance.shuffle(due)
    accrual = journal(*due, kind=BatchKind.ACCRUAL, chart=replace(CHART, credit_account=account))
    head = replace(HEADER, number="J-2025-03-0002", kind=BatchKind.REVERSAL, accounting_date=first_day_after("2025-03"))
    back = reversal_of(head, accrual.lines)
    left: dict[tuple[str, str], Decimal] = {}
    for line in (*accrual.lines, *back.lines):
        key, sign = (line.fund_org, line.account), 1 if line.side is Side.DEBIT else -1
        left[key] = left.get(key, Decimal(0)) + sign * line.amount
    assert set(left.values()) <= {Decimal(0)}
    assert accrual.debit == accrual.credit == back.debit == back.credit
    assert charged(accrual) == exact_sum(each.amount for each in parts)


@settings(max_examples=60, deadline=None)
@given(PARTS, PARTS)
def test_a_transfer_leaves_what_the_corrected_statements_say(before, now):
    old = journal(*before)
    moved = transfer_of(replace(HEADER, number="J-2025-03-0002"), old.lines, now, CHART, Wording())
    assert moved.debit == moved.credit
    assert by_fund(Journal(HEADER, [*old.lines, *moved.lines])) == by_fund(journal(*now))
    assert [line.number for line in moved.lines] == list(range(1, len(moved.lines) + 1))


def test_what_did_not_change_is_not_moved():
    old = journal(part("10.00"), part("5.00", fund_org="BIO-2"))
    moved = transfer_of(HEADER, old.lines, [part("10.00"), part("5.00", fund_org="BIO-3")], CHART, Wording())
    assert sides(moved) == [
        ("C", "BIO-2", "54100", "5.00"),
        ("D", "IT-CLOUD", "54100", "5.00"),
        ("D", "BIO-3", "54100", "5.00"),
        ("C", "IT-CLOUD", "54100", "5.00"),
    ]


def test_bug_6_two_funds_of_a_project_and_two_accounts_of_a_fund_stay_apart():
    one = journal(
        part("1.00", fund_org="BIO-1"),
        part("2.00", fund_org="BIO-2"),
        part("4.00", fund_org="BIO-1", account_code="54999"),
    )
    assert [line for line in sides(one) if line[0] == "D"] == [
        ("D", "BIO-1", "54100", "1.00"),
        ("D", "BIO-1", "54999", "4.00"),
        ("D", "BIO-2", "54100", "2.00"),
    ]


def test_bug_7_what_is_negative_swaps_sides():
    assert sides(journal(part("-5.00"))) == [("C", "BIO-000001", "54100", "5.00"), ("D", "IT-CLOUD", "54100", "5.00")]


def test_bug_2_a_source_without_a_credit_fund_is_an_error_with_everything_that_is_wrong():
    chart = replace(CHART, sources={"aws": SourceAccounts()}, default_account="")
    with pytest.raises(CannotPost) as refused:
        journal(part(), part(service="Storage"), part(fund_org=""), chart=chart)
    assert refused.value.problems == (
        "S-2025-03-0001 charges (no fund): correct who pays",
        "Virtual Machines of aws has no account code (sources set --account-code, or journals.default_account)",
        "the source aws has no credit fund (clearfacts chargeback sources set aws --credit-fund FUND)",
        "Storage of aws has no account code (sources set --account-code, or journals.default_account)",
    )
    assert str(refused.value).startswith("nothing was written: ")


def test_bug_2_a_hundred_amounts_of_a_half_cent_and_a_half_balance():
    """Their statement says 1.50 for 100 x 0.015, and its cents are what is booked."""
    one = journal(*(part("0.02" if number % 2 else "0.01", charges=1) for number in range(100)))
    assert (one.debit, one.credit) == (Decimal("1.50"), Decimal("1.50"))


def test_an_account_is_the_charges_then_the_services_then_the_sources_then_the_default():
    chart = replace(CHART, account_codes={"HPC*": "70000"})
    found = [
        sides(journal(one, chart=chart))[0][2]
        for one in (
            part(service="HPC cpu", account_code="1"),
            part(service="HPC cpu"),
            part(),
            part(source="other"),
        )
        if one.source != "other"
    ]
    assert found == ["1", "70000", "54100"]
    assert sides(journal(part(source="new"), chart=replace(chart, credit_fund="IT-X")))[0][2] == "54000"


def test_a_funds_text_is_taken_apart_by_named_groups():
    chart = replace(
        CHART,
        fund_org_regex=r"^(?P<orgn>[A-Z]+)-(?P<fund>\d+)(?:-(?P<activity>\w+))?$",
        segments={"program": "16", "activity": "none"},
        sources={"aws": SourceAccounts("IT-77", "54100")},
        credit_segments={"program": "11"},
    )
    debit, credit = journal(part(fund_org="BIO-1"), chart=chart).lines
    assert dict(debit.segments) == {"orgn": "BIO", "fund": "1", "program": "16", "activity": ""}
    assert (credit.segment("orgn"), credit.segment("fund"), credit.segment("program")) == ("IT", "77", "11")
    with pytest.raises(CannotPost, match=r"'bio' does not match journals.fund_org_regex"):
        journal(part(fund_org="bio"), chart=chart)
    plain = Chart(fund_org_regex="", default_account="1", credit_fund="IT")
    assert dict(journal(part(fund_org="bio"), chart=plain).lines[0].segments) == {"fund": "bio"}


def test_an_account_code_has_to_match():
    with pytest.raises(CannotPost, match=r"'54100' does not match journals.account_code_regex"):
        journal(part(), chart=replace(CHART, account_code_regex=r"^\d{6}$"))


def test_a_closed_fund_goes_to_suspense_by_rule_and_is_listed():
    closed = Fund("BIO-000001", valid_to="2025-03-15")
    chart = replace(CHART, funds=(closed,))
    with pytest.raises(CannotPost, match=r"the fund BIO-000001 is closed on 2025-03-31: set journals.suspense"):
        journal(part(), chart=chart)
    one = journal(part(), chart=replace(chart, suspense={"BIO-*": "BIO-999999"}))
    assert sides(one)[0] == ("D", "BIO-999999", "54100", "1.00")
    assert (dict(one.suspended), one.lines[0].instead_of) == ({"BIO-000001": "BIO-999999"}, "BIO-000001")
    assert journal(part(), chart=chart, accounting_date=date(2025, 3, 14)).suspended == {}


def test_descriptions_are_templates_of_known_names():
    wording = Wording("{source} {period} {fund_org} {pi_email} {project_id} {statement} {number}", "x", 20)
    assert journal(part(), wording=wording).lines[0].description == "aws 2025-03 BIO-0000"
    for unknown in ("{secret}", "{", "{}", "{source.__class__}{0}"):
        with pytest.raises(ValueError, match=r"debit_description may hold \{source\}"):
            JournalSettings(debit_description=unknown)


def test_settings_name_what_journals_know():
    assert NAMES_OF_DESCRIPTIONS == journal_settings.NAMES_OF_DESCRIPTIONS
    assert [JournalSettings(format=name).format for name in FORMATS] == list(FORMATS)
    for wrong, told in (
        ({"format": "xls"}, "there is no format 'xls'"),
        ({"presets": {"xls": {}}}, "presets knows no format xls"),
        ({"fund_org_regex": "("}, "fund_org_regex is no regular expression"),
    ):
        with pytest.raises(ValueError, match=told):
            JournalSettings(**wrong)


def test_what_comes_to_nothing_has_no_lines():
    assert journal(part("0.00")).lines == [] == journal(part("2.00"), part("-2.00")).lines == journal().lines


@pytest.mark.parametrize(
    ("day", "start", "expected"),
    [
        (date(2025, 3, 31), 1, (2025, 3)),
        (date(2025, 6, 30), 7, (2025, 12)),
        (date(2025, 7, 1), 7, (2026, 1)),
        (date(2025, 12, 31), 10, (2026, 3)),
    ],
)
def test_fiscal_years_are_named_for_the_year_in_which_they_end(day, start, expected):
    assert fiscal(day, start) == expected


def test_months_end_and_begin():
    assert (last_day("2024-02"), first_day_after("2024-12")) == (date(2024, 2, 29), date(2025, 1, 1))


def test_units_are_the_currencys_own():
    said = (("7.77", "USD"), ("5", "JPY"), ("1.234", "KWD"))
    assert [in_units(Decimal(amount), currency) for amount, currency in said] == [777, 5, 1234]
    assert str(from_units(1234, "KWD")) == "1.234"
    with pytest.raises(ValueError, match="no whole number"):
        in_units(Decimal("0.5"), "JPY")


def test_what_a_batch_may_become():
    ways = {(state, event) for state in BatchState for event in BatchEvent if _may(state, event)}
    assert ways == {
        (BatchState.DRAFT, BatchEvent.EXPORTED),
        (BatchState.DRAFT, BatchEvent.REVERSED),
        (BatchState.EXPORTED, BatchEvent.POSTED),
        (BatchState.EXPORTED, BatchEvent.REVERSED),
        (BatchState.POSTED, BatchEvent.REVERSED),
    }


def _may(state: BatchState, event: BatchEvent) -> bool:
    try:
        after("J", state, event)
    except BatchNotAllowed:
        return False
    return True


def test_parts_that_differ_in_their_account_code_alone_have_the_same_lines_in_any_order():
    one, other = part("2.00", account_code="2"), part("2.00", account_code="1")
    assert journal(one, other).lines == journal(other, one).lines

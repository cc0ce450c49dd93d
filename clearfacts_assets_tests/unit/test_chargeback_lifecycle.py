"""Every pair of the tables: what follows in a period's life, what each state allows, what can be decided."""

from __future__ import annotations

from itertools import product

import pytest

from clearfacts_assets.chargeback.attribution.review import FOLLOWS, CannotDecide, Verdict, decided
from clearfacts_assets.chargeback.lifecycle import (
    ALLOWED,
    TRANSITIONS,
    Action,
    Event,
    NotAllowed,
    State,
    after,
    require,
)
from clearfacts_assets.chargeback.model import BadPeriod, Status, month_after, month_before, months_up_to, period_of
from clearfacts_assets.chargeback.openchargeback_settings import take_over


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_a_period_goes_only_where_the_table_says(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert after("2025-03", state, event) is TRANSITIONS[state, event]
        return
    with pytest.raises(NotAllowed):
        after("2025-03", state, event)


@pytest.mark.parametrize(("state", "action"), list(product(State, Action)))
def test_a_period_allows_only_what_the_table_says(state: State, action: Action) -> None:
    if action in ALLOWED[state]:
        require("2025-03", state, action)
        return
    with pytest.raises(NotAllowed):
        require("2025-03", state, action)


def test_finalized_is_for_ever() -> None:
    assert ALLOWED[State.FINALIZED] == frozenset()
    assert not any(state is State.FINALIZED for state, _ in TRANSITIONS)


@pytest.mark.parametrize(("status", "verdict"), list(product(Status, Verdict)))
def test_a_charge_goes_only_where_the_table_says(status: Status, verdict: Verdict) -> None:
    if (status, verdict) in FOLLOWS:
        assert decided(1, status, verdict) is FOLLOWS[status, verdict]
        return
    with pytest.raises(CannotDecide):
        decided(1, status, verdict)


@pytest.mark.parametrize("text", ["2025-3", "2025-13", "garbage", "2025-00", "", "1025-01"])
def test_a_period_is_a_month(text: str) -> None:
    with pytest.raises(BadPeriod):
        period_of(text)


def test_after_december_comes_january() -> None:
    assert [month_after(one) for one in ("2025-11", "2025-12")] == ["2025-12", "2026-01"]
    assert [month_before(one) for one in ("2026-01", "2025-12")] == ["2025-12", "2025-11"]
    assert months_up_to("2026-01", 3) == ["2025-11", "2025-12", "2026-01"]


def test_every_key_of_the_other_systems_settings_is_named() -> None:
    taken = take_over(
        {
            "currency": "eur",
            "tag_mapping": {"pi_email": "owner", "nonsense": "x"},
            "review": {"flag_patterns": ["^test"], "fund_org_patterns": ["("]},
            "imports": {"known_sources": [{"name": "aws", "pattern": "aws_*", "fund_org": "IT-1", "colour": "red"}]},
            "smtp": {"host": "mail"},
            "surprise": 1,
            "database": "${DB}",
        }
    )
    assert {one.key: one.what for one in taken.keys} == {
        "currency": "taken",
        "tag_mapping.pi_email": "taken",
        "tag_mapping.nonsense": "refused",
        "review.flag_patterns": "taken",
        "review.fund_org_patterns": "refused",
        "imports.known_sources[0].name": "taken",
        "imports.known_sources[0].pattern": "taken",
        "imports.known_sources[0].fund_org": "taken",
        "imports.known_sources[0].colour": "refused",
        "smtp.host": "ignored",
        "surprise": "refused",
        "database": "refused",
    }
    assert taken.settings == {
        "currency": "EUR",
        "tag_mapping": {"pi_email": "owner", "project_id": "project"},
        "flag_patterns": ["^test"],
    }
    assert taken.sources == [{"name": "aws", "pattern": "aws_*", "credit_fund_org": "IT-1"}]


def test_where_a_key_is_absent_the_defaults_of_its_code_count() -> None:
    assert take_over({}).settings == {"tag_mapping": {"project_id": "project"}, "currency": "USD"}

"""The life cycle is one table: every pair is either an edge or forbidden, and the promise can be read off it."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from clearfacts_assets.invoices.lifecycle import (
    BY_A_PERSON,
    FINAL,
    TRANSITIONS,
    WAITS_FOR_A_PERSON,
    Event,
    ForbiddenTransition,
    State,
    after,
    before,
    diagram,
)

EVERY_PAIR = list(product([None, *State], Event))


@pytest.mark.parametrize(("state", "event"), EVERY_PAIR)
def test_every_pair_is_an_edge_or_forbidden(state: State | None, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert after(state, event) is TRANSITIONS[state, event]
        assert state is None or state in before(event)
    else:
        with pytest.raises(ForbiddenTransition) as forbidden:
            after(state, event)
        assert (forbidden.value.state, forbidden.value.event) == (state, event)
        assert state not in before(event)


def test_every_state_can_be_reached_and_every_event_is_used() -> None:
    reached: set[State | None] = {None}
    while True:
        further = {to for (state, _), to in TRANSITIONS.items() if state in reached} - reached
        if not further:
            break
        reached |= further
    assert reached == {None, *State}
    assert {event for _, event in TRANSITIONS} == set(Event)


@pytest.mark.parametrize("event", Event)
def test_an_event_leads_to_one_state_only(event: Event) -> None:
    assert len({to for (_, named), to in TRANSITIONS.items() if named is event}) == 1


@pytest.mark.parametrize("state", State)
def test_every_state_can_end_well(state: State) -> None:
    reached = {state}
    for _ in State:
        reached |= {to for (at, _), to in TRANSITIONS.items() if at in reached}
    assert State.DELIVERED in reached


@pytest.mark.parametrize("state", sorted(FINAL))
def test_only_a_person_leaves_a_final_state(state: State) -> None:
    assert {event for at, event in TRANSITIONS if at is state} <= BY_A_PERSON


@pytest.mark.parametrize("state", sorted(WAITS_FOR_A_PERSON))
def test_what_waits_for_a_person_moves_by_a_person_or_by_proof(state: State) -> None:
    """Proof of acceptance, or that a receiver is known now for whose sake alone it was held."""
    assert {event for at, event in TRANSITIONS if at is state} <= BY_A_PERSON | {Event.FOUND, Event.RECOGNISED}


def test_a_receiver_holds_and_releases_only_what_was_never_sent() -> None:
    assert before(Event.UNRECOGNISED) == {State.READY, State.WAITING}
    assert before(Event.RECOGNISED) == {State.HELD}


def test_once_acceptance_is_possible_nothing_is_sent_again_without_proof_or_a_person() -> None:
    """From UNKNOWN, the way back to SENDING leads through NOT_FOUND (proof) or through a person."""
    reached = {State.UNKNOWN}
    for _ in State:
        reached |= {
            to
            for (at, event), to in TRANSITIONS.items()
            if at in reached and event not in BY_A_PERSON | {Event.NOT_FOUND}
        }
    assert reached == {State.UNKNOWN, State.PARKED, State.DELIVERED}


def test_bytes_leave_only_from_a_claim() -> None:
    assert before(Event.CLAIMED) == {State.READY, State.WAITING}
    assert [state for (state, _), to in TRANSITIONS.items() if to is State.SENDING] == [State.READY, State.WAITING]


def test_the_diagram_in_the_docs_is_current() -> None:
    page = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text()
    assert f"```mermaid\n{diagram()}\n```" in page, f"docs/delivery.md: put this into its mermaid block\n{diagram()}"


def test_the_docs_name_every_state() -> None:
    page = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text()
    for state in State:
        assert f"| {state} |" in page

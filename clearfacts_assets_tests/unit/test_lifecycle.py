"""The life cycle is one table: every pair is either an edge or forbidden, and the promise can be read off it."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from clearfacts_assets.invoices.ledger.decisions import table
from clearfacts_assets.invoices.lifecycle import (
    BY_A_PERSON,
    FINAL,
    OVER,
    ROW_MEANING,
    TRANSITIONS,
    Event,
    ForbiddenTransition,
    State,
    after,
    before,
    diagram,
)
from clearfacts_assets.invoices.model import InvoiceStatus

EVERY_PAIR = list(product([None, *State], Event))


def test_every_pair_is_an_edge_or_forbidden() -> None:
    for state, event in EVERY_PAIR:
        if (state, event) in TRANSITIONS:
            assert after(state, event) == TRANSITIONS[state, event]
            assert state is None or state in before(event)
        else:
            with pytest.raises(ForbiddenTransition) as forbidden:
                after(state, event)
            assert (forbidden.value.state, forbidden.value.event) == (state, event)
            assert state not in before(event)


def test_every_state_can_be_reached_and_every_event_is_used() -> None:
    reached: set[State | None] = {None}
    while True:
        further = {to for (state, _), ends in TRANSITIONS.items() if state in reached for to in ends} - reached
        if not further:
            break
        reached |= further
    assert reached == {None, *State}
    assert {event for _, event in TRANSITIONS} == set(Event)


def test_no_edge_names_an_end_twice() -> None:
    assert all(len(set(ends)) == len(ends) for ends in TRANSITIONS.values())


@pytest.mark.parametrize("state", State)
def test_every_state_can_end_well(state: State) -> None:
    reached = {state}
    for _ in State:
        reached |= {to for (at, _), ends in TRANSITIONS.items() if at in reached for to in ends}
    assert State.DELIVERED in reached


@pytest.mark.parametrize("state", sorted(FINAL))
def test_only_a_person_or_a_proof_of_acceptance_leaves_a_final_state(state: State) -> None:
    # ... or that an order to send another version in its place has lapsed: then it waits for a new decision.
    assert {event for at, event in TRANSITIONS if at is state} <= BY_A_PERSON | {Event.PROVED, Event.REVIEWED}
    assert not {State.READY, State.WAITING} & set(TRANSITIONS.get((state, Event.REVIEWED), ()))
    assert TRANSITIONS[state, Event.PROVED] == (State.DELIVERED,)


def test_a_receiver_holds_and_releases_only_what_was_never_sent() -> None:
    assert before(Event.UNRECOGNISED) == {State.READY, State.WAITING}
    assert before(Event.RECOGNISED) == {State.HELD}


def test_once_acceptance_is_possible_nothing_is_sent_again_without_proof_a_key_or_a_person() -> None:
    """From UNKNOWN, the way back to SENDING leads through proof of absence, a key that is honoured, or a person."""
    proofs = BY_A_PERSON | {Event.NOT_FOUND, Event.REPEATABLE}
    # Parked because its tries are used up; unknown though its key is honoured, because it was outdated for a while.
    not_in_doubt = {(State.PARKED, Event.REVIEWED), (State.UNKNOWN, Event.REVIEWED)}
    reached = {State.UNKNOWN}
    for _ in State:
        reached |= {
            to
            for (at, event), ends in TRANSITIONS.items()
            if at in reached and event not in proofs and (at, event) not in not_in_doubt
            for to in ends
        }
    assert reached == {State.UNKNOWN, State.PARKED, State.DELIVERED}


def test_bytes_leave_only_from_a_claim() -> None:
    assert before(Event.CLAIMED) == {State.READY, State.WAITING}
    into = {(state, event) for (state, event), ends in TRANSITIONS.items() if State.SENDING in ends}
    assert into == {(State.READY, Event.CLAIMED), (State.WAITING, Event.CLAIMED), (State.SENDING, Event.PROVED)}


def test_the_diagram_in_the_docs_is_current() -> None:
    page = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text()
    assert f"```mermaid\n{diagram()}\n```" in page, f"docs/delivery.md: put this into its mermaid block\n{diagram()}"


def test_the_docs_name_every_state() -> None:
    page = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text()
    for state in State:
        assert f"| {state} |" in page


def test_the_table_of_decisions_in_the_docs_is_current() -> None:
    page = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text()
    assert table() in page, f"docs/delivery.md: put this into it\n{table()}"


def test_every_state_says_what_it_means_for_rows_and_only_what_is_over_ends_one() -> None:
    assert set(ROW_MEANING) == set(State)
    for state, meaning in ROW_MEANING.items():
        waiting = InvoiceStatus.PENDING in (meaning.waited, meaning.met)
        assert waiting == (state not in OVER)
        assert InvoiceStatus.SENT not in (meaning.waited, meaning.met)
        assert bool(meaning.same_content) == (state in FINAL)

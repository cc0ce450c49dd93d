"""Stories of one invoice, from the ERP's first word to where it stands in the end; fixtures/tales.py has the words."""

from __future__ import annotations

import pytest

from clearfacts_assets.invoices.lifecycle import TRANSITIONS, Event, ForbiddenTransition, Outdated, State
from clearfacts_assets_tests.fixtures.tales import Tale, stands


def uploads(text: str) -> int:
    """How many calls a tale comes to."""
    return len(Tale(text).calls)


# A wish is done once


def test_a_retry_of_a_forced_job_does_not_send_again_what_the_job_sent() -> None:
    forced = "shown by E1, claimed, accepted, forced by wish A, claimed, accepted"
    assert stands(forced) == "r1 delivered"
    assert stands(f"{forced}, forced by wish A") == "r1 delivered"
    assert uploads(f"{forced}, forced by wish A, claimed") == 2


def test_another_forced_job_between_does_not_make_the_first_wish_new() -> None:
    two = "shown by E1, claimed, accepted, forced by wish A, claimed, accepted, forced by wish B, claimed, accepted"
    assert uploads(f"{two}, forced by wish A, claimed") == 3


def test_copies_under_other_ids_are_the_same_wish() -> None:
    tale = Tale("shown by E1, claimed, accepted, r1 shown by E2, forced by wish A, claimed, accepted")
    assert len(tale.calls) == 2
    assert len(tale.go_on("forced by wish A, claimed").calls) == 2
    assert tale.stands() == "r1 delivered"


# An acceptance is never forgotten


def test_a_refusal_does_not_erase_an_earlier_acceptance() -> None:
    refused = "shown by E1, claimed, accepted, forced by wish A, claimed, refused"
    assert stands(refused) == "r1 delivered"
    assert stands(f"{refused}, corrected by E1") == "r1 delivered, r2 held"


def test_a_refusal_after_doubt_and_a_resend_leaves_the_doubt() -> None:
    refused = "shown by E1, claimed, lost, given up, resent, claimed, refused"
    assert stands(refused) == "r1 parked"
    assert stands(f"{refused}, corrected by E1") == "r1 parked, r2 held"


# A verdict, a correction, a withdrawal binds all that has not left


def test_what_a_person_says_is_there_keeps_back_the_version_that_waits() -> None:
    waits = "shown by E1, claimed, busy, corrected by E2"
    assert stands(waits) == "r1 waiting, r2 held"
    assert stands(f"{waits}, r2 confirmed") == "r1 held, r2 delivered"


def test_a_waived_version_keeps_back_the_other_one() -> None:
    assert stands("shown by E1, claimed, busy, corrected by E2, r2 waived") == "r1 held, r2 waived"


def test_what_the_erp_withdrew_while_it_waited_never_leaves() -> None:
    tale = Tale("shown by E1, claimed, busy, withdrawn")
    assert tale.stands() == "r1 withdrawn"
    assert len(tale.go_on("claimed").calls) == 1


# Proof that comes late is taken


def test_an_acceptance_that_comes_after_it_was_waived_is_taken() -> None:
    assert stands("shown by E1, claimed, expired, given up, waived, call 1 accepted") == "r1 delivered"


def test_an_acceptance_that_comes_after_a_resend_stops_the_resend() -> None:
    tale = Tale("shown by E1, claimed, expired, given up, resent, call 1 accepted")
    assert tale.stands() == "r1 delivered"
    assert len(tale.go_on("claimed").calls) == 1


def test_what_a_look_up_found_is_proof_too_when_it_comes_late() -> None:
    """Parked by a change of the transport, or waived by a person, while the look-up's answer was on its way."""
    assert stands("shown by E1, claimed, expired, given up, call 1 found") == "r1 delivered"
    assert stands("shown by E1, claimed, expired, given up, waived, call 1 found") == "r1 delivered"
    later = "shown by E1, claimed, lost, not found, corrected by E1, call 1 found"
    assert stands(later) == "r1 delivered, r2 held"


# Verdicts carry what was seen, and are given once


def test_the_second_of_two_people_with_one_list_is_told_what_has_changed() -> None:
    tale = Tale("shown by E1, claimed, lost, given up, listed, confirmed by the list")
    with pytest.raises(Outdated, match="it was parked, generation 1, when you looked, and is delivered now"):
        tale.go_on("resent by the list")
    assert tale.stands() == "r1 delivered"


def test_a_click_that_comes_twice_is_done_once() -> None:
    tale = Tale("shown by E1, claimed, refused, resent by click A, claimed, refused, resent by click A")
    assert tale.stands() == "r1 rejected"
    assert [one.generation for one in tale.versions()] == [2]


def test_what_is_delivered_is_sent_again_by_that_name_only() -> None:
    tale = Tale("shown by E1, claimed, accepted")
    with pytest.raises(ForbiddenTransition):
        tale.go_on("resent")
    assert tale.go_on("sent again").stands() == "r1 ready"


# Nothing is ready for ever


def test_a_version_that_a_person_chose_can_be_claimed_though_the_erp_shows_another_one() -> None:
    tale = Tale("shown by E1, corrected by E1, r1 resent, claimed, accepted")
    assert tale.stands() == "r1 delivered, r2 waived"


def test_what_is_sent_again_can_be_claimed_and_is_delivered_again() -> None:
    assert stands("shown by E1, claimed, accepted, sent again, claimed, accepted") == "r1 delivered"


# An id of the ERP that comes with another number


def test_an_id_that_was_an_invoice_which_has_arrived_is_asked_about() -> None:
    tale = Tale("shown by E1, claimed, accepted, F-2 shown by E1")
    assert (tale.stands(), tale.stands("F-2")) == ("r1 delivered", "r1 held")
    (held,) = tale.versions("F-2")
    assert str(held.reason).startswith("the ERP's E1 was invoice F-1 of 2026 before, which is delivered")


def test_an_id_that_was_an_invoice_which_has_not_left_takes_it_away() -> None:
    tale = Tale("shown by E1, F-2 shown by E1")
    assert (tale.stands(), tale.stands("F-2")) == ("r1 superseded", "r1 ready")


# What people and the world have found


def test_a_run_that_is_late_does_not_bring_back_what_the_erp_withdrew() -> None:
    assert stands("shown by E1, withdrawn, r1 shown late by E1") == "r1 withdrawn"
    assert stands("shown by E1, withdrawn, r1 shown by E1") == "r1 ready"  # it is there again


def test_a_run_that_is_late_with_another_version_does_not_bring_that_back_either() -> None:
    late = "shown by E1, corrected by E1, withdrawn, r1 shown late by E1"
    assert stands(late) == "r1 superseded, r2 withdrawn"


def test_a_version_ordered_before_a_correction_came_does_not_leave_a_second_time() -> None:
    """The correction comes while the call is under way, and the call comes to nothing."""
    for nothing in ("busy", "denied", "released", "lost, not found"):
        tale = f"shown by E1, claimed, refused, resent, claimed, corrected by E1, {nothing}"
        assert stands(tale) == "r1 rejected, r2 ready", nothing


def test_a_version_ordered_before_it_was_withdrawn_does_not_leave_a_second_time() -> None:
    assert stands("shown by E1, withdrawn, r1 shown by E1, waived, resent, claimed, withdrawn, busy") == "r1 waived"


def test_an_order_under_way_ends_with_the_proof_that_it_had_arrived() -> None:
    tale = Tale("shown by E1, claimed, expired, given up, resent, claimed, call 1 accepted, call 2 busy")
    assert tale.stands() == "r1 delivered"
    assert len(tale.go_on("claimed").calls) == 2


def test_an_accepted_order_fulfils_itself_though_a_correction_came() -> None:
    tale = "shown by E1, claimed, refused, resent, claimed, corrected by E1, accepted"
    assert stands(tale) == "r1 delivered, r2 held"


def test_what_was_replaced_is_asked_about_again_when_the_other_one_is_given_up() -> None:
    """Else the ERP's invoice is nowhere: the chosen one did not leave, and moved away."""
    tale = Tale("shown by E1, corrected by E2, r2 resent")
    assert tale.stands() == "r1 waived, r2 ready"
    tale.go_on("F-2 shown by E2, r2 claimed, busy for good")
    assert tale.stands() == "r1 held, r2 superseded"
    assert "was not done: decide again" in str(tale.versions()[0].reason)


def test_what_may_have_been_there_before_is_not_repeated_once_its_order_has_lapsed() -> None:
    """The idempotency key protects the second call alone, and the first one may have arrived."""
    doubt = "shown by E1, claimed by rest, lost, given up, resent, claimed by rest, lost"
    assert stands(f"{doubt}, repeatable") == "r1 waiting"
    assert stands(f"{doubt}, corrected by E2, repeatable") == "r1 unknown, r2 held"


def test_what_one_transport_left_in_doubt_is_not_asked_of_another() -> None:
    tale = Tale("shown by E1, claimed by graphql, lost")
    assert tale.ledger.unknown("clearfacts", 10, "rest") == []
    assert [one.state for one in tale.ledger.unknown("clearfacts", 10, "graphql")] == [State.UNKNOWN]


def test_a_copy_of_what_is_delivered_can_be_taken_back() -> None:
    assert stands("shown by E1, claimed, accepted, sent again, waived") == "r1 delivered"


def test_a_late_proof_of_what_was_known_does_not_undo_that_its_copy_was_waived() -> None:
    copy = "shown by E1, claimed, expired, not found, confirmed, sent again, claimed, lost, given up"
    assert stands(copy) == "r1 parked"
    assert stands(f"{copy}, waived") == "r1 delivered"
    assert stands(f"{copy}, waived, call 1 accepted") == "r1 delivered"


# Turns that schedules of people and the world come to so rarely that each has a tale of its own

_DOUBTED = "shown by E1, claimed, lost, given up"
_ORDERED_IN_DOUBT = f"{_DOUBTED}, resent, claimed, corrected by E1"
_ORDERED_AFTER_REFUSAL = "shown by E1, claimed, refused, resent, claimed, corrected by E1"
_ORDERED_AFTER_WAIVING = "shown by E1, waived, resent, claimed, corrected by E1"
_COPY = "shown by E1, claimed, accepted, sent again, claimed"
_REPEATED = "shown by E1, claimed by keyed, lost, repeatable, claimed by keyed, corrected by E1"
_READY_AFTER_DOUBT = "claimed by rest, lost, not found, claimed by rest, released"
RARE: list[tuple[State, Event, State, str]] = [
    (
        State.HELD,
        Event.REVIEWED,
        State.PARKED,
        "shown by E1, claimed, busy for good, corrected by E2, r2 resent, claimed, refused",
    ),
    (State.PARKED, Event.REVIEWED, State.HELD, "shown by E1, claimed, busy for good, corrected by E2, r2 resent"),
    (
        State.REJECTED,
        Event.PROVED,
        State.DELIVERED,
        "shown by E1, claimed, lost, not found, waived, resent, claimed, refused, call 1 accepted",
    ),
    (State.SENDING, Event.NOT_SENT, State.PARKED, f"{_ORDERED_IN_DOUBT}, busy"),
    (State.SENDING, Event.DENIED, State.PARKED, f"{_ORDERED_IN_DOUBT}, denied"),
    (State.SENDING, Event.RELEASED, State.PARKED, f"{_ORDERED_IN_DOUBT}, released"),
    (State.UNKNOWN, Event.NOT_FOUND, State.PARKED, f"{_ORDERED_IN_DOUBT}, lost, not found"),
    (State.SENDING, Event.NOT_SENT, State.REJECTED, f"{_ORDERED_AFTER_REFUSAL}, busy"),
    (State.SENDING, Event.DENIED, State.REJECTED, f"{_ORDERED_AFTER_REFUSAL}, denied"),
    (State.SENDING, Event.RELEASED, State.REJECTED, f"{_ORDERED_AFTER_REFUSAL}, released"),
    (State.UNKNOWN, Event.NOT_FOUND, State.REJECTED, f"{_ORDERED_AFTER_REFUSAL}, lost, not found"),
    (State.SENDING, Event.NOT_SENT, State.WAIVED, f"{_ORDERED_AFTER_WAIVING}, busy"),
    (State.SENDING, Event.DENIED, State.WAIVED, f"{_ORDERED_AFTER_WAIVING}, denied"),
    (State.SENDING, Event.RELEASED, State.WAIVED, f"{_ORDERED_AFTER_WAIVING}, released"),
    (State.SENDING, Event.NOT_SENT, State.DELIVERED, f"{_COPY}, corrected by E1, busy"),
    (State.SENDING, Event.DENIED, State.DELIVERED, f"{_COPY}, corrected by E1, denied"),
    (State.SENDING, Event.RELEASED, State.DELIVERED, f"{_COPY}, corrected by E1, released"),
    (State.SENDING, Event.NOT_SENT, State.UNKNOWN, f"{_REPEATED}, busy"),
    (State.SENDING, Event.DENIED, State.UNKNOWN, f"{_REPEATED}, denied"),
    (State.SENDING, Event.RELEASED, State.UNKNOWN, f"{_REPEATED}, released"),
    (State.UNKNOWN, Event.REVIEWED, State.READY, f"{_REPEATED}, released, r1 shown by E1"),
    (
        State.SUPERSEDED,
        Event.REVIEWED,
        State.PARKED,
        "shown by E1, claimed, busy for good, corrected by E1, r1 shown by E1",
    ),
    (State.WITHDRAWN, Event.REVIEWED, State.PARKED, "shown by E1, claimed, busy for good, withdrawn, shown by E1"),
    (State.WITHDRAWN, Event.REVIEWED, State.WAITING, "shown by E1, claimed, busy, withdrawn, shown by E1"),
    (
        State.WITHDRAWN,
        Event.PROVED,
        State.DELIVERED,
        "shown by E1, claimed, lost, not found, withdrawn, call 1 accepted",
    ),
    (
        State.HELD,
        Event.PROVED,
        State.DELIVERED,
        "shown by E1, claimed, lost, not found, corrected by E2, r2 confirmed, call 1 accepted",
    ),
    (State.PARKED, Event.PROVED, State.PARKED, f"{_DOUBTED}, resent, claimed, lost, given up, call 1 accepted"),
    (
        State.WAITING,
        Event.PROVED,
        State.UNKNOWN,
        f"{_DOUBTED}, resent, claimed by keyed, lost, repeatable, call 1 accepted",
    ),
    (State.WAITING, Event.DISMISSED, State.DELIVERED, f"{_COPY}, busy, waived"),
    (State.PARKED, Event.DISMISSED, State.DELIVERED, f"{_COPY}, lost, given up, waived"),
    (State.WAITING, Event.REVIEWED, State.PARKED, f"{_DOUBTED}, resent, claimed, busy, corrected by E2"),
    (
        State.WAITING,
        Event.REVIEWED,
        State.REJECTED,
        "shown by E1, claimed, refused, resent, claimed, busy, corrected by E1",
    ),
    (State.WAITING, Event.GIVEN_UP, State.WITHDRAWN, "shown by E1, withdrawn, resent, claimed, busy for good"),
    (
        State.WAITING,
        Event.GIVEN_UP,
        State.SUPERSEDED,
        "shown by E1, corrected by E1, r1 resent, claimed, busy for good",
    ),
    (State.WAITING, Event.GIVEN_UP, State.DELIVERED, f"{_COPY}, busy for good"),
    (
        State.WAITING,
        Event.GIVEN_UP,
        State.HELD,
        "shown by E1, corrected by E2, r2 confirmed, r1 resent, claimed, busy for good",
    ),
    (State.WAIVED, Event.REVIEWED, State.PARKED, f"{_DOUBTED}, corrected by E2, r1 resent, r2 resent, corrected by E3"),
    (
        State.WAIVED,
        Event.REVIEWED,
        State.REJECTED,
        "shown by E1, corrected by E2, r1 claimed, refused, r1 resent, r2 resent, corrected by E3",
    ),
    (
        State.WAIVED,
        Event.REVIEWED,
        State.WITHDRAWN,
        "shown by E1, corrected by E2, withdrawn, r1 resent, r2 resent, corrected by E3",
    ),
    (
        State.WAIVED,
        Event.REVIEWED,
        State.SUPERSEDED,
        "shown by E1, corrected by E1, r1 resent, r2 resent, corrected by E1",
    ),
    (State.READY, Event.GIVEN_UP, State.PARKED, f"shown by E1, {_READY_AFTER_DOUBT}, given up"),
    (
        State.READY,
        Event.GIVEN_UP,
        State.DELIVERED,
        f"shown by E1, claimed, accepted, sent again, {_READY_AFTER_DOUBT}, given up",
    ),
    (
        State.READY,
        Event.GIVEN_UP,
        State.SUPERSEDED,
        f"shown by E1, corrected by E1, r1 resent, {_READY_AFTER_DOUBT}, given up",
    ),
    (State.READY, Event.GIVEN_UP, State.WITHDRAWN, f"shown by E1, withdrawn, resent, {_READY_AFTER_DOUBT}, given up"),
    (
        State.READY,
        Event.GIVEN_UP,
        State.HELD,
        f"shown by E1, corrected by E2, r2 confirmed, r1 resent, {_READY_AFTER_DOUBT}, given up",
    ),
]


@pytest.mark.parametrize(("came_from", "event", "became", "tale"), RARE, ids=[f"{a}-{e}-{b}" for a, e, b, _ in RARE])
def test_a_rare_turn_of_a_history(came_from: State, event: Event, became: State, tale: str) -> None:
    moves = [move for history in Tale(tale).ledger.histories for move in history.moves]
    assert (came_from, event, became) in moves
    assert [move for move in moves if move[2] not in TRANSITIONS[move[0], move[1]]] == []

"""Where nobody can tell at once: answers that settle nothing, runs that died, runs that are still at it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from clearfacts_assets.invoices.delivery.outcomes import Pace
from clearfacts_assets.invoices.ledger.model import Settlement
from clearfacts_assets.invoices.lifecycle import Event, Verdict
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.invoices.ports import Absent, LookUp, Submission, Unknown
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.delivery_review import DeliveryReview
from clearfacts_assets_tests.fixtures.runs import Runs, statuses
from clearfacts_assets_tests.fixtures.submissions import TRANSPORT, Acceptor, candidate, candidates, for_number

pytestmark = pytest.mark.waits

SENT, FAILED, DUPLICATE, PENDING = (
    InvoiceStatus.SENT,
    InvoiceStatus.FAILED,
    InvoiceStatus.DUPLICATE,
    InvoiceStatus.PENDING,
)


def test_unknown_is_parked_at_once_where_nobody_can_tell(run: Runs) -> None:
    destination = Acceptor(
        for_number("F-00001", Unknown("read timeout", {"status": 504})), accepts_silently=["F-00001"]
    )
    found = run(candidates(3), destination)
    assert found["F-00001"][0].status is PENDING
    assert run.states() == {"F-00000": "delivered", "F-00001": "parked", "F-00002": "delivered"}
    run(candidates(3), destination)
    assert destination.numbers == ["F-00000", "F-00001", "F-00002"]
    # What was claimed behind the doubtful call is released, and sent afterwards.
    assert {name: times for name, times in run.outcomes().items() if name != "released"} == {"accepted": 2, "lost": 1}


@pytest.mark.parametrize("silently", [True, False])
@pytest.mark.parametrize(("key", "look_up"), [(True, False), (False, True), (True, True)])
def test_unknown_is_settled_where_the_destination_can_tell(
    run: Runs, *, silently: bool, key: bool, look_up: bool
) -> None:
    destination = Acceptor(
        lambda submission, call: Unknown("read timeout") if submission.key.number == "F-00001" and call == 1 else None,
        honours_idempotency_key=key,
        can_look_up=look_up,
        accepts_silently=["F-00001"] if silently else [],
    )
    assert set(statuses(run(candidates(3), destination)).values()) == {SENT}
    assert destination.numbers == ["F-00000", "F-00001", "F-00002"]
    assert set(run.states().values()) == {"delivered"}


def claimed_by_a_dead_run(run: Runs, numbers: Sequence[str], lease: float = 3600) -> UUID:
    dead = uuid4()
    answers = run.ledger.register(dead, "clearfacts", [candidate(number) for number in numbers])
    run.ledger.claim(dead, [answer.delivery.id for answer in answers], lease, TRANSPORT)
    return dead


def test_what_a_dead_run_was_sending_is_parked_where_nobody_can_tell(run: Runs) -> None:
    dead, destination = claimed_by_a_dead_run(run, ["F-00001"]), Acceptor()
    found = run(candidates(3), destination, dead_run_ids=[dead])
    assert found["F-00001"][0].status is PENDING
    assert destination.numbers == ["F-00000", "F-00002"]
    assert run.states()["F-00001"] == "parked"


@pytest.mark.parametrize(("key", "look_up"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("arrived", [True, False])
def test_what_a_dead_run_was_sending_is_settled_where_the_destination_can_tell(
    run: Runs, *, arrived: bool, key: bool, look_up: bool
) -> None:
    dead = claimed_by_a_dead_run(run, ["F-00001"])
    destination = Acceptor(honours_idempotency_key=key, can_look_up=look_up)
    if arrived:
        ((answer),) = run.ledger.register(dead, "clearfacts", [candidate("F-00001")])
        submission = Submission(answer.delivery.key, b"", "", "", "", "", answer.delivery.idempotency_key, "")
        destination.send(submission)
    found = statuses(run(candidates(3), destination, dead_run_ids=[dead]))
    assert destination.numbers == ["F-00000", "F-00001", "F-00002"]
    assert set(run.states().values()) == {"delivered"}
    assert found["F-00001"] is (DUPLICATE if arrived and look_up else SENT)


class Blind(Acceptor):
    """A destination that never answers a look-up; it counts them."""

    looked_up = 0

    def look_up(self, submission: Submission) -> LookUp:
        self.looked_up += 1
        return Unknown("503")


@pytest.mark.parametrize("key", [True, False])
def test_an_outage_of_look_ups_ends_them(run: Runs, *, key: bool) -> None:
    dead = claimed_by_a_dead_run(run, [f"F-{number}" for number in range(12)])
    destination = Blind(honours_idempotency_key=key, can_look_up=True)
    run([], destination, dead_run_ids=[dead], pace=Pace(unknowns_in_a_row=3))
    assert destination.looked_up == (3 if key else 1)
    left = Counter(run.states().values())
    assert left == ({"waiting": 3, "unknown": 9} if key else {"unknown": 12})


@pytest.mark.parametrize("told_after", [0, 5])
def test_a_run_that_is_told_to_stop_looks_nothing_more_up(run: Runs, told_after: int) -> None:
    dead = claimed_by_a_dead_run(run, [f"F-{number}" for number in range(12)])
    asked: list[str] = []

    class Empty(Acceptor):
        def look_up(self, submission: Submission) -> LookUp:
            asked.append(submission.key.number)
            return Absent()

    run([], Empty(can_look_up=True), dead_run_ids=[dead], should_stop=lambda: len(asked) >= told_after)
    assert len(asked) == told_after
    assert Counter(run.states().values())["unknown"] == 12 - told_after


def test_a_failing_look_up_leaves_the_delivery_unknown_until_it_works(run: Runs) -> None:
    dead = claimed_by_a_dead_run(run, ["F-00001"])
    assert statuses(run(candidates(2), Blind(can_look_up=True), dead_run_ids=[dead]))["F-00001"] is PENDING
    assert run.states() == {"F-00000": "delivered", "F-00001": "unknown"}
    assert statuses(run(candidates(2), Acceptor(can_look_up=True)))["F-00001"] is SENT


@pytest.mark.parametrize("can_tell", [True, False])
@pytest.mark.parametrize(
    "then", [(), (Event.NOT_FOUND,), (Event.NOT_FOUND, Event.DENIED)], ids=["unknown", "waiting", "ready"]
)
def test_what_another_transport_may_have_accepted_is_neither_looked_up_nor_sent(
    run: Runs, *, can_tell: bool, then: Sequence[Event]
) -> None:
    """Its idempotency key was unknown over there: that nothing is found under it proves nothing."""
    dead = claimed_by_a_dead_run(run, ["F-00001"])
    run.ledger.expire([dead])
    (record,) = run.ledger.unknown("clearfacts", 10)
    for event in then:
        if event is Event.DENIED:
            (record,) = run.ledger.claim(uuid4(), [record.id], 60, TRANSPORT)
        run.ledger.settle([Settlement(record.id, record.fence, (event,))])
    other = Acceptor(honours_idempotency_key=can_tell, can_look_up=can_tell, transport="another")
    assert statuses(run(candidates(3), other)) == {"F-00000": SENT, "F-00001": PENDING, "F-00002": SENT}
    assert run.states()["F-00001"] == "parked"
    DeliveryReview(run.engine).resolve(
        record.id, Verdict.RESEND, reason="it is not there", actor="an.operator", now=datetime.now(UTC)
    )
    assert statuses(run(candidates(3), other))["F-00001"] is SENT


def test_what_was_provably_not_sent_leaves_by_another_transport(run: Runs) -> None:
    (answer,) = run.ledger.register(uuid4(), "clearfacts", [candidate("F-1")])
    (claim,) = run.ledger.claim(uuid4(), [answer.delivery.id], 60, TRANSPORT)
    run.ledger.settle([Settlement(claim.id, claim.fence, (Event.NOT_SENT,))])
    assert statuses(run([candidate("F-1")], Acceptor(transport="another"))) == {"F-1": SENT}


def test_what_a_living_run_is_sending_is_waited_for_and_then_left_to_it(run: Runs) -> None:
    living = claimed_by_a_dead_run(run, ["F-00001"])
    (result,) = run([candidate("F-00001")], Acceptor(), pace=Pace(patience=0.6))["F-00001"]
    assert (result.status, result.message) == (PENDING, f"run {living} is sending it")


def test_an_expired_lease_needs_no_proof_of_death(run: Runs) -> None:
    claimed_by_a_dead_run(run, ["F-00001"], lease=0)
    run([candidate("F-00001")], Acceptor())
    assert run.states() == {"F-00001": "parked"}


def test_a_process_that_slept_through_its_lease_sends_nothing(run: Runs) -> None:
    """Between claim and send the clock jumps by more than half the lease."""
    jumped = threading.Event()

    def reached(point: str) -> None:
        if point == "sending" and not jumped.is_set():
            jumped.set()

    def monotonic() -> float:
        return time.monotonic() + (1000 if jumped.is_set() else 0)

    destination = Acceptor()
    found = run([candidate("F-1")], destination, monotonic=monotonic, reached=reached)
    assert statuses(found) == {"F-1": SENT}
    assert run.outcomes() == {"released": 1, "accepted": 1}


@pytest.mark.parametrize("hours", [-24, 24])
@pytest.mark.parametrize("look_up", [False, True])
def test_a_clock_that_jumps_while_a_call_is_under_way_sends_nothing_twice(
    run: Runs, *, hours: int, look_up: bool
) -> None:
    """Forwards, another run believes that the lease is over; the answer that comes then is taken as proof."""
    jumped, answer_may_come = threading.Event(), threading.Event()

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(hours=hours if jumped.is_set() else 0)

    def answer(submission: Submission, call: int) -> None:
        if submission.key.number == "F-00001" and call == 1:
            jumped.set()
            answer_may_come.wait(300)

    run.ledger = SqlDeliveryLedger(run.engine, clock=clock)
    destination = Acceptor(answer, can_look_up=look_up, honours_idempotency_key=look_up)
    slow = threading.Thread(target=run, args=(candidates(3), destination), kwargs={"pace": Pace(concurrency=1)})
    slow.start()
    assert jumped.wait(300)
    run(candidates(3), destination, pace=Pace(concurrency=1, patience=0.2))
    answer_may_come.set()
    slow.join(300)
    run(candidates(3), destination)
    assert destination.numbers == ["F-00000", "F-00001", "F-00002"]
    assert set(run.states().values()) == {"delivered"}

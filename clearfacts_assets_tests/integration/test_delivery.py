"""The whole way of a delivery over a real ledger: every outcome, every stop, nothing twice and nothing lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from clearfacts_assets.invoices.delivery.job import DeliveryJob, Signals
from clearfacts_assets.invoices.delivery.outcomes import Pace
from clearfacts_assets.invoices.delivery.sending import deliver
from clearfacts_assets.invoices.ledger.model import Candidate, Force
from clearfacts_assets.invoices.lifecycle import Event, State
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.invoices.ports import Denied, NotSent, Outcome, Refused, Submission, Unknown
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.tables import Delivery
from clearfacts_assets_tests.fixtures.runs import QUICK, Runs, statuses
from clearfacts_assets_tests.fixtures.submissions import Acceptor, candidate, candidates, for_number

SENT, FAILED, DUPLICATE, PENDING = (
    InvoiceStatus.SENT,
    InvoiceStatus.FAILED,
    InvoiceStatus.DUPLICATE,
    InvoiceStatus.PENDING,
)


def test_everything_is_delivered_once_and_a_second_run_sends_nothing(run: Runs) -> None:
    some, destination = candidates(37), Acceptor()
    first = run(some, destination)
    assert set(statuses(first).values()) == {SENT}
    assert len(first) == 37
    second = run(candidates(37), destination)
    assert set(statuses(second).values()) == {DUPLICATE}
    assert destination.numbers == sorted(one.invoice.number for one in some)
    assert run.outcomes() == {"accepted": 37}


def test_a_result_carries_the_destinations_answer(run: Runs) -> None:
    (result,) = run([candidate("F-1")], Acceptor())["F-1"]
    assert (result.response, result.message) == ({"uuid": "of F-1"}, "")
    record = run.ledger.states([result.delivery_id])[result.delivery_id]
    assert (record.state, record.document_id) == (State.DELIVERED, "doc-1")


def test_the_file_name_names_the_document_for_a_person(run: Runs) -> None:
    destination = Acceptor()
    run([candidate("F/2026 7"), candidate("../../é")], destination)
    first, second = sorted(destination.accepted, key=lambda submission: submission.key.number, reverse=True)
    assert first.file_name == f"F-2026-7-{first.key.digest[:16]}.xml"
    assert second.file_name == f"invoice-{second.key.digest[:16]}.xml"
    assert (first.administration, first.invoice_type) == ("BE0987654394", "PURCHASE")
    assert first.idempotency_key == f"{first.key.digest}-r1g1"


def test_sales_are_filed_under_the_supplier(run: Runs) -> None:
    destination = Acceptor()
    run([candidate("F-1")], destination, invoice_type="SALE")
    assert destination.accepted[0].administration == "BE0123456749"


def test_a_refused_document_fails_alone_and_stays_refused(run: Runs) -> None:
    destination = Acceptor(for_number("F-00003", Refused("INVALID_VAT", "no such administration")))
    found = statuses(run(candidates(8), destination))
    assert found.pop("F-00003") is FAILED
    assert set(found.values()) == {SENT}
    (again,) = run([candidate("F-00003")], destination)["F-00003"]
    assert (again.status, again.message) == (FAILED, "refused: INVALID_VAT: no such administration")
    assert destination.calls["F-00003"] == 1


def test_a_corrected_document_is_sent(run: Runs) -> None:
    run([candidate("F-1")], Acceptor(for_number("F-1", Refused("X", "wrong"))))
    destination = Acceptor()
    assert statuses(run([candidate("F-1", "<corrected/>")], destination)) == {"F-1": SENT}
    assert destination.accepted[0].idempotency_key.endswith("-r2g1")


def test_changed_content_of_a_delivered_invoice_is_held_with_the_reason(run: Runs) -> None:
    destination = Acceptor()
    run([candidate("F-1")], destination)
    (held,) = run([candidate("F-1", "<changed/>")], destination)["F-1"]
    assert held.status is PENDING
    assert held.message.startswith("held for a person: this number came before with other content")
    assert len(destination.accepted) == 1


def test_one_document_under_two_ids_is_sent_once(run: Runs) -> None:
    destination = Acceptor()
    found = run([candidate("F-1"), candidate("F-1"), candidate("F-2"), candidate("F-1")], destination, size=2)
    assert sorted(result.status for result in found["F-1"]) == [DUPLICATE, DUPLICATE, SENT]
    assert destination.numbers == ["F-1", "F-2"]


def test_what_was_not_sent_is_tried_again_within_the_run(run: Runs) -> None:
    destination = Acceptor(lambda submission, call: NotSent("429", retry_after=0.01) if call <= 2 else None)
    assert set(statuses(run(candidates(5), destination)).values()) == {SENT}
    assert set(destination.calls.values()) == {3}


def test_a_long_retry_after_ends_the_run_and_everything_keeps_its_place(run: Runs) -> None:
    destination = Acceptor(lambda submission, call: NotSent("429", retry_after=3600))
    told: list[str] = []
    found = run(candidates(50), destination, on_stop=told.append)
    assert set(statuses(found).values()) == {PENDING}
    assert destination.calls.total() == 1
    assert Counter(run.states().values()) == {"ready": 49, "waiting": 1}
    assert len(told) == 1
    assert "3600 s" in told[0]
    later = statuses(run(candidates(50), Acceptor(), pace=Pace(patience=0.1)))
    assert Counter(later.values()) == {SENT: 49, PENDING: 1}  # the one waits for its hour


def test_tries_are_bounded_and_then_a_person_is_asked(run: Runs) -> None:
    destination = Acceptor(for_number("F-00001", NotSent("connection refused")))
    found = run(candidates(3), destination)
    (parked,) = found["F-00001"]
    assert (parked.status, destination.calls["F-00001"]) == (PENDING, QUICK.attempts)
    assert parked.message == "parked for a person: given up after 5 tries: connection refused"
    assert run.states()["F-00001"] == "parked"
    assert set(statuses(run(candidates(3), destination)).values()) == {DUPLICATE, PENDING}
    assert destination.calls["F-00001"] == QUICK.attempts


def test_an_outage_parks_a_handful_and_leaves_the_rest_untouched(run: Runs) -> None:
    destination = Acceptor(lambda submission, call: Unknown("502 Bad Gateway"))
    told: list[str] = []
    found = run(candidates(1000), destination, pace=Pace(16, first_pause=0.01), size=100, on_stop=told.append)
    assert Counter(run.states().values()) == {"ready": 997, "parked": 3}
    assert len(found) == 1000
    assert set(statuses(found).values()) == {PENDING}
    assert told == ["nothing was settled by 3 answers in a row, the last one: 502 Bad Gateway"]


def test_an_outage_in_the_middle_parks_no_more_than_what_was_under_way(run: Runs) -> None:
    down = threading.Event()

    def answer(submission: Submission, call: int) -> Outcome | None:
        if submission.key.number >= "F-00100":
            down.set()
        return Unknown("502") if down.is_set() else None

    run(candidates(300), Acceptor(answer), pace=Pace(8, first_pause=0.01))
    found = Counter(run.states().values())
    assert 3 <= found["parked"] <= 8 + 3
    assert found["parked"] + found["delivered"] + found["ready"] == 300


def test_refused_credentials_pause_everything_and_charge_nothing(run: Runs) -> None:
    destination = Acceptor(
        lambda submission, call: Denied("401: token expired") if submission.key.number > "F-00004" else None
    )
    told: list[str] = []
    found = statuses(run(candidates(40), destination, on_stop=told.append))
    sent = Counter(found.values())[SENT]  # what is about to leave beside the first refusal stays here
    assert 1 <= sent <= 5
    assert Counter(found.values()) == {SENT: sent, PENDING: 40 - sent}
    assert destination.calls.total() <= 5 + QUICK.concurrency
    with reading(run.engine) as connection:
        assert connection.execute(select(func.max(Delivery.attempts))).scalar_one() == 0
    assert "token expired" in told[0]
    assert statuses(run(candidates(40), Acceptor()))["F-00039"] is SENT


def test_being_told_to_stop_finishes_what_is_under_way_and_claims_no_more(run: Runs) -> None:
    stop, taken = threading.Event(), []

    def answer(submission: Submission, call: int) -> Outcome | None:
        if submission.key.number == "F-00020":
            stop.set()
        time.sleep(0.002)
        return None

    def batches() -> Iterator[list[Candidate]]:
        for start in range(0, 1000, 10):
            taken.append(start)
            yield [candidate(f"F-{number:05}") for number in range(start, start + 10)]

    destination = Acceptor(answer)
    results = [
        result
        for some in deliver(
            batches(),
            ledger=run.ledger,
            destination=destination,
            job=DeliveryJob(uuid4()),
            pace=QUICK,
            signals=Signals(should_stop=stop.is_set),
        )
        for result in some
    ]
    sent = [result for result in results if result.status is SENT]
    assert len(sent) == destination.calls.total() == len(destination.accepted)
    assert 20 <= len(sent) <= 21 + QUICK.concurrency
    assert len(taken) < 10  # lazily: the rest was not even read
    assert Counter(run.states().values())["sending"] == 0


def test_a_consumer_that_breaks_off_leaves_nothing_claimed(run: Runs) -> None:
    destination = Acceptor(lambda submission, call: time.sleep(0.01))
    results = deliver(
        iter([candidates(200)]), ledger=run.ledger, destination=destination, job=DeliveryJob(uuid4()), pace=QUICK
    )
    next(results)
    results.close()
    found = Counter(run.states().values())
    assert found["sending"] == found["unknown"] == 0
    assert found["delivered"] == len(destination.accepted)


def test_batches_are_taken_lazily_and_memory_does_not_grow_with_them(run: Runs) -> None:
    destination, ahead = Acceptor(), []

    def batches() -> Iterator[list[Candidate]]:
        for start in range(0, 400, 10):
            ahead.append(start - len(destination.accepted))
            yield [candidate(f"F-{number:05}") for number in range(start, start + 10)]

    for _ in deliver(batches(), ledger=run.ledger, destination=destination, job=DeliveryJob(uuid4()), pace=QUICK):
        pass
    assert max(ahead) <= 4 * QUICK.concurrency
    assert len(destination.accepted) == 400


def test_concurrency_is_bounded_and_used(run: Runs) -> None:
    destination = Acceptor(lambda submission, call: time.sleep(0.01))
    run(candidates(100), destination, pace=Pace(6))
    assert destination.most_under_way == 6


def test_two_runs_at_once_deliver_everything_once(run: Runs) -> None:
    destination, found = Acceptor(lambda submission, call: time.sleep(0.002)), []
    threads = [threading.Thread(target=lambda: found.append(run(candidates(80), destination))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert destination.numbers == [f"F-{number:05}" for number in range(80)]
    for number in destination.numbers:
        assert sorted(results[number][0].status for results in found) == [DUPLICATE, DUPLICATE, SENT]


def test_a_client_that_fails_is_unknown_and_not_unsent(run: Runs) -> None:
    def answer(submission: Submission, call: int) -> Outcome | None:
        raise ZeroDivisionError

    run([candidate("F-1")], Acceptor(answer))
    assert run.states() == {"F-1": "parked"}


def test_force_sends_again_and_says_so_in_the_key(run: Runs) -> None:
    destination, force = Acceptor(), Force("an.operator", "lost there", "job-7")
    run([candidate("F-1")], destination)
    assert statuses(run([candidate("F-1")], destination, force=force)) == {"F-1": SENT}
    assert statuses(run([candidate("F-1")], destination, force=force)) == {"F-1": DUPLICATE}
    assert [submission.idempotency_key[-4:] for submission in destination.accepted] == ["r1g1", "r1g2"]


def test_settled_evidence_survives_a_ledger_that_cannot_be_written(run: Runs, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(SqlDeliveryLedger):
        def exchange(self, settlements, claim):
            if settlements:
                raise OSError("disk full")
            return super().exchange(settlements, claim)

    with pytest.raises(OSError, match="disk full"):
        list(
            deliver(
                [[candidate("F-1")]],
                ledger=Broken(run.engine),
                destination=Acceptor(),
                job=DeliveryJob(uuid4()),
                pace=QUICK,
            )
        )
    assert "doc-1" in caplog.text
    assert run.states() == {"F-1": "sending"}


def test_nothing_to_deliver_is_nothing_done(run: Runs) -> None:
    assert run([], Acceptor()) == {}
    assert list(deliver(iter([[]]), ledger=run.ledger, destination=Acceptor(), job=DeliveryJob(uuid4()))) == []


def test_every_attempt_has_an_outcome_of_the_life_cycle(run: Runs) -> None:
    outcomes = [None, Refused("X", "y"), NotSent("z", 0.0), Unknown("u")]
    run(candidates(40), Acceptor(lambda submission, call: outcomes[(int(submission.key.number[-2:]) + call) % 4]))
    assert set(run.outcomes()) <= {Event.ACCEPTED, Event.REFUSED, Event.NOT_SENT, Event.LOST, Event.RELEASED}

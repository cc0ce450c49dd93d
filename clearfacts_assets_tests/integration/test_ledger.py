"""The ledger on both databases: keys are unique, claims exclusive, settlements fenced."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, select, text

from clearfacts_assets.invoices.lifecycle import Event, State, Verdict, before
from clearfacts_assets.invoices.ports import Candidate, DeliveryRecord, Force, Registration, Settlement
from clearfacts_assets.storage import registration
from clearfacts_assets.storage.database import open_engine, reading
from clearfacts_assets.storage.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.delivery_review import DeliveryReview
from clearfacts_assets.storage.tables import AuditLog, Delivery, DeliveryAttempt
from clearfacts_assets_tests.fixtures.databases import PostgresServer
from clearfacts_assets_tests.fixtures.parcels import TRANSPORT, candidate, candidates

RUN, OTHER_RUN = uuid4(), uuid4()


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(engine: Engine, clock: Clock) -> SqlDeliveryLedger:
    return SqlDeliveryLedger(engine, clock)


def register(ledger: SqlDeliveryLedger, *some: Candidate, force: Force | None = None) -> list[Registration]:
    return ledger.register(RUN, "clearfacts", some, force)


def claimed(ledger: SqlDeliveryLedger, one: Candidate, lease: float = 60) -> DeliveryRecord:
    (answer,) = register(ledger, one)
    (record,) = ledger.claim(RUN, [answer.delivery.id], lease, TRANSPORT)
    return record


def settle(ledger: SqlDeliveryLedger, record: DeliveryRecord, *events: Event, **more) -> DeliveryRecord:
    return ledger.settle([Settlement(record.id, record.fence, events, **more)])[record.id]


def in_state(ledger: SqlDeliveryLedger, one: Candidate, *events: Event) -> DeliveryRecord:
    return settle(ledger, claimed(ledger, one), *events, reason="as it happened")


def attempts(engine: Engine) -> Sequence[DeliveryAttempt]:
    with reading(engine) as connection:
        return connection.execute(select(DeliveryAttempt.__table__).order_by(DeliveryAttempt.fence)).all()


def test_a_new_key_is_ready(ledger: SqlDeliveryLedger) -> None:
    one = candidate("F-1")
    (answer,) = register(ledger, one)
    assert (answer.row_id, answer.event, answer.delivery.state) == (one.row_id, Event.REGISTERED, State.READY)
    assert (answer.delivery.revision, answer.delivery.generation, answer.delivery.attempts) == (1, 1, 0)
    assert answer.delivery.idempotency_key == f"{answer.delivery.key.digest}-r1g1"
    assert answer.delivery == ledger.states([answer.delivery.id])[answer.delivery.id]


def test_the_same_key_and_content_is_known(ledger: SqlDeliveryLedger) -> None:
    (first,) = register(ledger, candidate("F-1"))
    again, twin = register(ledger, candidate("F-1"), candidate("F-1"))
    assert (again.delivery, again.event) == (first.delivery, None)
    assert twin.delivery == first.delivery


def test_changed_content_under_a_known_key_is_held(ledger: SqlDeliveryLedger) -> None:
    first, changed = register(ledger, candidate("F-1"), candidate("F-1", "<changed/>"))
    assert (changed.event, changed.delivery.state, changed.delivery.revision) == (Event.CHANGED, State.HELD, 2)
    assert changed.delivery.reason is not None
    assert "revision 1, ready" in changed.delivery.reason
    again, same = register(ledger, candidate("F-1", "<changed/>"), candidate("F-1"))
    assert (again.delivery, same.delivery) == (changed.delivery, first.delivery)


def test_a_correction_after_a_refusal_is_ready(ledger: SqlDeliveryLedger) -> None:
    in_state(ledger, candidate("F-1"), Event.REFUSED)
    (corrected,) = register(ledger, candidate("F-1", "<corrected/>"))
    assert (corrected.event, corrected.delivery.state, corrected.delivery.revision) == (Event.CORRECTED, State.READY, 2)


@pytest.mark.parametrize("events", [(Event.ACCEPTED,), (Event.LOST, Event.GIVEN_UP), (Event.LOST,), (Event.NOT_SENT,)])
def test_after_anything_but_refusals_changed_content_is_held(ledger: SqlDeliveryLedger, events) -> None:
    in_state(ledger, candidate("F-1"), *events)
    (changed,) = register(ledger, candidate("F-1", "<changed/>"))
    assert changed.delivery.state is State.HELD


def test_the_same_number_from_two_suppliers_is_two_invoices(ledger: SqlDeliveryLedger) -> None:
    one = candidate("F-1")
    other = replace(one, invoice=replace(one.invoice, supplier=replace(one.invoice.supplier, vat_id="BE0555555555")))
    answers = register(ledger, one, other)
    assert [answer.event for answer in answers] == [Event.REGISTERED, Event.REGISTERED]
    assert answers[0].delivery.id != answers[1].delivery.id


def test_a_claim_is_exclusive_and_leaves_an_attempt(ledger: SqlDeliveryLedger, engine: Engine, clock: Clock) -> None:
    (answer,) = register(ledger, candidate("F-1"))
    (record,) = ledger.claim(RUN, [answer.delivery.id], 60, TRANSPORT, "c-1")
    assert (record.state, record.fence, record.run_id) == (State.SENDING, 1, RUN)
    assert record.lease_until == clock.now + timedelta(seconds=60)
    assert ledger.claim(OTHER_RUN, [answer.delivery.id], 60, TRANSPORT) == []
    (attempt,) = attempts(engine)
    assert (attempt.fence, attempt.run_id, attempt.correlation_id, attempt.outcome) == (1, RUN, "c-1", None)


@pytest.mark.parametrize(
    "events",
    [(Event.ACCEPTED,), (Event.REFUSED,), (Event.LOST,), (Event.LOST, Event.GIVEN_UP)],
)
def test_only_ready_and_due_deliveries_can_be_claimed(ledger: SqlDeliveryLedger, events) -> None:
    record = in_state(ledger, candidate("F-1"), *events)
    assert ledger.claim(OTHER_RUN, [record.id], 60, TRANSPORT) == []


def test_a_waiting_delivery_is_claimed_when_it_is_due(ledger: SqlDeliveryLedger, clock: Clock) -> None:
    record = settle(ledger, claimed(ledger, candidate("F-1")), Event.NOT_SENT, delay=30.0, reason="429")
    assert (record.state, record.attempts) == (State.WAITING, 1)
    assert ledger.claim(RUN, [record.id], 60, TRANSPORT) == []
    clock.pass_by(30)
    (again,) = ledger.claim(RUN, [record.id], 60, TRANSPORT)
    assert (again.fence, again.not_before) == (2, None)


@pytest.mark.parametrize(
    ("events", "state", "charged"),
    [
        ((Event.ACCEPTED,), State.DELIVERED, 0),
        ((Event.REFUSED,), State.REJECTED, 0),
        ((Event.NOT_SENT,), State.WAITING, 1),
        ((Event.NOT_SENT, Event.GIVEN_UP), State.PARKED, 1),
        ((Event.DENIED,), State.READY, 0),
        ((Event.RELEASED,), State.READY, 0),
        ((Event.LOST,), State.UNKNOWN, 1),
        ((Event.LOST, Event.GIVEN_UP), State.PARKED, 1),
        ((Event.LOST, Event.NOT_FOUND), State.WAITING, 1),
    ],
)
def test_settlements_follow_the_life_cycle(
    ledger: SqlDeliveryLedger, engine: Engine, events, state: State, charged: int
) -> None:
    record = settle(
        ledger, claimed(ledger, candidate("F-1")), *events, reason="why", response={"x": 1}, document_id="d-1"
    )
    assert (record.state, record.attempts, record.reason, record.document_id) == (state, charged, "why", "d-1")
    assert record == ledger.states([record.id])[record.id]
    assert record.lease_until is None
    (attempt,) = attempts(engine)
    assert (attempt.outcome, attempt.reason, attempt.response) == (events[0], "why", {"x": 1})
    assert attempt.finished_at is not None


def test_a_settlement_of_an_older_claim_changes_nothing(ledger: SqlDeliveryLedger, engine: Engine) -> None:
    old = claimed(ledger, candidate("F-1"))
    settle(ledger, old, Event.RELEASED)
    (new,) = ledger.claim(OTHER_RUN, [old.id], 60, TRANSPORT)
    assert settle(ledger, old, Event.ACCEPTED) == new
    assert [attempt.outcome for attempt in attempts(engine)] == ["released", None]


def test_a_settlement_written_twice_counts_once(ledger: SqlDeliveryLedger, clock: Clock) -> None:
    record = claimed(ledger, candidate("F-1"))
    first = settle(ledger, record, Event.NOT_SENT, delay=5.0)
    clock.pass_by(1)
    assert settle(ledger, record, Event.NOT_SENT, delay=5.0) == first


def test_an_expired_lease_makes_unknown_and_a_live_one_does_not(
    ledger: SqlDeliveryLedger, engine: Engine, clock: Clock
) -> None:
    record = claimed(ledger, candidate("F-1"), lease=60)
    clock.pass_by(59)
    assert ledger.expire() == 0
    clock.pass_by(2)
    assert ledger.expire() == 1
    (unknown,) = ledger.unknown("clearfacts", 10)
    assert (unknown.id, unknown.state, unknown.attempts) == (record.id, State.UNKNOWN, 1)
    assert ledger.unknown("elsewhere", 10) == []
    assert [attempt.outcome for attempt in attempts(engine)] == ["lost"]


def test_a_dead_runs_claims_are_unknown_at_once(ledger: SqlDeliveryLedger) -> None:
    claimed(ledger, candidate("F-1"))
    assert ledger.expire([OTHER_RUN]) == 0
    assert ledger.expire([RUN]) == 1


@pytest.mark.parametrize("further", [(), (Event.GIVEN_UP,), (Event.NOT_FOUND,)])
def test_an_acceptance_that_comes_late_is_proof(ledger: SqlDeliveryLedger, engine: Engine, further) -> None:
    record = claimed(ledger, candidate("F-1"))
    ledger.expire([RUN])
    if further:
        settle(ledger, record, *further)
    late = settle(ledger, record, Event.ACCEPTED, document_id="d-9")
    assert (late.state, late.document_id) == (State.DELIVERED, "d-9")
    assert [attempt.outcome for attempt in attempts(engine)] == ["lost"]  # what was written of the attempt stays


def test_a_late_refusal_changes_nothing(ledger: SqlDeliveryLedger) -> None:
    record = claimed(ledger, candidate("F-1"))
    ledger.expire([RUN])
    assert settle(ledger, record, Event.REFUSED).state is State.UNKNOWN


@pytest.mark.parametrize("events", [(Event.LOST, Event.NOT_FOUND), (Event.NOT_SENT,)])
def test_what_one_transport_may_have_accepted_is_not_claimed_for_another(ledger: SqlDeliveryLedger, events) -> None:
    record = in_state(ledger, candidate("F-1"), *events)
    assert record.state is State.WAITING
    elsewhere = ledger.claim(OTHER_RUN, [record.id], 60, "another")
    assert len(elsewhere) == (0 if Event.LOST in events else 1)


@pytest.mark.parametrize("event", [Event.ACCEPTED, Event.REFUSED])
def test_a_forced_job_sends_again_what_was_settled_and_only_once(
    ledger: SqlDeliveryLedger, engine: Engine, event: Event
) -> None:
    was = in_state(ledger, candidate("F-1"), event)
    wish = Force("an.operator", "the accountant lost it", "request-1")
    (answer,) = register(ledger, candidate("F-1"), force=wish)
    assert (answer.event, answer.delivery.state, answer.delivery.generation) == (Event.RESENT, State.READY, 2)
    assert answer.delivery.idempotency_key != was.idempotency_key
    (record,) = ledger.claim(RUN, [answer.delivery.id], 60, TRANSPORT)
    settle(ledger, record, Event.ACCEPTED)
    (retried,) = register(ledger, candidate("F-1"), force=wish)
    assert (retried.event, retried.delivery.state) == (None, State.DELIVERED)
    with reading(engine) as connection:
        (entry,) = connection.execute(select(AuditLog.__table__)).all()
    assert (entry.action, entry.resource_id) == ("delivery.resent", str(was.id))
    assert (entry.details["actor"], entry.details["reason"]) == ("an.operator", "the accountant lost it")


@pytest.mark.parametrize("events", [(), (Event.LOST,), (Event.LOST, Event.GIVEN_UP), (Event.NOT_SENT,)])
def test_force_moves_nothing_that_is_open(ledger: SqlDeliveryLedger, events) -> None:
    record = claimed(ledger, candidate("F-1"))
    if events:
        record = settle(ledger, record, *events)
    (answer,) = register(ledger, candidate("F-1"), force=Force("an.operator", "now", "request-1"))
    assert (answer.event, answer.delivery) == (None, record)


@pytest.mark.parametrize("events", [(), (Event.LOST,), (Event.NOT_SENT,), (Event.RELEASED,)])
def test_force_sends_no_version_beside_another_one_that_may_leave(ledger: SqlDeliveryLedger, events) -> None:
    old = in_state(ledger, candidate("F-1"), Event.REFUSED)
    corrected = claimed(ledger, candidate("F-1", "<corrected/>"))
    if events:
        settle(ledger, corrected, *events)
    (answer,) = register(ledger, candidate("F-1"), force=Force("an.operator", "now", "request-1"))
    assert (answer.event, answer.delivery) == (None, old)


@pytest.mark.parametrize(("forced", "leaves"), [(False, 1), (True, 2)], ids=["resolved", "forced"])
def test_a_correction_and_a_resend_at_the_same_moment_do_not_both_leave(
    postgres_server: PostgresServer,
    migrated_template: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    forced: bool,
    leaves: int,
) -> None:
    """A person resends a refused version between the look for its number and the entry of the corrected one.

    The person's wish comes last: a verdict dismisses the correction, which has not left; a forced job leaves it alone.
    """
    engine = open_engine(postgres_server.fresh(migrated_template))
    ledger, review = SqlDeliveryLedger(engine), DeliveryReview(engine)
    refused = in_state(ledger, candidate("F-1"), Event.REFUSED)

    def resend() -> None:
        if forced:
            register(ledger, candidate("F-1"), force=Force("an.operator", "a mistake", "request-1"))
        else:
            review.resolve(refused.id, Verdict.RESEND, reason="a mistake", actor="an.operator", now=datetime.now(UTC))

    person = threading.Thread(target=resend)
    first_event = registration.first_event

    def meanwhile(revisions: Sequence[DeliveryRecord]) -> Event:
        person.start()
        while person.is_alive() and not waits_for_a_lock(engine):
            pass
        return first_event(revisions)

    monkeypatch.setattr(registration, "first_event", meanwhile)
    (corrected,) = register(ledger, candidate("F-1", "<corrected/>"))
    person.join(60)
    states = ledger.states([refused.id, corrected.delivery.id])
    leaving = [one.revision for one in states.values() if one.state in before(Event.CLAIMED)]
    assert leaving == [leaves]
    engine.dispose()


def waits_for_a_lock(engine: Engine) -> bool:
    with reading(engine) as connection:
        return bool(connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())


def test_two_runs_never_hold_the_same_delivery(migrated_url: str) -> None:
    """Eight threads of four runs claim the same hundred deliveries, a few at a time."""
    engine = open_engine(migrated_url)
    ids = [answer.delivery.id for answer in register(SqlDeliveryLedger(engine), *candidates(100))]
    taken: list[tuple[UUID, int]] = []
    start = threading.Barrier(8)

    def take(shift: int) -> None:
        ledger = SqlDeliveryLedger(engine)
        start.wait()
        order = ids[shift:] + ids[:shift]
        for index in range(0, 100, 7):
            taken.extend(
                (record.id, record.fence) for record in ledger.claim(uuid4(), order[index : index + 7], 60, TRANSPORT)
            )

    threads = [threading.Thread(target=take, args=(shift * 13,)) for shift in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(taken) == len(set(taken)) == 100
    assert {fence for _, fence in taken} == {1}
    engine.dispose()


def test_two_runs_register_the_same_keys_once(migrated_url: str) -> None:
    engine = open_engine(migrated_url)
    start = threading.Barrier(6)
    found: list[set[UUID]] = []

    def meet(seed: int) -> None:
        ledger = SqlDeliveryLedger(engine)
        some = candidates(60)
        start.wait()
        order = some[seed * 10 :] + some[: seed * 10]
        answers = [answer for index in range(0, 60, 20) for answer in register(ledger, *order[index : index + 20])]
        found.append({answer.delivery.id for answer in answers})

    threads = [threading.Thread(target=meet, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 6
    assert len(set.union(*found)) == 60
    with reading(engine) as connection:
        assert len(connection.execute(select(Delivery.id)).all()) == 60
    engine.dispose()


def test_leases_run_by_the_databases_clock(engine: Engine) -> None:
    """The default clock is the database's: a lease of nothing is over at once, one of a minute is not."""
    ledger = SqlDeliveryLedger(engine)
    claimed(ledger, candidate("F-1"), lease=60)
    claimed(ledger, candidate("F-2"), lease=0)
    assert ledger.expire() == 1


def test_nothing_to_do_is_no_transaction(ledger: SqlDeliveryLedger) -> None:
    assert register(ledger) == []
    assert ledger.claim(RUN, [], 60, TRANSPORT) == []
    assert ledger.settle([]) == {}
    assert ledger.claim(RUN, [uuid4()], 60, TRANSPORT) == []
    assert ledger.settle([Settlement(uuid4(), 1, (Event.ACCEPTED,))]) == {}

"""The ledger on both databases and in memory: keys are unique, claims exclusive, settlements fenced."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, select, text

from clearfacts_assets.invoices.ledger.history import History
from clearfacts_assets.invoices.ledger.model import Candidate, DeliveryRecord, Force, Registration, Settlement
from clearfacts_assets.invoices.lifecycle import Event, State, Verdict, before
from clearfacts_assets.storage.accounts.tables import AuditLog
from clearfacts_assets.storage.database import open_engine, reading
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.delivery_review import DeliveryReview
from clearfacts_assets.storage.invoices.tables import DeliveryAttempt
from clearfacts_assets_tests.fixtures.databases import KINDS, PostgresServer
from clearfacts_assets_tests.fixtures.memory_ledger import MemoryLedger, Tried
from clearfacts_assets_tests.fixtures.submissions import TRANSPORT, candidate

RUN, OTHER_RUN = uuid4(), uuid4()
MEMORY = "memory"
Ledger = SqlDeliveryLedger | MemoryLedger


@pytest.fixture(params=(*KINDS, MEMORY))
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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
def ledger(database_kind: str, clock: Clock, request: pytest.FixtureRequest) -> Ledger:
    if database_kind == MEMORY:
        return MemoryLedger(clock)
    return SqlDeliveryLedger(request.getfixturevalue("engine"), clock)


def register(ledger: Ledger, *some: Candidate, force: Force | None = None) -> list[Registration]:
    return ledger.register(RUN, "clearfacts", some, force)


def claimed(ledger: Ledger, one: Candidate, lease: float = 60) -> DeliveryRecord:
    (answer,) = register(ledger, one)
    (record,) = ledger.claim(RUN, [answer.delivery.id], lease, TRANSPORT)
    return record


def settle(ledger: Ledger, record: DeliveryRecord, *events: Event, **more) -> DeliveryRecord:
    return ledger.settle([Settlement(record.id, record.fence, events, **more)])[record.id]


def in_state(ledger: Ledger, one: Candidate, *events: Event) -> DeliveryRecord:
    return settle(ledger, claimed(ledger, one), *events, reason="as it happened")


def attempts(ledger: Ledger) -> Sequence[DeliveryAttempt] | Sequence[Tried]:
    if isinstance(ledger, MemoryLedger):
        return ledger.attempts()
    with reading(ledger._engine) as connection:
        return connection.execute(select(DeliveryAttempt.__table__).order_by(DeliveryAttempt.fence)).all()


def test_a_new_key_is_ready(ledger: Ledger) -> None:
    one = candidate("F-1")
    (answer,) = register(ledger, one)
    assert (answer.row_id, answer.event, answer.delivery.state) == (one.row_id, Event.REGISTERED, State.READY)
    assert (answer.delivery.revision, answer.delivery.generation, answer.delivery.attempts) == (1, 1, 0)
    assert answer.delivery.idempotency_key == f"{answer.delivery.key.digest}-r1g1"
    assert answer.delivery == ledger.states([answer.delivery.id])[answer.delivery.id]


def test_the_same_key_and_content_is_known(ledger: Ledger) -> None:
    (first,) = register(ledger, candidate("F-1"))
    again, twin = register(ledger, candidate("F-1"), candidate("F-1"))
    assert (again.delivery, again.event) == (first.delivery, None)
    assert twin.delivery == first.delivery


def test_the_same_number_under_two_of_the_sources_ids_is_held_once(ledger: Ledger) -> None:
    first, changed = register(ledger, candidate("F-1"), twin := candidate("F-1", "<changed/>", source_id="another"))
    assert (first.delivery.state, first.delivery.revision) == (State.READY, 1)
    assert (changed.event, changed.delivery.state, changed.delivery.revision) == (Event.CHANGED, State.HELD, 2)
    assert changed.delivery.reason == "the ERP has this number under two of its ids, with different content"
    again, same = register(ledger, replace(twin, row_id=uuid4()), candidate("F-1"))
    assert (again.delivery, same.delivery) == (changed.delivery, first.delivery)


def test_a_correction_takes_the_place_of_what_has_not_left(ledger: Ledger) -> None:
    (first,) = register(ledger, candidate("F-1"))
    (changed,) = register(ledger, candidate("F-1", "<changed/>"))
    assert (changed.event, changed.delivery.state, changed.delivery.revision) == (Event.CHANGED, State.READY, 2)
    old = ledger.states([first.delivery.id])[first.delivery.id]
    assert (old.state, old.reason) == (
        State.SUPERSEDED,
        "the ERP shows revision 2 of it in its place, and it had not been sent",
    )


def test_a_run_that_is_late_does_not_bring_an_older_version_back(ledger: Ledger, clock: Clock) -> None:
    (newer,) = register(ledger, candidate("F-1", "<changed/>", updated_at=clock.now))
    (older,) = register(ledger, candidate("F-1", updated_at=clock.now - timedelta(hours=1)))
    assert older.delivery.state is State.SUPERSEDED
    assert ledger.states([newer.delivery.id])[newer.delivery.id].state is State.READY


def test_a_correction_after_a_refusal_is_ready(ledger: Ledger) -> None:
    in_state(ledger, candidate("F-1"), Event.REFUSED)
    (corrected,) = register(ledger, candidate("F-1", "<corrected/>"))
    assert (corrected.event, corrected.delivery.state, corrected.delivery.revision) == (Event.CORRECTED, State.READY, 2)


@pytest.mark.parametrize("events", [(), (Event.ACCEPTED,), (Event.LOST, Event.GIVEN_UP), (Event.LOST,)])
def test_beside_what_is_there_or_may_be_changed_content_is_held(ledger: Ledger, events) -> None:
    claim = claimed(ledger, candidate("F-1"))
    if events:
        settle(ledger, claim, *events, reason="as it happened")
    (changed,) = register(ledger, candidate("F-1", "<changed/>"))
    assert changed.delivery.state is State.HELD
    assert "revision 1" in str(changed.delivery.reason)


@pytest.mark.parametrize(
    ("event", "old", "new"),
    [
        (Event.ACCEPTED, State.DELIVERED, State.HELD),
        (Event.REFUSED, State.REJECTED, State.READY),
        (Event.NOT_SENT, State.SUPERSEDED, State.READY),
        (Event.RELEASED, State.SUPERSEDED, State.READY),
    ],
)
def test_what_comes_of_a_call_decides_about_the_correction_that_came_meanwhile(
    ledger: Ledger, event: Event, old: State, new: State
) -> None:
    claim = claimed(ledger, candidate("F-1"))
    (changed,) = register(ledger, candidate("F-1", "<changed/>"))
    assert settle(ledger, claim, event).state is old
    assert ledger.states([changed.delivery.id])[changed.delivery.id].state is new


def test_the_same_number_from_two_suppliers_is_two_invoices(ledger: Ledger) -> None:
    one = candidate("F-1")
    other = replace(one, invoice=replace(one.invoice, supplier=replace(one.invoice.supplier, vat_id="BE0555555555")))
    answers = register(ledger, one, other)
    assert [answer.event for answer in answers] == [Event.REGISTERED, Event.REGISTERED]
    assert answers[0].delivery.id != answers[1].delivery.id


def test_a_claim_is_exclusive_and_leaves_an_attempt(ledger: Ledger, clock: Clock) -> None:
    (answer,) = register(ledger, candidate("F-1"))
    (record,) = ledger.claim(RUN, [answer.delivery.id], 60, TRANSPORT, "c-1")
    assert (record.state, record.fence, record.run_id) == (State.SENDING, 1, RUN)
    assert record.lease_until == clock.now + timedelta(seconds=60)
    assert ledger.claim(OTHER_RUN, [answer.delivery.id], 60, TRANSPORT) == []
    (attempt,) = attempts(ledger)
    assert (attempt.fence, attempt.run_id, attempt.correlation_id, attempt.outcome) == (1, RUN, "c-1", None)


@pytest.mark.parametrize(
    "events",
    [(Event.ACCEPTED,), (Event.REFUSED,), (Event.LOST,), (Event.LOST, Event.GIVEN_UP)],
)
def test_only_ready_and_due_deliveries_can_be_claimed(ledger: Ledger, events) -> None:
    record = in_state(ledger, candidate("F-1"), *events)
    assert ledger.claim(OTHER_RUN, [record.id], 60, TRANSPORT) == []


def test_a_waiting_delivery_is_claimed_when_it_is_due(ledger: Ledger, clock: Clock) -> None:
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
def test_settlements_follow_the_life_cycle(ledger: Ledger, events, state: State, charged: int) -> None:
    record = settle(
        ledger, claimed(ledger, candidate("F-1")), *events, reason="why", response={"x": 1}, document_id="d-1"
    )
    assert (record.state, record.attempts, record.reason, record.document_id) == (state, charged, "why", "d-1")
    assert record == ledger.states([record.id])[record.id]
    assert record.lease_until is None
    (attempt,) = attempts(ledger)
    assert (attempt.outcome, attempt.reason, attempt.response) == (events[0], "why", {"x": 1})
    assert attempt.finished_at is not None


def test_a_settlement_of_an_older_claim_changes_nothing(ledger: Ledger) -> None:
    old = claimed(ledger, candidate("F-1"))
    settle(ledger, old, Event.RELEASED)
    (new,) = ledger.claim(OTHER_RUN, [old.id], 60, TRANSPORT)
    assert settle(ledger, old, Event.REFUSED) == new
    assert [attempt.outcome for attempt in attempts(ledger)] == ["released", None]


def test_a_settlement_written_twice_counts_once(ledger: Ledger, clock: Clock) -> None:
    record = claimed(ledger, candidate("F-1"))
    first = settle(ledger, record, Event.NOT_SENT, delay=5.0)
    clock.pass_by(1)
    assert settle(ledger, record, Event.NOT_SENT, delay=5.0) == first


def test_an_expired_lease_makes_unknown_and_a_live_one_does_not(ledger: Ledger, clock: Clock) -> None:
    record = claimed(ledger, candidate("F-1"), lease=60)
    clock.pass_by(59)
    assert ledger.expire() == 0
    clock.pass_by(2)
    assert ledger.expire() == 1
    (unknown,) = ledger.unknown("clearfacts", 10)
    assert (unknown.id, unknown.state, unknown.attempts) == (record.id, State.UNKNOWN, 1)
    assert ledger.unknown("elsewhere", 10) == []
    assert [attempt.outcome for attempt in attempts(ledger)] == ["lost"]


def test_a_dead_runs_claims_are_unknown_at_once(ledger: Ledger) -> None:
    claimed(ledger, candidate("F-1"))
    assert ledger.expire([OTHER_RUN]) == 0
    assert ledger.expire([RUN]) == 1


@pytest.mark.parametrize("further", [(), (Event.GIVEN_UP,), (Event.NOT_FOUND,)])
def test_an_acceptance_that_comes_late_is_proof(ledger: Ledger, further) -> None:
    record = claimed(ledger, candidate("F-1"))
    ledger.expire([RUN])
    if further:
        settle(ledger, record, *further)
    late = settle(ledger, record, Event.ACCEPTED, document_id="d-9")
    assert (late.state, late.document_id) == (State.DELIVERED, "d-9")
    (attempt,) = attempts(ledger)
    assert (attempt.outcome, attempt.proof) == ("lost", "accepted")  # what was written of the attempt stays


def test_a_late_refusal_changes_nothing(ledger: Ledger) -> None:
    record = claimed(ledger, candidate("F-1"))
    ledger.expire([RUN])
    assert settle(ledger, record, Event.REFUSED).state is State.UNKNOWN


@pytest.mark.parametrize("events", [(Event.LOST, Event.NOT_FOUND), (Event.NOT_SENT,)])
def test_what_one_transport_may_have_accepted_is_not_claimed_for_another(ledger: Ledger, events) -> None:
    record = in_state(ledger, candidate("F-1"), *events)
    assert record.state is State.WAITING
    elsewhere = ledger.claim(OTHER_RUN, [record.id], 60, "another")
    assert len(elsewhere) == (0 if Event.LOST in events else 1)


@pytest.mark.parametrize("event", [Event.ACCEPTED, Event.REFUSED])
def test_a_forced_job_sends_again_what_was_settled_and_only_once(ledger: Ledger, event: Event) -> None:
    was = in_state(ledger, candidate("F-1"), event)
    wish = Force("an.operator", "the accountant lost it", "request-1")
    (answer,) = register(ledger, candidate("F-1"), force=wish)
    again = Event.SENT_AGAIN if event is Event.ACCEPTED else Event.RESENT
    assert (answer.event, answer.delivery.state, answer.delivery.generation) == (again, State.READY, 2)
    assert answer.delivery.idempotency_key != was.idempotency_key
    (record,) = ledger.claim(RUN, [answer.delivery.id], 60, TRANSPORT)
    settle(ledger, record, Event.ACCEPTED)
    (retried,) = register(ledger, candidate("F-1"), force=wish)
    assert (retried.event, retried.delivery.state) == (None, State.DELIVERED)
    if isinstance(ledger, MemoryLedger):  # it keeps no audit log
        return
    with reading(ledger._engine) as connection:
        (entry,) = connection.execute(select(AuditLog.__table__)).all()
    assert (entry.action, entry.resource_id) == (f"delivery.{again}", str(was.id))
    assert (entry.details["actor"], entry.details["reason"]) == ("an.operator", "the accountant lost it")


@pytest.mark.parametrize("events", [(), (Event.LOST,), (Event.LOST, Event.GIVEN_UP), (Event.NOT_SENT,)])
def test_force_moves_nothing_that_is_open(ledger: Ledger, events) -> None:
    record = claimed(ledger, candidate("F-1"))
    if events:
        record = settle(ledger, record, *events)
    (answer,) = register(ledger, candidate("F-1"), force=Force("an.operator", "now", "request-1"))
    assert (answer.event, answer.delivery) == (None, record)


@pytest.mark.parametrize("events", [(), (Event.LOST,), (Event.NOT_SENT,), (Event.RELEASED,)])
def test_force_sends_no_version_beside_another_one_that_may_leave(ledger: Ledger, events) -> None:
    old = in_state(ledger, candidate("F-1"), Event.REFUSED)
    corrected = claimed(ledger, candidate("F-1", "<corrected/>", source_id="another"))
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
    add = History.add

    def meanwhile(history: History, sha256: str, day: str | None) -> tuple[UUID, Event]:
        person.start()
        while person.is_alive() and not waits_for_a_lock(engine):
            pass
        return add(history, sha256, day)

    monkeypatch.setattr(History, "add", meanwhile)
    (corrected,) = register(ledger, candidate("F-1", "<corrected/>", source_id="another"))
    person.join(300)
    states = ledger.states([refused.id, corrected.delivery.id])
    leaving = [one.revision for one in states.values() if one.state in before(Event.CLAIMED)]
    assert leaving == [leaves]
    engine.dispose()


def waits_for_a_lock(engine: Engine) -> bool:
    with reading(engine) as connection:
        return bool(connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())


@pytest.mark.parametrize("database_kind", KINDS, indirect=True)
def test_leases_run_by_the_databases_clock(engine: Engine) -> None:
    """The default clock is the database's: a lease of nothing is over at once, one of a minute is not."""
    ledger = SqlDeliveryLedger(engine)
    claimed(ledger, candidate("F-1"), lease=60)
    claimed(ledger, candidate("F-2"), lease=0)
    assert ledger.expire() == 1


def test_nothing_to_do_is_no_transaction(ledger: Ledger) -> None:
    assert register(ledger) == []
    assert ledger.claim(RUN, [], 60, TRANSPORT) == []
    assert ledger.settle([]) == {}
    assert ledger.claim(RUN, [uuid4()], 60, TRANSPORT) == []
    assert ledger.settle([Settlement(uuid4(), 1, (Event.ACCEPTED,))]) == {}

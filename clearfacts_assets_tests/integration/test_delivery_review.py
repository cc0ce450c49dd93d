"""People decide: every verdict, audited, and only where the life cycle has an edge for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import product
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, insert, select
from typer.testing import CliRunner

from clearfacts_assets import settings
from clearfacts_assets.cli.invoices.deliveries import app
from clearfacts_assets.invoices.ledger.model import DeliveryRecord, Settlement
from clearfacts_assets.invoices.lifecycle import (
    TRANSITIONS,
    AnotherVersionIsOpen,
    Event,
    ForbiddenTransition,
    State,
    Verdict,
)
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.delivery_review import DeliveryNotFound, DeliveryReview
from clearfacts_assets.storage.invoices.tables import InvoiceRow, Job
from clearfacts_assets_tests.fixtures.submissions import TRANSPORT, candidate

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)

# From READY (or claimed, thus SENDING), the events that lead to each state.
WAY_TO: dict[State, tuple[Event, ...] | None] = {
    State.READY: None,
    State.HELD: None,
    State.SENDING: (),
    State.WAITING: (Event.NOT_SENT,),
    State.UNKNOWN: (Event.LOST,),
    State.DELIVERED: (Event.ACCEPTED,),
    State.REJECTED: (Event.REFUSED,),
    State.PARKED: (Event.LOST, Event.GIVEN_UP),
}


class Desk:
    """A ledger with a job of one day, and the review on it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.ledger, self.review = SqlDeliveryLedger(engine), DeliveryReview(engine)
        self.job = uuid4()
        with engine.begin() as connection:
            connection.execute(
                insert(Job).values(
                    id=self.job, job_type="manual", partition_key="2026-11-20", created_at=NOW, updated_at=NOW
                )
            )

    def delivery(self, number: str, state: State, content: str | None = None) -> DeliveryRecord:
        """A delivery that has come to the state, with a pending row of the job."""
        one = candidate(number, content, source_id=f"erp-{number}-{content}")
        with self.engine.begin() as connection:
            connection.execute(
                insert(InvoiceRow).values(
                    id=one.row_id, job_id=self.job, invoice_id=f"{number} {content}", created_at=NOW, updated_at=NOW
                )
            )
        (answer,) = self.ledger.register(self.job, "clearfacts", [one])
        way = WAY_TO[state]
        if state is State.HELD and answer.delivery.state is not State.HELD:
            return self.delivery(number, state, "<changed/>")
        if way is None:
            return answer.delivery
        (claim,) = self.ledger.claim(self.job, [answer.delivery.id], 3600, TRANSPORT)
        if not way:
            return claim
        return self.ledger.settle([Settlement(claim.id, claim.fence, way, "as it happened")])[claim.id]

    def resolve(self, delivery: DeliveryRecord, verdict: Verdict) -> DeliveryRecord:
        return self.review.resolve(delivery.id, verdict, reason="I have looked", actor="an.operator", now=NOW)

    def row(self, delivery: DeliveryRecord) -> tuple[str, str | None]:
        with reading(self.engine) as connection:
            row = connection.execute(select(InvoiceRow.__table__).where(InvoiceRow.delivery_id == delivery.id)).one()
        return row.status, row.error_message


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine)


@pytest.mark.parametrize(("state", "verdict"), list(product(WAY_TO, Verdict)))
def test_a_verdict_follows_the_life_cycle_or_is_refused(desk: Desk, state: State, verdict: Verdict) -> None:
    before = desk.delivery("F-1", state)
    ends = TRANSITIONS.get((state, verdict.event))
    if ends is None:
        with pytest.raises(ForbiddenTransition):
            desk.resolve(before, verdict)
        assert desk.ledger.states([before.id])[before.id] == before
        assert desk.review.get(before.id).decisions == []
        return
    expected = ends[0]  # further ones are for what was accepted before
    decided = desk.resolve(before, verdict)
    assert decided.state is expected
    (decision,) = desk.review.get(before.id).decisions
    assert decision.action == f"delivery.{verdict.event}"
    assert decision.details["actor"] == "an.operator"
    assert (decision.details["before"]["state"], decision.details["after"]["state"]) == (state, expected)


def test_a_confirmed_delivery_settles_the_rows_that_waited(desk: Desk) -> None:
    parked = desk.delivery("F-1", State.PARKED)
    assert desk.resolve(parked, Verdict.DELIVERED).delivered_at == NOW
    assert desk.row(parked) == ("sent", None)


def test_a_waived_delivery_fails_the_rows_that_waited(desk: Desk) -> None:
    parked = desk.delivery("F-1", State.PARKED)
    desk.resolve(parked, Verdict.WAIVE)
    assert desk.row(parked) == ("failed", "dismissed by an.operator: I have looked")


def test_a_resend_gets_a_new_key_and_its_tries_back(desk: Desk) -> None:
    parked = desk.delivery("F-1", State.PARKED)
    again = desk.resolve(parked, Verdict.RESEND)
    assert (again.generation, again.attempts, again.state) == (2, 0, State.READY)
    assert again.idempotency_key == f"{parked.key.digest}-r1g2"
    assert desk.row(parked)[0] == "pending"


def test_resending_a_changed_version_drops_the_older_one_that_never_left(desk: Desk) -> None:
    old = desk.delivery("F-1", State.READY)
    held = desk.delivery("F-1", State.READY, "<changed/>")
    assert held.state is State.HELD
    desk.resolve(held, Verdict.RESEND)
    states = desk.ledger.states([old.id, held.id])
    assert (states[old.id].state, states[held.id].state) == (State.WAIVED, State.READY)


@pytest.mark.parametrize("state", [State.SENDING, State.UNKNOWN])
def test_a_version_is_not_resent_while_another_one_may_be_accepted(desk: Desk, state: State) -> None:
    old = desk.delivery("F-1", state)
    held = desk.delivery("F-1", State.READY, "<changed/>")
    with pytest.raises(AnotherVersionIsOpen):
        desk.resolve(held, Verdict.RESEND)
    states = desk.ledger.states([old.id, held.id])
    assert (states[old.id], states[held.id]) == (old, held)
    way = (Event.NOT_SENT,) if state is State.SENDING else (Event.NOT_FOUND,)
    desk.ledger.settle([Settlement(old.id, old.fence, way)])
    desk.resolve(held, Verdict.RESEND)
    assert desk.ledger.states([old.id])[old.id].state is State.WAIVED


@pytest.mark.parametrize(("reason", "actor"), [("", "me"), ("  ", "me"), ("because", " ")])
def test_a_verdict_needs_a_reason_and_somebody(desk: Desk, reason: str, actor: str) -> None:
    parked = desk.delivery("F-1", State.PARKED)
    with pytest.raises(ValueError, match="reason"):
        desk.review.resolve(parked.id, Verdict.WAIVE, reason=reason, actor=actor, now=NOW)


def test_an_unknown_delivery_is_said_to_be_unknown(desk: Desk) -> None:
    with pytest.raises(DeliveryNotFound):
        desk.review.get(uuid4())
    with pytest.raises(DeliveryNotFound):
        desk.review.resolve(uuid4(), Verdict.WAIVE, reason="x", actor="me", now=NOW)


def test_the_queue_lists_what_waits_newest_first(desk: Desk) -> None:
    made = [desk.delivery(f"F-{number}", State.PARKED).id for number in range(3)]
    desk.delivery("F-9", State.DELIVERED)
    first = desk.review.list(states=[State.PARKED], limit=2)
    rest = desk.review.list(states=[State.PARKED], limit=2, cursor=first.next_cursor)
    assert [one.id for one in [*first.items, *rest.items]] == made[::-1]
    assert [one.key.number for one in desk.review.list(number="F-9").items] == ["F-9"]
    assert desk.ledger.count_by_state()[State.PARKED] == 3


def test_runs_that_hold_something_are_known(desk: Desk) -> None:
    assert desk.ledger.holders() == []
    desk.delivery("F-1", State.SENDING)
    desk.delivery("F-2", State.SENDING)
    assert desk.ledger.holders() == [desk.job]


class Terminal:
    """The command on the database of the desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def __call__(self, *arguments: object, code: int = 0) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result.output

    def typed(self, answer: str, *arguments: object, code: int) -> str:
        """What the command shows on a terminal of its own, where a person answers."""
        person, terminal = os.openpty()
        os.write(person, f"{answer}\n".encode())
        result = subprocess.run(
            [sys.executable, "-m", "clearfacts_assets", "deliveries", *map(str, arguments)],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        os.close(person)
        os.close(terminal)
        assert result.returncode == code, result.stdout
        return result.stdout

    def json(self, *arguments: object) -> dict:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def terminal(desk: Desk, migrated_url: str, tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLEARFACTS_DATABASE_URL", migrated_url)
    monkeypatch.setenv("CLEARFACTS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", "")
    settings.load.cache_clear()
    desk.engine.connect().close()
    with desk.engine.begin() as connection:
        connection.execute(Job.__table__.update().values(status="completed"))
    yield Terminal(desk)
    settings.load.cache_clear()


def test_the_terminal_lists_shows_and_resolves(terminal: Terminal) -> None:
    parked = terminal.desk.delivery("F-2026-7", State.PARKED)
    terminal.desk.delivery("F-2026-8", State.DELIVERED)
    (listed,) = terminal.json("list", "--state", "parked", "--state", "held")["deliveries"]
    assert (listed["delivery_id"], listed["number"], listed["state"]) == (str(parked.id), "F-2026-7", "parked")
    shown = terminal.json("show", parked.id)
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["lost"]
    assert shown["seen_in"][0]["partition_key"] == "2026-11-20"
    said = terminal("resolve", parked.id, "--as", "resend", "--seen", "parked/1", "--reason", "it has no such file")
    assert "was parked and is ready now" in said.replace("\n", " ")
    assert "clearfacts run --date 2026-11-20" in said
    assert terminal.json("show", parked.id)["decisions"][0]["details"]["reason"] == "it has no such file"


def test_the_terminal_says_what_cannot_be_done(terminal: Terminal) -> None:
    sending = terminal.desk.delivery("F-1", State.SENDING)
    as_seen = ("resolve", sending.id, "--seen", "sending/1")
    terminal(*as_seen, "--as", "waive", "--reason", "x", code=1)
    terminal(*as_seen, "--as", "nonsense", "--reason", "x", code=2)
    terminal(*as_seen, "--as", "waive", "--reason", " ", code=2)
    terminal("show", UUID(int=1), code=1)
    terminal("show", "nonsense", code=2)


def test_the_terminal_prints_tables_for_people(terminal: Terminal) -> None:
    parked = terminal.desk.delivery("F-1", State.PARKED)
    assert "parked" in terminal("list")
    assert "as it happened" in terminal("show", parked.id).replace("\n", " ")


def test_the_terminal_refuses_what_was_decided_by_an_old_list(terminal: Terminal) -> None:
    parked = terminal.desk.delivery("F-1", State.PARKED)
    assert "parked/1" in terminal("show", parked.id)
    first = ("resolve", parked.id, "--seen", "parked/1", "--reason", "I looked")
    terminal(*first, "--as", "delivered")
    refused = terminal(*first, "--as", "resend", code=1).replace("\n", " ")
    assert "it was parked, generation 1, when you looked, and is delivered now" in refused
    assert terminal.json("show", parked.id)["state"] == "delivered"
    terminal("resolve", parked.id, "--as", "resend", "--seen", "long ago", "--reason", "x", code=2)
    terminal("resolve", parked.id, "--as", "resend", "--seen", "delivered/1", "--reason", "x", code=1)
    again = terminal("resolve", parked.id, "--as", "send_again", "--seen", "delivered/1", "--reason", "they lost it")
    assert "was delivered and is ready now" in again.replace("\n", " ")


def test_a_script_that_does_not_say_what_was_seen_decides_nothing(terminal: Terminal) -> None:
    """It would stand for what the ledger says at that moment, whatever list it was written from."""
    parked = terminal.desk.delivery("F-1", State.PARKED)
    refused = terminal("resolve", parked.id, "--as", "resend", "--reason", "x", code=2).replace("\n", " ")
    assert "say with --seen how the delivery was when you looked at it" in refused
    assert "it is parked/1 now" in refused
    assert terminal.json("show", parked.id)["state"] == "parked"


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_person_at_the_terminal_is_shown_the_delivery_and_asked(terminal: Terminal) -> None:
    parked = terminal.desk.delivery("F-1", State.PARKED)
    for answer, code, state in (("n", 1, "parked"), ("y", 0, "ready")):
        shown = terminal.typed(answer, "resolve", parked.id, "--as", "resend", "--reason", "x", code=code)
        assert "as it happened" in shown
        assert "Is resend your decision on this?" in shown
        assert terminal.json("show", parked.id)["state"] == state

"""Receivers: what Clearfacts has no administration for is held before it is sent, and is not stuck for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, select

from clearfacts_assets.invoices.delivery.receivers import Directory, ReceiverCheck
from clearfacts_assets.invoices.ledger.model import Candidate, Force
from clearfacts_assets.invoices.lifecycle import State, Verdict
from clearfacts_assets.invoices.model import InvoiceStatus, Party
from clearfacts_assets.invoices.ports import Administration, DestinationError, NotSent
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.delivery_review import DeliveryReview
from clearfacts_assets.storage.invoices.tables import Delivery
from clearfacts_assets_tests.fixtures.runs import Runs, statuses
from clearfacts_assets_tests.fixtures.submissions import TRANSPORT, Acceptor, candidate, candidates

SENT, PENDING, DUPLICATE = InvoiceStatus.SENT, InvoiceStatus.PENDING, InvoiceStatus.DUPLICATE
KNOWN, STRANGER = "0987654394", Party("Vreemd NV", vat_id="BE0456.789.123")
REASON = (
    "held for a person: receiver BE0456789123 is not an administration of this Clearfacts account: add it there and "
    "run the day again, or `clearfacts deliveries resolve ID --as resend` sends it all the same, `--as waive` never"
)


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Account:
    """Administrations, as a test has them."""

    numbers: set[str] = field(default_factory=lambda: {KNOWN})
    down: bool = False
    asked: int = 0

    def administrations(self) -> list[Administration]:
        self.asked += 1
        if self.down:
            raise DestinationError("POST https://clearfacts.example/graphql answered HTTP 503")
        return [Administration("A company", number) for number in sorted(self.numbers)]


class Checked(Runs):
    """Runs with the check, over one account and one directory."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.clock, self.account, self.destination = Clock(), Account(), Acceptor()
        self.directory, self.review = Directory(self.clock), DeliveryReview(engine)
        self.stopped: list[str] = []

    def deliver(self, some: Sequence[Candidate], *, fresh: float = 60, invoice_type: str = "PURCHASE", **more):
        self.clock.seconds += 1
        check = ReceiverCheck(self.ledger, self.account, self.directory, invoice_type, fresh)
        self.stopped = []
        options = {"admit": check.admit, "on_stop": self.stopped.append, "invoice_type": invoice_type, **more}
        return self(some, self.destination, **options)

    def one(self, number: str) -> UUID:
        (found,) = self.review.list(number=number).items
        return found.id

    def resolve(self, number: str, verdict: Verdict) -> None:
        self.review.resolve(self.one(number), verdict, reason="r", actor="a person", now=datetime.now(UTC))

    def held_for(self) -> dict[str, str | None]:
        with reading(self.engine) as connection:
            return dict(connection.execute(select(Delivery.number, Delivery.held_for)).tuples().all())


@pytest.fixture
def run(engine: Engine) -> Checked:
    return Checked(engine)


def strange(number: str, content: str | None = None) -> Candidate:
    return candidate(number, content, customer=STRANGER)


def test_a_stranger_is_held_with_the_reason_and_the_others_are_sent(run: Checked) -> None:
    found = run.deliver([*candidates(5), strange("S-1")])
    assert found["S-1"][0].status is PENDING
    assert found["S-1"][0].message == REASON
    assert run.states() == {**{f"F-{number:05}": "delivered" for number in range(5)}, "S-1": "held"}
    assert "S-1" not in run.destination.numbers
    assert run.outcomes() == {"accepted": 5}


def test_what_a_run_registered_that_died_before_the_check_is_checked_by_the_next_one(run: Checked) -> None:
    run.ledger.register(uuid4(), "clearfacts", [strange("S-1"), candidate("F-1")])
    assert statuses(run.deliver([strange("S-1"), candidate("F-1")])) == {"S-1": PENDING, "F-1": SENT}
    assert run.states() == {"S-1": "held", "F-1": "delivered"}


def test_once_the_administration_is_there_the_next_run_sends_it(run: Checked) -> None:
    run.deliver([strange("S-1"), strange("S-2")])
    assert statuses(run.deliver([strange("S-1"), strange("S-2")])) == {"S-1": PENDING, "S-2": PENDING}
    run.account.numbers.add("0456789123")
    assert statuses(run.deliver([strange("S-1"), strange("S-2")])) == {"S-1": SENT, "S-2": SENT}
    assert run.held_for() == {"S-1": None, "S-2": None}
    assert run.destination.numbers == ["S-1", "S-2"]


def test_a_person_may_send_it_all_the_same(run: Checked) -> None:
    run.deliver([strange("S-1")])
    run.resolve("S-1", Verdict.RESEND)
    assert statuses(run.deliver([strange("S-1")])) == {"S-1": SENT}
    assert run.destination.accepted[0].idempotency_key.endswith("-r1g2")


def test_what_a_person_resent_stays_sendable_when_a_first_try_fails(run: Checked) -> None:
    run.deliver([strange("S-1")])
    run.resolve("S-1", Verdict.RESEND)
    run.destination = Acceptor(lambda submission, call: NotSent("429") if call == 1 else None)
    assert statuses(run.deliver([strange("S-1")])) == {"S-1": SENT}


def test_a_person_may_waive_it(run: Checked) -> None:
    run.deliver([strange("S-1")])
    run.resolve("S-1", Verdict.WAIVE)
    run.account.numbers.add("0456789123")
    assert statuses(run.deliver([strange("S-1")])) == {"S-1": DUPLICATE}
    assert run.destination.numbers == []


def test_what_is_held_for_its_content_is_not_released_by_its_receiver(run: Checked) -> None:
    run.deliver([candidate("F-1")])
    assert statuses(run.deliver([candidate("F-1", "<changed/>")])) == {"F-1": PENDING}
    assert statuses(run.deliver([candidate("F-1", "<changed/>")])) == {"F-1": PENDING}
    assert run.destination.numbers == ["F-1"]


def test_what_waits_for_another_try_is_held_too_when_its_administration_is_gone(run: Checked) -> None:
    run.destination = Acceptor(lambda submission, call: NotSent("429", retry_after=3600))
    run.deliver([candidate("F-1")])
    assert run.states() == {"F-1": "waiting"}
    run.account.numbers = {"0111111112"}
    run.deliver([candidate("F-1")], fresh=0)
    assert run.states() == {"F-1": "held"}
    run.account.numbers, run.destination = {KNOWN}, Acceptor()
    assert statuses(run.deliver([candidate("F-1")])) == {"F-1": SENT}


def test_what_is_delivered_stays_delivered_whatever_becomes_of_its_receiver(run: Checked) -> None:
    run.deliver(candidates(3))
    run.account.numbers = {"0111111112"}
    assert set(statuses(run.deliver(candidates(3), fresh=0)).values()) == {DUPLICATE}
    assert run.account.asked == 1  # nothing depends on it


def test_force_sends_knowingly(run: Checked) -> None:
    run.deliver([candidate("F-1")])
    run.account.numbers = {"0111111112"}
    assert statuses(run.deliver([candidate("F-1")], fresh=0, force=Force("a person", "r", "job-1"))) == {"F-1": SENT}


def test_sales_are_filed_under_the_supplier_who_is_the_one_that_must_be_known(run: Checked) -> None:
    (result,) = run.deliver([candidate("F-1")], invoice_type="SALE")["F-1"]
    assert result.message.startswith("held for a person: supplier BE0123456749 is not an administration")
    run.account.numbers = {"0123456749"}
    assert statuses(run.deliver([candidate("F-1")], invoice_type="SALE")) == {"F-1": SENT}


@pytest.mark.parametrize("written", ["BE 0987.654.394", "0987654394", "be0987654394", "987.654.394", "0208:0987654394"])
def test_a_number_is_the_same_however_it_is_written(run: Checked, written: str) -> None:
    scheme = written.startswith("0208")
    party = Party("Client", endpoint=written) if scheme else Party("Client", vat_id=written)
    assert statuses(run.deliver([candidate("F-1", customer=party)])) == {"F-1": SENT}


def test_a_foreign_number_is_held_though_a_belgian_company_has_the_same_digits(run: Checked) -> None:
    """A SIREN 999000228 beside the administration 0999000228."""
    run.account.numbers = {"0999000228"}
    french = Party("Societe", legal_id="999000228", legal_scheme="0002", endpoint="0002:999000228", country="FR")
    (result,) = run.deliver([candidate("F-1", customer=french)])["F-1"]
    assert result.message.startswith(
        "held for a person: receiver SIREN:999000228: no administration is addressed by a SIREN"
    )
    assert run.states() == {"F-1": "held"}
    belgian = Party("Bedrijf", legal_id="999.000.228", legal_scheme="0208")
    assert statuses(run.deliver([candidate("F-1", customer=belgian)])) == {"F-1": SENT}


@pytest.mark.parametrize("silent", ["down", "empty"])
def test_without_an_answer_nothing_is_sent_and_nothing_is_held(run: Checked, silent: str) -> None:
    run.account.down, run.account.numbers = silent == "down", set()
    found = run.deliver([*candidates(25), strange("S-1")])
    assert set(statuses(found).values()) == {PENDING}
    assert set(run.states().values()) == {"ready"}
    assert len(run.stopped) == 1
    assert run.stopped[0].startswith("the receivers could not be checked: ")
    assert run.stopped[0] in found["S-1"][0].message
    assert run.stopped[0] in found["F-00024"][0].message
    assert run.account.asked == 1
    run.account.down, run.account.numbers = False, {KNOWN}
    assert statuses(run.deliver([*candidates(25), strange("S-1")])) == {
        **{f"F-{number:05}": SENT for number in range(25)},
        "S-1": PENDING,
    }


def test_the_account_is_asked_once_in_a_run_and_not_at_all_while_its_answer_is_fresh(run: Checked) -> None:
    run.deliver([*candidates(35), strange("S-1"), strange("S-2")], fresh=60)
    assert run.account.asked == 1
    run.deliver(candidates(5, "G"), fresh=60)
    assert run.account.asked == 1
    run.clock.seconds += 61
    run.deliver(candidates(5, "H"), fresh=60)
    assert run.account.asked == 2
    run.deliver(candidates(35, "I"), fresh=0)
    assert run.account.asked == 3


def test_nothing_is_held_on_an_old_answer(run: Checked) -> None:
    """The administration was added a moment ago: the list in memory is still fresh, and does not have it."""
    run.deliver(candidates(2), fresh=3600)
    run.account.numbers.add("0456789123")
    assert statuses(run.deliver([strange("S-1")], fresh=3600)) == {"S-1": SENT}
    assert run.account.asked == 2


def test_an_account_that_is_down_does_not_matter_while_its_answer_is_fresh_and_all_are_known(run: Checked) -> None:
    run.deliver(candidates(2))
    run.account.down = True
    assert set(statuses(run.deliver(candidates(2, "G"))).values()) == {SENT}
    assert statuses(run.deliver([strange("S-1")])) == {"S-1": PENDING}
    assert run.states()["S-1"] == "ready"


def test_another_run_that_has_claimed_it_is_not_disturbed(engine: Engine) -> None:
    ledger, living = SqlDeliveryLedger(engine), uuid4()
    (known,) = ledger.register(living, "clearfacts", [strange("S-1")])
    (claimed,) = ledger.claim(living, [known.delivery.id], 60, TRANSPORT)
    assert ledger.hold({claimed.id: "why"}) == {claimed.id: claimed}
    assert ledger.release([claimed.id]) == {claimed.id: claimed}
    assert claimed.state is State.SENDING

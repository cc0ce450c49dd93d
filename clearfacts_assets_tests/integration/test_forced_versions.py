"""A forced job and the versions of one number: which of them leaves, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from clearfacts_assets.invoices.ledger.model import Force
from clearfacts_assets.invoices.lifecycle import Event, State, Verdict
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.delivery_review import DeliveryReview
from clearfacts_assets_tests.fixtures.submissions import candidate
from clearfacts_assets_tests.integration.test_ledger import in_state, register


@pytest.fixture
def ledger(engine: Engine) -> SqlDeliveryLedger:
    return SqlDeliveryLedger(engine)


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two"])
@pytest.mark.parametrize(("verdict", "leaves"), [(Verdict.WAIVE, 1), (Verdict.DELIVERED, 2)])
def test_force_sends_one_version_of_a_number_and_never_a_waived_one_beside_a_delivered_one(
    ledger: SqlDeliveryLedger, engine: Engine, verdict: Verdict, leaves: int, *, together: bool
) -> None:
    first, second = candidate("F-1"), candidate("F-1", "<changed/>")
    in_state(ledger, first, Event.ACCEPTED)
    (held,) = register(ledger, second)
    DeliveryReview(engine).resolve(held.delivery.id, verdict, reason="a twin", actor="a person", now=datetime.now(UTC))
    force = Force("an.operator", "again", "request-1")
    batches = [[first, second]] if together else [[second], [first]]
    answers = [answer for batch in batches for answer in register(ledger, *batch, force=force)]
    assert [answer.delivery.revision for answer in answers if answer.event is Event.SENT_AGAIN] == [leaves]


def test_force_sends_no_version_beside_one_that_waits_for_its_receiver(ledger: SqlDeliveryLedger) -> None:
    """Any run may send that one, as soon as Clearfacts knows the receiver."""
    in_state(ledger, candidate("F-1"), Event.REFUSED)
    (corrected,) = register(ledger, candidate("F-1", "<corrected/>", source_id="another"))
    ledger.hold({corrected.delivery.id: "no such administration"})
    (answer,) = register(ledger, candidate("F-1"), force=Force("an.operator", "now", "request-1"))
    assert (answer.event, answer.delivery.state) == (None, State.REJECTED)

"""The wire: calls under way, in threads; what has not begun can be held back, and nothing is lost when it closes."""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime

import pytest

from clearfacts_assets.invoices.delivery.wire import TURN_SECONDS, NotCalled, Wire
from clearfacts_assets.invoices.delivery.work_list import WorkItem
from clearfacts_assets.invoices.ledger.history import History
from clearfacts_assets.invoices.model import InvoiceKey
from clearfacts_assets.invoices.ports import Accepted, Outcome
from clearfacts_assets_tests.fixtures.submissions import candidate

GOOD = Accepted("doc-1")


@pytest.fixture
def item() -> WorkItem:
    one = candidate("F-1")
    history = History(InvoiceKey.of(one.invoice, "clearfacts"), datetime(2026, 11, 20, tzinfo=UTC))
    delivery_id, _ = history.add(one.content_sha256, None)
    return WorkItem(one, history.version(delivery_id))


def test_calls_that_ended_are_handed_out_once_with_their_outcomes(item: WorkItem) -> None:
    wire = Wire(2)
    for _ in range(5):
        wire.begin(item, lambda: GOOD)
    assert [wire.next(30) for _ in range(5)] == [(item, GOOD)] * 5
    assert (len(wire), wire.next(30), wire.close()) == (0, None, [])


def test_what_has_not_begun_is_held_back_and_what_has_is_finished(item: WorkItem) -> None:
    begun, go_on, wire = threading.Event(), threading.Event(), Wire(1)

    def call() -> Outcome:
        begun.set()
        go_on.wait(300)
        return GOOD

    for _ in range(3):
        wire.begin(item, call)
    assert begun.wait(300)
    wire.hold_back()
    assert [wire.next(30), wire.next(30), wire.next(0)] == [(item, NotCalled()), (item, NotCalled()), None]
    go_on.set()
    assert wire.close() == [(item, GOOD)]


def test_threads_take_short_turns_while_any_wire_is_open() -> None:
    usual = sys.getswitchinterval()
    first, second = Wire(1), Wire(1)
    first.close()
    assert sys.getswitchinterval() == pytest.approx(TURN_SECONDS)
    second.close()
    assert sys.getswitchinterval() == pytest.approx(usual)

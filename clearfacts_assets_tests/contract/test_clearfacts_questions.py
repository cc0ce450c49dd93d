"""Questions to Clearfacts, which change nothing there: they wait as long as they are asked to, and are asked again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

import pytest

from clearfacts_assets.backoff import Backoff
from clearfacts_assets.invoices.destinations import DestinationOptions, calls
from clearfacts_assets.invoices.destinations.calls import ASKED, PAUSES, Patience
from clearfacts_assets.invoices.destinations.clearfacts_graphql import MOST_PAGES, ClearfactsGraphql
from clearfacts_assets.invoices.ports import DestinationDenied, DestinationError, Unknown
from clearfacts_assets_tests.fixtures.destinations import DestinationAt
from clearfacts_assets_tests.fixtures.simulated_submissions import submission
from clearfacts_assets_tests.fixtures.wire import Line, Script, WireServer, answer, answering

DOCUMENT_ID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
PATIENCE = 60.0

Ask = Callable[..., tuple[WireServer, ClearfactsGraphql]]


def busy(retry_after: int) -> Script:
    return answering(429, headers={"Retry-After": str(retry_after)})


gone = answering(200, {"data": {"document": None}})


@pytest.fixture
def connect() -> Iterator[Ask]:
    with ExitStack() as stack:

        def make(*scripts: Script, **options: Any) -> tuple[WireServer, ClearfactsGraphql]:
            server = stack.enter_context(WireServer(list(scripts)))
            known = {"login_url": server.url, "deadline": 5, "patience": PATIENCE} | options
            destination = ClearfactsGraphql(DestinationOptions(base_url=server.url, token="token", **known))
            stack.callback(destination.close)
            return server, destination

        yield make


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PAUSES", Backoff(first=PAUSES.first / 1000))


def test_a_question_waits_as_long_as_it_is_asked_to(connect: Ask) -> None:
    server, destination = connect(busy(1), gone)
    begun = time.monotonic()
    assert destination.document(DOCUMENT_ID) is None
    assert time.monotonic() - begun >= 1
    assert len(server.requests) == 2


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "script", [answering(503), answering(500), answering(429), lambda line: None, lambda line: line.read()]
)
def test_a_question_without_an_answer_is_asked_again(connect: Ask, script: Script) -> None:
    _, destination = connect(script, script, gone)
    assert destination.document(DOCUMENT_ID) is None


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("script", [busy(0), answering(503)])
def test_a_question_is_asked_a_bounded_number_of_times(connect: Ask, script: Script) -> None:
    server, destination = connect(script)
    with pytest.raises(DestinationError):
        destination.administrations()
    assert len(server.requests) == ASKED


def test_a_wait_that_is_longer_than_our_patience_is_not_begun(connect: Ask) -> None:
    server, destination = connect(busy(int(PATIENCE) + 1))
    with pytest.raises(DestinationError, match="HTTP 429"):
        destination.administrations()
    assert len(server.requests) == 1


def listing(*numbers: str) -> Script:
    return answering(200, {"data": {"administrations": [{"name": "A", "companyNumber": one} for one in numbers]}})


def test_all_pages_of_the_administrations_share_one_patience(connect: Ask) -> None:
    server, destination = connect(busy(1), listing("0123456749"), busy(1), patience=1.5)
    with pytest.raises(DestinationError, match="HTTP 429"):
        destination.administrations()
    assert len(server.requests) == 3


def test_slow_administrations_end_with_the_question_and_not_with_the_list(connect: Ask) -> None:
    numbers = count(1)

    def slow(line: Line) -> None:
        line.read()
        line.server.closing.wait(0.05)
        line.send(answer(200, {"data": {"administrations": [{"name": "A", "companyNumber": f"{next(numbers):010}"}]}}))

    server, destination = connect(slow, deadline=1, patience=0)
    with pytest.raises(DestinationError):
        destination.administrations()
    assert len(server.requests) < MOST_PAGES


def test_all_questions_share_one_patience_and_are_then_asked_once(connect: Ask) -> None:
    server, destination = connect(busy(1), gone, busy(1), patience=1.5)
    assert destination.document(DOCUMENT_ID) is None
    for asked in (3, 4):
        with pytest.raises(DestinationError, match="HTTP 429"):
            destination.document(DOCUMENT_ID)
        assert len(server.requests) == asked


def test_questions_that_wait_at_the_same_time_use_patience_once() -> None:
    now = [100.0]
    patience = Patience(10, monotonic=lambda: now[0])
    assert patience.take(108)
    assert patience.take(108)
    assert patience.take(109)
    assert not patience.take(111)
    now[0] = 200
    assert not patience.take(202)
    assert patience.take(200.5)


def test_an_absurd_wait_is_capped(connect: Ask) -> None:
    server, destination = connect(busy(10**9), gone, longest_wait=0)
    assert destination.document(DOCUMENT_ID) is None
    assert len(server.requests) == 2


def test_a_question_that_waits_ends_when_we_are_told_to_stop(connect: Ask) -> None:
    server, destination = connect(busy(30), should_stop=lambda: bool(server.requests))
    with pytest.raises(DestinationError, match="HTTP 429"):
        destination.document(DOCUMENT_ID)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_question_that_our_token_may_not_ask_is_not_asked_again(connect: Ask, status: int) -> None:
    server, destination = connect(answering(status))
    with pytest.raises(DestinationDenied):
        destination.document(DOCUMENT_ID)
    assert len(server.requests) == 1


def test_a_health_check_says_at_once_how_it_is(connect: Ask) -> None:
    server, destination = connect(busy(0))
    with pytest.raises(DestinationError):
        destination.check()
    assert len(server.requests) == 1


def test_only_who_has_sent_a_document_is_told_to_look_for_it(destination_at: DestinationAt) -> None:
    def silent(line: Any) -> None:
        line.read()

    _, destination = destination_at(silent)
    outcome = destination.send(submission())
    assert isinstance(outcome, Unknown)
    assert "look the document up in Clearfacts" in outcome.reason
    with pytest.raises(DestinationError) as raised:
        destination.check()
    assert "document" not in str(raised.value)

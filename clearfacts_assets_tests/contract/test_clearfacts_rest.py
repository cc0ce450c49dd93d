"""The REST transport: its own rows of docs/clearfacts-outcomes.md, and well-formed exchanges with the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from clearfacts_assets.invoices.destinations import DestinationOptions
from clearfacts_assets.invoices.destinations.clearfacts_rest import ClearfactsRest
from clearfacts_assets.invoices.ports import (
    Absent,
    Accepted,
    Denied,
    DestinationError,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)
from clearfacts_assets_tests.fixtures.simulated_submissions import submission
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator
from clearfacts_assets_tests.fixtures.wire import Script, WireServer, answering

UUID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"

Connect = Callable[..., tuple[WireServer, ClearfactsRest]]


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as stack:

        def make(*scripts: Script) -> tuple[WireServer, ClearfactsRest]:
            server = stack.enter_context(WireServer(list(scripts)))
            destination = ClearfactsRest(DestinationOptions(base_url=server.url, token="token", deadline=5))
            stack.callback(destination.close)
            return server, destination

        yield make


@pytest.fixture
def destination(simulator: RunningSimulator) -> Iterator[ClearfactsRest]:
    opened = ClearfactsRest(
        DestinationOptions(base_url=simulator.clearfacts_url, token=simulator.clearfacts_token, deadline=1)
    )
    yield opened
    opened.close()


def filed(**changes: Any) -> dict[str, Any]:
    ours = submission()
    return {"uuid": UUID, "sha256": ours.content_sha256, "idempotency_key": ours.idempotency_key} | changes


def refusal(code: Any = "NO", message: Any = "because") -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("body", [filed(), {"uuid": UUID}, {"uuid": UUID.upper()}])
def test_200_and_201_with_a_uuid_are_accepted(connect: Connect, status: int, body: Any) -> None:
    _, destination = connect(answering(status, body))
    outcome = destination.send(submission())
    assert isinstance(outcome, Accepted)
    assert outcome.document_id == UUID
    assert outcome.response["status"] == status


@pytest.mark.parametrize(
    "body",
    [{}, filed(uuid="17"), filed(sha256="other"), filed(idempotency_key="other"), filed() | refusal(), [filed()]],
)
def test_200_with_anything_else_is_unknown(connect: Connect, body: Any) -> None:
    _, destination = connect(answering(200, body))
    assert isinstance(destination.send(submission()), Unknown)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_documented_error_is_a_refusal(connect: Connect, status: int) -> None:
    _, destination = connect(answering(status, refusal("UNKNOWN_ADMINISTRATION", "no such company")))
    outcome = destination.send(submission())
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.message) == ("UNKNOWN_ADMINISTRATION", "no such company")
    assert outcome.response["status"] == status


@pytest.mark.parametrize("status", [400, 413, 415, 422])
@pytest.mark.parametrize(
    "body",
    ["<h1>no</h1>", b"", {}, {"error": "no"}, refusal(17), refusal(message=None), {"errors": [{"message": "no"}]}],
)
def test_an_error_that_is_not_as_documented_is_unknown(connect: Connect, status: int, body: Any) -> None:
    _, destination = connect(answering(status, body))
    assert isinstance(destination.send(submission()), Unknown)


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_key_that_was_used_for_something_else_is_unknown(connect: Connect, status: int) -> None:
    _, destination = connect(answering(status, refusal("IDEMPOTENCY_KEY_REUSED")))
    assert isinstance(destination.send(submission()), Unknown)


LOOK_UPS: dict[str, tuple[Script, type]] = {
    "one of ours": (answering(200, {"invoices": [filed()]}), Accepted),
    "none": (answering(200, {"invoices": []}), Absent),
    "of another key": (answering(200, {"invoices": [filed(idempotency_key="other")]}), Unknown),
    "other content": (answering(200, {"invoices": [filed(sha256="other")]}), Unknown),
    "two": (answering(200, {"invoices": [filed(), filed()]}), Unknown),
    "another shape": (answering(200, {"items": []}), Unknown),
    "null": (answering(200, {"invoices": None}), Unknown),
    "a list": (answering(200, []), Unknown),
    "html": (answering(200, "<html/>"), Unknown),
    "404": (answering(404, refusal("NOT_FOUND")), Unknown),
    "401": (answering(401), Unknown),
    "429": (answering(429), Unknown),
    "500": (answering(500), Unknown),
    "closed": (lambda line: None, Unknown),
}


@pytest.mark.parametrize("name", LOOK_UPS)
def test_a_look_up_proves_or_leaves_it_unknown(connect: Connect, name: str) -> None:
    script, expected = LOOK_UPS[name]
    server, destination = connect(script)
    found = destination.look_up(submission())
    assert type(found) is expected
    if server.requests:
        assert server.requests[0].query == {"idempotency_key": submission().idempotency_key}


# --- with the simulator ----------------------------------------------------------------------------------------------


def test_the_simulator_gets_the_document_as_it_is(simulator: RunningSimulator, destination: ClearfactsRest) -> None:
    sent = submission(content="<Invoice>café</Invoice>".encode("utf-16"))
    outcome = destination.send(sent)
    (accepted,) = simulator.accepted()
    assert isinstance(outcome, Accepted)
    assert outcome.document_id == accepted["uuid"]
    for name, value in {
        "sha256": sent.content_sha256,
        "file_name": sent.file_name,
        "administration": sent.administration,
        "invoice_type": "PURCHASE",
        "idempotency_key": sent.idempotency_key,
        "correlation_id": "c-17",
        "transport": "rest",
    }.items():
        assert accepted[name] == value, name


def test_the_same_key_again_is_the_same_document(simulator: RunningSimulator, destination: ClearfactsRest) -> None:
    first, second = destination.send(submission()), destination.send(replace(submission(), correlation_id="c-18"))
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert first.document_id == second.document_id
    assert len(simulator.accepted()) == 1


def test_the_same_key_with_other_content_is_unknown_and_the_look_up_says_why(
    simulator: RunningSimulator, destination: ClearfactsRest
) -> None:
    destination.send(submission())
    changed = submission(content=b"<Invoice>changed</Invoice>")
    assert isinstance(destination.send(changed), Unknown)
    found = destination.look_up(changed)
    assert isinstance(found, Unknown)
    assert "sha256" in found.reason
    assert len(simulator.accepted()) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"administration": "BE0999999922"}, "UNKNOWN_ADMINISTRATION"),
        ({"content": b""}, "INVALID_FILE"),
        ({"invoice_type": "GIFT"}, "INVALID_INVOICE_TYPE"),
    ],
)
def test_the_simulators_refusals(
    simulator: RunningSimulator, destination: ClearfactsRest, changes: dict[str, Any], code: str
) -> None:
    outcome = destination.send(replace(submission(), **changes))
    assert isinstance(outcome, Refused)
    assert outcome.code == code
    assert simulator.accepted() == []


AFTER_ACCEPTANCE = ("drop", "500", "truncate", "malformed", "hang")


@pytest.mark.parametrize("how", AFTER_ACCEPTANCE)
def test_what_was_accepted_without_an_answer_is_unknown_and_the_look_up_finds_it(
    simulator: RunningSimulator, destination: ClearfactsRest, how: str
) -> None:
    fault = simulator.fault("clearfacts", f"accept_then_{how}", times=1)
    assert isinstance(destination.send(submission()), Unknown)
    assert simulator.applied(fault) == 1
    found = destination.look_up(submission())
    assert isinstance(found, Accepted)
    assert found.document_id == simulator.accepted()[0]["uuid"]


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("down", {}, Unknown),
        ("status", {"status": 503}, Unknown),
        ("status", {"status": 429, "retry_after": "absurd"}, NotSent),
        ("html", {}, Unknown),
        ("truncated", {}, Unknown),
        ("malformed", {}, Unknown),
        ("hang", {}, Unknown),
        ("slow", {}, Unknown),
        ("bad_uuid", {}, Unknown),
        ("expired_token", {}, Denied),
    ],
)
def test_the_simulators_bad_days(
    simulator: RunningSimulator,
    destination: ClearfactsRest,
    kind: str,
    options: dict[str, Any],
    expected: type[Outcome],
) -> None:
    fault = simulator.fault("clearfacts", kind, times=1, **options)
    outcome = destination.send(submission())
    assert type(outcome) is expected
    assert simulator.applied(fault) == 1
    if isinstance(outcome, NotSent):
        assert outcome.retry_after == 300


def test_what_was_never_accepted_is_not_found(simulator: RunningSimulator, destination: ClearfactsRest) -> None:
    simulator.fault("clearfacts", "down", times=1, match={"operation": "upload"})
    assert isinstance(destination.send(submission()), Unknown)
    assert destination.look_up(submission()) == Absent()


def test_check_proves_the_token(simulator: RunningSimulator, destination: ClearfactsRest) -> None:
    assert destination.check() == f"{simulator.clearfacts_url}/invoices answers"
    with pytest.raises(DestinationError, match=r"renew destination\.token"):
        ClearfactsRest(DestinationOptions(base_url=simulator.clearfacts_url, token="wrong")).check()
    with pytest.raises(DestinationError, match="check base_url"):
        ClearfactsRest(
            DestinationOptions(base_url=f"{simulator.clearfacts_url}/elsewhere", token=simulator.clearfacts_token)
        ).check()


def test_many_threads_share_the_connections(simulator: RunningSimulator) -> None:
    destination = ClearfactsRest(
        DestinationOptions(base_url=simulator.clearfacts_url, token=simulator.clearfacts_token, connections=8)
    )
    before = simulator.connections()
    with ThreadPoolExecutor(16) as threads:
        outcomes = list(threads.map(lambda number: destination.send(submission(str(number))), range(200)))
    assert [outcome for outcome in outcomes if not isinstance(outcome, Accepted)] == []
    assert len(simulator.accepted()) == 200
    assert simulator.connections() - before <= 8 + 1
    destination.close()

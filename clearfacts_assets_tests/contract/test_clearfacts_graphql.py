"""The GraphQL transport: its own rows of docs/clearfacts-outcomes.md, and well-formed exchanges with the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from clearfacts_assets.invoices.destinations import DestinationOptions, KnownError, clearfacts_graphql
from clearfacts_assets.invoices.destinations.clearfacts_graphql import (
    KNOWN_ERRORS,
    ClearfactsGraphql,
    company_number,
)
from clearfacts_assets.invoices.ports import Accepted, Denied, DestinationError, NotSent, Outcome, Refused, Unknown
from clearfacts_assets.outcome_kinds import OutcomeKind
from clearfacts_assets_tests.fixtures.simulated_submissions import RECEIVER, submission
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator
from clearfacts_assets_tests.fixtures.wire import Script, WireServer, answer, answering

UUID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"

Connect = Callable[..., tuple[WireServer, ClearfactsGraphql]]


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as stack:

        def make(*scripts: Script, **options: Any) -> tuple[WireServer, ClearfactsGraphql]:
            server = stack.enter_context(WireServer(list(scripts)))
            destination = ClearfactsGraphql(
                DestinationOptions(base_url=server.url, token="token", login_url=server.url, deadline=5, **options)
            )
            stack.callback(destination.close)
            return server, destination

        yield make


@pytest.fixture
def destination(simulator: RunningSimulator) -> Iterator[ClearfactsGraphql]:
    opened = open_destination(simulator, deadline=1)
    yield opened
    opened.close()


def open_destination(simulator: RunningSimulator, **options: Any) -> ClearfactsGraphql:
    url = simulator.clearfacts_url
    return ClearfactsGraphql(
        DestinationOptions(base_url=url, token=simulator.clearfacts_token, login_url=url, **options)
    )


def uploaded(uuid: Any = UUID) -> dict[str, Any]:
    return {"data": {"uploadFile": {"uuid": uuid, "amountOfPages": 1}}}


def error(message: Any = "because", code: Any = None) -> dict[str, Any]:
    return {"message": message} | ({"extensions": {"code": code}} if code is not None else {})


def failed(*errors: Any, data: Any = None) -> dict[str, Any]:
    return {"errors": list(errors), "data": {"uploadFile": data}}


@pytest.mark.parametrize("body", [uploaded(), uploaded() | {"errors": None}, uploaded() | {"errors": []}])
def test_a_uuid_without_errors_is_accepted(connect: Connect, body: Any) -> None:
    _, destination = connect(answering(200, body))
    outcome = destination.send(submission())
    assert isinstance(outcome, Accepted)
    assert outcome.document_id == UUID


CODES = [rule.code for rule in KNOWN_ERRORS if rule.code and rule.outcome is OutcomeKind.REFUSED]


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("code", CODES)
def test_a_known_error_code_is_a_refusal(connect: Connect, status: int, code: str) -> None:
    _, destination = connect(answering(status, failed(error("told so", code))))
    outcome = destination.send(submission())
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.message) == (code, "told so")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Unknown administration", "UNKNOWN_ADMINISTRATION"),
        ("Administration 0123456749 was not found", "UNKNOWN_ADMINISTRATION"),
        ("Unsupported file type text/csv", "UNSUPPORTED_FILE"),
        ("invalid mimetype", "UNSUPPORTED_FILE"),
        ("The file you sent is too large", "FILE_TOO_LARGE"),
    ],
)
def test_a_known_message_without_a_code_is_a_refusal(connect: Connect, message: str, code: str) -> None:
    _, destination = connect(answering(200, failed(error(message))))
    outcome = destination.send(submission())
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.message) == (code, message)


def test_an_error_that_denies_the_token_is_denied(connect: Connect) -> None:
    _, destination = connect(answering(200, failed(error("token expired", "UNAUTHENTICATED"))))
    assert isinstance(destination.send(submission()), Denied)


KNOWN = error("told so", "UNKNOWN_ADMINISTRATION")
UNKNOWN: dict[str, Script] = {
    "unlisted message": answering(200, failed(error("Internal server error"))),
    "unlisted code": answering(200, failed(error("oops", "INTERNAL_SERVER_ERROR"))),
    "known and unlisted": answering(200, failed(KNOWN, error("oops"))),
    "unlisted and known": answering(200, failed(error("oops"), KNOWN)),
    "of two outcomes": answering(200, failed(KNOWN, error("no", "UNAUTHENTICATED"))),
    "known beside an upload": answering(200, failed(KNOWN, data={"uuid": UUID})),
    "errors beside an upload": answering(200, uploaded() | {"errors": [error("slow")]}),
    "errors are a text": answering(200, {"errors": "Unknown administration"}),
    "errors are an object": answering(200, {"errors": {"message": "Unknown administration"}}),
    "an error is a text": answering(200, {"errors": ["Unknown administration"]}),
    "an error without a message": answering(200, failed({})),
    "a message that is a number": answering(200, failed(error(17))),
    "upload with 400": answering(400, uploaded()),
    "known with 500": answering(500, failed(KNOWN)),
    "data is a list": answering(200, {"data": [uploaded()]}),
    "no data": answering(200, {}),
    "upload is null": answering(200, {"data": {"uploadFile": None}}),
    "upload is a text": answering(200, {"data": {"uploadFile": UUID}}),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_whatever_is_not_known_is_unknown(connect: Connect, name: str) -> None:
    _, destination = connect(UNKNOWN[name])
    assert isinstance(destination.send(submission()), Unknown)


def test_further_errors_can_be_made_known(connect: Connect) -> None:
    further = (*KNOWN_ERRORS, KnownError(OutcomeKind.REFUSED, words="already closed", name="YEAR_CLOSED"))
    _, destination = connect(answering(200, failed(error("This year is already closed"))), known_errors=further)
    outcome = destination.send(submission())
    assert isinstance(outcome, Refused)
    assert outcome.code == "YEAR_CLOSED"


def test_there_is_no_look_up(connect: Connect) -> None:
    server, destination = connect(answering(200, uploaded()))
    found = destination.look_up(submission())
    assert isinstance(found, Unknown)
    assert submission().file_name in found.reason
    assert server.connections == 0
    assert not destination.can_look_up
    assert not destination.honours_idempotency_key


def test_the_upload_is_a_multipart_form_of_query_variables_and_file(connect: Connect) -> None:
    server, destination = connect(answering(200, uploaded()))
    destination.send(replace(submission(content=b"<Invoice/>"), file_name='a "b"\r\nc.xml'))
    (request,) = server.requests
    assert request.path == "/graphql"
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert request.headers["authorization"] == "Bearer token"
    for part in (
        b'name="query"',
        b'name="variables"',
        b'name="file"',
        b"Content-Type: application/xml\r\n\r\n<Invoice/>",
    ):
        assert part in request.body
    assert b'\r\nc.xml"' not in request.body


@pytest.mark.parametrize(
    ("vat_number", "number"),
    [
        ("BE0123456749", "0123456749"),
        ("be 0123.456.749", "0123456749"),
        ("0123456749", "0123456749"),
        ("0123.456.749", "0123456749"),
        ("BE 0123 456 749", "0123456749"),
        ("BE123.456.749", "0123456749"),
        ("123456749", "0123456749"),
        ("1009123456", "1009123456"),
        ("ＢＥ０１２３４５６７４９", "0123456749"),
        ("nl 12345678 9b01", "NL123456789B01"),
        ("NL123456789B01", "NL123456789B01"),
        ("", ""),
    ],
)
def test_a_belgian_vat_number_becomes_a_company_number(vat_number: str, number: str) -> None:
    assert company_number(vat_number) == number


# --- with the simulator ----------------------------------------------------------------------------------------------


def test_the_simulator_gets_the_document_as_it_is(simulator: RunningSimulator, destination: ClearfactsGraphql) -> None:
    sent = submission(content="<Invoice>café\r\n--boundary</Invoice>".encode("utf-16"))
    outcome = destination.send(sent)
    (accepted,) = simulator.accepted()
    assert isinstance(outcome, Accepted)
    assert outcome.document_id == accepted["uuid"]
    for name, value in {
        "sha256": sent.content_sha256,
        "file_name": sent.file_name,
        "administration": sent.administration,
        "invoice_type": "PURCHASE",
        "correlation_id": "c-17",
        "transport": "graphql",
    }.items():
        assert accepted[name] == value, name


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"administration": "BE0999999922"}, "UNKNOWN_ADMINISTRATION"), ({"content": b""}, "INVALID_FILE")],
)
def test_the_simulators_refusals(
    simulator: RunningSimulator, destination: ClearfactsGraphql, changes: dict[str, Any], code: str
) -> None:
    outcome = destination.send(replace(submission(), **changes))
    assert isinstance(outcome, Refused)
    assert outcome.code == code
    assert simulator.accepted() == []


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("accept_then_drop", {}, Unknown),
        ("accept_then_500", {}, Unknown),
        ("accept_then_truncate", {}, Unknown),
        ("accept_then_malformed", {}, Unknown),
        ("accept_then_hang", {}, Unknown),
        ("down", {}, Unknown),
        ("status", {"status": 502, "body": "html"}, Unknown),
        ("status", {"status": 429, "retry_after": "7"}, NotSent),
        ("status", {"status": 403}, Denied),
        ("slow", {}, Unknown),
        ("bad_uuid", {}, Unknown),
        ("graphql_errors", {}, Unknown),
        ("graphql_errors", {"extensions": {"code": "UNSUPPORTED_FILE"}}, Refused),
        ("expired_token", {}, Denied),
    ],
)
def test_the_simulators_bad_days(
    simulator: RunningSimulator,
    destination: ClearfactsGraphql,
    kind: str,
    options: dict[str, Any],
    expected: type[Outcome],
) -> None:
    fault = simulator.fault("clearfacts", kind, times=1, **options)
    assert type(destination.send(submission())) is expected
    assert simulator.applied(fault) == 1


def test_administrations_are_listed(simulator: RunningSimulator, destination: ClearfactsGraphql) -> None:
    simulator.add_administration("BE0999999922", "Nieuw & Zonen")
    found = {administration.company_number: administration.name for administration in destination.administrations()}
    assert found["0999999922"] == "Nieuw & Zonen"
    assert company_number(RECEIVER) in found


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_administrations_are_asked_for_until_nothing_new_comes(connect: Connect, size: int) -> None:
    """However many are named at once; some servers repeat the last page for ever."""
    companies = [{"name": f"Company {number}", "companyNumber": f"BE 0123.456.{number:03}"} for number in range(7)]

    def script(line: Any) -> None:
        while True:
            query = line.read().json["query"]
            offset = int(query.partition("offset: ")[2].partition(")")[0] or 0)
            page = companies[offset : offset + size] or companies[-size:]
            line.send(answer(200, {"data": {"administrations": page}}, keep=True))

    _, destination = connect(script)
    assert [one.company_number for one in destination.administrations()] == [f"0123456{n:03}" for n in range(7)]


def test_administrations_without_end_are_an_error(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearfacts_graphql, "MOST_PAGES", 3)
    numbers = count()

    def script(line: Any) -> None:
        while True:
            line.read()
            rows = [{"name": "x", "companyNumber": f"{next(numbers):010}"}]
            line.send(answer(200, {"data": {"administrations": rows}}, keep=True))

    _, destination = connect(script)
    with pytest.raises(DestinationError, match="without end"):
        destination.administrations()


def test_a_delivered_document_says_what_became_of_it(
    simulator: RunningSimulator, destination: ClearfactsGraphql
) -> None:
    outcome = destination.send(submission())
    assert isinstance(outcome, Accepted)
    document = destination.document(outcome.document_id)
    assert document is not None
    assert (document.document_id, document.type, document.payment_state) == (outcome.document_id, "PURCHASE", "UNPAID")
    assert document.date == simulator.accepted()[0]["time"][:10]
    assert destination.document(UUID) is None
    assert destination.document('" ) { injected }') is None


@pytest.mark.parametrize(
    "script",
    [
        answering(200, {"errors": [error("oops")]}),
        answering(200, {"data": {"administrations": None, "document": "text"}}),
        answering(200, {"data": {"administrations": ["text"], "document": []}}),
        answering(200, {"data": []}),
        answering(200, "<html/>"),
        answering(401),
        answering(429),
        answering(500),
        lambda line: None,
    ],
)
def test_a_question_without_a_good_answer_is_an_error(connect: Connect, script: Script) -> None:
    _, destination = connect(script)
    with pytest.raises(DestinationError):
        destination.administrations()
    with pytest.raises(DestinationError):
        destination.document(UUID)


def test_check_names_the_user(simulator: RunningSimulator, destination: ClearfactsGraphql) -> None:
    assert destination.check() == f"{simulator.clearfacts_url}/graphql answers; the token is that of simulator"
    url = simulator.clearfacts_url
    with pytest.raises(DestinationError, match=r"renew destination\.token"):
        ClearfactsGraphql(DestinationOptions(base_url=url, token="wrong", login_url=url)).check()
    with pytest.raises(DestinationError, match="check login_url"):
        ClearfactsGraphql(
            DestinationOptions(base_url=url, token=simulator.clearfacts_token, login_url=f"{url}/elsewhere")
        ).check()
    with pytest.raises(DestinationError, match="check base_url"):
        ClearfactsGraphql(
            DestinationOptions(base_url=f"{url}/elsewhere", token=simulator.clearfacts_token, login_url=url)
        ).check()


def test_many_threads_share_the_connections(simulator: RunningSimulator) -> None:
    destination = open_destination(simulator, connections=8)
    before = simulator.connections()
    with ThreadPoolExecutor(16) as threads:
        outcomes = list(threads.map(lambda number: destination.send(submission(str(number))), range(100)))
    assert [outcome for outcome in outcomes if not isinstance(outcome, Accepted)] == []
    assert len(simulator.accepted()) == 100
    assert simulator.connections() - before <= 8 + 1
    destination.close()

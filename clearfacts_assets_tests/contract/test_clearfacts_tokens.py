"""A refused token, both transports: one renewal whoever is refused, one more try, and no token in what is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event
from typing import Any

import pytest

from clearfacts_assets.invoices.destinations import DestinationOptions, calls
from clearfacts_assets.invoices.destinations.clearfacts_graphql import ClearfactsGraphql
from clearfacts_assets.invoices.destinations.clearfacts_rest import ClearfactsRest
from clearfacts_assets.invoices.destinations.oauth import Client, refreshed
from clearfacts_assets.invoices.ports import Accepted, Denied, DestinationError
from clearfacts_assets.simulator.tokens import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from clearfacts_assets_tests.fixtures.destinations import ACCEPTED, TOKEN, DestinationAt
from clearfacts_assets_tests.fixtures.simulated_submissions import submission
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator
from clearfacts_assets_tests.fixtures.wire import Line, WireServer, answer, answering

FRESH = "canary-fresh-11+x/9"
Destination = ClearfactsRest | ClearfactsGraphql
Open = Callable[..., Destination]


class Renewals:
    """Buys tokens from the simulator, one refresh token after the other, and counts."""

    def __init__(self, url: str) -> None:
        self.client, self.refused = Client(url, CLIENT_ID, CLIENT_SECRET), list[str]()
        self._refresh_token = REFRESH_TOKEN

    def __call__(self, refused: str) -> str:
        self.refused.append(refused)
        tokens = refreshed(self.client, self._refresh_token, connect_timeout=60, deadline=60)
        assert tokens.refresh is not None
        self._refresh_token = tokens.refresh
        return tokens.access


@pytest.fixture
def open_simulated(simulator: RunningSimulator, transport: str) -> Iterator[Open]:
    with ExitStack() as stack:

        def make(**options: Any) -> Destination:
            url, options = simulator.clearfacts_url, {"deadline": 10, **options}
            made: Destination = (
                ClearfactsRest(DestinationOptions(base_url=url, token=simulator.clearfacts_token, **options))
                if transport == "rest"
                else ClearfactsGraphql(
                    DestinationOptions(base_url=url, token=simulator.clearfacts_token, login_url=url, **options)
                )
            )
            stack.callback(made.close)
            return made

        yield make


def refusing(*tokens: str) -> Callable[[Line], None]:
    """A server that keeps its connection and refuses these tokens."""

    def script(line: Line) -> None:
        while True:
            shown = line.read().headers.get("authorization", "").removeprefix("Bearer ")
            line.send(answer(401 if shown in tokens else 200, ACCEPTED, keep=True))

    return script


def test_a_token_that_expires_under_many_threads_is_renewed_once_and_everything_arrives_once(
    simulator: RunningSimulator, open_simulated: Open
) -> None:
    renew = Renewals(simulator.clearfacts_url)
    destination = open_simulated(renew=renew, connections=16)
    simulator.expire_tokens(after=10)
    with ThreadPoolExecutor(16) as threads:
        outcomes = list(threads.map(lambda number: destination.send(submission(f"N-{number}")), range(60)))
    assert {type(outcome) for outcome in outcomes} == {Accepted}
    assert simulator.tokens() == {"renewals": 1, "refused": 0}
    assert renew.refused == [simulator.clearfacts_token]
    names = [document["file_name"] for document in simulator.accepted()]
    assert (len(names), len(set(names))) == (60, 60)


def test_a_token_is_renewed_again_once_it_has_worked(simulator: RunningSimulator, open_simulated: Open) -> None:
    destination = open_simulated(renew=Renewals(simulator.clearfacts_url))
    simulator.expire_tokens(after=2, lifetime=3)
    outcomes = [destination.send(submission(f"N-{number}")) for number in range(11)]
    assert {type(outcome) for outcome in outcomes} == {Accepted}
    assert simulator.tokens() == {"renewals": 3, "refused": 0}
    assert len(simulator.accepted()) == 11


def test_a_second_refusal_stands_and_is_not_renewed_again(destination_at: DestinationAt) -> None:
    asked: list[str] = []

    def renew(refused: str) -> str:
        asked.append(refused)
        return FRESH

    server, destination = destination_at(refusing(TOKEN, FRESH), renew=renew)
    for _ in range(3):
        outcome = destination.send(submission())
        assert isinstance(outcome, Denied)
        assert outcome.reason.endswith("HTTP 401: renew destination.token")
    assert asked == [TOKEN]
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [401, 403])
def test_the_second_try_is_the_same_request_under_the_other_token(destination_at: DestinationAt, status: int) -> None:
    def script(line: Line) -> None:
        line.read()
        line.send(answer(status, keep=True))
        line.read()
        line.send(answer(200, ACCEPTED))

    server, destination = destination_at(script, renew=lambda refused: FRESH)
    assert isinstance(destination.send(submission()), Accepted)
    first, second = server.requests
    assert first.body == second.body
    assert (first.headers.pop("authorization"), second.headers.pop("authorization")) == (
        f"Bearer {TOKEN}",
        f"Bearer {FRESH}",
    )
    assert first.headers == second.headers


@pytest.mark.parametrize("status", [429, 500, 503])
def test_no_other_answer_is_a_reason_to_renew(destination_at: DestinationAt, status: int) -> None:
    server, destination = destination_at(answering(status), renew=lambda refused: pytest.fail("renewed"))
    destination.send(submission())
    assert len(server.requests) == 1


def test_without_another_token_there_is_no_second_try(destination_at: DestinationAt) -> None:
    server, destination = destination_at(answering(401), renew=lambda refused: refused)
    assert isinstance(destination.send(submission()), Denied)
    assert len(server.requests) == 1


def test_a_renewal_that_fails_is_told_to_everybody_and_tried_once(destination_at: DestinationAt) -> None:
    asked: list[str] = []

    def renew(refused: str) -> str:
        asked.append(refused)
        raise DestinationError("the refresh token is refused")

    _, destination = destination_at(refusing(TOKEN), renew=renew, connections=4)
    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(lambda number: destination.send(submission(str(number))), range(8)))
    assert {getattr(outcome, "reason", "").partition(": ")[2] for outcome in outcomes} == {
        "renew destination.token (it could not be renewed by itself: the refresh token is refused)"
    }
    assert asked == [TOKEN]


def test_an_answer_that_is_only_late_does_not_make_a_failed_renewal_be_tried_again(
    destination_at: DestinationAt,
) -> None:
    asked, held = Event(), Event()
    renewals: list[str] = []

    def renew(refused: str) -> str:
        renewals.append(refused)
        raise DestinationError("the refresh token is refused")

    def accept_late(line: Line) -> None:
        line.read()
        asked.set()
        held.wait(300)
        line.send(answer(200, ACCEPTED))

    _, destination = destination_at(accept_late, refusing(TOKEN), renew=renew, connections=2)
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(destination.send, submission("1"))
        assert asked.wait(300)
        assert isinstance(destination.send(submission("2")), Denied)
        held.set()
        assert isinstance(first.result(), Accepted)
    assert isinstance(destination.send(submission("3")), Denied)
    assert renewals == [TOKEN]


@pytest.mark.parametrize("raised", [RuntimeError("canary"), KeyError(TOKEN)])
def test_a_renewal_that_breaks_is_a_refusal_and_never_a_doubt(
    destination_at: DestinationAt, raised: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def renew(refused: str) -> str:
        raise raised

    _, destination = destination_at(answering(401), renew=renew)
    outcome = destination.send(submission())
    assert isinstance(outcome, Denied)
    assert type(raised).__name__ in outcome.reason
    assert "in renew" in caplog.text
    assert TOKEN not in outcome.reason + caplog.text


@pytest.mark.parametrize("fresh", ["two words", "naïve", "line\nbreak"])
def test_a_token_that_no_header_may_carry_is_not_taken(destination_at: DestinationAt, fresh: str) -> None:
    _, destination = destination_at(answering(401), renew=lambda refused: fresh)
    outcome = destination.send(submission())
    assert isinstance(outcome, Denied)
    assert fresh not in outcome.reason


class Clock:
    """The time of day, and what a test adds to it."""

    later = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.later


def test_both_tries_and_the_renewal_share_one_deadline(
    destination_at: DestinationAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(calls, "time", clock)

    def renew(refused: str) -> str:
        clock.later = 60
        return FRESH

    server, destination = destination_at(answering(401), renew=renew, deadline=60)
    assert isinstance(destination.send(submission()), Denied)
    assert len(server.requests) == 1
    assert isinstance(destination.send(submission()), Denied)  # with the renewed one
    assert server.requests[-1].headers["authorization"] == f"Bearer {FRESH}"


def test_neither_token_is_in_what_is_told_or_kept(
    destination_at: DestinationAt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    said = {"error": {"code": "X", "message": f"{TOKEN} and {FRESH} are bad"}, "errors": [{"message": FRESH}]}
    _, destination = destination_at(answering(401, said), renew=lambda refused: FRESH)
    told = repr(destination.send(submission())) + caplog.text
    assert "***" in told
    assert TOKEN not in told
    assert FRESH not in told


def test_an_error_of_graphql_that_refuses_the_token_renews_it_too() -> None:
    def script(line: Line) -> None:
        while True:
            old = TOKEN in line.read().headers["authorization"]
            refusal = {"errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}
            line.send(answer(200, refusal if old else ACCEPTED, keep=True))

    with WireServer([script]) as server:
        destination = ClearfactsGraphql(
            DestinationOptions(base_url=server.url, token=TOKEN, login_url=server.url, renew=lambda refused: FRESH)
        )
        assert isinstance(destination.send(submission()), Accepted)
        destination.close()


# --- the login itself ------------------------------------------------------------------------------------------------


def client(url: str) -> Client:
    return Client(url, "our-client", "canary-secret-5")


def test_the_login_is_asked_as_it_is_documented() -> None:
    body = {"access_token": "new", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "next"}
    with WireServer([answering(200, body)]) as server:
        tokens = refreshed(client(server.url), "canary-refresh", connect_timeout=60, deadline=60)
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/oauth2-server/token")
    assert request.body == (
        b"grant_type=refresh_token&refresh_token=canary-refresh&client_id=our-client&client_secret=canary-secret-5"
    )
    assert "authorization" not in request.headers
    assert (tokens.access, tokens.refresh) == ("new", "next")
    assert "new" not in repr(tokens)


def test_a_login_that_gives_no_other_refresh_token_leaves_the_one_there_is() -> None:
    with WireServer([answering(200, {"access_token": "new"})]) as server:
        assert refreshed(client(server.url), "x", connect_timeout=60, deadline=60).refresh is None


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (400, {"error": "invalid_grant"}, r"set destination\.refresh_token"),
        (401, {"error": "invalid_client"}, r"check destination\.client_id and destination\.client_secret"),
        (400, {"error": "unsupported_grant_type"}, "login_url"),
        (400, {"error": "canary-refresh", "error_description": "canary-secret-5"}, "no token came"),
        (500, "<html>canary-refresh</html>", "no token came"),
        (200, {"access_token": ""}, "no token came"),
        (200, {"access_token": 5}, "no token came"),
        (200, ["canary-refresh"], "no token came"),
        (201, {"access_token": "new"}, "no token came"),
        (302, "", "no token came"),
    ],
)
def test_what_a_login_says_instead(status: int, body: Any, says: str, caplog: pytest.LogCaptureFixture) -> None:
    with (
        WireServer([answering(status, body)]) as server,
        pytest.raises(DestinationError, match=says) as raised,
    ):
        refreshed(client(server.url), "canary-refresh", connect_timeout=60, deadline=60)
    assert "canary" not in f"{raised.value!r}{caplog.text}"


def test_a_login_that_does_not_answer_is_waited_for_so_long() -> None:
    with (
        WireServer([lambda line: line.until_gone()]) as server,
        pytest.raises(DestinationError, match=r"1 s at most.*the refresh token may be used up") as raised,
    ):
        refreshed(client(server.url), "canary-refresh", connect_timeout=5, deadline=1)
    assert "document" not in str(raised.value)


def test_a_login_that_nothing_reached_has_used_up_nothing() -> None:
    with pytest.raises(DestinationError, match="nothing left") as raised:
        refreshed(client("http://127.0.0.1:1"), "canary-refresh", connect_timeout=1, deadline=1)
    assert "used up" not in str(raised.value)


def test_the_simulators_refresh_tokens_are_good_for_one_use(simulator: RunningSimulator) -> None:
    login = Client(simulator.clearfacts_url, CLIENT_ID, CLIENT_SECRET)
    first = refreshed(login, REFRESH_TOKEN, connect_timeout=60, deadline=60)
    with pytest.raises(DestinationError, match="refresh token is refused"):
        refreshed(login, REFRESH_TOKEN, connect_timeout=60, deadline=60)
    second = refreshed(login, first.refresh or "", connect_timeout=60, deadline=60)
    assert second.access != first.access
    assert simulator.tokens() == {"renewals": 2, "refused": 1}

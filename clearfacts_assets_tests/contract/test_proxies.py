"""Every client of an outside system through a real proxy: what passes, what a failing one means, what is told."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from clearfacts_assets.invoices.destinations.oauth import Client, refreshed
from clearfacts_assets.invoices.ports import (
    Accepted,
    DestinationError,
    NotSent,
    Outcome,
    SourceError,
    SourceUnavailable,
    Unknown,
)
from clearfacts_assets.invoices.sources import SourceOptions
from clearfacts_assets.invoices.sources.java_backend import JavaBackend
from clearfacts_assets.notifications.outbox import NotTold
from clearfacts_assets.notifications.slack import Slack, open_client
from clearfacts_assets.outgoing.network import Network, Proxy
from clearfacts_assets_tests.fixtures.backends import page, read_all, record
from clearfacts_assets_tests.fixtures.certificates import Authority
from clearfacts_assets_tests.fixtures.destinations import ACCEPTED, open_destination
from clearfacts_assets_tests.fixtures.proxies import ForwardProxy
from clearfacts_assets_tests.fixtures.simulated_submissions import submission
from clearfacts_assets_tests.fixtures.wire import Line, Script, WireServer, answer, answering, unused_port

HOST = "outside.test"
LOGIN = "user:canary-9b1d/pass"
QUOTED = "user:canary-9b1d%2Fpass"
PASSING = [False, True]

# What each client asks through the proxy, and the answer to it.
ANSWERS: dict[str, dict[str, Any]] = {
    "erp": page(record("INV-1")),
    "rest": ACCEPTED,
    "graphql": ACCEPTED,
    "login": {"access_token": "fresh"},
    "slack": {"ok": True, "user": "clearfacts"},
}


def ask(client: str, url: str, network: Network) -> object:
    """One call of one client; what it comes to."""
    if client == "erp":
        backend = JavaBackend(SourceOptions(place=url, token="token", network=network, attempts=1, deadline=5))
        try:
            return [document.invoice_id for document in read_all(backend)]
        finally:
            backend.close()
    if client == "login":
        known = Client(url, "id", "secret")
        return refreshed(known, "refresh", connect_timeout=5, deadline=5, network=network).access
    if client == "slack":
        return Slack(open_client("xoxb-1", f"{url}/api/", 5, network)).check()
    return send(client, url, network)


def send(transport: str, url: str, network: Network) -> Outcome:
    destination = open_destination(transport, url, network=network)
    try:
        return destination.send(submission())
    finally:
        destination.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


Place = Callable[..., tuple[WireServer, str, ForwardProxy]]


@pytest.fixture
def outside(authority: Authority) -> Iterator[Place]:
    """``outside(script, secure=..., **proxy options)``: a server of HOST, its address, and the only way to it."""
    with ExitStack() as stack:

        def make(*scripts: Script, secure: bool, **options: Any) -> tuple[WireServer, str, ForwardProxy]:
            tls = authority.server(HOST) if secure else None
            server = stack.enter_context(WireServer(list(scripts), tls=tls))
            proxy = ForwardProxy({f"{HOST}:{443 if secure else 80}": ("127.0.0.1", server.port)}, **options)
            return server, f"http{'s' if secure else ''}://{HOST}", stack.enter_context(proxy)

        yield make


def through(proxy: ForwardProxy | str, authority: Authority | None = None, **more: Any) -> Network:
    known = Proxy.read(proxy if isinstance(proxy, str) else proxy.address, "network.proxy")
    return Network(known, known, ca_file=authority.file if authority else None, **more)


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("client", list(ANSWERS))
def test_every_call_passes_the_proxy(outside: Place, authority: Authority, client: str, secure: bool) -> None:
    server, url, proxy = outside(answering(200, ANSWERS[client]), secure=secure)
    result = ask(client, url, through(proxy, authority))
    assert not isinstance(result, NotSent | Unknown), result
    assert proxy.targets == {f"{HOST}:443" if secure else HOST}
    assert {one.method == "CONNECT" for one in proxy.passed} == {secure}
    assert "proxy-authorization" not in server.requests[0].headers


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("client", list(ANSWERS))
def test_a_proxy_that_asks_who_we_are_is_told_and_nobody_else(
    outside: Place, authority: Authority, client: str, secure: bool
) -> None:
    server, url, proxy = outside(answering(200, ANSWERS[client]), secure=secure, login=LOGIN)
    ask(client, url, through(proxy.address_for(QUOTED), authority))
    assert [(one.authorization, one.status) for one in proxy.passed] == [(LOGIN, 200)]
    assert "canary-9b1d" not in json.dumps([vars(one) | {"body": ""} for one in server.requests])


@pytest.mark.parametrize("client", list(ANSWERS))
def test_a_proxy_spoken_to_by_tls_sees_no_more_than_one_that_is_not(
    outside: Place, authority: Authority, client: str
) -> None:
    door = authority.server("localhost")
    _, url, proxy = outside(answering(200, ANSWERS[client]), secure=True, login=LOGIN, tls=door)
    result = ask(client, url, through(proxy.address_for(QUOTED), authority))
    assert not isinstance(result, NotSent | Unknown), result
    assert [(one.method, one.target) for one in proxy.passed] == [("CONNECT", f"{HOST}:443")]


def test_a_large_document_passes_a_proxy_spoken_to_by_tls_whole(outside: Place, authority: Authority) -> None:
    server, url, proxy = outside(answering(200, ACCEPTED), secure=True, tls=authority.server("localhost"))
    destination = open_destination("graphql", url, network=through(proxy, authority))
    large = submission(content=b"x" * 3_000_000)
    assert isinstance(destination.send(large), Accepted)
    destination.close()
    assert large.content in server.requests[0].body


@pytest.mark.parametrize("client", list(ANSWERS))
def test_what_no_proxy_names_is_called_directly(client: str) -> None:
    with WireServer([answering(200, ANSWERS[client])]) as server, ForwardProxy() as proxy:
        ask(client, server.url, through(proxy, no_proxy="127.0.0.0/8"))
    assert (len(server.requests), proxy.passed) == (1, [])


def test_slacks_own_client_does_not_ask_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with WireServer([answering(200, ANSWERS["slack"])]) as server, ForwardProxy() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.address)
        assert Slack(open_client("xoxb-1", f"{server.url}/api/")).check() == "Slack answers as clearfacts"
        assert proxy.passed == []
        monkeypatch.setenv("NO_PROXY", "*")
        Slack(open_client("xoxb-1", f"{server.url}/api/", 5, through(proxy))).check()
    assert len(proxy.passed) == 1


@pytest.mark.parametrize("transport", ["rest", "graphql"])
@pytest.mark.parametrize("status", [403, 407, 502, 503, 504])
def test_a_tunnel_that_the_proxy_does_not_open_means_not_sent(
    outside: Place, authority: Authority, transport: str, status: int
) -> None:
    server, url, proxy = outside(answering(200, ACCEPTED), secure=True, refuses=answer(status, "no"))
    outcome = send(transport, url, through(proxy, authority))
    assert isinstance(outcome, NotSent)
    assert str(status) in outcome.reason
    assert f"through proxy {proxy.address}" in outcome.reason
    assert "network.proxy" in outcome.reason
    assert server.connections == 0


@pytest.mark.parametrize("transport", ["rest", "graphql"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("proxy", ["nowhere.invalid:3128", "refusing"])
def test_a_proxy_that_is_not_there_means_not_sent_and_is_named(transport: str, scheme: str, proxy: str) -> None:
    address = f"http://127.0.0.1:{unused_port()}" if proxy == "refusing" else f"http://{proxy}"
    outcome = send(transport, f"{scheme}://{HOST}", through(address))
    assert isinstance(outcome, NotSent)
    assert f"through proxy {address}" in outcome.reason


def test_a_proxy_that_does_not_answer_means_not_sent(authority: Authority) -> None:
    with WireServer([Line.until_gone]) as silent:
        destination = open_destination("graphql", f"https://{HOST}", deadline=1.0, network=through(silent.url))
        outcome = destination.send(submission())
        destination.close()
        assert isinstance(outcome, NotSent)
        assert f"through proxy {silent.url}" in outcome.reason


def test_a_host_that_the_proxy_does_not_find_means_not_sent(outside: Place, authority: Authority) -> None:
    _, _, proxy = outside(answering(200, ACCEPTED), secure=True)
    outcome = send("graphql", "https://elsewhere.invalid", through(proxy, authority))
    assert isinstance(outcome, NotSent)
    assert "502" in outcome.reason


@pytest.mark.parametrize("transport", ["rest", "graphql"])
def test_a_proxy_that_wants_to_know_us_before_it_passes_anything_on_means_not_sent(
    outside: Place, transport: str
) -> None:
    server, url, proxy = outside(answering(200, ACCEPTED), secure=False, login="another:one")
    outcome = send(transport, url, through(proxy))
    assert isinstance(outcome, NotSent)
    assert "407" in outcome.reason
    assert f"through proxy {proxy.address}" in outcome.reason
    assert server.connections == 0


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("transport", ["rest", "graphql"])
def test_what_has_passed_and_has_no_answer_may_have_been_accepted(
    outside: Place, authority: Authority, transport: str, secure: bool
) -> None:
    def read_and_go(line: Line) -> None:
        line.read()

    server, url, proxy = outside(read_and_go, secure=secure)
    outcome = send(transport, url, through(proxy, authority))
    assert isinstance(outcome, Unknown)
    assert f"through proxy {proxy.address}" in outcome.reason
    assert len(server.requests) == 1


def test_an_answer_407_of_clearfacts_itself_settles_nothing(outside: Place, authority: Authority) -> None:
    _, url, proxy = outside(answering(407, "?"), secure=True)
    assert isinstance(send("graphql", url, through(proxy, authority)), Unknown)
    with WireServer([answering(407, "?")]) as server:
        assert isinstance(send("graphql", server.url, Network()), Unknown)


def test_a_502_of_a_proxy_that_passes_on_settles_nothing(outside: Place) -> None:
    _, _, proxy = outside(answering(200, ACCEPTED), secure=False)
    assert isinstance(send("graphql", "http://elsewhere.invalid", through(proxy)), Unknown)


def test_a_tunnel_is_kept_for_the_next_document(outside: Place, authority: Authority) -> None:
    def keep(line: Line) -> None:
        while True:
            line.read()
            line.send(answer(200, ACCEPTED, keep=True))

    server, url, proxy = outside(keep, secure=True)
    destination = open_destination("graphql", url, network=through(proxy, authority))
    assert all(isinstance(destination.send(submission(str(number))), Accepted) for number in range(3))
    destination.close()
    assert (len(proxy.passed), server.connections) == (1, 1)


@pytest.mark.parametrize("client", list(ANSWERS))
def test_a_certificate_of_a_private_authority_needs_that_authority(
    outside: Place, authority: Authority, tmp_path: Path, client: str
) -> None:
    server, url, proxy = outside(answering(200, ANSWERS[client]), secure=True)
    try:
        result = ask(client, url, through(proxy, Authority(tmp_path, "another")))
        told = result.reason if isinstance(result, NotSent) else ""
    except (SourceUnavailable, DestinationError, NotTold) as error:
        told = str(error)
    assert "certificate verify failed" in told.lower()
    assert server.requests == []
    known = Proxy.read(proxy.address, "network.proxy")
    result = ask(client, url, Network(known, known, usual_ca_file=authority.file))  # as SSL_CERT_FILE names it
    assert not isinstance(result, NotSent | Unknown), result


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("client", list(ANSWERS))
def test_a_proxys_password_is_nowhere(
    outside: Place, authority: Authority, client: str, secure: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _, url, proxy = outside(answering(200, ANSWERS[client]), secure=secure, login="another:one")  # it repeats ours
    try:
        told = repr(ask(client, url, through(proxy.address_for(QUOTED), authority)))
    except (SourceError, DestinationError, NotTold) as error:
        told = repr(error) + repr(error.__context__)
    assert "407" in told
    assert "canary" not in told + caplog.text
    assert [one.authorization for one in proxy.passed] == [LOGIN]

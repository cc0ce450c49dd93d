"""Slack's client against the simulator and against a Slack that is not itself, and what it is told."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from clearfacts_assets.notifications.outbox import NotTold
from clearfacts_assets.notifications.slack import ABOUT_ONE_MESSAGE, Slack, open_client
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator
from clearfacts_assets_tests.fixtures.wire import Line, Script, WireServer, answer, answering, took_at_most, unused_port

TOKEN = "xoxb-canary/7f3a"
MESSAGE = {"text": "hello", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "é <&> 😀"}}]}

Connect = Callable[..., tuple[WireServer, Slack]]


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as stack:

        def make(*scripts: Script, timeout: int = 5) -> tuple[WireServer, Slack]:
            server = stack.enter_context(WireServer(list(scripts)))
            return server, Slack(open_client(TOKEN, f"{server.url}/api/", timeout))

        yield make


def test_a_message_arrives_as_it_was_written(simulator: RunningSimulator) -> None:
    slack = Slack(open_client(simulator.slack_token, simulator.slack_url))
    slack.send("#invoices", MESSAGE)
    (message,) = simulator.slack_messages()
    assert (message["channel"], message["text"], message["blocks"]) == ("#invoices", "hello", MESSAGE["blocks"])


def test_an_address_without_a_slash_at_its_end_works_too(simulator: RunningSimulator) -> None:
    Slack(open_client(simulator.slack_token, simulator.slack_url.rstrip("/"))).send("#invoices", MESSAGE)
    assert len(simulator.slack_messages()) == 1


def test_check_says_who_we_are(simulator: RunningSimulator) -> None:
    assert Slack(open_client(simulator.slack_token, simulator.slack_url)).check() == "Slack answers as clearfacts"
    with pytest.raises(NotTold, match="invalid_auth"):
        Slack(open_client("xoxb-wrong", simulator.slack_url)).check()


def test_without_a_token_nothing_is_sent(connect: Connect) -> None:
    server, _ = connect(answering(200, {"ok": True}))
    with pytest.raises(NotTold, match=r"slack\.token"):
        Slack(open_client("", f"{server.url}/api/")).send("#invoices", MESSAGE)
    assert server.connections == 0


@pytest.mark.parametrize("code", ["invalid_blocks", "channel_not_found", "invalid_auth", "ratelimited", "whatever"])
def test_a_refusal_names_the_code_and_whom_it_concerns(connect: Connect, code: str) -> None:
    _, slack = connect(answering(200, {"ok": False, "error": code}))
    with pytest.raises(NotTold, match=code) as caught:
        slack.send("#invoices", MESSAGE)
    assert caught.value.only_this is (code in ABOUT_ONE_MESSAGE)
    assert caught.value.only_this is (code in ("invalid_blocks", "channel_not_found"))


@pytest.mark.parametrize(("asked", "seconds"), [("17", 17.0), ("9" * 50, None), ("soon", None), (None, None)])
def test_a_rate_limit_says_how_long(connect: Connect, asked: str | None, seconds: float | None) -> None:
    _, slack = connect(answering(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": asked} if asked else {}))
    with pytest.raises(NotTold, match="HTTP 429") as caught:
        slack.send("#invoices", MESSAGE)
    assert caught.value.retry_after == seconds
    assert not caught.value.only_this


def reset(line: Line) -> None:
    line.read()
    line.reset()


def cut(line: Line) -> None:
    line.read()
    line.send(answer(200, '{"ok": tr', length=100))


@pytest.mark.parametrize(
    "script",
    [
        answering(500, "<h1>oops</h1>"),
        answering(503, b""),
        answering(200, "<html/>"),
        answering(200, b""),
        answering(200, b"\xff\xfe"),
        answering(200, "null"),
        answering(200, []),
        answering(200, {}),
        reset,
        cut,
        lambda line: line.send(b"garbage\r\n\r\n"),
        lambda line: None,
    ],
)
def test_a_slack_that_is_not_itself_is_not_told_and_asked_once(connect: Connect, script: Script) -> None:
    server, slack = connect(script)
    with pytest.raises(NotTold) as caught:
        slack.send("#invoices", MESSAGE)
    assert not caught.value.only_this
    assert server.connections == 1


def test_a_silent_slack_is_left_after_the_timeout(connect: Connect) -> None:
    _, slack = connect(Line.until_gone, timeout=1)
    with took_at_most(10), pytest.raises(NotTold, match="timed out"):
        slack.send("#invoices", MESSAGE)


def test_an_unreachable_slack_is_not_told() -> None:
    with pytest.raises(NotTold, match="refused"):
        Slack(open_client(TOKEN, f"http://127.0.0.1:{unused_port()}/api/")).send("#invoices", MESSAGE)


def test_the_token_is_nowhere(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[dict[str, Any] | str] = [
        {"ok": False, "error": TOKEN},
        {"ok": False, "needed": TOKEN},
        f"<p>{TOKEN}</p>",
    ]
    _, slack = connect(*(answering(200, body) for body in told), answering(500, json.dumps(TOKEN)))
    for _ in range(4):
        with pytest.raises(NotTold) as caught:
            slack.send("#invoices", MESSAGE)
        assert "canary" not in str(caught.value)
    assert "canary" not in caplog.text
    with pytest.raises(ValueError, match="token") as bad:
        open_client("xoxb-canary\n1", "https://slack.com/api/")
    assert "canary" not in str(bad.value)

"""The whole product behind a proxy: everything outside is reached by https through it, under a private authority."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from clearfacts_assets.simulator.tokens import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from clearfacts_assets_tests.fixtures.certificates import Authority
from clearfacts_assets_tests.fixtures.command import Command
from clearfacts_assets_tests.fixtures.proxies import ForwardProxy, TlsFront
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator
from clearfacts_assets_tests.fixtures.wire import unused_port

HOSTS = ("erp.test", "api.clearfacts.test", "login.clearfacts.test", "slack.test")
LOGIN = "operator:canary-5e2c"
DAY = "2026-11-20"


@pytest.fixture
def proxy(tmp_path: Path, simulator: RunningSimulator, command: Command) -> Iterator[ForwardProxy]:
    """The only way to the simulator, by these hosts' names; the command is told it by the usual variables."""
    authority = Authority(tmp_path / "authority")
    with ExitStack() as stack:
        front = TlsFront(authority.server(*HOSTS), ("127.0.0.1", int(simulator.url.rpartition(":")[2])))
        stack.callback(front.close)
        known = {f"{host}:443": ("127.0.0.1", front.port) for host in HOSTS}
        proxy = stack.enter_context(ForwardProxy(known, login=LOGIN))
        command.environment.pop("CLEARFACTS_NETWORK__PROXY", None)
        command.environment |= {
            "CLEARFACTS_SOURCE__BASE_URL": "https://erp.test/erp",
            "CLEARFACTS_DESTINATION__BASE_URL": "https://api.clearfacts.test/clearfacts",
            "CLEARFACTS_DESTINATION__LOGIN_URL": "https://login.clearfacts.test/clearfacts",
            "CLEARFACTS_SLACK__BASE_URL": "https://slack.test/slack/api/",
            "HTTPS_PROXY": proxy.address_for(LOGIN),
            "SSL_CERT_FILE": str(authority.file),
        }
        yield proxy


def test_a_day_and_a_renewed_token_pass_the_proxy_and_its_password_is_kept_nowhere(
    proxy: ForwardProxy, command: Command, simulator: RunningSimulator
) -> None:
    simulator.reset(per_day=5, broken_share=0, duplicate_share=0)
    simulator.expire_tokens(after=3)
    command.environment |= {
        "CLEARFACTS_DESTINATION__CLIENT_ID": CLIENT_ID,
        "CLEARFACTS_DESTINATION__CLIENT_SECRET": CLIENT_SECRET,
        "CLEARFACTS_DESTINATION__REFRESH_TOKEN": REFRESH_TOKEN,
    }
    done = command("run", "--date", DAY)
    assert len(simulator.accepted()) == 5
    assert simulator.tokens()["renewals"] == 1
    assert proxy.targets == {f"{host}:443" for host in HOSTS[:3]}
    assert {one.status for one in proxy.passed} == {200}
    assert "canary" not in done.stdout + done.stderr
    kept = [path for path in command.home.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]
    assert kept == []


def test_health_says_by_which_way_each_call_goes(proxy: ForwardProxy, command: Command) -> None:
    command.environment["NO_PROXY"] = "localhost, .clearfacts.test:8443"
    found = {one["system"]: one for one in command.json("health")}
    assert all(one["healthy"] for one in found.values())
    way = f"through proxy {proxy.address}"
    assert [found[name]["way"] for name in ("java_backend", "clearfacts", "slack", "database")] == [way] * 3 + [None]
    assert proxy.targets == {f"{host}:443" for host in HOSTS}


def test_health_tells_a_proxy_that_is_not_there_from_a_system_that_is_not(
    proxy: ForwardProxy, command: Command, simulator: RunningSimulator
) -> None:
    away = f"http://127.0.0.1:{unused_port()}"
    command.environment |= {
        "CLEARFACTS_NETWORK__PROXY": away,
        "CLEARFACTS_NETWORK__NO_PROXY": "127.0.0.1",
        "CLEARFACTS_SOURCE__BASE_URL": simulator.erp_url,
    }
    done = command("health", "--json", code=1)
    text = command("health", code=1).stdout
    assert f"through proxy {away}" in text
    assert "direct" in text
    assert f"through proxy {away}" in done.stdout
    assert proxy.passed == []


def test_a_proxy_variable_that_cannot_be_used_is_named(command: Command) -> None:
    del command.environment["CLEARFACTS_NETWORK__PROXY"]
    command.environment["HTTP_PROXY"] = "socks5://user:canary@proxy.test:1080"
    done = command("health", "--json", code=1)
    assert done.stdout.count("HTTP_PROXY is no proxy that can be used") == 6  # each system, and each one's way
    assert "canary" not in done.stdout + done.stderr


def test_a_private_authority_is_believed_by_the_setting_too(proxy: ForwardProxy, command: Command) -> None:
    file = command.home / "ca.pem"
    shutil.copy(command.environment.pop("SSL_CERT_FILE"), file)
    command.environment.pop("SSL_CERT_DIR", None)
    refused = {one["system"]: one["message"] for one in command.json("health", code=1)}
    assert all("certificate verify failed" in refused[name].lower() for name in ("java_backend", "clearfacts", "slack"))
    command.environment["CLEARFACTS_NETWORK__CA_FILE"] = str(file)
    found = {one["system"]: one["healthy"] for one in command.json("health")}
    assert [found[name] for name in ("java_backend", "clearfacts", "slack")] == [True] * 3

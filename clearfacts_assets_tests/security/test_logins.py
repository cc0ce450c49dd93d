"""Logging in, staying in, being put out: over HTTP, on both databases."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import argon2
import httpx
import pytest
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import select

from clearfacts_assets.api.auth import authentication, passwords, tokens
from clearfacts_assets.api.auth.access import Access
from clearfacts_assets.api.auth.authentication import TRUST_SECONDS, Authentication, Cookie
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.rate_limits import LoginLimits
from clearfacts_assets.api.errors import ApiError
from clearfacts_assets.settings import AuthSettings
from clearfacts_assets.storage.accounts import audit
from clearfacts_assets.storage.accounts.sessions import SessionRepository
from clearfacts_assets.storage.accounts.tables import RefreshToken, Session, User
from clearfacts_assets.storage.database import reading
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.callers import PASSWORD, TEST, hash_as_in_life

LOGIN, REFRESH, LOGOUT, ME = (f"/api/v1/auth/{name}" for name in ("login", "refresh", "logout", "me"))


def log_in(api: RunningApi, name: str, password: str = PASSWORD, path: str = LOGIN) -> httpx.Response:
    return api.client(None).post(path, json={"username": name, "password": password})


def bearer(answer: httpx.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['data']['access_token']}"}


def tokens_of(answer: httpx.Response) -> dict[str, str]:
    return {"refresh_token": answer.json()["data"]["refresh_token"]}


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, "" if answer.is_success else answer.json()["error"]["code"]


@pytest.mark.parametrize("path", ["/auth/login", LOGIN])
def test_a_name_and_a_password_become_tokens(api: RunningApi, path: str) -> None:
    api.callers.user("operator")
    answer = log_in(api, "Operator ", path=path)
    data = answer.json()["data"]
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert (data["token_type"], data["expires_in"], data["role"]) == ("bearer", 600, "operator")
    me = api.client(None).get(ME, headers=bearer(answer)).json()["data"]
    assert (me["name"], me["role"], me["kind"]) == ("operator", "operator", "person")


def test_unknown_names_wrong_passwords_and_disabled_accounts_are_answered_alike(api: RunningApi) -> None:
    api.callers.user("operator")
    gone = api.callers.user("user", "gone")
    api.callers.users.change(gone.id, is_active=False, actor=TEST, now=datetime.now(UTC))
    answers = [
        log_in(api, "nobody", "x"),
        log_in(api, "operator", "x"),
        log_in(api, "gone"),
        log_in(api, "a\u0000b", "x"),
    ]
    bodies = [{**answer.json(), "timestamp": "", "correlation_id": ""} for answer in answers]
    headers = [{**answer.headers, "date": "", "x-correlation-id": ""} for answer in answers]
    assert [code(answer) for answer in answers] == [(401, "INVALID_CREDENTIALS")] * 4
    assert all(body == bodies[0] for body in bodies)
    assert all(one == headers[0] for one in headers)


def test_an_unknown_name_costs_the_same_hash_as_a_wrong_password(
    quick_api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_as_in_life(monkeypatch)
    quick_api.app.state.access.logins.limits = LoginLimits(AuthSettings(failures_per_account=100))
    user, now = quick_api.callers.user("operator"), datetime.now(UTC)
    quick_api.callers.users.set_password(user.id, passwords.hashed(PASSWORD), actor=TEST, now=now)

    verify, costs = Argon2Hasher.verify, list[argon2.Parameters]()

    def noted(hasher: Argon2Hasher, password: str, known: str) -> bool:
        costs.append(argon2.extract_parameters(known))
        return verify(hasher, password, known)

    monkeypatch.setattr(Argon2Hasher, "verify", noted)
    for name in ("operator", "nobody"):
        assert log_in(quick_api, name, "wrong password here").status_code == 401
    known, unknown = costs
    assert known == unknown
    assert known.memory_cost == 47_104


def test_five_wrong_passwords_and_the_account_waits_whoever_asks(api: RunningApi) -> None:
    api.callers.user("operator")
    for name in ("operator", "nobody"):  # an account that does not exist is counted like one that does
        answers = [log_in(api, name, "x") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 900
    assert code(log_in(api, "operator")) == (429, "RATE_LIMITED")
    api.callers.user("reviewer")
    assert log_in(api, "reviewer").status_code == 200


def test_many_at_once_do_not_slip_through(quick_api: RunningApi) -> None:
    quick_api.callers.user("operator")
    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(lambda number: log_in(quick_api, "operator", f"x{number}").status_code, range(24)))
    assert sorted(statuses) == [401] * 5 + [429] * 19


def test_a_right_password_takes_the_accounts_tries_back(quick_api: RunningApi) -> None:
    quick_api.callers.user("operator")
    for _ in range(3):
        assert [log_in(quick_api, "operator", "x").status_code for _ in range(4)] == [401] * 4
        assert log_in(quick_api, "operator").status_code == 200


@pytest.mark.parametrize(
    ("addresses", "others"),
    [
        (["192.0.2.1"], "192.0.2.2"),
        (["2001:db8::1", "2001:db8::ffff:1"], "2001:db8:0:1::1"),
        (["::ffff:192.0.2.1", "192.0.2.1"], "::ffff:192.0.2.2"),
    ],
)
def test_tries_from_one_address_are_counted_over_all_accounts(addresses: list[str], others: str) -> None:
    limits = LoginLimits(AuthSettings(failures_per_address=6))
    for number in range(6):
        limits.count(f"name-{number}", addresses[number % len(addresses)])
    with pytest.raises(ApiError) as refused:
        limits.count("another", addresses[0])
    assert refused.value.status == 429
    limits.count("another", others)


def test_right_passwords_do_not_count_against_their_address(quick_api: RunningApi) -> None:
    quick_api.callers.user("operator")
    quick_api.app.state.access.logins.limits = LoginLimits(AuthSettings(failures_per_address=3))
    assert [log_in(quick_api, "operator").status_code for _ in range(5)] == [200] * 5
    assert [log_in(quick_api, f"nobody-{number}", "x").status_code for number in range(2)] == [401] * 2
    assert log_in(quick_api, "operator").status_code == 200  # takes back its own try, not those two
    assert [log_in(quick_api, f"nobody-{number}", "x").status_code for number in range(2)] == [401, 429]


def test_a_refresh_token_works_once_and_its_second_use_ends_the_session(api: RunningApi) -> None:
    api.callers.user("operator")
    client = api.client(None)
    first = log_in(api, "operator")
    second = client.post(REFRESH, json=tokens_of(first))
    assert second.status_code == 200
    assert client.get(ME, headers=bearer(second)).status_code == 200
    assert code(client.post(REFRESH, json=tokens_of(first))) == (401, "INVALID_REFRESH_TOKEN")
    assert code(client.post(REFRESH, json=tokens_of(second))) == (401, "INVALID_REFRESH_TOKEN")
    assert [client.get(ME, headers=bearer(answer)).status_code for answer in (first, second)] == [401, 401]
    (ended,) = [entry for entry in audit.entries(api.engine).items if entry.action == "session.ended"]
    assert ended.details["after"] == {"because": "refresh_token_reused"}


def test_of_two_refreshes_at_once_one_wins_and_the_session_ends(api: RunningApi) -> None:
    refresh = api.callers.session("operator").refresh
    together = threading.Barrier(2)

    def go(_: int) -> int:
        with httpx.Client(base_url=api.url) as client:
            together.wait()
            return client.post(REFRESH, json={"refresh_token": refresh}).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(go, range(2))) == [200, 401]
    with reading(api.engine) as connection:
        assert connection.scalars(select(Session.ended_because)).all() == ["refresh_token_reused"]


def test_logging_out_ends_access_and_refresh(api: RunningApi) -> None:
    shown, client = api.callers.session("operator"), api.client(None)
    assert client.post(LOGOUT, headers=shown.headers).status_code == 200
    assert client.get(ME, headers=shown.headers).status_code == 401
    assert client.post(REFRESH, json={"refresh_token": shown.refresh}).status_code == 401


@pytest.mark.parametrize("what", ["disabled", "password", "role", "key", "logout"])
def test_what_another_process_revokes_is_noticed_within_a_minute(api: RunningApi, what: str) -> None:
    """Two processes over one database: the other one's change is believed no later than TRUST_SECONDS after it."""
    assert TRUST_SECONDS <= 60
    clock = [0.0]
    access = api.app.state.access
    other = Authentication(api.engine, access.logins.signing, Cookie(secure=False), monotonic=lambda: clock[0])
    api.app.state.authentication = other
    client, now = api.client(None), datetime.now(UTC)
    user = api.callers.user("operator")
    shown = api.callers.session("operator").headers
    if what == "key":
        shown = {"Authorization": f"Bearer {api.callers.key('erp', Permission.JOBS_READ)}"}
    assert client.get("/api/v1/jobs", headers=shown).status_code == 200
    if what == "disabled":
        api.callers.user("admin")
        api.callers.users.change(user.id, is_active=False, actor=TEST, now=now)
    elif what == "password":
        api.callers.users.set_password(user.id, "!", actor=TEST, now=now)
    elif what == "role":
        api.callers.users.change(user.id, role="service", actor=TEST, now=now)
    elif what == "key":
        api.callers.keys.revoke(api.callers.keys.named("erp").id, actor=TEST, now=now)
    else:
        with reading(api.engine) as connection:
            (session_id,) = connection.scalars(select(Session.id)).all()
        api.callers.sessions.end(session_id, "logout", actor=TEST, now=now)
    clock[0] += TRUST_SECONDS
    path = "/api/v1/deliveries" if what != "role" else "/api/v1/configuration"
    assert client.get(path, headers=shown).status_code == (403 if what == "role" else 401)


def test_a_changed_role_holds_at_once_in_the_process_that_changed_it(api: RunningApi) -> None:
    user, shown = api.callers.user("user"), api.callers.session("user").headers
    admin, client = api.client("admin"), api.client(None)
    assert client.get("/api/v1/configuration", headers=shown).status_code == 403
    assert admin.patch(f"/api/v1/users/{user.id}", json={"role": "operator"}).status_code == 200
    assert client.get("/api/v1/configuration", headers=shown).status_code == 200
    assert admin.patch(f"/api/v1/users/{user.id}", json={"is_active": False}).status_code == 200
    assert client.get("/api/v1/configuration", headers=shown).status_code == 401


def test_an_expired_session_opens_nothing(api: RunningApi) -> None:
    user, refresh, past = api.callers.user("operator"), tokens.new_secret(), datetime.now(UTC) - timedelta(hours=1)
    session_id = api.callers.sessions.open_api(user.id, tokens.hash_of(refresh), until=past, actor=TEST, now=past)
    now, signing = datetime.now(UTC), api.app.state.access.logins.signing
    token = tokens.issue(signing, user_id=user.id, session_id=session_id, now=now, life=timedelta(minutes=5))
    client = api.client(None)
    assert client.get(ME, headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert client.post(REFRESH, json={"refresh_token": refresh}).status_code == 401


def test_a_browsers_session_ends_when_nobody_uses_it(api: RunningApi) -> None:
    pause, now = timedelta(minutes=30), datetime.now(UTC)
    user, sessions = api.callers.user("operator"), SessionRepository(api.engine, longest_pause=pause)
    until = now + timedelta(hours=12)
    session_id = sessions.open_browser(user.id, "cookie", until=until, actor=TEST, now=now)
    sessions.open_api(user.id, "refresh", until=until, actor=TEST, now=now)
    for minutes in (29, 58, 87):  # each use begins the pause anew
        assert sessions.by_cookie("cookie", now + timedelta(minutes=minutes)) is not None
    assert sessions.by_id(session_id, now + timedelta(minutes=116)) is not None  # a look is no use
    assert sessions.by_cookie("cookie", now + timedelta(minutes=118)) is None
    assert sessions.by_id(session_id, now + timedelta(minutes=118)) is None
    assert sessions.refresh("refresh", "next", actor=TEST, now=now + timedelta(hours=11)) is not None  # a program's


def test_a_session_that_was_idle_for_less_than_the_setting_says_can_be_ended(api: RunningApi) -> None:
    known = api.app.state.access.configured
    patient = Access.over(
        api.engine, known.model_copy(update={"auth": known.auth.model_copy(update={"idle_minutes": 60})})
    )
    api.app.state.access = patient
    user, cookie, opened = api.callers.user("user"), tokens.new_secret(), datetime.now(UTC) - timedelta(minutes=40)
    until = opened + timedelta(hours=12)
    api.callers.sessions.open_browser(user.id, tokens.hash_of(cookie), until=until, actor=TEST, now=opened)
    headers = {"Cookie": f"{patient.authentication.cookie.name}={cookie}", "Origin": api.url}
    form = {"csrf": patient.authentication.csrf_token(cookie)}
    assert api.client(None).post("/logout", data=form, headers=headers).status_code == 303
    with reading(api.engine) as connection:
        assert connection.scalars(select(Session.ended_because)).all() == ["logout"]


@pytest.mark.parametrize("kind", ["program", "browser"])
def test_every_login_forgets_sessions_that_expired_a_week_ago(api: RunningApi, kind: str) -> None:
    user, now, sessions = api.callers.user("operator"), datetime.now(UTC), api.callers.sessions
    for name, days in (("long ago", 8), ("lately", 6)):
        expired = now - timedelta(days=days)
        sessions.open_api(user.id, name, until=expired, actor=TEST, now=expired - timedelta(hours=12))
    with reading(api.engine) as connection:
        assert len(connection.scalars(select(Session.id)).all()) == 2
    if kind == "program":
        assert log_in(api, "operator").status_code == 200
    else:
        client = api.client(None)
        csrf = client.get("/login").text.partition('name="csrf" value="')[2].partition('"')[0]
        form = {"csrf": csrf, "username": "operator", "password": PASSWORD}
        assert client.post("/login", data=form, headers={"Origin": api.url}).status_code == 303
    with reading(api.engine) as connection:
        kept = connection.scalars(select(Session.expires_at).order_by(Session.expires_at)).all()
        hashes = connection.scalars(select(RefreshToken.token_hash)).all()
    assert kept[0] == now - timedelta(days=6)
    assert len(kept) == 2
    assert ("lately" in hashes, "long ago" in hashes) == (True, False)


def test_only_hashes_are_kept(api: RunningApi) -> None:
    api.callers.user("operator")
    refresh = log_in(api, "operator").json()["data"]["refresh_token"]
    with reading(api.engine) as connection:
        assert connection.scalars(select(RefreshToken.token_hash)).all() == [tokens.hash_of(refresh)]
        assert connection.scalars(select(User.password_hash)).one().startswith("$argon2id$")


def test_one_changes_ones_own_password_only_with_the_old_one(quick_api: RunningApi) -> None:
    shown, client = quick_api.callers.session("user").headers, quick_api.client(None)
    path, fresh = "/api/v1/auth/password", "seven quiet lanterns"
    wrong = {"current_password": "x", "new_password": fresh}
    assert code(client.post(path, headers=shown, json=wrong)) == (401, "INVALID_CREDENTIALS")
    weak = {"current_password": PASSWORD, "new_password": "user"}
    assert code(client.post(path, headers=shown, json=weak)) == (422, "WEAK_PASSWORD")
    right = {"current_password": PASSWORD, "new_password": fresh}
    assert client.post(path, headers=shown, json=right).status_code == 200
    assert client.get(ME, headers=shown).status_code == 401
    assert [log_in(quick_api, "user", word).status_code for word in (PASSWORD, fresh)] == [401, 200]


def test_two_hundred_logins_at_once_keep_nobody_else_waiting(
    quick_api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_api.callers.user("operator")
    quick_api.app.state.access.logins.limits = LoginLimits(
        AuthSettings(failures_per_account=100, failures_per_address=10_000)
    )
    reader = quick_api.client("operator")
    reader.get(ME)
    compare, counted, may_end = passwords._matches, threading.Semaphore(passwords.HASHES_AT_ONCE), threading.Event()
    too_many: list[str] = []

    def slowly(password: str, password_hash: str | None) -> tuple[bool, str | None]:
        if not counted.acquire(blocking=False):
            too_many.append(password)
        may_end.wait()
        counted.release()
        return compare(password, password_hash)

    monkeypatch.setattr(passwords, "_matches", slowly)
    with (
        ThreadPoolExecutor(200) as pool,
        httpx.Client(base_url=quick_api.url, timeout=300, limits=httpx.Limits(max_connections=200)) as client,
    ):
        logins = [
            pool.submit(client.post, LOGIN, json={"username": f"nobody-{number}", "password": "x"})
            for number in range(200)
        ]
        try:
            while quick_api.under_way < len(logins):
                assert not any(login.done() for login in logins)
                time.sleep(0.01)
            assert [reader.get(ME).status_code for _ in range(20)] == [200] * 20
            assert not any(login.done() for login in logins)
        finally:
            may_end.set()
        assert {login.result().status_code for login in logins} == {401}
    assert too_many == [], "a core is left for everybody else"


def test_how_much_is_remembered_is_bounded(quick_api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "MOST_REMEMBERED", 3)
    client = quick_api.client(None)
    for _ in range(8):
        assert client.get(ME, headers=quick_api.callers.session("operator").headers).status_code == 200
    assert len(quick_api.app.state.authentication._known) <= 3

"""Users, API keys, configuration and the audit log over HTTP, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from clearfacts_assets import configuration, settings
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.storage.accounts import audit
from clearfacts_assets.storage.accounts.configuration import ConfigurationRepository
from clearfacts_assets.storage.accounts.keyring import cipher
from clearfacts_assets.storage.accounts.tables import ApiKey, ConfigurationEntry
from clearfacts_assets.storage.database import reading
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.callers import PASSWORD, TEST

CANARY = "canary-7f3a9c"
NEW = {"username": "An.Peeters", "email": "An@Example.com", "role": "operator", "password": PASSWORD}


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def actions(api: RunningApi) -> list[str]:
    made_by_test = TEST.name
    return [entry.action for entry in audit.entries(api.engine).items if entry.details["actor"] != made_by_test]


def test_a_user_is_added_changed_and_disabled(api: RunningApi) -> None:
    admin = api.client("admin")
    made = admin.post("/api/v1/users", json=NEW)
    assert made.status_code == 201
    user = made.json()["data"]
    assert (user["username"], user["email"], user["is_active"]) == ("an.peeters", "an@example.com", True)
    assert "password" not in str(user)
    login = {"username": "an.peeters", "password": PASSWORD}
    assert admin.post("/auth/login", json=login).json()["data"]["role"] == "operator"
    path = f"/api/v1/users/{user['user_id']}"
    assert admin.patch(path, json={"role": "reviewer"}).json()["data"]["role"] == "reviewer"
    assert admin.put(f"{path}/password", json={"password": "seven quiet lanterns"}).status_code == 200
    assert admin.post("/auth/login", json=login).status_code == 401
    assert admin.patch(path, json={"is_active": False}).json()["data"]["is_active"] is False
    assert admin.get(path).json()["data"]["is_active"] is False
    names = [one["username"] for one in admin.get("/api/v1/users").json()["data"]["items"]]
    assert names == ["an.peeters", "admin"]
    assert actions(api) == ["user.disabled", "user.password_set", "user.role_set", "session.opened", "user.added"]
    assert audit.verify(api.engine).broken is None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"username": "admin"}, (409, "CONFLICT")),
        ({"email": "ADMIN@example.be"}, (409, "CONFLICT")),
        ({"username": "a b"}, (422, "VALIDATION_ERROR")),
        ({"username": "a\u0000b"}, (422, "VALIDATION_ERROR")),
        ({"email": "nobody"}, (422, "VALIDATION_ERROR")),
        ({"role": "root"}, (422, "VALIDATION_ERROR")),
        ({"password": "short"}, (422, "WEAK_PASSWORD")),
        ({"password": "an.peeters-an"}, (422, "WEAK_PASSWORD")),
        ({"is_admin": True}, (422, "VALIDATION_ERROR")),
        ({"username": 1}, (422, "VALIDATION_ERROR")),
    ],
)
def test_a_user_that_cannot_be_is_refused(api: RunningApi, changed: dict[str, Any], expected: tuple[int, str]) -> None:
    answer = api.client("admin").post("/api/v1/users", json=NEW | changed)
    assert error(answer) == expected
    assert CANARY not in answer.text


def test_a_refused_password_is_not_repeated(quick_api: RunningApi) -> None:
    answer = quick_api.client("admin").post("/api/v1/users", json=NEW | {"password": CANARY[:9]})
    assert CANARY[:9] not in answer.text
    assert "12 are needed" in answer.json()["error"]["details"]["fields"][0]["problem"]


def test_the_last_admin_stays(api: RunningApi) -> None:
    admin, user = api.client("admin"), api.callers.user("admin")
    for change in ({"is_active": False}, {"role": "user"}):
        assert error(admin.patch(f"/api/v1/users/{user.id}", json=change)) == (409, "LAST_ADMIN")
    api.callers.user("admin", "second")
    assert admin.patch(f"/api/v1/users/{user.id}", json={"role": "user"}).status_code == 200
    assert admin.get("/api/v1/users").status_code == 403


def test_what_does_not_exist_is_404(quick_api: RunningApi) -> None:
    admin, nobody = quick_api.client("admin"), uuid4()
    assert error(admin.get(f"/api/v1/users/{nobody}")) == (404, "USER_NOT_FOUND")
    assert error(admin.patch(f"/api/v1/users/{nobody}", json={})) == (404, "USER_NOT_FOUND")
    assert error(admin.put(f"/api/v1/users/{nobody}/password", json={"password": PASSWORD})) == (404, "USER_NOT_FOUND")
    assert error(admin.delete(f"/api/v1/keys/{nobody}")) == (404, "API_KEY_NOT_FOUND")
    for method in ("GET", "DELETE"):
        answer = admin.request(method, "/api/v1/configuration/serve.port")
        assert error(answer) == (404, "CONFIGURATION_KEY_NOT_FOUND")


def test_an_api_key_is_shown_once_and_opens_its_scopes_until_it_is_revoked(api: RunningApi) -> None:
    admin = api.client("admin")
    made = admin.post("/api/v1/keys", json={"name": "erp", "scopes": ["jobs:read"], "expires_in_days": 1})
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    key = made.json()["data"]
    service = api.client(None)
    service.headers["Authorization"] = f"Bearer {key['key']}"
    assert service.get("/api/v1/jobs").status_code == 200
    assert service.get("/api/v1/invoices/history").status_code == 403
    assert service.get("/api/v1/auth/me").json()["data"]["name"] == "key:erp"
    assert error(service.post("/api/v1/auth/logout")) == (409, "CONFLICT")
    assert key["key"] not in admin.get("/api/v1/keys").text
    with reading(api.engine) as connection:
        assert key["key"] not in str(connection.execute(select(ApiKey.__table__)).all())
    assert error(admin.post("/api/v1/keys", json={"name": "erp", "scopes": ["jobs:read"]})) == (409, "CONFLICT")
    assert admin.delete(f"/api/v1/keys/{key['key_id']}").status_code == 200
    assert service.get("/api/v1/jobs").status_code == 401
    assert actions(api) == ["api_key.revoked", "api_key.added"]


def test_an_api_key_cannot_have_what_no_service_may(quick_api: RunningApi) -> None:
    body = {"name": "bold", "scopes": [Permission.JOBS_READ, Permission.USERS_MANAGE]}
    answer = quick_api.client("admin").post("/api/v1/keys", json=body)
    assert error(answer) == (422, "VALIDATION_ERROR")
    assert "users:manage" in answer.json()["error"]["message"]


def test_a_setting_is_changed_and_reset_without_a_restart(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "FRESH_SECONDS", 0.0)
    admin, path = api.client("admin"), "/api/v1/configuration/delivery.attempts"
    before = admin.get(path).json()["data"]
    assert (before["is_changed"], before["value"]) == (False, before["default"])
    changed = admin.put(path, json={"value": 7}).json()["data"]
    assert (changed["is_changed"], changed["value"], changed["default"]) == (True, 7, before["default"])
    assert configuration.effective_settings().delivery.attempts == 7
    assert admin.delete(path).json()["data"]["is_changed"] is False
    assert configuration.effective_settings().delivery.attempts == before["default"]
    assert actions(api) == ["configuration.reset", "configuration.set"]


@pytest.mark.parametrize("value", [True, 0, 21, 1.5, "5", None, [], "x" * 5000])
def test_a_value_of_another_type_or_beyond_its_limits_is_refused(quick_api: RunningApi, value: Any) -> None:
    path = "/api/v1/configuration/delivery.attempts"
    assert error(quick_api.client("admin").put(path, json={"value": value})) == (422, "VALIDATION_ERROR")


def test_a_value_that_does_not_fit_the_other_settings_is_refused(quick_api: RunningApi) -> None:
    admin, path = quick_api.client("admin"), "/api/v1/configuration/destination.deadline"
    longest = configuration.effective_settings().delivery.lease / 2
    answer = admin.put(path, json={"value": longest + 1})
    assert error(answer) == (422, "VALIDATION_ERROR")
    assert "delivery.lease must be at least twice destination.deadline" in answer.json()["error"]["message"]
    assert admin.put(path, json={"value": longest}).status_code == 200


@pytest.mark.parametrize(
    ("key", "value"), [("destination.deadline", "86400"), ("delivery.attempts", "21"), ("delivery.attempts", "many")]
)
def test_a_stored_value_that_does_not_fit_never_comes_into_force(
    api: RunningApi, caplog: pytest.LogCaptureFixture, key: str, value: str
) -> None:
    """The lease was made shorter, a limit narrower, or somebody wrote into the table."""
    before, known = configuration.effective_settings(), settings.load()
    table = configuration.repository(api.engine, known)
    table.set(key, value, secret=False, description="", actor=TEST, now=datetime.now(UTC))
    table.set("source.attempts", "7", secret=False, description="", actor=TEST, now=datetime.now(UTC))
    now = configuration.effective_settings(anew=True)
    assert (now.destination, now.delivery) == (before.destination, before.delivery)
    assert now.source.attempts == 7
    shown = api.client("admin").get(f"/api/v1/configuration/{key}").json()["data"]
    assert (shown["value"], shown["is_changed"]) == (shown["default"], True)
    assert shown["problem"]
    assert f"the changed setting {key} is passed over" in caplog.text


def test_a_secret_cannot_smuggle_a_header(quick_api: RunningApi) -> None:
    path = "/api/v1/configuration/slack.token"
    answer = quick_api.client("admin").put(path, json={"value": f"{CANARY}\r\nX-Evil: 1"})
    assert error(answer) == (422, "VALIDATION_ERROR")
    assert CANARY not in answer.text


def test_a_secret_is_encrypted_used_and_never_shown_again(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(configuration, "FRESH_SECONDS", 0.0)
    admin, path = api.client("admin"), "/api/v1/configuration/destination.token"
    seen = [admin.put(path, json={"value": CANARY}), admin.put(path, json={"value": f"{CANARY}-2"})]
    seen += [admin.get(one) for one in (path, "/api/v1/configuration", "/api/v1/audit", "/metrics")]
    assert [answer.status_code for answer in seen] == [200] * 6
    assert seen[0].json()["data"] | {"updated_at": ""} == {
        "key": "destination.token",
        "description": "bearer token with the scopes upload_document and read_administrations",
        "is_secret": True,
        "is_changed": True,
        "value": None,
        "default": None,
        "updated_at": "",
        "problem": None,
    }
    assert configuration.effective_settings().destination.token.get_secret_value() == f"{CANARY}-2"
    with reading(api.engine) as connection:
        stored = str(connection.execute(select(ConfigurationEntry.__table__)).all())
    everywhere = [answer.text for answer in seen] + [stored, caplog.text, repr(configuration.effective_settings())]
    everywhere += [str(entry) for entry in audit.entries(api.engine).items]
    assert not any(CANARY in text for text in everywhere)


def test_secrets_are_encrypted_anew_after_a_rotation(api: RunningApi) -> None:
    known = api.app.state.access.configured
    api.client("admin").put("/api/v1/configuration/slack.token", json={"value": CANARY})
    ring, now = configuration.encryption_keys(known), datetime.now(UTC)
    ring.rotate(now=now, overlap=timedelta.max)
    assert configuration.repository(api.engine, known).encrypt_anew(actor=TEST, now=now) == 1
    ring.keep_newest()
    only_new = ConfigurationRepository(api.engine, lambda: cipher(configuration.encryption_keys(known)))
    assert only_new.values() == {"slack.token": f'"{CANARY}"'}


def test_a_secret_that_cannot_be_decrypted_leaves_the_setting_in_force(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "FRESH_SECONDS", 0.0)
    before = configuration.effective_settings().destination.token
    api.client("admin").put("/api/v1/configuration/destination.token", json={"value": CANARY})
    (api.app.state.access.configured.home / "keys" / "encryption.json").unlink()
    assert configuration.effective_settings().destination.token == before


def test_the_log_tells_who_from_where_and_under_which_id(api: RunningApi) -> None:
    admin = api.client("admin")
    headers = {"X-Correlation-ID": "erp-4711", "User-Agent": "the test"}
    admin.put("/api/v1/configuration/delivery.attempts", json={"value": 4}, headers=headers)
    listed = admin.get("/api/v1/audit", params={"action": "configuration.set"}).json()["data"]["items"]
    (entry,) = listed
    assert entry["details"] == {"actor": "admin", "correlation_id": "erp-4711", "after": {"value": "4"}}
    assert (entry["ip_address"], entry["user_agent"]) == ("127.0.0.1", "the test")
    assert entry["user_id"] == str(api.callers.user("admin").id)
    chain = admin.get("/api/v1/audit/chain").json()["data"]
    assert (chain["whole"], chain["head"]) == (True, entry["hash"])

"""Two API replicas with one PostgreSQL, each with a home of its own: what one was given, the other has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext

from clearfacts_assets import settings
from clearfacts_assets.storage.accounts.keyring import Keyring, KeyringError, generate
from clearfacts_assets.storage.accounts.keys_in_use import agree_at_start
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets.storage.operations import held_files
from clearfacts_assets.storage.operations.held_files import KEPT, PIECE_BYTES, FilesGone
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.callers import PASSWORD, hash_quickly
from clearfacts_assets_tests.fixtures.chargeback import write
from clearfacts_assets_tests.fixtures.chargeback_api import rows_of_two
from clearfacts_assets_tests.fixtures.databases import PostgresServer
from clearfacts_assets_tests.fixtures.desk import Person, hidden

NOW = datetime(2026, 11, 18, 9, tzinfo=UTC)

Start = Callable[..., RunningApi]


@pytest.fixture
def start(
    dagster_workspace: WorkspaceProcessContext,
    postgres_server: PostgresServer,
    migrated_template: str,
    product_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Start]:
    """Starts a replica in the home of that name."""
    hash_quickly(monkeypatch)
    url, running = postgres_server.lend(migrated_template), list[RunningApi]()
    monkeypatch.setenv("CLEARFACTS_DATABASE_URL", url)

    def replica(home: str, **keys: str) -> RunningApi:
        monkeypatch.setenv("CLEARFACTS_HOME", str(tmp_path / home))
        for purpose in ("SIGNING", "ENCRYPTION"):
            monkeypatch.setenv(f"CLEARFACTS_AUTH__{purpose}_KEYS", keys.get(purpose.lower(), ""))
        settings.load.cache_clear()
        running.append(RunningApi(dagster_workspace, url))
        return running[-1]

    yield replica
    for one in running:
        one.close()
    postgres_server.take_back(url)


def given() -> dict[str, str]:
    return {purpose: f"k:{generate(NOW).secret}" for purpose in ("signing", "encryption")}


def test_a_login_at_one_is_valid_at_the_other_and_over_at_both(start: Start) -> None:
    keys = given()
    one, other = start("one", **keys), start("other", **keys)
    who = one.callers.user("operator").username
    said = httpx.post(f"{one.url}/auth/login", json={"username": who, "password": PASSWORD}, timeout=300)
    assert said.status_code == 200
    headers = {"Authorization": f"Bearer {said.json()['data']['access_token']}"}
    with httpx.Client(headers=headers, timeout=300) as client:
        assert [client.get(f"{api.url}/api/v1/jobs").status_code for api in (one, other)] == [200, 200]
        assert client.post(f"{other.url}/auth/logout", json={}).status_code in (200, 204)
        one.app.state.authentication._monotonic = lambda: time.monotonic() + 6  # it believes for five seconds
        assert [client.get(f"{api.url}/api/v1/jobs").status_code for api in (one, other)] == [401, 401]


def test_a_home_that_would_make_keys_of_its_own_beside_others_is_told_what_to_set(start: Start, tmp_path: Path) -> None:
    start("one")
    with pytest.raises(KeyringError, match="CLEARFACTS_AUTH__SIGNING_KEYS to the same value on all of them"):
        start("other")
    assert not (tmp_path / "other" / "keys").exists(), "it has made none"


def test_keys_of_the_first_home_that_are_copied_are_the_others_too(start: Start, tmp_path: Path) -> None:
    start("one")
    (tmp_path / "other").mkdir()
    (tmp_path / "one" / "keys").rename(tmp_path / "other" / "keys")
    start("other")
    with pytest.raises(KeyringError):
        start("one")


def test_keys_that_an_operator_sets_hold_and_what_was_before_is_told(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    start("one")
    start("other", **given())
    told = [one.getMessage() for one in caplog.records if one.name.endswith("keys_in_use")]
    assert [one.partition(" ")[0] for one in told] == [
        f"CLEARFACTS_AUTH__{purpose}_KEYS" for purpose in ("SIGNING", "ENCRYPTION")
    ]
    with pytest.raises(KeyringError):
        start("one")


def test_a_server_that_is_up_before_the_tables_are_starts(postgres_server: PostgresServer) -> None:
    url = postgres_server.fresh()
    engine = open_engine(url)
    agree_at_start(engine, Keyring("signing", setting=given()["signing"], file=Path("nowhere")), NOW)
    engine.dispose()
    postgres_server.drop(url)


def test_files_that_one_was_given_are_imported_by_the_other(start: Start, tmp_path: Path) -> None:
    keys = given()
    one, other = start("one", **keys), start("other", **keys)
    brings = Person(one, "operator")
    token = hidden(brings.bring(write(tmp_path / "a.csv", rows_of_two()), source="aws").text, "files")
    brings.client.base_url = httpx.URL(other.url)
    brings.client.headers["Origin"] = other.url
    done = brings.post("/desk/imports/apply", files=token, source="aws")
    assert done.headers["location"].endswith("?done=imported")
    assert "not there any more" in brings.post("/desk/imports/apply", 409, files=token, source="aws").text


def test_files_come_back_whole_in_their_order_for_a_day(start: Start, tmp_path: Path) -> None:
    engine = start("one").engine
    contents = [b"", b"x" * (2 * PIECE_BYTES + 1), bytes(range(256))]
    files = [tmp_path / str(number) / "same.csv" for number in range(3)]
    for file, content in zip(files, contents, strict=True):
        file.parent.mkdir()
        file.write_bytes(content)
    token = held_files.hold(engine, files, "an", NOW)
    with held_files.held(engine, token, "an") as found:
        assert [(one.name, one.read_bytes()) for one in found] == [("same.csv", content) for content in contents]
    with pytest.raises(FilesGone), held_files.held(engine, token, "somebody else"):
        pass
    held_files.hold(engine, files[:1], "an", NOW + KEPT)
    with held_files.held(engine, token, "an"):
        pass
    held_files.hold(engine, files[:1], "an", NOW + 2 * KEPT)
    with pytest.raises(FilesGone), held_files.held(engine, token, "an"):
        pass

"""Key rings: where keys come from, which are refused, and how one follows another."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clearfacts_assets.storage.accounts import keyring
from clearfacts_assets.storage.accounts.keyring import Keyring, KeyringError, cipher

NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)
GOOD = "vJ2mX8qLr4TzW0pYc6NsKd1hGb7FuEa3"
OTHER = "Qm5tR9wXz1Lk7VbN3cYd8HsJf2GpUa6E"


def ring(tmp_path: Path, setting: str = "") -> Keyring:
    return Keyring("signing", setting=setting, file=tmp_path / "keys" / "signing.json")


def test_the_first_key_is_made_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    made = ring(tmp_path).newest
    file = tmp_path / "keys" / "signing.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert keyring.weakness(made.secret) is None
    assert ring(tmp_path).newest == made


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: ring(tmp_path).newest.name, range(16)))
    assert len(names) == 1


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "2short",
        "a" * 64,
        "changeme" * 8,
        "my-secret-my-secret-my-secret-0123456789",
        "default-0123456789abcdefghijklmn",
    ],
)
def test_short_and_default_secrets_are_refused_without_being_shown(tmp_path: Path, secret: str) -> None:
    with pytest.raises(KeyringError) as refused:
        ring(tmp_path, f"k1:{secret}")
    assert not secret or secret not in str(refused.value)


@pytest.mark.parametrize("setting", ["no-colon", f":{GOOD}", f"a b:{GOOD}", f"k1:{GOOD},k1:{OTHER}", f"k1:{GOOD},"])
def test_what_is_not_written_as_name_and_secret_is_refused(tmp_path: Path, setting: str) -> None:
    with pytest.raises(KeyringError):
        ring(tmp_path, setting)


def test_keys_of_the_setting_win_and_keep_their_order(tmp_path: Path) -> None:
    ring(tmp_path).newest  # noqa: B018 - makes the file
    given = ring(tmp_path, f"new:{GOOD}, old:{OTHER}")
    assert [key.name for key in given.all()] == ["new", "old"]
    with pytest.raises(KeyringError, match="come from a setting"):
        given.rotate(now=NOW, overlap=timedelta(hours=1))


def test_a_replaced_key_stays_for_the_overlap_and_other_processes_see_the_new_one(tmp_path: Path) -> None:
    running, command = ring(tmp_path), ring(tmp_path)
    first = running.newest
    second = command.rotate(now=NOW, overlap=timedelta(hours=1))
    assert (running.newest, running.named(first.name)) == (second, first)
    third = command.rotate(now=NOW + timedelta(minutes=30), overlap=timedelta(hours=1))
    assert [key.name for key in running.all()] == [third.name, second.name, first.name]
    command.rotate(now=NOW + timedelta(hours=3), overlap=timedelta(hours=1))
    assert running.named(first.name) is None
    assert running.named(second.name) is None
    assert running.named(third.name) is not None


def test_what_the_key_before_encrypted_can_be_read_after_a_rotation(tmp_path: Path) -> None:
    kept = ring(tmp_path)
    written = cipher(kept).encrypt(b"token")
    kept.rotate(now=NOW, overlap=timedelta.max)
    assert cipher(kept).decrypt(written) == b"token"


def test_a_damaged_file_is_named_and_not_replaced(tmp_path: Path) -> None:
    kept = ring(tmp_path)
    kept.all()
    file = tmp_path / "keys" / "signing.json"
    file.write_text("{")
    with pytest.raises(KeyringError, match=r"signing\.json"):
        ring(tmp_path).all()
    assert file.read_text() == "{"


def test_a_key_does_not_show_its_secret(tmp_path: Path) -> None:
    made = ring(tmp_path).newest
    assert made.secret not in repr(made)
    assert made.secret not in repr([made])

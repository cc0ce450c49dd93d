"""The keys that sign access tokens and encrypt configuration: several at once, the newest first, so that one can be
replaced while what the one before it signed or encrypted is still good.

They come from a setting (``name:secret, name:secret``) or, embedded, from a file in the home folder that only its
owner can read. Changes of the file are seen without a restart.

KeyringError    a key is too short or too simple; the file is not ours; keys of a setting cannot be rotated here
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet

SHORTEST = 32  # characters of a secret: HS256 wants 256 bits (RFC 7518, section 3.2)
FEWEST_DIFFERENT = 12  # characters; a random secret of 32 has more
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_WELL_KNOWN = re.compile(
    r"change.?me|default|example|secret|password|replace|insert|your.?key|dev.?only", re.IGNORECASE
)


class KeyringError(Exception):
    """Keys that are not used, and why."""


@dataclass(frozen=True, slots=True)
class Key:
    """A named secret. Keys of a setting have no age."""

    name: str
    secret: str
    made_at: datetime | None = None

    def __repr__(self) -> str:
        return f"Key({self.name!r})"


class Keyring:
    """Keys, the newest first."""

    def __init__(self, purpose: str, *, setting: str, file: Path) -> None:
        """``setting`` wins where it is not empty. Raises KeyringError for keys that are too weak."""
        self.purpose, self.file = purpose, file
        self._given = parse(setting, purpose) if setting.strip() else ()
        self._read: tuple[int, Sequence[Key]] = (0, ())
        self._lock = threading.Lock()

    @property
    def from_setting(self) -> bool:
        return bool(self._given)

    @property
    def exists(self) -> bool:
        """Whether there is a key; else the first one is made when it is asked for."""
        return bool(self._given) or self.file.exists()

    def all(self) -> Sequence[Key]:
        """All keys, the newest first. Embedded, the first one is made when there is none."""
        if self._given:
            return self._given
        try:
            changed = self.file.stat().st_mtime_ns
        except FileNotFoundError:
            return self._make_first()
        if changed != self._read[0]:
            self._read = (changed, _load(self.file))
        return self._read[1]

    @property
    def newest(self) -> Key:
        return self.all()[0]

    def named(self, name: str) -> Key | None:
        return next((key for key in self.all() if key.name == name), None)

    def rotate(self, *, now: datetime, overlap: timedelta, fresh: Key | None = None) -> Key:
        """Put a new key first and drop those that were replaced longer ago than ``overlap``; returns the new one.

        Raises KeyringError for keys of a setting.
        """
        self.refuse_given()
        fresh = fresh or generate(now)
        kept = [key for key in self.all() if key.name != fresh.name]
        # A key is replaced when the one before it in the list was made.
        replaced_at = [fresh.made_at, *(key.made_at for key in kept)]
        oldest = datetime.min.replace(tzinfo=UTC) if overlap == timedelta.max else now - overlap
        good = [key for key, then in zip(kept, replaced_at, strict=False) if then is None or then > oldest]
        _save(self.file, [fresh, *good])
        return fresh

    def refuse_given(self) -> None:
        """Raises KeyringError for keys of a setting, which cannot be rotated here."""
        if self._given:
            raise KeyringError(
                f"the {self.purpose} keys come from a setting: put a new one (`clearfacts keys generate`) before them"
            )

    def keep_newest(self) -> None:
        """Drop all other keys: nothing depends on them any more."""
        _save(self.file, [self.newest])

    def _make_first(self) -> Sequence[Key]:
        with self._lock:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = generate(datetime.now(UTC))
            with suppress(FileExistsError):  # another process was first: its keys are the ones
                _save(self.file, [fresh], only_new=True)
            return _load(self.file)


def cipher(keyring: Keyring) -> MultiFernet:
    """Encrypts with the newest key, decrypts with any. A Fernet key is the SHA-256 of a secret."""
    return MultiFernet([Fernet(_fernet_key(key.secret)) for key in keyring.all()])


def generate(now: datetime) -> Key:
    """A new random key, named by its time."""
    return Key(f"{now:%Y%m%d}-{secrets.token_hex(4)}", secrets.token_urlsafe(48), now)


def parse(setting: str, purpose: str) -> Sequence[Key]:
    """The keys of a setting. Raises KeyringError, which never holds a secret."""
    keys = []
    for number, part in enumerate(setting.split(","), start=1):
        name, colon, secret = part.strip().partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise KeyringError(f"{purpose} key {number} is not written as name:secret")
        problem = weakness(secret)
        if problem:
            raise KeyringError(f"the {purpose} key {name} {problem}: `clearfacts keys generate` makes a good one")
        keys.append(Key(name, secret))
    if len({key.name for key in keys}) != len(keys):
        raise KeyringError(f"two {purpose} keys have the same name")
    return keys


def weakness(secret: str) -> str | None:
    """Why this secret must not be used."""
    if len(secret) < SHORTEST:
        return f"is shorter than {SHORTEST} characters"
    if len(set(secret)) < FEWEST_DIFFERENT or _WELL_KNOWN.search(secret):
        return "can be guessed"
    return None


def _fernet_key(secret: str) -> bytes:
    return base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest())


def _load(file: Path) -> Sequence[Key]:
    try:
        found: Sequence[Mapping[str, str]] = json.loads(file.read_text("utf-8"))
        keys = [Key(one["name"], one["secret"], datetime.fromisoformat(one["made_at"])) for one in found]
    except (ValueError, KeyError, TypeError) as error:
        raise KeyringError(f"{file} holds no keys that we wrote ({type(error).__name__})") from None
    if not keys:
        raise KeyringError(f"{file} holds no keys")
    return keys


def _save(file: Path, keys: Sequence[Key], *, only_new: bool = False) -> None:
    """Write the whole file beside the old one, then put it in its place."""
    made = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    content = [
        {"name": key.name, "secret": key.secret, "made_at": (key.made_at or datetime.now(UTC)).isoformat()}
        for key in keys
    ]
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        json.dump(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    place: Callable[[Path, Path], None] = os.link if only_new else os.replace
    try:
        place(made, file)
    finally:
        made.unlink(missing_ok=True)

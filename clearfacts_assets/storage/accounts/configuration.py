"""Settings that were changed while the system runs: one row a key, secrets encrypted.

Which keys there are, and of what type, is said in settings.py; here they are text. Errors: Undecryptable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import uuid4

from cryptography.fernet import InvalidToken, MultiFernet
from sqlalchemy import Connection, Engine, delete, insert, select, update

from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.accounts.tables import ConfigurationEntry
from clearfacts_assets.storage.database import WRITE_PATIENCE_SECONDS, reading, write

logger = logging.getLogger(__name__)

HIDDEN = "***"


class Undecryptable(Exception):
    """A secret was encrypted with a key that we do not have."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"the configuration key {key} cannot be decrypted: give back the encryption key that it was set under, "
            "or set it anew"
        )


@dataclass(frozen=True, slots=True)
class ChangedSetting:
    """A changed setting. ``value`` is JSON; None for a secret, unless secrets were asked for."""

    key: str
    value: str | None
    is_secret: bool
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewValue:
    """What a key shall have. ``value`` is JSON."""

    key: str
    value: str = field(repr=False)
    secret: bool
    description: str


class ConfigurationRepository:
    """The table ``configuration``; every change with its entry in the audit log, without the secret."""

    def __init__(self, engine: Engine, cipher: Callable[[], MultiFernet]) -> None:
        """``cipher`` is asked for only where there is a secret: a process without any needs no keys."""
        self._engine, self._cipher = engine, cipher

    def entries(self) -> Mapping[str, ChangedSetting]:
        """What was changed, without secrets."""
        return {key: replace(entry, value=None) if entry.is_secret else entry for key, entry in self._stored().items()}

    def values(self) -> Mapping[str, str]:
        """What was changed, with secrets decrypted, for who works with them.

        A secret that cannot be decrypted is passed over, with a line in the log: the setting below it holds again.
        """
        found = {}
        for key, entry in self._stored().items():
            try:
                found[key] = self._plain(entry)
            except Undecryptable as error:
                logger.error("%s", error)
        return found

    def set(self, key: str, value: str, *, secret: bool, description: str, actor: Actor, now: datetime) -> None:
        """Put JSON under the key."""
        self.set_all([NewValue(key, value, secret, description)], actor=actor, now=now)

    def set_all(
        self, news: Sequence[NewValue], *, actor: Actor, now: datetime, patience: float = WRITE_PATIENCE_SECONDS
    ) -> None:
        """All of them or none, tried for up to ``patience`` seconds while the database is away."""
        stored = {
            one.key: self._cipher().encrypt(one.value.encode()).decode() if one.secret else one.value for one in news
        }

        def work(connection: Connection) -> None:
            for one in news:
                _put(connection, one, stored[one.key], actor, now)

        write(self._engine, work, repeatable=True, patience=patience)

    def reset(self, key: str, *, actor: Actor, now: datetime) -> bool:
        """Go back to the setting; False when it was not changed."""

        def work(connection: Connection) -> bool:
            found = connection.execute(
                select(ConfigurationEntry.value, ConfigurationEntry.is_encrypted)
                .where(ConfigurationEntry.key == key)
                .with_for_update()
            ).one_or_none()
            if found is None:
                return False
            connection.execute(delete(ConfigurationEntry).where(ConfigurationEntry.key == key))
            _record(connection, key, "reset", actor, now, HIDDEN if found.is_encrypted else found.value, None)
            return True

        return write(self._engine, work)

    def encrypt_anew(self, *, actor: Actor, now: datetime) -> int:
        """Encrypt every secret with the newest key; returns how many. Raises Undecryptable."""

        def work(connection: Connection) -> int:
            rows = connection.execute(
                select(ConfigurationEntry.key, ConfigurationEntry.value)
                .where(ConfigurationEntry.is_encrypted)
                .with_for_update()
            ).all()
            for key, value in rows:
                try:
                    fresh = self._cipher().rotate(value.encode()).decode()
                except InvalidToken:
                    raise Undecryptable(key) from None
                connection.execute(update(ConfigurationEntry).where(ConfigurationEntry.key == key).values(value=fresh))
                _record(connection, key, "encrypted_anew", actor, now, None, None)
            return len(rows)

        return write(self._engine, work)

    def _stored(self) -> dict[str, ChangedSetting]:
        query = select(
            ConfigurationEntry.key,
            ConfigurationEntry.value,
            ConfigurationEntry.is_encrypted,
            ConfigurationEntry.updated_at,
        ).order_by(ConfigurationEntry.key)
        with reading(self._engine) as connection:
            return {row.key: ChangedSetting(*row) for row in connection.execute(query)}

    def _plain(self, entry: ChangedSetting) -> str:
        if not entry.is_secret:
            return entry.value or ""
        try:
            return self._cipher().decrypt((entry.value or "").encode()).decode()
        except InvalidToken:
            raise Undecryptable(entry.key) from None


def _put(connection: Connection, new: NewValue, stored: str, actor: Actor, now: datetime) -> None:
    found = connection.execute(
        select(ConfigurationEntry.value, ConfigurationEntry.is_encrypted, ConfigurationEntry.updated_at)
        .where(ConfigurationEntry.key == new.key)
        .with_for_update()
    ).one_or_none()
    if found is not None and (found.value, found.updated_at) == (stored, now):
        return  # done by this very call, whose commit nobody heard of
    values = {"value": stored, "is_encrypted": new.secret, "description": new.description, "updated_at": now}
    if found is None:
        connection.execute(insert(ConfigurationEntry).values(id=uuid4(), key=new.key, created_at=now, **values))
    else:
        connection.execute(update(ConfigurationEntry).where(ConfigurationEntry.key == new.key).values(values))
    before = None if found is None else HIDDEN if found.is_encrypted else found.value
    _record(connection, new.key, "set", actor, now, before, HIDDEN if new.secret else new.value)


def _record(
    connection: Connection, key: str, what: str, actor: Actor, now: datetime, before: str | None, after: str | None
) -> None:
    record(
        connection,
        actor=actor,
        action=f"configuration.{what}",
        resource_type="configuration",
        resource_id=key,
        before=None if before is None else {"value": before},
        after=None if after is None else {"value": after},
        now=now,
    )

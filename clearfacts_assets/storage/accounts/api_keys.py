"""API keys: how services show who they are. A key is shown once, when it is made; only its hash is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Connection, Engine, exists, insert, not_, select, update

from clearfacts_assets.storage.accounts.audit import Actor, record_change_of
from clearfacts_assets.storage.accounts.tables import ApiKey, User
from clearfacts_assets.storage.database import reading, write
from clearfacts_assets.storage.paging import NEWEST_FIRST, Page, Span, page_of, page_size

_record = partial(record_change_of, "api_key")


class KeyNotFound(LookupError):
    """There is no such API key."""

    def __init__(self, key: object) -> None:
        super().__init__(f"there is no API key {key}")


class KeyExists(ValueError):
    """A key has this name already, perhaps a revoked one: the audit log tells keys apart by their names."""

    def __init__(self, name: str) -> None:
        super().__init__(f"an API key named {name} exists already, or existed once")


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    """A key without the key."""

    id: UUID
    name: str
    scopes: Sequence[str]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


_COLUMNS = [getattr(ApiKey, name) for name in ApiKeyRecord.__dataclass_fields__]


class ApiKeyRepository:
    """Keys, and every change to them with its entry in the audit log."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self, name: str, key_hash: str, scopes: Sequence[str], *, expires_at: datetime, actor: Actor, now: datetime
    ) -> ApiKeyRecord:
        """Raises KeyExists."""
        key = ApiKeyRecord(uuid4(), name, sorted(scopes), now, expires_at, None)

        def work(connection: Connection) -> ApiKeyRecord:
            if connection.execute(select(ApiKey.id).where(ApiKey.name == name)).first():
                raise KeyExists(name)
            values: dict[str, Any] = {field: getattr(key, field) for field in ApiKeyRecord.__dataclass_fields__}
            connection.execute(insert(ApiKey).values(key_hash=key_hash, created_by=actor.user_id, **values))
            after = {"name": name, "scopes": key.scopes, "expires_at": expires_at}
            _record(connection, key.id, "added", actor, now, after)
            return key

        return write(self._engine, work)

    def revoke(self, key_id: UUID, *, actor: Actor, now: datetime) -> ApiKeyRecord:
        """From now on the key opens nothing; a key that was revoked before stays so. Raises KeyNotFound."""

        def work(connection: Connection) -> ApiKeyRecord:
            revoked = connection.execute(
                update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)).values(revoked_at=now)
            )
            key = _read(connection, ApiKey.id == key_id)
            if key is None:
                raise KeyNotFound(key_id)
            if revoked.rowcount:
                _record(connection, key_id, "revoked", actor, now, {"name": key.name})
            return key

        return write(self._engine, work)

    def by_hash(self, key_hash: str, now: datetime) -> ApiKeyRecord | None:
        """The key, if it holds: a key of somebody who may not come in any more opens nothing either."""
        disabled = exists().where(User.id == ApiKey.created_by, User.is_active.is_(False))
        holds = (ApiKey.revoked_at.is_(None), ApiKey.expires_at > now, not_(disabled))
        with reading(self._engine) as connection:
            return _read(connection, ApiKey.key_hash == key_hash, *holds)

    def named(self, name: str) -> ApiKeyRecord:
        """Raises KeyNotFound."""
        with reading(self._engine) as connection:
            key = _read(connection, ApiKey.name == name)
        if key is None:
            raise KeyNotFound(name)
        return key

    def list(self, *, span: Span = NEWEST_FIRST, limit: int = 50, cursor: str | None = None) -> Page[ApiKeyRecord]:
        """All there ever were. Raises BadCursor."""
        limit = page_size(limit)
        query = span.of(select(*_COLUMNS), ApiKey.__table__.c.created_at, ApiKey.__table__.c.id, cursor, limit)
        with reading(self._engine) as connection:
            found = [ApiKeyRecord(**row) for row in connection.execute(query).mappings()]
        return page_of(found, limit, attrgetter("created_at"), attrgetter("id"))


def _read(connection: Connection, *conditions: ColumnElement[bool]) -> ApiKeyRecord | None:
    row = connection.execute(select(*_COLUMNS).where(*conditions)).mappings().one_or_none()
    return None if row is None else ApiKeyRecord(**row)

"""Users: people who may log in. Nobody is ever deleted, for the audit log names them; they are disabled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, func, insert, or_, select, update

from clearfacts_assets.messages import ExplainedError
from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.accounts.tables import Session, User
from clearfacts_assets.storage.database import reading, write
from clearfacts_assets.storage.paging import NEWEST_FIRST, Page, Span, page_of, page_size

ADMIN = "admin"  # the role of which at least one active user stays
BINDABLE = "user"  # the role whose users may be bound to an investigator
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,149}")
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,255}")


class UserError(ExplainedError):
    """A change to users that is not done. UserNotFound, UserExists, BadUser, LastAdmin."""


class UserNotFound(UserError):
    """There is no such user."""

    def __init__(self, user: object) -> None:
        super().__init__("there is no user {user}", user=user)


class UserExists(UserError):
    """The name or the e-mail address is somebody's already."""

    def __init__(self) -> None:
        super().__init__("a user with this name or this e-mail address exists already")


class BadUser(UserError):
    """The name or the e-mail address cannot be one."""


class LastAdmin(UserError):
    """Nobody would be left who can add users."""

    def __init__(self) -> None:
        super().__init__("this is the last active admin: make somebody else one first")


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user, without the password's hash."""

    id: UUID
    username: str
    email: str
    role: str
    is_active: bool
    created_at: datetime
    updated_at: datetime
    investigator: str | None = None  # whose charges are all that the user sees


_COLUMNS = [getattr(User, name) for name in UserRecord.__dataclass_fields__]


class UserRepository:
    """Users, and every change to them with its entry in the audit log, in one transaction.

    A new password, and being disabled, ends the user's sessions. A role is read anew with every request.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self, username: str, *, email: str, role: str, password_hash: str, actor: Actor, now: datetime
    ) -> UserRecord:
        """A new, active user. Names and addresses are compared without regard to case. Raises BadUser, UserExists."""
        user = UserRecord(uuid4(), _name(username), _email(email), role, True, now, now)

        def work(connection: Connection) -> UserRecord:
            taken = select(User.id).where(or_(User.username == user.username, User.email == user.email))
            if connection.execute(taken).first():
                raise UserExists
            values = {name: getattr(user, name) for name in UserRecord.__dataclass_fields__}
            connection.execute(insert(User).values(password_hash=password_hash, **values))
            _record(connection, user, "added", actor, now, after=_shown(user))
            return user

        return write(self._engine, work)

    def get(self, user_id: UUID) -> UserRecord:
        """Raises UserNotFound."""
        with reading(self._engine) as connection:
            return _read(connection, User.id == user_id, user_id)

    def named(self, username: str) -> UserRecord:
        """Raises UserNotFound."""
        with reading(self._engine) as connection:
            return _read(connection, User.username == username.strip().lower(), username)

    def with_hash(self, username: str) -> tuple[UserRecord, str] | None:
        """For a login: the user and the password's hash. None for a name that nobody has."""
        name = username.strip().lower()
        if not _NAME.fullmatch(name):
            return None
        query = select(*_COLUMNS, User.password_hash).where(User.username == name)
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        values = dict(row)
        password_hash: str = values.pop("password_hash")
        return UserRecord(**values), password_hash

    def list(self, *, span: Span = NEWEST_FIRST, limit: int = 50, cursor: str | None = None) -> Page[UserRecord]:
        """Raises BadCursor."""
        limit = page_size(limit)
        query = span.of(select(*_COLUMNS), User.__table__.c.created_at, User.__table__.c.id, cursor, limit)
        with reading(self._engine) as connection:
            found = [UserRecord(**row) for row in connection.execute(query).mappings()]
        return page_of(found, limit, attrgetter("created_at"), attrgetter("id"))

    def change(
        self,
        user_id: UUID,
        *,
        role: str | None = None,
        is_active: bool | None = None,
        email: str | None = None,
        investigator: str | None = None,
        actor: Actor,
        now: datetime,
    ) -> UserRecord:
        """Change what is given; an empty investigator ends the binding. Raises UserNotFound, UserExists, BadUser,
        LastAdmin."""
        wanted: dict[str, Any] = {"role": role, "is_active": is_active, "email": email and _email(email)}
        wanted["investigator"] = investigator and _email(investigator)

        def work(connection: Connection) -> UserRecord:
            user = _read(connection, User.id == user_id, user_id, lock=True)
            changed = {name: value for name, value in wanted.items() if value is not None}
            if changed.get("investigator") == "":
                changed["investigator"] = None
            changed = {name: value for name, value in changed.items() if value != getattr(user, name)}
            if not changed:
                return user
            self._refuse(connection, user, changed)
            connection.execute(update(User).where(User.id == user_id).values(updated_at=now, **changed))
            before = {name: getattr(user, name) for name in changed}
            _record(connection, user, _verb(changed), actor, now, before=before, after=changed)
            if changed.get("is_active") is False:
                end_sessions(connection, user_id, _verb(changed), now)
            return _read(connection, User.id == user_id, user_id)

        return write(self._engine, work)

    def set_password(self, user_id: UUID, password_hash: str, *, actor: Actor, now: datetime) -> None:
        """A new password. Raises UserNotFound."""

        def work(connection: Connection) -> None:
            user = _read(connection, User.id == user_id, user_id, lock=True)
            values = {"password_hash": password_hash, "updated_at": now}
            connection.execute(update(User).where(User.id == user_id).values(values))
            _record(connection, user, "password_set", actor, now)
            end_sessions(connection, user_id, "password_set", now)

        write(self._engine, work)

    def renew_hash(self, user_id: UUID, old: str, new: str) -> None:
        """Keep the same password under a stronger hash, unless it was changed meanwhile."""
        statement = update(User).where(User.id == user_id, User.password_hash == old).values(password_hash=new)
        write(self._engine, lambda connection: connection.execute(statement), repeatable=True)

    def _refuse(self, connection: Connection, user: UserRecord, changed: Mapping[str, Any]) -> None:
        if "email" in changed:
            taken = select(User.id).where(User.email == changed["email"], User.id != user.id)
            if connection.execute(taken).first():
                raise UserExists
        role, bound = (changed.get(name, getattr(user, name)) for name in ("role", "investigator"))
        if bound is not None and role != BINDABLE:
            raise BadUser(
                "only a user of the role {bindable} is bound to an investigator: a {role} sees all charges",
                bindable=BINDABLE,
                role=role,
            )
        loses_an_admin = user.role == ADMIN and user.is_active and ("role" in changed or "is_active" in changed)
        if loses_an_admin and len(_active_admins(connection)) == 1:
            raise LastAdmin


def end_sessions(connection: Connection, user_id: UUID, because: str, now: datetime) -> None:
    """End every session of the user."""
    connection.execute(
        update(Session)
        .where(Session.user_id == user_id, Session.ended_at.is_(None))
        .values(ended_at=now, ended_because=because)
    )


def any_user(engine: Engine) -> bool:
    """Whether there is somebody who could log in."""
    with reading(engine) as connection:
        return bool(connection.execute(select(func.count()).select_from(User)).scalar_one())


def _active_admins(connection: Connection) -> Sequence[UUID]:
    # Locked, so that two admins cannot disable each other at once.
    query = select(User.id).where(User.role == ADMIN, User.is_active).order_by(User.id).with_for_update()
    return connection.scalars(query).all()


def _read(connection: Connection, condition: Any, wanted: object, *, lock: bool = False) -> UserRecord:
    query = select(*_COLUMNS).where(condition)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise UserNotFound(wanted)
    return UserRecord(**row)


def _record(
    connection: Connection,
    user: UserRecord,
    what: str,
    actor: Actor,
    now: datetime,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    record(
        connection,
        actor=actor,
        action=f"user.{what}",
        resource_type="user",
        resource_id=str(user.id),
        before=before,
        after={"username": user.username, **(after or {})},
        now=now,
    )


def _verb(changed: Mapping[str, Any]) -> str:
    if "is_active" in changed:
        return "enabled" if changed["is_active"] else "disabled"
    if "role" in changed:
        return "role_set"
    if "investigator" in changed:
        return "bound" if changed["investigator"] else "unbound"
    return "email_set"


def _shown(user: UserRecord) -> dict[str, Any]:
    return {"email": user.email, "role": user.role}


def _name(text: str) -> str:
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise BadUser(
            "a user's name has 1 to 150 of the characters a-z, 0-9, '.', '_' and '-', and begins with a letter or digit"
        )
    return name


def _email(text: str) -> str:
    email = text.strip().lower()
    if not _EMAIL.fullmatch(email):
        raise BadUser("this is no e-mail address")
    return email

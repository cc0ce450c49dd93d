"""Logins: sessions behind a browser's cookie, and families of refresh tokens. Only hashes of both are kept."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, or_, select, update
from sqlalchemy.exc import OperationalError

from clearfacts_assets.storage.accounts.audit import Actor, record_change_of
from clearfacts_assets.storage.accounts.tables import RefreshToken, Session, User
from clearfacts_assets.storage.database import reading, write

KEPT = timedelta(days=7)  # how long an expired session's row stays, with its refresh tokens
LONGEST_PAUSE = timedelta(minutes=30)  # after which a browser's session that nobody used is over
NOTED_EVERY = timedelta(minutes=1)  # how often its use is written down

_record = partial(record_change_of, "session")


class RefreshRefused(Exception):
    """This refresh token is unknown, expired, or of a session that has ended."""


class RefreshReused(RefreshRefused):
    """This refresh token came a second time: somebody has a copy. Its session was ended."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A session that holds, and its user as things are now."""

    session_id: UUID
    user_id: UUID
    username: str
    role: str
    expires_at: datetime
    seen_at: datetime
    investigator: str | None = None


class SessionRepository:
    """Sessions and the refresh tokens of those that are not a browser's."""

    def __init__(self, engine: Engine, *, longest_pause: timedelta = LONGEST_PAUSE) -> None:
        """Programs pause as long as they like: ``longest_pause`` is for browsers, which people leave open."""
        self._engine, self._pause = engine, longest_pause

    def open_browser(self, user_id: UUID, token_hash: str, *, until: datetime, actor: Actor, now: datetime) -> UUID:
        """A session behind a cookie."""
        return write(self._engine, lambda connection: _open(connection, user_id, token_hash, until, actor, now))

    def open_api(self, user_id: UUID, refresh_hash: str, *, until: datetime, actor: Actor, now: datetime) -> UUID:
        """A session behind refresh tokens, with the first of them."""

        def work(connection: Connection) -> UUID:
            session_id = _open(connection, user_id, None, until, actor, now)
            _issue(connection, session_id, refresh_hash, now)
            return session_id

        return write(self._engine, work)

    def refresh(self, used: str, fresh: str, *, actor: Actor, now: datetime) -> Standing:
        """Put a fresh refresh token in the place of a used one. Raises RefreshRefused, RefreshReused."""

        def work(connection: Connection) -> Standing | None:
            token = connection.execute(
                select(RefreshToken.session_id, RefreshToken.used_at).where(RefreshToken.token_hash == used)
            ).one_or_none()
            if token is None:
                raise RefreshRefused
            standing = _standing(connection, Session.id == token.session_id, now, now - self._pause)
            if standing is None:
                raise RefreshRefused
            taken = connection.execute(
                update(RefreshToken)
                .where(RefreshToken.token_hash == used, RefreshToken.used_at.is_(None))
                .values(used_at=now)
            )
            if taken.rowcount != 1:
                _end(connection, standing.session_id, "refresh_token_reused", actor, now)
                return None  # and not an exception: the end of the session has to be committed
            _issue(connection, standing.session_id, fresh, now)
            return standing

        standing = write(self._engine, work)
        if standing is None:
            raise RefreshReused
        return standing

    def session_of_refresh(self, token_hash: str) -> UUID | None:
        """The session that the refresh token, used or not, belongs to."""
        with reading(self._engine) as connection:
            query = select(RefreshToken.session_id).where(RefreshToken.token_hash == token_hash)
            return connection.scalars(query).one_or_none()

    def by_id(self, session_id: UUID, now: datetime) -> Standing | None:
        """The session, if it holds and its user is active."""
        with reading(self._engine) as connection:
            return _standing(connection, Session.id == session_id, now, now - self._pause)

    def by_cookie(self, token_hash: str, now: datetime) -> Standing | None:
        """The browser's session, if it holds and its user is active. It counts as used."""
        with reading(self._engine) as connection:
            standing = _standing(connection, Session.token_hash == token_hash, now, now - self._pause)
        if standing is not None and standing.seen_at <= now - NOTED_EVERY:
            statement = update(Session).where(Session.id == standing.session_id).values(seen_at=now)
            with suppress(OperationalError):  # it is noted with the next use; this one must not fail for it
                write(self._engine, lambda connection: connection.execute(statement), repeatable=True)
        return standing

    def end(self, session_id: UUID, because: str, *, actor: Actor, now: datetime) -> None:
        """End a session; one that has ended stays as it is."""
        write(self._engine, lambda connection: _end(connection, session_id, because, actor, now))


def _open(
    connection: Connection, user_id: UUID, token_hash: str | None, until: datetime, actor: Actor, now: datetime
) -> UUID:
    session_id, kind = uuid4(), "browser" if token_hash else "api"
    connection.execute(
        insert(Session).values(
            id=session_id,
            user_id=user_id,
            kind=kind,
            token_hash=token_hash,
            created_at=now,
            expires_at=until,
            seen_at=now,
        )
    )
    _record(connection, session_id, "opened", actor, now, {"kind": kind})
    # With each new one the old ones go, whoever logs in; they are found by an index.
    connection.execute(delete(Session).where(Session.expires_at < now - KEPT))
    return session_id


def _end(connection: Connection, session_id: UUID, because: str, actor: Actor, now: datetime) -> None:
    ended = connection.execute(
        update(Session)
        .where(Session.id == session_id, Session.ended_at.is_(None))
        .values(ended_at=now, ended_because=because)
    )
    if ended.rowcount:
        _record(connection, session_id, "ended", actor, now, {"because": because})


def _issue(connection: Connection, session_id: UUID, token_hash: str, now: datetime) -> None:
    connection.execute(insert(RefreshToken).values(token_hash=token_hash, session_id=session_id, issued_at=now))


def _standing(
    connection: Connection, condition: ColumnElement[bool], now: datetime, used_after: datetime
) -> Standing | None:
    row = connection.execute(
        select(Session.id, User.id, User.username, User.role, Session.expires_at, Session.seen_at, User.investigator)
        .join(User, User.id == Session.user_id)
        .where(condition, Session.ended_at.is_(None), Session.expires_at > now, User.is_active)
        .where(or_(Session.kind == "api", Session.seen_at > used_after))
    ).one_or_none()
    return None if row is None else Standing(*row)

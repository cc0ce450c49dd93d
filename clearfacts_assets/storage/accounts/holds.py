"""Legal holds: what must not be deleted, however old it is. Placed and released by people, each time with an entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import Connection, Engine, Table, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.accounts.tables import LegalHold
from clearfacts_assets.storage.database import reading, write

_holds = cast(Table, LegalHold.__table__)


class Kept(StrEnum):
    """What is kept for a while, each with its own setting."""

    DOCUMENTS = "documents"
    AUDIT = "audit"
    RUNS = "runs"
    LOGS = "logs"
    SESSIONS = "sessions"


class HoldProblem(Exception):
    """A hold that cannot be placed or released, in words."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold. ``kind`` None stands for everything; party and days narrow a hold of documents."""

    name: str
    kind: Kept | None
    party: str | None
    since: date | None
    until: date | None
    reason: str
    placed_by: str = ""
    placed_at: datetime | None = None
    released_by: str | None = None
    released_at: datetime | None = None

    def covers(self, kind: Kept) -> bool:
        """Whether it is about this kind at all."""
        return self.kind in (None, kind)

    @property
    def is_narrow(self) -> bool:
        return any(one is not None for one in (self.party, self.since, self.until))

    def holds_document(self, day: date | None, words: Iterable[str | None]) -> bool:
        """Whether a document of this day (None: unknown), whose parties are called so, is held.

        In doubt it is: a document without a day, and a party whose name only contains the hold's.
        """
        if day is not None and ((self.since and day < self.since) or (self.until and day > self.until)):
            return False
        return self.party is None or any(self.party.casefold() in word.casefold() for word in words if word)


def all_held(holds: Iterable[Hold], kind: Kept) -> bool:
    """Whether nothing of this kind may go."""
    return any(hold.covers(kind) and not hold.is_narrow for hold in holds)


def place(engine: Engine, hold: Hold, *, actor: Actor, now: datetime) -> None:
    """Place a hold; it counts from the next batch of deletions on. Raises HoldProblem."""
    if hold.is_narrow and hold.kind is not Kept.DOCUMENTS:
        raise HoldProblem("a party and days narrow a hold of documents alone: say --kind documents")
    values = {name: getattr(hold, name) for name in ("name", "kind", "party", "since", "until", "reason")}

    def work(connection: Connection) -> None:
        connection.execute(insert(LegalHold).values(**values, placed_by=actor.name, placed_at=now))
        _record(connection, "hold.placed", hold.name, _told(values), actor, now)

    try:
        write(engine, work)
    except IntegrityError:
        raise HoldProblem(f"there is, or was, a hold {hold.name}: choose another name") from None


def release(engine: Engine, name: str, *, reason: str, actor: Actor, now: datetime) -> None:
    """From now on it holds nothing. Raises HoldProblem where no such hold is in force."""

    def work(connection: Connection) -> None:
        statement = (
            update(_holds)
            .where(_holds.c.name == name, _holds.c.released_at.is_(None))
            .values(released_by=actor.name, released_at=now)
        )
        if connection.execute(statement).rowcount != 1:
            raise HoldProblem(f"no hold {name} is in force: `clearfacts holds list` shows them")
        _record(connection, "hold.released", name, {"reason": reason}, actor, now)

    write(engine, work)


def all_holds(engine: Engine) -> Sequence[Hold]:
    """Every hold that was ever placed, in the order of placing."""
    with reading(engine) as connection:
        return [_hold(row) for row in connection.execute(select(_holds).order_by(_holds.c.placed_at)).mappings()]


def in_force(connection: Connection) -> Sequence[Hold]:
    """The holds of this moment; on PostgreSQL none is placed until this transaction has ended."""
    if connection.dialect.name == "postgresql" and not connection.get_execution_options().get("postgresql_readonly"):
        connection.execute(text("LOCK TABLE legal_holds IN SHARE MODE"))
    return [_hold(row) for row in connection.execute(select(_holds).where(_holds.c.released_at.is_(None))).mappings()]


def _hold(row: Mapping[str, Any] | Any) -> Hold:
    values = {name: row[name] for name in Hold.__dataclass_fields__}
    return Hold(**(values | {"kind": None if values["kind"] is None else Kept(values["kind"])}))


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value) for name, value in values.items() if value is not None}


def _record(
    connection: Connection, action: str, name: str, after: Mapping[str, Any], actor: Actor, now: datetime
) -> None:
    record(connection, actor=actor, action=action, resource_type="hold", resource_id=name, after=after, now=now)

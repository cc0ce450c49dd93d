"""The audit log: who changed what. Each entry carries the hash of the one before it, so that no entry can be changed,
removed or put in between without breaking the chain behind it.

An entry is written in the transaction of the change that it tells of: both happen, or neither does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, NotRequired, TypedDict, Unpack, cast
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Table, delete, func, insert, select

from clearfacts_assets.storage.accounts.tables import AuditCut, AuditLog
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.paging import NEWEST_FIRST, Page, Span, page_of, page_size
from clearfacts_assets.storage.types import bounded, storable
from clearfacts_assets.telemetry.logging import HIDDEN, names_a_secret

CUT = "audit_log.cut"
FIRST = "0" * 64  # what the first entry has in place of a hash before it
LONGEST_AGENT = 500  # characters kept of a user agent
LONGEST_ACTION, LONGEST_RESOURCE = 100, 255  # characters, as the table has them; a longer text ends in a digest
_LOCK = 0xC1EA_FAC7  # PostgreSQL's advisory lock: one writer at the chain's end
_BATCH = 1000  # rows read at once when the chain is verified


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and from where; only the name is known of somebody at a terminal."""

    name: str
    user_id: UUID | None = None
    ip_address: str | None = None
    user_agent: str | None = None
    correlation_id: str | None = None


def named(actor: str | Actor) -> Actor:
    """The actor, of whom perhaps only the name is known."""
    return Actor(actor) if isinstance(actor, str) else actor


_acting: ContextVar[Actor | None] = ContextVar("acting", default=None)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Within it, entries of somebody of this name say all that is known of the actor: what is kept beside a change (who
    issued, who objected) is a name, and the log has to tell from where it was done."""
    before = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(before)


def _known(actor: Actor) -> Actor:
    acts = _acting.get()
    return acts if acts is not None and actor == Actor(acts.name) else actor


class Change(TypedDict):
    """What was done to what. ``action`` is a noun and a past participle (``user.disabled``)."""

    action: str
    resource_type: str
    resource_id: str | None
    before: NotRequired[Mapping[str, Any] | None]
    after: NotRequired[Mapping[str, Any] | None]
    reason: NotRequired[str | None]


class AuditFilter(TypedDict, total=False):
    """Which entries are asked for; None, like what is left out, stands for all."""

    action: str | None
    resource_type: str | None
    resource_id: str | None
    user_id: UUID | None


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line of the log. ``details`` holds actor, before, after and, where there are, reason and correlation id."""

    id: UUID
    position: int
    user_id: UUID | None
    action: str
    resource_type: str
    resource_id: str | None
    details: dict[str, Any]
    ip_address: str | None
    user_agent: str | None
    created_at: datetime
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Broken:
    """Where the chain does not hold, and why."""

    position: int
    problem: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What a walk along the chain came to. ``head`` is the last entry's hash: kept elsewhere, it proves later that
    nothing was cut off the end."""

    entries: int
    head: str
    broken: Broken | None


def record(
    connection: Connection,
    *,
    actor: Actor,
    now: datetime,
    **change: Unpack[Change],
) -> None:
    """Add an entry at the chain's end, in the caller's transaction.

    Values whose names speak of a secret are hidden; other secrets the caller leaves out.
    """
    if connection.dialect.name == "postgresql":
        # Held to the end of the transaction. SQLite has one writer anyway.
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    actor = _known(actor)
    # By the table, not the class: a process that writes one entry need not set up every mapped class for it.
    log = cast(Table, AuditLog.__table__)
    last = connection.execute(select(log.c.position, log.c.hash).order_by(log.c.position.desc()).limit(1)).one_or_none()
    told = {"actor": actor.name, "reason": change.get("reason"), "correlation_id": actor.correlation_id}
    changed = {"before": change.get("before"), "after": change.get("after")}
    details = {name: value for name, value in (told | changed).items() if value is not None}
    values: dict[str, Any] = {
        "id": uuid4(),
        "position": last.position + 1 if last else 1,
        "user_id": actor.user_id,
        "action": bounded(change["action"], LONGEST_ACTION),
        "resource_type": change["resource_type"],
        "resource_id": _bounded_id(change["resource_id"]),
        "details": _plain(details),
        "ip_address": _address(actor.ip_address),
        "user_agent": storable(actor.user_agent[:LONGEST_AGENT]) if actor.user_agent else None,
        "created_at": now,
        "previous_hash": last.hash if last else FIRST,
    }
    connection.execute(insert(log).values(**values, hash=digest(values)))


def _bounded_id(resource_id: str | None) -> str | None:
    return None if resource_id is None else bounded(resource_id, LONGEST_RESOURCE)


def record_change_of(
    kind: str, connection: Connection, identifier: UUID, what: str, actor: Actor, now: datetime, after: dict[str, Any]
) -> None:
    """The same for one thing of its kind: ``what`` happened to it, ``after`` it is so."""
    record(
        connection,
        actor=actor,
        action=f"{kind}.{what}",
        resource_type=kind,
        resource_id=str(identifier),
        after=after,
        now=now,
    )


def digest(values: Mapping[str, Any]) -> str:
    """SHA-256 over all of an entry but its own hash, as JSON with sorted keys, the time in UTC."""
    parts = {name: value for name, value in values.items() if name != "hash"}
    parts["created_at"] = parts["created_at"].astimezone(UTC).isoformat()
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def verify(engine: Engine, *, contains: str | None = None) -> Verification:
    """Walk the chain from its beginning to the first entry that does not fit. ``contains`` is a head of former days.

    Where retention cut the log, the chain begins behind the cut, and an entry in it has to tell of that cut.
    """
    with reading(engine) as connection:
        cuts = connection.execute(select(AuditCut.position, AuditCut.hash).order_by(AuditCut.position)).all()
        first, previous = (cuts[-1].position, cuts[-1].hash) if cuts else (0, FIRST)
        wanted = None if contains in {cut.hash for cut in cuts} else contains
        count, untold = 0, bool(cuts)
        for entry in _all(connection):
            count += 1
            problem = _problem(entry, first + count, previous)
            if problem:
                return Verification(count, previous, Broken(entry.position, problem))
            previous = entry.hash
            wanted = None if entry.hash == wanted else wanted
            untold = untold and not _tells_of_cut(entry, cuts[-1].position, cuts[-1].hash)
        broken = Broken(first + count, f"no entry has the hash {wanted}: the log was cut off") if wanted else None
        if untold:
            broken = Broken(first, f"the log begins behind entry {first}, and no entry tells that it was cut there")
        return Verification(count, previous, broken)


def cut(connection: Connection, *, before: datetime, actor: Actor, now: datetime) -> int:
    """Cut off the beginning of the log, up to the last entry in a row that is older. Returns how many entries went.

    An entry tells of it: how many, up to which position, and that entry's hash.
    """
    position = end_of_what_is_older(connection, before)
    if not position:
        return 0
    last = connection.execute(select(AuditLog.hash).where(AuditLog.position == position)).scalar_one()
    going = AuditLog.__table__.c.position <= position
    entries = connection.scalar(select(func.count()).select_from(AuditLog).where(going)) or 0
    record(
        connection,
        actor=actor,
        action=CUT,
        resource_type="audit_log",
        resource_id=str(position),
        after={"through": position, "hash": last, "entries": entries, "before": before.isoformat()},
        now=now,
    )
    connection.execute(insert(AuditCut).values(position=position, hash=last, entries=entries, at=now))
    connection.execute(delete(AuditLog).where(going))
    return entries


def end_of_what_is_older(connection: Connection, before: datetime) -> int:
    """The position of the last entry that may go; 0 where none may. Later entries were written later, or are kept."""
    kept = connection.scalar(select(func.min(AuditLog.position)).where(AuditLog.created_at >= before))
    first, last = connection.execute(select(func.min(AuditLog.position), func.max(AuditLog.position))).one()
    end: int = (last or 0) if kept is None else kept - 1
    return end if first is not None and end >= first else 0


def _tells_of_cut(entry: AuditLine, position: int, last: str) -> bool:
    after = entry.details.get("after") or {}
    return entry.action == CUT and (after.get("through"), after.get("hash")) == (position, last)


def entries(
    engine: Engine,
    *,
    span: Span = NEWEST_FIRST,
    limit: int = 50,
    cursor: str | None = None,
    **wanted: Unpack[AuditFilter],
) -> Page[AuditLine]:
    """The log, newest first unless asked otherwise. Raises BadCursor."""
    limit = page_size(limit)
    query = select(*_columns())
    for name, value in (wanted | {"resource_id": _bounded_id(wanted.get("resource_id"))}).items():
        if value is not None:
            query = query.where(getattr(AuditLog, name) == (storable(value) if isinstance(value, str) else value))
    query = span.of(query, AuditLog.__table__.c.created_at, AuditLog.__table__.c.id, cursor, limit)
    with reading(engine) as connection:
        found = [_entry(row) for row in connection.execute(query).mappings()]
    return page_of(found, limit, lambda entry: entry.created_at, lambda entry: entry.id)


def _all(connection: Connection) -> Iterator[AuditLine]:
    query = select(*_columns()).order_by(AuditLog.position).execution_options(yield_per=_BATCH)
    for row in connection.execute(query).mappings():
        yield _entry(row)


def _columns() -> list[Any]:
    return [getattr(AuditLog, name) for name in AuditLine.__dataclass_fields__]


def _entry(row: Mapping[str, Any] | Any) -> AuditLine:
    values = dict(row)
    values["ip_address"] = None if values["ip_address"] is None else str(values["ip_address"])
    return AuditLine(**values)


def _problem(entry: AuditLine, position: int, previous: str) -> str | None:
    if entry.position != position:
        return f"entry {position} is missing"
    if entry.previous_hash != previous:
        return "it does not follow the entry before it"
    if entry.hash != digest(asdict(entry)):
        return "its content was changed"
    return None


def _plain(value: Any) -> Any:
    """As JSON brings it back from either database, without secrets."""
    if isinstance(value, Mapping):
        return {
            storable(str(name)): HIDDEN if item is not None and names_a_secret(str(name)) else _plain(item)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int) else storable(str(value))


def _address(text: str | None) -> str | None:
    """The address as both databases write it; None for what is none (a test client's name, a socket's path)."""
    try:
        return str(ip_address(text)) if text else None
    except ValueError:
        return None

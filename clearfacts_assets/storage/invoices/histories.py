"""Loading and keeping the histories that one transaction of the ledger works on, a batch at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    Connection,
    Table,
    Update,
    bindparam,
    false,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from clearfacts_assets.invoices.ledger.batch import Batch
from clearfacts_assets.invoices.ledger.history import History
from clearfacts_assets.invoices.ledger.model import Attempt, DeliveryRecord, Settlement, Shown
from clearfacts_assets.invoices.lifecycle import Event
from clearfacts_assets.storage.bulk import execute_many
from clearfacts_assets.storage.database import insert_by
from clearfacts_assets.storage.invoices.delivery_rows import (
    CONSTANT,
    attempt_of,
    changes_of,
    new_values_of,
    record_of,
    shown_beside,
    shown_from,
    shown_row,
)
from clearfacts_assets.storage.invoices.tables import SHOWN_NOW, Delivery, DeliveryAttempt, DeliveryWish, SourceVersion

_deliveries = cast(Table, Delivery.__table__)
_attempts = cast(Table, DeliveryAttempt.__table__)
_shown = cast(Table, SourceVersion.__table__)
_wishes = cast(Table, DeliveryWish.__table__)


class Raced(Exception):
    """Somebody else registered the same thing at the same time: look again."""


@dataclass(slots=True)
class Loaded:
    """A batch as it was loaded, so that what has changed can be kept."""

    batch: Batch
    versions: dict[UUID, DeliveryRecord] = field(default_factory=dict)
    shown: dict[UUID, Shown] = field(default_factory=dict)

    def changed(self) -> list[DeliveryRecord]:
        """The versions that are not as they were, without new ones; in the order in which rows are locked."""
        known = ((one, self.versions.get(one.id)) for one in self._now())
        return [one for one, was in known if was is not None and was is not one and was != one]

    def _now(self) -> list[DeliveryRecord]:
        """All versions, in the order in which rows are locked."""
        digests = sorted(self.batch.histories)
        return [one for digest in digests for one in self.batch.histories[digest].versions]

    def save(self, connection: Connection) -> None:
        """Keep what has changed. Raises Raced where another transaction was quicker."""
        self._save_new(connection)
        self._save_changed(connection)
        self._save_shown(connection)
        granted = [
            {"wish": wish, "key_digest": digest, "delivery_id": delivery_id, "created_at": self.batch.now}
            for wish, digest, delivery_id in self.batch.granted
        ]
        _insert(connection, _wishes, granted)

    def _save_new(self, connection: Connection) -> None:
        """Those of which the same is said together."""
        alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for one in self._now():
            if one.id not in self.versions:
                values = new_values_of(one)
                alike.setdefault(tuple(values), []).append(values)
        for names, rows in alike.items():
            _execute_insert(connection, _new(connection.dialect.name, names), rows)

    def _save_changed(self, connection: Connection) -> None:
        """Those of which the same columns have changed together."""
        alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for one in self.changed():
            changes = changes_of(one, self.versions[one.id])
            values = {"delivery": one.id, **{f"new_{name}": value for name, value in changes.items()}}
            alike.setdefault(tuple(changes), []).append(values)
        for names, rows in alike.items():
            execute_many(connection, _change(names), rows)

    def _save_shown(self, connection: Connection) -> None:
        now = [shown for digest in sorted(self.batch.histories) for shown in self.batch.histories[digest].shown]
        known = ((one, self.shown.get(one.id)) for one in now)
        changed = [shown_row(one) for one, was in known if was is not None and was is not one and was != one]
        # What is shown no more comes first: of each id, the database lets one version be current.
        try:
            for row in sorted(changed, key=itemgetter("is_current")):
                connection.execute(update(_shown).where(_shown.c.id == row["id"]).values(row))
        except IntegrityError as error:  # another run was told of another version under the same id meanwhile
            raise Raced from error
        _insert(connection, _shown, [shown_row(one) for one in now if one.id not in self.shown])


def load(
    connection: Connection,
    now: datetime,
    *,
    digests: Collection[str] = (),
    delivery_ids: Collection[UUID] = (),
    source_ids: Collection[str] = (),
) -> Loaded:
    """The histories with these keys, of these versions, and of what these ids of the source show now; all locked."""
    current: dict[str, Shown] = {}
    if source_ids:
        found = connection.execute(_CURRENT, {"source_ids": list(source_ids)}).mappings()
        current = {row["source_id"]: shown_from(row) for row in found}
    named = {*delivery_ids, *(one.delivery_id for one in current.values())}
    rows = _locked(connection, digests, named) if digests or named else []
    histories: dict[str, History] = {}
    records: dict[UUID, DeliveryRecord] = {}
    shown: dict[UUID, Shown] = {}
    for row in rows:  # one for each way in which a version is shown, or one
        delivery_id = row["id"]
        if delivery_id not in records:
            record = records[delivery_id] = record_of(row)
            if row["key_digest"] not in histories:
                histories[row["key_digest"]] = History(record.key, now)
            histories[row["key_digest"]].versions.append(record)
        if row["shown_id"] is not None:
            one = shown_beside(row)
            shown[one.id] = one
            histories[row["key_digest"]].shown.append(one)
    batch = Batch(now, current=current)
    batch.include(histories.values())
    return Loaded(batch, records, shown)


def _locked(
    connection: Connection, digests: Collection[str], delivery_ids: Collection[UUID]
) -> Sequence[Mapping[str, Any]]:
    given, values = (bool(digests), bool(delivery_ids)), {"digests": list(digests), "ids": list(delivery_ids)}
    if connection.dialect.name == "postgresql":
        # Then read: a version that somebody entered while we waited for a lock is not in this answer.
        connection.execute(_LOCK[given], values)
    query = _VERSIONS[given]
    return cast("Sequence[Mapping[str, Any]]", connection.execute(query, values).mappings().all())


def shown_of(connection: Connection, delivery_ids: Sequence[UUID]) -> list[Shown]:
    """Under which ids the source has shown these versions, oldest first."""
    if not delivery_ids:
        return []
    return [shown_from(row) for row in connection.execute(_SHOWN, {"ids": list(delivery_ids)}).mappings()]


def wishes_of(connection: Connection, wish: str, digests: Collection[str]) -> set[tuple[str, str]]:
    """Those of the keys for which this wish has had a version sent."""
    query = select(_wishes.c.key_digest).where(_wishes.c.wish == wish, _wishes.c.key_digest.in_(digests))
    return {(wish, digest) for digest in connection.scalars(query)}


def attempts_of(connection: Connection, settlements: Sequence[Settlement]) -> dict[tuple[UUID, int], Attempt]:
    """The attempts of these settlements, by delivery and fence.

    Whether one of its generation got no answer, it may have arrived, whatever is refused later.
    """
    ids = list({one.delivery_id for one in settlements})
    found = [attempt_of(row) for row in connection.execute(_ATTEMPTS, {"ids": ids}).mappings()]
    doubted = {(one.delivery_id, one.generation) for one in found if one.outcome is Event.LOST}
    settled = {(one.delivery_id, one.fence): one for one in found}
    return {
        pair: replace(one, follows_doubt=True) if (one.delivery_id, one.generation) in doubted else one
        for pair in ((one.delivery_id, one.fence) for one in settlements)
        if (one := settled.get(pair)) is not None
    }


def complete(connection: Connection, ended: Iterable[tuple[Attempt, Settlement]], now: datetime) -> None:
    """Write how attempts ended, once, and what proves an acceptance later."""
    outcomes, proofs = [], []
    for attempt, settlement in ended:
        response = dict(settlement.response) or None
        about = {"delivery": attempt.delivery_id, "attempt": attempt.fence, "at": now, "answer": response}
        if attempt.proof is not None:
            proofs.append(about | {"said": attempt.proof})
        else:
            outcomes.append(about | {"said": attempt.outcome, "why": settlement.reason or None})
    execute_many(connection, _END, outcomes)
    execute_many(connection, _PROVE, proofs)


def _insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """All of them, or Raced where one was there already."""
    if rows:
        _execute_insert(connection, _insert_new(connection.dialect.name, table), rows)


def _execute_insert(connection: Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if execute_many(connection, statement, rows) < len(rows):
        raise Raced


def begin_attempts(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the attempts of claims."""
    execute_many(connection, _BEGIN, rows)


# Written once: to make a statement costs as much as to execute it for a few rows.
_IDS: BindParameter[UUID] = bindparam("ids", expanding=True)
_DIGESTS: BindParameter[str] = bindparam("digests", expanding=True)
_OF_THESE = _deliveries.c.key_digest.in_(select(_deliveries.c.key_digest).where(_deliveries.c.id.in_(_IDS)))
_WITH_THESE = _deliveries.c.key_digest.in_(_DIGESTS)
_GIVEN = {  # by whether digests are given, and ids
    (True, False): _WITH_THESE,
    (False, True): _OF_THESE,
    (True, True): or_(_WITH_THESE, _OF_THESE),
}
_IN_ORDER = (_deliveries.c.key_digest, _deliveries.c.revision)
_LOCK = {
    given: select(_deliveries.c.id).where(which).order_by(*_IN_ORDER).with_for_update()
    for given, which in _GIVEN.items()
}
_VERSIONS = {
    given: select(*_deliveries.c, *(column.label(f"shown_{column.name}") for column in _shown.c))
    .outerjoin(_shown, _shown.c.delivery_id == _deliveries.c.id)
    .where(which)
    .order_by(*_IN_ORDER, _shown.c.seen_at, _shown.c.id)
    for given, which in _GIVEN.items()
}
_CURRENT = select(_shown).where(_shown.c.source_id.in_(bindparam("source_ids", expanding=True)), SHOWN_NOW)
_SHOWN = select(_shown).where(_shown.c.delivery_id.in_(_IDS)).order_by(_shown.c.seen_at, _shown.c.id)
_ATTEMPTS = select(
    _attempts.c.delivery_id, _attempts.c.fence, _attempts.c.generation, _attempts.c.outcome, _attempts.c.proof
).where(_attempts.c.delivery_id.in_(_IDS))


@lru_cache(maxsize=256)
def _change(names: tuple[str, ...]) -> Update:
    these: dict[str, BindParameter[Any]] = {name: bindparam(f"new_{name}") for name in names}
    return update(_deliveries).where(_deliveries.c.id == bindparam("delivery")).values(these)


@lru_cache(maxsize=256)
def _new(dialect: str, names: tuple[str, ...]) -> Any:
    """An insert of deliveries of which this is said; the rest is constant."""
    constant: dict[str, Any] = {
        name: false() if value is False else literal_column(str(value))
        for name, value in CONSTANT.items()
        if name not in names
    }
    return _counted(dialect, insert_by(dialect, _deliveries).values(constant), _deliveries)


@cache
def _insert_new(dialect: str, table: Table) -> Any:
    return _counted(dialect, insert_by(dialect, table), table)


def _counted(dialect: str, statement: Any, table: Table) -> Any:
    """The insert of what is not there yet; PostgreSQL tells it by what it returns, SQLite by the number of rows."""
    statement = statement.on_conflict_do_nothing()
    return statement.returning(next(iter(table.primary_key))) if dialect == "postgresql" else statement


_THIS_ATTEMPT = (_attempts.c.delivery_id == bindparam("delivery"), _attempts.c.fence == bindparam("attempt"))
_BEGIN = insert(_attempts)
_END = (
    update(_attempts)
    .where(*_THIS_ATTEMPT, _attempts.c.outcome.is_(None))
    .values(
        outcome=bindparam("said"), reason=bindparam("why"), response=bindparam("answer"), finished_at=bindparam("at")
    )
)
_PROVE = (
    update(_attempts)
    .where(*_THIS_ATTEMPT, _attempts.c.proof.is_(None))
    .values(proof=bindparam("said"), proof_response=bindparam("answer"), proved_at=bindparam("at"))
)

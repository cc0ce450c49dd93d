"""Overrides by resource in the database: laid down, listed, ended; never changed otherwise. Every change is audited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from clearfacts_assets.chargeback.attribution.overrides import NAMED, Override, laid_down, override_of
from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.storage.accounts.audit import Actor, named, record
from clearfacts_assets.storage.chargeback.ledger import only_writer
from clearfacts_assets.storage.chargeback.manual_tables import ResourceOverride
from clearfacts_assets.storage.database import reading

_TABLE = ResourceOverride.__table__


class NoSuchOverride(ChargebackError):
    """There is no override with this number."""


class OverrideRepository:
    """Reads and changes overrides. Who pays has to be asked again after a change."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(self, resource: str | None = None) -> Sequence[dict[str, Any]]:
        """Oldest first."""
        query = select(_TABLE).order_by(_TABLE.c.id)
        if resource is not None:
            query = query.where(_TABLE.c.resource == resource)
        with reading(self._engine) as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def add(self, entries: Sequence[Mapping[str, Any]], *, actor: str | Actor, now: datetime) -> Sequence[int]:
        """All of them or none; what is laid down already is not laid down twice. Returns the ids of all of them."""
        ids = []
        with self._engine.begin() as connection:
            only_writer(connection)
            there = {_key(row): int(row["id"]) for row in connection.execute(select(_TABLE)).mappings()}
            for entry in entries:
                said = laid_down(entry)
                if (id_ := there.get(_key(said))) is None:
                    values = {**said, "actor": named(actor).name, "at": now}
                    statement = insert(ResourceOverride).values(values).returning(ResourceOverride.id)
                    id_ = there[_key(said)] = int(connection.execute(statement).scalar_one())
                    _audit(connection, "added", id_, actor, now, said)
                ids.append(id_)
        return ids

    def end(self, id_: int, valid_to: str, *, actor: str | Actor, now: datetime) -> None:
        """From the day on the tags count again, where the period is not finalized. Raises NoSuchOverride."""
        with self._engine.begin() as connection:
            only_writer(connection)
            before = connection.execute(select(_TABLE.c.valid_to).where(_TABLE.c.id == id_)).scalar_one_or_none()
            if before is None:
                raise NoSuchOverride("there is no override {number}: clearfacts chargeback overrides list", number=id_)
            connection.execute(update(ResourceOverride).where(ResourceOverride.id == id_).values(valid_to=valid_to))
            _audit(connection, "ended", id_, actor, now, {"valid_to": valid_to})


def load_overrides(connection: Connection) -> tuple[Override, ...]:
    """All of them, in the caller's transaction."""
    columns = [_TABLE.c[name] for name in Override.__dataclass_fields__]
    return tuple(Override(*row) for row in connection.execute(select(*columns)))


def override_behind(connection: Connection, origin: str) -> dict[str, Any] | None:
    """The override that a charge is attributed by, and the same in words; None for another origin."""
    id_ = override_of(origin)
    if id_ is None:
        return None
    row = dict(connection.execute(select(_TABLE).where(_TABLE.c.id == id_)).mappings().one())
    words = f"attributed by override {id_} of {row['resource']} by {row['actor']} because {row['reason']}"
    return row | {"words": words}


def _key(said: Mapping[Any, Any]) -> tuple[str, ...]:
    return tuple(said[name] for name in ("resource", *NAMED, "valid_from", "valid_to", "reason"))


def _audit(
    connection: Connection, what: str, id_: int, actor: str | Actor, now: datetime, after: Mapping[str, Any]
) -> None:
    record(
        connection,
        actor=named(actor),
        action=f"chargeback_overrides.{what}",
        resource_type="chargeback_overrides",
        resource_id=str(id_),
        now=now,
        after=after,
    )

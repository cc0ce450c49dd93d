"""The registry's tables: investigators, projects, funds, exceptions, cost sources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, update

from clearfacts_assets.chargeback.attribution.entries import alias_of
from clearfacts_assets.chargeback.attribution.registry import (
    Fund,
    Investigator,
    NotBilled,
    Project,
    Registry,
)
from clearfacts_assets.chargeback.model import Basis, ChargebackError
from clearfacts_assets.money import plain
from clearfacts_assets.storage.accounts.audit import Actor, named, record
from clearfacts_assets.storage.chargeback.idempotency import Wish, keep, kept
from clearfacts_assets.storage.chargeback.ledger import only_writer
from clearfacts_assets.storage.chargeback.overriding import load_overrides
from clearfacts_assets.storage.chargeback.registry_tables import (
    BillingException,
    FundRow,
    InvestigatorRow,
    ProjectRow,
    RegistryAlias,
)
from clearfacts_assets.storage.chargeback.tables import CostSourceRow
from clearfacts_assets.storage.database import insert_into, reading

_TABLES: Mapping[str, Any] = {"investigators": InvestigatorRow, "projects": ProjectRow, "funds": FundRow}
_KEYS = {"investigators": ("email",), "projects": ("project_id", "valid_from"), "funds": ("fund_org", "valid_from")}


class NotInRegistry(ChargebackError):
    """Nobody and nothing of this name is known."""


class RegistryRepository:
    """Reads and changes the registry. Every change is audited."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load(self) -> Registry:
        """All of it."""
        with reading(self._engine) as connection:
            return load_registry(connection)

    def list(self, kind: str) -> list[dict[str, Any]]:
        """Investigators, projects or funds, as they were entered, with their aliases."""
        table = _TABLES[kind].__table__
        with reading(self._engine) as connection:
            aliases = _aliases(connection, kind)
            rows = [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]
        for row in rows:
            if kind != "funds":
                row["aliases"] = list(aliases.get(row[_KEYS[kind][0]], ()))
            if row.get("budget") is not None:
                row["budget"] = plain(row["budget"])
        return rows

    def has(self, kind: str, entry: Mapping[str, Any]) -> bool:
        """Whether there is an entry with this one's key."""
        table = _TABLES[kind].__table__
        query = select(table.c[_KEYS[kind][0]]).where(*(table.c[name] == entry[name] for name in _KEYS[kind]))
        with reading(self._engine) as connection:
            return connection.execute(query).first() is not None

    def put(self, kind: str, rows: Sequence[Mapping[str, Any]], *, actor: str | Actor, now: datetime) -> int:
        """Add what is new and change what is there, by key (projects and funds: name and first day). Columns that a
        row leaves out stay as they are."""
        table = _TABLES[kind].__table__
        with self._engine.begin() as connection:
            for row in rows:
                values = {name: value for name, value in row.items() if name in table.c and name != "id"}
                statement = insert_into(connection, table).values(_complete(kind, values))
                changed = {name: value for name, value in values.items() if name not in _KEYS[kind]}
                if changed:
                    statement = statement.on_conflict_do_update(index_elements=list(_KEYS[kind]), set_=changed)
                else:
                    statement = statement.on_conflict_do_nothing()
                connection.execute(statement)
                for alias in row.get("aliases") or ():
                    _add_alias(connection, kind, alias, values[_KEYS[kind][0]])
            _audit(connection, kind, "changed", actor, now, {"rows": len(rows)})
        return len(rows)

    def alias(self, kind: str, name: str, alias: str, *, actor: str | Actor, now: datetime) -> None:
        """Raises NotInRegistry where the name is not known, BadEntry."""
        table = _TABLES[kind].__table__
        with self._engine.begin() as connection:
            known = connection.execute(select(table.c[_KEYS[kind][0]]).where(table.c[_KEYS[kind][0]] == name)).first()
            if known is None:
                raise NotInRegistry(
                    "{name!r} is not known: clearfacts chargeback {kind} add {name}", name=name, kind=kind
                )
            _add_alias(connection, kind, alias, name)
            _audit(connection, kind, "alias_added", actor, now, {"name": name, "alias": alias})

    def exceptions(self) -> Sequence[dict[str, Any]]:
        with reading(self._engine) as connection:
            query = select(BillingException.__table__).order_by(BillingException.id)
            return [dict(row) for row in connection.execute(query).mappings()]

    def add_exception(self, one: NotBilled, *, actor: str | Actor, now: datetime, wish: Wish | None = None) -> int:
        """Returns its id. The same wish a second time adds nothing."""
        values = {name: getattr(one, name) for name in one.__dataclass_fields__}
        with self._engine.begin() as connection:
            only_writer(connection)
            if (before := kept(connection, wish)) is not None:
                return int(before["id"])
            statement = insert(BillingException).values(**values, actor=named(actor).name, at=now)
            id_ = connection.execute(statement.returning(BillingException.id)).scalar_one()
            _audit(connection, "exceptions", "added", actor, now, values)
            keep(connection, wish, {"id": id_}, now)
        return id_

    def end_exception(self, id_: int, valid_to: str, *, actor: str | Actor, now: datetime) -> None:
        """Raises NotInRegistry."""
        with self._engine.begin() as connection:
            statement = update(BillingException).where(BillingException.id == id_).values(valid_to=valid_to)
            if not connection.execute(statement).rowcount:
                raise NotInRegistry("there is no exception {number}: clearfacts chargeback exceptions list", number=id_)
            _audit(connection, "exceptions", "ended", actor, now, {"id": id_, "valid_to": valid_to})

    def sources(self) -> Sequence[dict[str, Any]]:
        with reading(self._engine) as connection:
            query = select(CostSourceRow.__table__).order_by(CostSourceRow.name)
            return [dict(row) for row in connection.execute(query).mappings()]

    def source(self, name: str, *, now: datetime, actor: str | Actor | None = None) -> dict[str, Any]:
        """The source; added with the default basis where it is new, audited where somebody is named."""
        table = CostSourceRow.__table__
        with self._engine.begin() as connection:
            begin_source(connection, name, actor, now)
            return dict(connection.execute(select(table).where(table.c.name == name)).mappings().one())

    def known_source(self, name: str, now: datetime) -> dict[str, Any]:
        """The source as it is, or as it will begin."""
        found = {one["name"]: one for one in self.sources()}
        return found.get(name) or _new_source(name, Basis.BILLED, now)

    def set_source(self, name: str, values: Mapping[str, Any], *, actor: str | Actor, now: datetime) -> dict[str, Any]:
        """Add or change. Raises ChargebackError where the basis of a source with finalized charges would change."""
        table = CostSourceRow.__table__
        with self._engine.begin() as connection:
            complete = _new_source(name, Basis.BILLED, now) | dict(values)
            statement = insert_into(connection, table).values(complete)
            if "basis" in values:
                _basis_may_change(connection, name, values["basis"])
            if values:
                statement = statement.on_conflict_do_update(index_elements=["name"], set_=dict(values))
            else:
                statement = statement.on_conflict_do_nothing()
            connection.execute(statement)
            _audit(connection, "cost_sources", "changed", actor, now, {"name": name, **values})
            return dict(connection.execute(select(table).where(table.c.name == name)).mappings().one())


def begin_source(connection: Connection, name: str, actor: str | Actor | None, now: datetime) -> None:
    """A source that is new begins with its first delivery, on what is billed."""
    statement = insert_into(connection, CostSourceRow.__table__).values(_new_source(name, Basis.BILLED, now))
    added = statement.on_conflict_do_nothing().returning(CostSourceRow.name)
    if connection.execute(added).first() is not None and actor is not None:
        _audit(connection, "cost_sources", "added", actor, now, {"name": name})


def load_registry(connection: Connection) -> Registry:
    """All of it, in the caller's transaction."""
    people, projects = _aliases(connection, "investigators"), _aliases(connection, "projects")
    return Registry(
        tuple(
            Investigator(**_only(one, Investigator), aliases=tuple(people.get(one["email"], ())))
            for one in _rows(connection, InvestigatorRow)
        ),
        tuple(
            Project(**_only(one, Project), aliases=tuple(projects.get(one["project_id"], ())))
            for one in _rows(connection, ProjectRow)
        ),
        load_funds(connection),
        tuple(NotBilled(**_only(one, NotBilled)) for one in _rows(connection, BillingException)),
        load_overrides(connection),
    )


def load_funds(connection: Connection) -> tuple[Fund, ...]:
    """The registry's funds alone."""
    return tuple(
        Fund(
            **_only(one, Fund)
            | {
                "budget": "" if one["budget"] is None else plain(one["budget"]),
                "may_charge": tuple(one["may_charge"]),
            }
        )
        for one in _rows(connection, FundRow)
    )


def _rows(connection: Connection, table: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(select(table.__table__)).mappings()]


def _only(row: Mapping[str, Any], of: Any) -> dict[str, Any]:
    return {name: row[name] for name in of.__dataclass_fields__ if name in row}


def _basis_may_change(connection: Connection, name: str, basis: str) -> None:
    from clearfacts_assets.storage.chargeback.sql_text import sql

    sealed = connection.execute(
        sql(
            "SELECT s.basis FROM cost_sources s WHERE s.name = :source AND EXISTS (SELECT 1 FROM charge_totals t "
            "JOIN billing_periods p ON p.name = t.period WHERE t.source = s.name AND p.state = 'finalized')"
        ),
        {"source": name},
    ).scalar_one_or_none()
    if sealed is not None and sealed != basis:
        raise ChargebackError(
            "{name} is charged on {sealed}: periods were finalized so; begin another source instead",
            name=name,
            sealed=sealed,
        )


def _new_source(name: str, basis: Basis, now: datetime) -> dict[str, Any]:
    texts = dict.fromkeys(("display_name", "pattern", "credit_fund_org", "account_code"), "")
    return {"name": name, "basis": basis.value, "decimal_comma": False, "created_at": now, **texts}


def _complete(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The row with what a new one begins with."""
    begins: dict[str, Any] = {"may_charge": [], "overrides": False, "budget": None}
    table = _TABLES[kind].__table__
    return {name: values.get(name, begins.get(name, "")) for name in (one.name for one in table.c) if name != "id"}


def _aliases(connection: Connection, kind: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    query = select(RegistryAlias.alias, RegistryAlias.name).where(RegistryAlias.kind == kind)
    for alias, name in connection.execute(query.order_by(RegistryAlias.alias)):
        found[name].append(alias)
    return found


def _add_alias(connection: Connection, kind: str, alias: str, name: str) -> None:
    normal = alias_of(alias)
    connection.execute(delete(RegistryAlias).where(RegistryAlias.kind == kind, RegistryAlias.alias == normal))
    connection.execute(insert(RegistryAlias).values(kind=kind, alias=normal, name=name))


def _audit(
    connection: Connection, kind: str, what: str, actor: str | Actor, now: datetime, after: dict[str, Any]
) -> None:
    said = {name: plain(value) if isinstance(value, Decimal) else value for name, value in after.items()}
    record(
        connection,
        actor=named(actor),
        action=f"chargeback_{kind}.{what}",
        resource_type=f"chargeback_{kind}",
        resource_id=None,
        now=now,
        after=said,
    )

"""Rules and their versions: added, approved by another person where that is asked for, ended, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, Engine, insert, select, update

from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.chargeback.rates.book import RuleBook, version_of
from clearfacts_assets.chargeback.rates.definition_reading import read_definition
from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.chargeback.rates.scope import BadRule
from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.chargeback.ledger import only_writer
from clearfacts_assets.storage.chargeback.rates.tables import BillingRule, LedgerLine, RuleVersion
from clearfacts_assets.storage.database import insert_into, reading

LONGEST_NAME = 200
ENDED: Mapping[str, Any] = {"ended": True}


class NoSuchRule(ChargebackError):
    """There is no rule, or no version, of this name or number."""


class Terms(TypedDict, total=False):
    """When a version counts (the days as YYYY-MM-DD, empty for open), and why it was written."""

    valid_from: str
    valid_to: str
    note: str


class RuleRepository:
    """All rules. Every change is audited."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def book(self) -> RuleBook:
        """Everything that counts: the approved versions."""
        with reading(self._engine) as connection:
            return load_book(connection)

    def list(self, kind: RuleKind | None = None, name: str | None = None) -> list[dict[str, Any]]:
        """Versions, by kind, name and number, and whether a ledger line rests on each."""
        query = _query().order_by(BillingRule.kind, BillingRule.name, RuleVersion.number)
        if kind is not None:
            query = query.where(BillingRule.kind == kind.value)
        if name is not None:
            query = query.where(BillingRule.name == name)
        used = select(LedgerLine.rule_version).where(LedgerLine.rule_version.is_not(None)).distinct()
        with reading(self._engine) as connection:
            seen = set(connection.execute(used).scalars())
            return [dict(row) | {"used": row["id"] in seen} for row in connection.execute(query).mappings()]

    def version(self, version_id: int) -> dict[str, Any]:
        """Raises NoSuchRule."""
        with reading(self._engine) as connection:
            return _version(connection, version_id)

    def add(
        self,
        kind: RuleKind,
        name: str,
        definition: Mapping[str, Any],
        *,
        actor: str,
        now: datetime,
        two_people: bool = False,
        **terms: Unpack[Terms],
    ) -> dict[str, Any]:
        """A new version; the rule is begun where it is new. What the newest version says already adds nothing. With
        ``two_people`` it counts once somebody else approves it. Raises BadRule."""
        name = name.strip()
        if not name or len(name) > LONGEST_NAME:
            raise BadRule("a rule has a name of 1 to {longest} characters", longest=LONGEST_NAME)
        valid_from, valid_to = terms.get("valid_from", ""), terms.get("valid_to", "")
        if valid_from and valid_to and valid_to <= valid_from:
            raise BadRule(
                "it ends on {valid_to}, before or as it begins on {valid_from}",
                valid_to=valid_to,
                valid_from=valid_from,
            )
        read_definition(kind, definition)
        said: dict[str, Any] = {"valid_from": valid_from, "valid_to": valid_to, "definition": dict(definition)}
        with self._engine.begin() as connection:
            only_writer(connection)
            rule_id = _rule(connection, kind, name)
            newest = (
                connection.execute(
                    select(RuleVersion.__table__)
                    .where(RuleVersion.rule_id == rule_id)
                    .order_by(RuleVersion.number.desc())
                    .limit(1)
                )
                .mappings()
                .one_or_none()
            )
            if newest is not None and {key: newest[key] for key in said} == said:
                return _version(connection, newest["id"])
            approved = {} if two_people else {"approved_by": actor, "approved_at": now}
            values = {
                "rule_id": rule_id,
                "number": newest["number"] + 1 if newest else 1,
                "note": terms.get("note", ""),
                "actor": actor,
                "at": now,
                **said,
                **approved,
            }
            statement = insert(RuleVersion).values(values).returning(RuleVersion.id)
            version_id: int = connection.execute(statement).scalar_one()
            _audit(connection, version_id, "added", actor, now, {"kind": kind.value, "name": name, **said})
            return _version(connection, version_id)

    def approve(self, version_id: int, *, actor: str, now: datetime) -> dict[str, Any]:
        """By somebody else than its author. Raises NoSuchRule, ChargebackError."""
        with self._engine.begin() as connection:
            only_writer(connection)
            version = _version(connection, version_id)
            if version["approved_by"]:
                raise ChargebackError(
                    "version {version_id} was approved by {approved_by} already",
                    version_id=version_id,
                    approved_by=version["approved_by"],
                )
            if version["actor"] == actor:
                raise ChargebackError(
                    "version {version_id} was written by {actor}: somebody else has to approve it",
                    version_id=version_id,
                    actor=actor,
                )
            connection.execute(
                update(RuleVersion).where(RuleVersion.id == version_id).values(approved_by=actor, approved_at=now)
            )
            _audit(connection, version_id, "approved", actor, now, {"author": version["actor"]})
            return _version(connection, version_id)

    def end(self, kind: RuleKind, name: str, day: str, **said: Any) -> dict[str, Any]:
        """From the day on the rule says nothing. Raises NoSuchRule."""
        if not self.list(kind, name):
            raise NoSuchRule("there is no {kind} {name}: clearfacts chargeback rules list", kind=kind, name=name)
        return self.add(kind, name, ENDED, valid_from=day, **said)


def load_book(connection: Connection) -> RuleBook:
    """The approved versions, in the caller's transaction."""
    query = _query().where(RuleVersion.approved_by.is_not(None))
    return RuleBook(version_of(dict(row)) for row in connection.execute(query).mappings())


def _query() -> Any:
    return select(RuleVersion.__table__, BillingRule.kind, BillingRule.name).join(
        BillingRule, BillingRule.id == RuleVersion.rule_id
    )


def _version(connection: Connection, version_id: int) -> dict[str, Any]:
    row = connection.execute(_query().where(RuleVersion.id == version_id)).mappings().one_or_none()
    if row is None:
        raise NoSuchRule("there is no version {version_id}: clearfacts chargeback rules list", version_id=version_id)
    return dict(row)


def _rule(connection: Connection, kind: RuleKind, name: str) -> int:
    statement = insert_into(connection, BillingRule.__table__).values(kind=kind.value, name=name)
    connection.execute(statement.on_conflict_do_nothing())
    query = select(BillingRule.id).where(BillingRule.kind == kind.value, BillingRule.name == name)
    return int(connection.execute(query).scalar_one())


def _audit(
    connection: Connection, version_id: int, what: str, actor: str, now: datetime, after: dict[str, Any]
) -> None:
    record(
        connection,
        actor=Actor(actor),
        action=f"billing_rule.{what}",
        resource_type="billing_rule",
        resource_id=str(version_id),
        now=now,
        after=after,
    )

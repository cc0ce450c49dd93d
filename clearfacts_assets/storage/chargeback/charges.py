"""Charges as people look at them: filtered, a page at a time, with who pays and where each comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, or_, select

from clearfacts_assets.chargeback.model import ATTRIBUTION_FIELDS, ChargebackError
from clearfacts_assets.money import plain
from clearfacts_assets.storage.chargeback.import_tables import CostImportFile
from clearfacts_assets.storage.chargeback.overriding import override_behind
from clearfacts_assets.storage.chargeback.tables import AttributionSet, Charge, ChargeDecision, Period, TagSet
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.paging import BadCursor, Page, page_size

COLUMNS = [
    "id",
    "period",
    "origin_period",
    "kind",
    "status",
    "flags",
    "source",
    "account",
    "sub_account",
    "category",
    "charge_class",
    "currency",
    "billed",
    "effective",
    "contracted",
    "list",
    "listed",
    "amount",
    "charge_start",
    "charge_end",
    "service",
    "service_category",
    "resource_id",
    "resource_name",
    "sku",
    "quantity",
    "unit",
    "invoice_id",
    "issuer",
    "corrects",
    "withdrawn_by",
    "import_id",
    "file",
    "line",
    "pi_email",
    "project_id",
    "fund_org",
    "cost_center",
    "account_code",
    "reference_1",
    "reference_2",
    "origin",
]


LARGEST_ID = 2**63 - 1  # that a database holds


class NoSuchCharge(ChargebackError):
    """There is no charge with this id."""


@dataclass(frozen=True, slots=True)
class ChargeFilter:
    """Which charges; None is all of them. ``search`` looks into resource id, resource name and service."""

    period: str | None = None
    source: str | None = None
    status: tuple[str, ...] = ()
    flag: str | None = None
    pi_email: str | None = None
    project_id: str | None = None
    fund_org: str | None = None
    account: str | None = None
    resource_id: str | None = None
    search: str | None = None
    import_id: int | None = None
    ids: tuple[int, ...] = ()
    withdrawn: bool = False
    payers: tuple[str, ...] | None = None  # whatever else is asked for, only what these investigators are charged

    def conditions(self) -> list[ColumnElement[bool]]:
        table, payer = Charge.__table__.c, AttributionSet.__table__.c
        equal = {
            table.period: self.period,
            table.source: self.source,
            table.account: self.account,
            table.resource_id: self.resource_id,
            table.import_id: self.import_id,
        }
        found: list[ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
        if not self.withdrawn:
            found.append(table.withdrawn_by.is_(None))
        if self.status:
            found.append(table.status.in_(self.status))
            if "clear" not in self.status:
                found.append(table.status != "clear")  # there is an index of those
        if self.flag is not None:
            found.append((" " + table.flags + " ").contains(f" {self.flag} ", autoescape=True))
        payers = {payer.pi_email: self.pi_email, payer.project_id: self.project_id, payer.fund_org: self.fund_org}
        named = [column == value for column, value in payers.items() if value is not None]
        if self.payers is not None:
            named.append(payer.pi_email.in_(self.payers))
        if named:
            found.append(table.attribution.in_(select(payer.digest).where(and_(*named))))
            if self.period is None and not self.ids:
                # So that the index of a period's payers is used, a period at a time.
                found.append(table.period.in_(select(Period.name)))
        if self.search:
            columns = (table.resource_id, table.resource_name, table.service)
            found.append(or_(*(column.icontains(self.search, autoescape=True) for column in columns)))
        if self.ids:
            found.append(table.id.in_(self.ids))
        return found


class ChargeRepository:
    """Reads charges."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(self, which: ChargeFilter, *, limit: int = 50, cursor: str | None = None) -> Page[dict[str, Any]]:
        """In the order in which they were imported. Raises BadCursor."""
        limit = page_size(limit)
        after = _position(cursor)
        # The ids come from an index alone; only the rows that are shown are read.
        # Those of one payer are few: their index, and a sort, is quicker than a walk through the month in order.
        order = Charge.id + 0 if which.pi_email or which.project_id or which.fund_org else Charge.id
        ids = select(Charge.id).where(*which.conditions()).order_by(order).limit(limit + 1)
        if after is not None:
            ids = ids.where(Charge.id > after)
        query = _query().where(Charge.id.in_(ids)).order_by(Charge.id)
        with reading(self._engine) as connection:
            found = [_shown(row) for row in connection.execute(query).mappings()]
        more = str(found[limit - 1]["id"]) if len(found) > limit else None
        return Page(found[:limit], more)

    def every(self, which: ChargeFilter) -> Iterator[dict[str, Any]]:
        """All of them, streamed."""
        query = _query().where(*which.conditions()).order_by(Charge.id).execution_options(yield_per=2000)
        with reading(self._engine) as connection:
            for row in connection.execute(query).mappings():
                yield _shown(row)

    def show(self, charge_id: int, payers: Sequence[str] | None = None) -> dict[str, Any]:
        """One charge with its tags and all that was decided; with ``payers``, those of others are as if they were not
        there. Raises NoSuchCharge."""
        query = _query().where(Charge.id == charge_id)
        if payers is not None:
            query = query.where(AttributionSet.pi_email.in_(payers))
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().one_or_none()
            if row is None:
                raise NoSuchCharge(
                    "there is no charge {charge_id}: `clearfacts chargeback charges list` shows them",
                    charge_id=charge_id,
                )
            shown = _shown(row)
            tags = select(TagSet.tags).join(Charge, Charge.tag_set == TagSet.digest).where(Charge.id == charge_id)
            shown["tags"] = connection.execute(tags).scalar_one_or_none() or ""
            shown["import_file"], shown["row"] = connection.execute(
                select(Charge.import_file, Charge.row).where(Charge.id == charge_id)
            ).one()
            shown["decisions"] = decisions_of(connection, charge_id)
            shown["override"] = override_behind(connection, shown["origin"])
        return shown


def _position(cursor: str | None) -> int | None:
    """The id of the last charge that was seen. Raises BadCursor."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal()) or len(cursor) > len(str(LARGEST_ID)) or int(cursor) > LARGEST_ID:
        raise BadCursor
    return int(cursor)


def decisions_of(connection: Connection, charge_id: int) -> list[dict[str, Any]]:
    """What was decided about a charge, oldest first."""
    wanted = ("id", "verdict", "note", "actor", "at", "flags", "before", "status", "carried_from")
    query = (
        select(*(getattr(ChargeDecision, name) for name in wanted))
        .where(ChargeDecision.charge_id == charge_id)
        .order_by(ChargeDecision.id)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def _query() -> Select[Any]:
    own = [Charge.__table__.c[name] for name in COLUMNS if name in Charge.__table__.c and name != "file"]
    payer = [AttributionSet.__table__.c[name] for name in ATTRIBUTION_FIELDS]
    return (
        select(*own, CostImportFile.name.label("file"), *payer)
        .join(AttributionSet, AttributionSet.digest == Charge.attribution)
        .join(CostImportFile, CostImportFile.id == Charge.import_file)
    )


def _shown(row: Any) -> dict[str, Any]:
    said = {name: row[name] for name in COLUMNS}
    said["flags"] = said["flags"].split()
    return {name: plain(value) if isinstance(value, Decimal) else value for name, value in said.items()}

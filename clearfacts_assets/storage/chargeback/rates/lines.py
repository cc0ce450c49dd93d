"""The ledger's lines, read: of one charge from list to due, and what is due of every charge of a period."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, select

from clearfacts_assets.chargeback.model import ATTRIBUTION_FIELDS, Attribution
from clearfacts_assets.chargeback.rates.model import Due, Line, LineKind, RuleStep, dues
from clearfacts_assets.storage.chargeback.rates.tables import LedgerLine, LedgerRun
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.database import reading

_BATCH = 5000  # lines held at once
LINE = (
    "charge_id",
    "share",
    "position",
    "step",
    "kind",
    "rule_version",
    "payer",
    "attribution",
    "currency",
    "amount",
    "note",
)


@dataclass(frozen=True, slots=True)
class DueFilter:
    """Of whom; None is everybody. ``charges`` names some of them."""

    pi_email: str | None = None
    project_id: str | None = None
    fund_org: str | None = None
    currency: str | None = None
    charges: Sequence[int] = ()


def last_run(connection: Connection, period: str) -> dict[str, Any] | None:
    """The newest run that changed the period's lines; None where rules were never applied to it."""
    query = select(LedgerRun.__table__).where(LedgerRun.period == period).order_by(LedgerRun.id.desc()).limit(1)
    row = connection.execute(query).mappings().one_or_none()
    return dict(row) if row else None


class LedgerLines:
    """What the rules wrote."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def dues(self, period: str, which: DueFilter | None = None) -> Iterator[Due]:
        """What is due of each share of each charge of the period, in the order of charges; what belongs to bills and to
        no charge has the charge id 0 and comes first. Constant memory."""
        with reading(self._engine) as connection:
            yield from dues_of(connection, period, which or DueFilter())

    def of_charge(self, period: str, charge_id: int) -> list[tuple[Line, Attribution]]:
        """All live lines of one charge, from list to due."""
        with reading(self._engine) as connection:
            return list(lines_of(connection, period, DueFilter(charges=(charge_id,))))

    def last_run(self, period: str) -> dict[str, Any] | None:
        """See :func:`last_run`."""
        with reading(self._engine) as connection:
            return last_run(connection, period)


def dues_of(connection: Connection, period: str, which: DueFilter) -> Iterator[Due]:
    """The same, in the caller's transaction."""
    return dues(period, lines_of(connection, period, which))


def lines_of(connection: Connection, period: str, which: DueFilter) -> Iterator[tuple[Line, Attribution]]:
    """Live lines with who pays, by charge, share and position."""
    payers: dict[bytes, Attribution] = {}
    where, values = _conditions(which)
    table = LedgerLine.__tablename__
    query = sql(
        f"SELECT {', '.join(LINE)} FROM {table} l WHERE period = :period AND withdrawn_run IS NULL {where} "  # noqa: S608
        "ORDER BY charge_id, share, position"
    ).execution_options(yield_per=_BATCH)
    for row in connection.execute(query, {"period": period, **values}):
        digest = bytes(row.attribution)
        to = payers.get(digest)
        if to is None:
            to = payers[digest] = attribution_of(connection, digest)
        yield line_of(row), to


def line_of(row: Any) -> Line:
    """From the columns of LINE."""
    return Line(
        row.charge_id,
        row.share,
        row.position,
        RuleStep(row.step),
        LineKind(row.kind),
        row.rule_version,
        row.payer,
        bytes(row.attribution),
        row.currency,
        Decimal(row.amount),
        row.note,
    )


def _conditions(which: DueFilter) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {}
    named = {"pi_email": which.pi_email, "project_id": which.project_id, "fund_org": which.fund_org}
    asked = {name: value for name, value in named.items() if value is not None}
    where = ""
    if asked:
        matched = " AND ".join(f"{name} = :of_{name}" for name in asked)
        where += f"AND attribution IN (SELECT digest FROM cost_attributions WHERE {matched}) "  # noqa: S608
        values |= {f"of_{name}": value for name, value in asked.items()}
    if which.currency is not None:
        where += "AND currency = :currency "
        values["currency"] = which.currency
    if which.charges:
        where += f"AND charge_id IN ({', '.join(str(int(one)) for one in which.charges)}) "
    return where, values


def attribution_of(connection: Connection, digest: bytes) -> Attribution:
    """Who pays, by the digest under which it is kept."""
    named = ", ".join(ATTRIBUTION_FIELDS)
    row = connection.execute(
        sql(f"SELECT {named} FROM cost_attributions WHERE digest = :digest"),  # noqa: S608
        {"digest": digest},
    ).one()
    return Attribution(**dict(zip(ATTRIBUTION_FIELDS, row, strict=True)))

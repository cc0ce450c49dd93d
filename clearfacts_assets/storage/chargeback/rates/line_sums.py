"""What a month's live lines come to: quickly, from what the last run kept and the few charges that changed after it; or
completely, from every line.

The lines of a run are whole when it ends: each charge that is due has some, and nobody else has any. So what it kept
holds, until a charge moves or comes, which is looked at alone, or until somebody else changes a line, which ends it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from sqlalchemy import Connection, delete, insert, select

from clearfacts_assets.chargeback.rates.model import LineKind
from clearfacts_assets.chargeback.rates.pricing import IN_HOUSE
from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.storage.chargeback.rates.tables import LedgerSums, MovedCharge
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.decimal_sums import sum_of

REPRICED = f"c.issuer = '{IN_HOUSE}' OR c.kind = 'reversal'"  # rules may price these
_DUE = "c.status IN ('clear', 'approved') AND c.withdrawn_by IS NULL"
_NO_LINE = (
    "NOT EXISTS (SELECT 1 FROM ledger_lines l WHERE l.period = c.period AND l.charge_id = c.id "
    "AND l.withdrawn_run IS NULL)"
)
_GROUP = f"CASE WHEN {REPRICED} THEN 1 ELSE 0 END"
# Charges of the period that moved, or came, after its sums were kept.
_LATER = (
    "SELECT charge_id FROM moved_charges WHERE period = :period "
    "UNION SELECT id FROM charges WHERE period = :period AND withdrawn_by IS NULL AND id > :after"
)
_PIECE = 500  # charges that one query asks for
Kinds = dict[tuple[bool, LineKind], Decimal]


@dataclass(slots=True)
class LineSums:
    """By currency. ``kinds``: lines of what is due and of bills, by whether rules may price the charge, and kind;
    ``strays``: lines of charges that are due no longer; ``alone``: what is due, may not be priced, and has no line."""

    kinds: dict[str, Kinds] = field(default_factory=lambda: defaultdict(dict))
    strays: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    alone: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))


def keep_sums(connection: Connection, period: str, sums: Mapping[tuple[str, bool, str], Decimal]) -> None:
    """What all lines of a run come to, by currency, whether rules may price the charge, and kind. To be called when
    every line stands, in the run's own transaction; a run that changed nothing may call it too."""
    told = [[*key, plain(amount)] for key, amount in sorted(sums.items())]
    # What an import brought has a number above that of all imports before; triggers hold that.
    last = connection.execute(sql("SELECT COALESCE(max(last_charge), 0) FROM cost_imports")).scalar_one()
    kept = select(LedgerSums.last_charge, LedgerSums.sums).where(LedgerSums.period == period)
    moved = select(MovedCharge.charge_id).where(MovedCharge.period == period).limit(1)
    if connection.execute(kept).one_or_none() == (last, told) and connection.execute(moved).first() is None:
        return
    connection.execute(delete(MovedCharge).where(MovedCharge.period == period))
    connection.execute(delete(LedgerSums).where(LedgerSums.period == period))
    connection.execute(insert(LedgerSums).values(period=period, last_charge=last, sums=told))


def kept_sums(connection: Connection, period: str) -> LineSums | None:
    """The same figures as :func:`added_up`, in milliseconds; None where nothing is kept that holds."""
    query = select(LedgerSums.last_charge, LedgerSums.sums).where(LedgerSums.period == period)
    kept = connection.execute(query).one_or_none()
    if kept is None:
        return None
    found = LineSums()
    for currency, repriced, kind, amount in kept.sums:
        found.kinds[currency][bool(repriced), LineKind(kind)] = Decimal(amount)
    later = connection.execute(sql(_LATER), {"period": period, "after": kept.last_charge}).scalars().all()
    for start in range(0, len(later), _PIECE):
        ids = ", ".join(str(int(one)) for one in later[start : start + _PIECE])
        _add_strays(connection, period, ids, found)
        _add_alone(connection, period, f"c.id IN ({ids})", found)
    return found


def _add_strays(connection: Connection, period: str, ids: str, to: LineSums) -> None:
    query = (
        f"SELECT l.currency, {_GROUP}, l.kind, {sum_of(connection, 'l.amount')} FROM charges c "  # noqa: S608
        "JOIN ledger_lines l ON l.period = :period AND l.charge_id = c.id AND l.withdrawn_run IS NULL "
        f"WHERE c.id IN ({ids}) AND l.charge_id IN ({ids}) AND NOT ({_DUE}) GROUP BY l.currency, {_GROUP}, l.kind"
    )
    for currency, repriced, kind, amount in connection.execute(sql(query), {"period": period}):
        kinds, place = to.kinds[currency], (bool(repriced), LineKind(kind))
        kinds[place] = EXACT.subtract(kinds.get(place, Decimal(0)), Decimal(amount))
        to.strays[currency] = EXACT.add(to.strays[currency], Decimal(amount))


def _add_alone(connection: Connection, period: str, which: str, to: LineSums) -> None:
    query = (
        f"SELECT c.currency, {sum_of(connection, 'c.amount')} FROM charges c "  # noqa: S608
        f"WHERE c.period = :period AND {which} AND {_DUE} AND NOT ({REPRICED}) AND {_NO_LINE} GROUP BY c.currency"
    )
    for currency, total in connection.execute(sql(query), {"period": period}):
        to.alone[currency] = EXACT.add(to.alone[currency], Decimal(total))


def added_up(connection: Connection, period: str, *, ruled: bool) -> LineSums:
    """Every live line of the period, and every charge that has none, where rules were applied to it."""
    stray = f"CASE WHEN l.charge_id <> 0 AND (c.id IS NULL OR NOT ({_DUE}) OR c.period <> l.period) THEN 1 ELSE 0 END"
    query = (
        f"SELECT l.currency, {_GROUP}, {stray}, l.kind, {sum_of(connection, 'l.amount')} FROM ledger_lines l "  # noqa: S608
        "LEFT JOIN charges c ON c.id = l.charge_id WHERE l.period = :period AND l.withdrawn_run IS NULL "
        f"GROUP BY l.currency, {_GROUP}, {stray}, l.kind"
    )
    found = LineSums()
    for currency, repriced, is_stray, kind, total in connection.execute(sql(query), {"period": period}):
        if is_stray:
            found.strays[currency] = EXACT.add(found.strays[currency], Decimal(total))
        else:
            found.kinds[currency][bool(repriced), LineKind(kind)] = Decimal(total)
    if ruled:
        _add_alone(connection, period, "1 = 1", found)
    return found

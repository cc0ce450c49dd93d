"""What a staged delivery changes in one period: a difference of multisets, made by the database.

Rows with one fingerprint are told apart by their occurrence, the count of equal rows before them. What is in both is
equal and stays as it is, with its decisions. What is new and what is gone are paired by what
they are about, so that people read
"changed" and not "one gone, one new".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from clearfacts_assets.chargeback.lifecycle import State
from clearfacts_assets.chargeback.model import CHANGES, Change, Difference, Kind, Mode
from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.storage.chargeback.mending import MENDED, match_mended, pair_mended
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.decimal_sums import sum_of


@dataclass(frozen=True, slots=True)
class Scope:
    """One period of a delivery: where its difference is posted, and what it is compared with."""

    period: str
    posted: str
    state: State
    source: str
    mode: Mode

    @property
    def late(self) -> bool:
        return self.posted != self.period

    @property
    def kind(self) -> Kind:
        """What its new rows are in the ledger."""
        return Kind.ADJUSTMENT if self.late else Kind.CHARGE

    @property
    def values(self) -> dict[str, Any]:
        return {"period": self.period, "posted": self.posted, "source": self.source}


def number_occurrences(connection: Connection) -> None:
    """Tell equal rows of the delivery apart. No row is held in memory."""
    # The period stands last: with it in front SQLite would find a period's rows by this index, and sort them all again.
    connection.execute(sql("CREATE INDEX staged_identity ON staged (fingerprint, period, occurrence)"))
    connection.execute(
        sql(
            "UPDATE staged SET occurrence = n.before FROM (SELECT seq, row_number() OVER "
            "(PARTITION BY fingerprint, period ORDER BY seq) - 1 AS before FROM staged WHERE fingerprint IN "
            "(SELECT fingerprint FROM staged GROUP BY fingerprint, period HAVING count(*) > 1)) n "
            "WHERE n.seq = staged.seq AND n.before > 0"
        )
    )


Sums = Mapping[str, tuple[int, Decimal]]  # by currency: rows, and what they add up to


def compare(connection: Connection, scope: Scope, staged: Sums, *, mends: bool) -> Difference:
    """Fills ``present`` and ``pairs``, and ``staged.charge_id`` for the rows that are there already. ``staged`` is what
    the delivery's rows of the period add up to; ``mends``: some of them mend refused records."""
    connection.execute(sql("DELETE FROM present"))
    connection.execute(sql("DELETE FROM pairs"))
    _gather(connection, scope)
    if not mends and connection.execute(sql("SELECT 1 FROM present LIMIT 1")).first() is None:
        changes = {kind: Change() for kind in CHANGES} | {"new": Change(_rows(staged), {}, _money(staged))}
        return Difference(scope.period, scope.posted, changes)
    _match(connection, scope)
    if scope.mode is Mode.SNAPSHOT:
        match_mended(connection, scope.source)
        _pair(connection, scope)
    elif mends:
        pair_mended(connection, scope.period)
    _tell_same_money(connection)
    return Difference(scope.period, scope.posted, _changes(connection, scope))


_ACCOUNTS = "SELECT account FROM staged_accounts WHERE period = :period"
_LIVE = f"withdrawn_by IS NULL AND source = :source AND account IN ({_ACCOUNTS})"


def _gather(connection: Connection, scope: Scope) -> None:
    """The charges that the delivery is about. In a finalized period: all that was finalized for it, less what was
    reversed since, and the adjustments that wait in open periods."""
    insert = "INSERT INTO present (id, fingerprint, occurrence, read_attribution, frozen) "
    insert += "SELECT id, fingerprint, occurrence, read_attribution"
    if not scope.late:
        where = f"period = :period AND kind = 'charge' AND {_LIVE}"
        connection.execute(sql(f"{insert}, 0 FROM charges WHERE {where}"), scope.values)
        return
    finalized = "(SELECT name FROM billing_periods WHERE state = 'finalized')"
    reversed_ = (
        "EXISTS (SELECT 1 FROM charges r WHERE r.corrects = charges.id AND r.kind = 'reversal' "  # noqa: S608
        f"AND r.withdrawn_by IS NULL AND r.period IN {finalized})"
    )
    of_period = (
        f"{_LIVE} AND ((period = :period AND kind = 'charge') OR (origin_period = :period AND kind = 'adjustment'))"
    )
    frozen = f"period IN {finalized}"
    connection.execute(
        sql(f"{insert}, 1 FROM charges WHERE {of_period} AND {frozen} AND NOT {reversed_}"),
        scope.values,
    )
    connection.execute(sql(f"{insert}, 0 FROM charges WHERE {of_period} AND NOT {frozen}"), scope.values)


def _match(connection: Connection, scope: Scope) -> None:
    # What is finalized is met first: an adjustment that says the same waits in vain then, and is withdrawn.
    for frozen in (1, 0) if scope.late else (0,):
        connection.execute(
            sql(
                "UPDATE staged SET charge_id = p.id FROM present p WHERE staged.period = :period "
                "AND staged.charge_id IS NULL AND p.fingerprint = staged.fingerprint "
                "AND p.occurrence = staged.occurrence AND p.frozen = :frozen "
                # Tags that are read in another way since the settings changed make another row of it, while they can.
                "AND (p.frozen = 1 OR p.read_attribution = staged.read_attribution)"
            ),
            {"period": scope.period, "frozen": frozen},
        )
    connection.execute(
        sql("UPDATE present SET matched = 1 WHERE id IN (SELECT charge_id FROM staged WHERE period = :period)"),
        {"period": scope.period},
    )


# What a charge is about, whatever it costs and however it is tagged.
_ABOUT = "account, sub_account, resource_id, sku, category, service, charge_start, charge_end"


def _pair(connection: Connection, scope: Scope) -> None:
    ranked = f"{_ABOUT}, row_number() OVER (PARTITION BY {_ABOUT} ORDER BY {{id}}) AS rank"
    same = " AND ".join(f"g.{name} = n.{name}" for name in (*_ABOUT.split(", "), "rank"))
    connection.execute(
        sql(
            f"INSERT INTO pairs (seq, old_id, same_money) SELECT n.seq, g.id, 0 FROM "  # noqa: S608
            f"(SELECT seq, {ranked.format(id='seq')} FROM staged "
            "WHERE period = :period AND charge_id IS NULL) n JOIN "
            f"(SELECT id, {ranked.format(id='id')} FROM charges "
            f"WHERE id IN (SELECT id FROM present WHERE matched = 0)) g ON {same}"
        ),
        scope.values,
    )


def _tell_same_money(connection: Connection) -> None:
    found = connection.execute(
        sql(
            "SELECT p.seq, s.amount, c.amount, s.billed, c.billed, s.listed, c.listed, s.currency, c.currency "
            "FROM pairs p JOIN staged s ON s.seq = p.seq JOIN charges c ON c.id = p.old_id"
        )
    )
    kept = [{"seq": row[0]} for row in found if row[7] == row[8] and _equal(row[1:7])]
    if kept:
        connection.execute(sql("UPDATE pairs SET same_money = 1 WHERE seq = :seq"), kept)


def _equal(amounts: Any) -> bool:
    values = [None if one is None else Decimal(one) for one in amounts]
    return all(new == old for new, old in zip(values[::2], values[1::2], strict=True))


def _changes(connection: Connection, scope: Scope) -> Mapping[str, Change]:
    paired = "SELECT {column} FROM pairs"
    staged = "staged s WHERE s.period = :period"
    total = sum_of(connection, "c.amount")
    values = {"period": scope.period}

    def sums(rows: str) -> dict[str, tuple[int, Decimal]]:
        query = f"SELECT c.currency, count(*), {total} FROM {rows} GROUP BY c.currency"  # noqa: S608
        return {row[0]: (row[1], Decimal(row[2])) for row in connection.execute(sql(query), values)}

    new_rows = staged.replace("s WHERE s.", "c WHERE c.")
    after = sums(f"{new_rows} AND c.charge_id IS NULL AND c.seq NOT IN ({paired.format(column='seq')})")
    equal = sums(f"{new_rows} AND c.charge_id IS NOT NULL")
    changes = {
        "equal": Change(_rows(equal), _money(equal), _money(equal)),
        "new": Change(_rows(after), {}, _money(after)),
    }
    for kind, same in (("changed", 0), ("retagged", 1)):
        old = sums(f"charges c JOIN pairs p ON p.old_id = c.id AND p.same_money = {same}")
        new = sums(f"staged c JOIN pairs p ON p.seq = c.seq AND p.same_money = {same}")
        changes[kind] = Change(_rows(new), _money(old), _money(new))
    gone, unmended, stands = ({} for _ in range(3))
    if scope.mode is Mode.SNAPSHOT:
        left = f"p.matched = 0 AND p.id NOT IN ({paired.format(column='old_id')})"
        of_present = "charges c JOIN present p ON p.id = c.id"
        mended = "p.id IN (SELECT charge_id FROM mended_records)"
        gone = sums(f"{of_present} AND {left} AND NOT {mended}")
        if connection.execute(sql("SELECT 1 FROM mended_records LIMIT 1")).first():
            unmended = sums(f"{of_present} AND {left} AND {mended}")
            stands = sums(f"{of_present} AND p.matched = {MENDED}")
    changes["withdrawn"] = Change(_rows(gone), _money(gone), {})
    changes["unmended"] = Change(_rows(unmended), _money(unmended), {})
    changes["mended"] = Change(_rows(stands), _money(stands), _money(stands))
    return changes


def _rows(sums: Mapping[str, tuple[int, Decimal]]) -> int:
    return sum(count for count, _ in sums.values())


def _money(sums: Mapping[str, tuple[int, Decimal]]) -> dict[str, Decimal]:
    return {currency: amount for currency, (_, amount) in sorted(sums.items())}


def beyond(difference: Difference, percent: Decimal) -> str:
    """Why so much may not go without somebody's word; empty where little or nothing is withdrawn."""
    going = [difference.changes[kind] for kind in ("withdrawn", "unmended")]
    rows = sum(one.rows for one in going)
    if not rows:
        return ""
    kinds = [change for kind, change in difference.changes.items() if kind != "new"]
    before = sum(one.rows for one in kinds)
    if EXACT.multiply(Decimal(rows), Decimal(100)) > EXACT.multiply(percent, Decimal(before)):
        return f"{rows} of {before} charges of {difference.period} would be withdrawn"
    for currency in sorted({currency for one in going for currency in one.before}):
        amount = EXACT.add(*(one.before.get(currency, Decimal(0)) for one in going))
        standing = sum((abs(one.before.get(currency, Decimal(0))) for one in kinds), Decimal(0))
        if EXACT.multiply(abs(amount), Decimal(100)) > EXACT.multiply(percent, standing):
            return f"{amount} of {standing} {currency} of {difference.period} would be withdrawn"
    return ""


def as_result(difference: Difference) -> dict[str, Any]:
    """A difference as JSON shows it."""
    changes = {
        kind: {name: value if isinstance(value, int) else _texts(value) for name, value in asdict(change).items()}
        for kind, change in difference.changes.items()
    }
    return {"posted": difference.posted, **changes}


def _texts(amounts: dict[str, Decimal]) -> dict[str, str]:
    return {currency: plain(amount) for currency, amount in amounts.items()}

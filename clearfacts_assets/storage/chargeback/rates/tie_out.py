"""Do the lines of a period hold? Each due charge has its own, they add up to what it costs, and nobody else has any."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine

from clearfacts_assets.chargeback.rates.model import OTHERS, LineKind
from clearfacts_assets.chargeback.rates.pricing import IN_HOUSE
from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.storage.chargeback.rates.lines import DueFilter, dues_of, lines_of
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.database import reading

_SHOWN = 15
_ZERO = Decimal(0)


@dataclass(slots=True)
class Tied:
    """What a look at a period's lines came to; ``wrong`` names the first charges that do not hold, and why."""

    charges: int = 0
    wrong: list[tuple[int, str]] = field(default_factory=list)
    count: int = 0  # of those that do not hold
    sums: dict[str, dict[str, Decimal]] = field(default_factory=dict)  # currency: cost, others, pools, carried, due

    def refuse(self, charge: int, why: str) -> None:
        self.count += 1
        if len(self.wrong) < _SHOWN:
            self.wrong.append((charge, why))

    def as_result(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "charges": self.charges,
            "wrong": self.count,
            "shown": [{"charge_id": charge, "why": why} for charge, why in self.wrong],
            "sums": {currency: {k: plain(v) for k, v in of.items()} for currency, of in sorted(self.sums.items())},
        }


def tie_out(engine: Engine, period: str) -> Tied:
    """For each charge: what is billed + what others pay = what it costs. In all: the same, with what pools gave on."""
    with reading(engine) as connection:
        return tie_out_of(connection, period)


def tie_out_of(connection: Connection, period: str) -> Tied:
    """The same, in the caller's transaction."""
    tied = Tied()
    priced: dict[int, Decimal] = defaultdict(Decimal)
    sums: dict[str, dict[str, Decimal]] = defaultdict(lambda: dict.fromkeys(_SUMS, _ZERO))
    for one in dues_of(connection, period, DueFilter()):
        of = sums[one.currency]
        others = _total(one.of(kind) for kind in OTHERS)
        of["due"] = EXACT.add(of["due"], one.due)
        of["carried"] = EXACT.add(of["carried"], one.of(LineKind.CARRIED))
        if not one.charge_id:
            of["from_pools"] = EXACT.add(of["from_pools"], one.of(LineKind.POOL))
            continue
        of["cost"], of["others"] = EXACT.add(of["cost"], one.cost), EXACT.subtract(of["others"], others)
        paid = _total(one.payers.values())
        if EXACT.add(one.due, paid) != one.cost or EXACT.minus(others) != paid:
            tied.refuse(one.charge_id, f"due {one.due} and {paid} of others are not its cost {one.cost}")
        priced[one.charge_id] = EXACT.add(
            priced[one.charge_id], EXACT.add(one.of(LineKind.LIST), one.of(LineKind.DISCOUNT))
        )
    query = sql(
        "SELECT id, amount, issuer, kind FROM charges WHERE period = :period AND withdrawn_by IS NULL "
        "AND status IN ('clear', 'approved') ORDER BY id"
    )
    for row in connection.execute(query, {"period": period}):
        tied.charges += 1
        found = priced.pop(row.id, None)
        if found is None and Decimal(row.amount):
            tied.refuse(row.id, "it has no lines: apply the rules")
        elif found is not None and found != Decimal(row.amount) and row.issuer != IN_HOUSE and row.kind != "reversal":
            tied.refuse(row.id, f"its lines begin at {found}, and it is {row.amount}")
    for charge in priced:
        tied.refuse(charge, "it has lines, and is not due")
    tied.sums = dict(sums)
    return tied


_SUMS = ("cost", "others", "from_pools", "carried", "due")


def _total(amounts: Any) -> Decimal:
    total = _ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def seal_of(connection: Connection, period: str) -> dict[str, Any]:
    """How many lines a period has, and the hash of what they say: kept with its finalization."""
    digest, count = hashlib.sha256(f"{period}\n".encode()), 0
    for line, to in lines_of(connection, period, DueFilter()):
        said = (*line[:3], line.kind.value, line.rule_version or "", line.payer, *to.fields(), line.currency)
        text = "\x1f".join(map(str, (*said, plain(line.amount))))
        digest.update(text.encode("utf-8", "surrogatepass") + b"\n")
        count += 1
    return {"ledger_lines": count, "ledger_hash": digest.hexdigest()}

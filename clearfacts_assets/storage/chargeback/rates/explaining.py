"""One charge from list to due: every line, what stands after it, who bears it, and by which version of which rule."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine, select

from clearfacts_assets.chargeback.model import Attribution
from clearfacts_assets.chargeback.rates.model import Due, Line, dues
from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.storage.chargeback.charges import ChargeRepository
from clearfacts_assets.storage.chargeback.rates.lines import DueFilter, last_run, lines_of
from clearfacts_assets.storage.chargeback.rates.tables import BillingRule, RuleVersion
from clearfacts_assets.storage.database import reading


def explain(engine: Engine, charge_id: int, payers: Sequence[str] | None = None) -> dict[str, Any]:
    """As JSON shows it; with ``payers``, charges of others are as if they were not there. Raises NoSuchCharge."""
    charge = ChargeRepository(engine).show(charge_id, payers)
    period = charge["period"]
    with reading(engine) as connection:
        found = list(lines_of(connection, period, DueFilter(charges=(charge_id,))))
        run = last_run(connection, period)
        used = sorted({line.rule_version for line, _ in found if line.rule_version is not None})
        query = select(RuleVersion.id, BillingRule.kind, BillingRule.name, RuleVersion.number).join(
            BillingRule, BillingRule.id == RuleVersion.rule_id
        )
        rules = {
            row.id: f"{row.kind} {row.name} v{row.number}"
            for row in connection.execute(query.where(RuleVersion.id.in_(used)))
        }
    shares = list(dues(period, found))
    kept = ("id", "period", "status", "service", "charge_start", "pi_email", "project_id", "currency", "amount")
    return {
        **{name: charge[name] for name in kept},
        "run": run["id"] if run else None,
        "why": _why(charge["status"], found, run),
        "lines": _lines(found, rules),
        "list": plain(_listed(found)),
        "due": plain(_sum(one.due for one in shares)),
        "shares": [one.as_result() for one in shares],
        "payers": _payers(shares),
    }


def _why(status: str, found: list[Any], run: Any) -> str:
    """Why there are no lines, where there are none."""
    if found:
        return ""
    if status not in ("clear", "approved"):
        return f"it is {status}: rules apply to what is due"
    return "" if run else "rules were not applied yet: clearfacts chargeback rules run -p PERIOD"


def _lines(found: list[tuple[Line, Attribution]], rules: dict[int, str]) -> list[dict[str, Any]]:
    told, then, share = [], Decimal(0), -1
    for line, to in found:
        if line.share != share:
            then, share = Decimal(0), line.share
        then = EXACT.add(then, line.amount)
        told.append(
            {
                "share": line.share,
                "step": line.step.value,
                "kind": line.kind.value,
                "amount": plain(line.amount),
                "then": plain(then),
                "payer": line.payer or to.fund_org or to.pi_email or "nobody",
                "rule": rules.get(line.rule_version or 0, ""),
                "rule_version": line.rule_version,
                "note": line.note,
            }
        )
    return told


def _listed(found: list[tuple[Line, Attribution]]) -> Decimal:
    return _sum(line.amount for line, _ in found if line.kind == "list")


def _payers(shares: list[Due]) -> dict[str, str]:
    found: dict[str, Decimal] = {}
    for one in shares:
        for name, amount in one.payers.items():
            found[name] = EXACT.add(found.get(name, Decimal(0)), amount)
    return {name: plain(amount) for name, amount in sorted(found.items())}


def _sum(amounts: Any) -> Decimal:
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total

"""What a period adds up to, from the totals that are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any

from sqlalchemy import Connection

from clearfacts_assets.chargeback.model import DUE
from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.storage.chargeback.sql_text import sql


@dataclass(slots=True)
class Totals:
    """What a period adds up to in one currency. Exact; ``by_...`` on each source's cost basis, without rejected."""

    charges: int = 0
    list: Decimal = Decimal(0)
    billed: Decimal = Decimal(0)
    effective: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)
    flagged: Decimal = Decimal(0)
    rejected: Decimal = Decimal(0)
    not_billed: Decimal = Decimal(0)
    due: Decimal = Decimal(0)
    unattributed: Decimal = Decimal(0)
    flagged_charges: int = 0
    by_source: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    by_pi: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    by_project: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    by_fund: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    by_service: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    flags: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def discount(self) -> Decimal:
        return EXACT.subtract(self.list, self.amount)

    def as_result(self) -> dict[str, Any]:
        """As JSON shows it: amounts as exact texts."""
        told: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, dict):
                value = {key: plain(one) if isinstance(one, Decimal) else one for key, one in sorted(value.items())}
            told[name] = plain(value) if isinstance(value, Decimal) else value
        return told | {"discount": plain(self.discount)}


def totals_of(
    connection: Connection, period: str, of_source: str | None = None, payers: Sequence[str] | None = None
) -> dict[str, Totals]:
    """By currency, in the caller's transaction; of one source or of these investigators only, where they are named."""
    where, values = "period = :period", dict[str, Any](period=period)
    if of_source is not None:
        where += " AND source = :source"
        values["source"] = of_source
    if payers is not None:
        where += " AND attribution IN (SELECT digest FROM cost_attributions WHERE pi_email IN :people)"
        values["people"] = list(payers)
    # Added here: on SQLite a sum in the database calls back for every row, which costs more.
    found = connection.execute(
        sql(
            "SELECT currency, source, service, status, flags, attribution, rows, listed, billed, effective, amount "  # noqa: S608
            f"FROM charge_totals WHERE {where}"
        ),
        values,
    ).all()
    paying = {
        bytes(row.digest): (row.pi_email, row.project_id, row.fund_org)
        for row in connection.execute(
            sql(
                "SELECT digest, pi_email, project_id, fund_org FROM cost_attributions WHERE digest IN "  # noqa: S608
                f"(SELECT attribution FROM charge_totals WHERE {where})"
            ),
            values,
        )
    }
    totals: dict[str, Totals] = defaultdict(Totals)
    with localcontext(EXACT):
        for currency, source, service, status, flags, payer, rows, *sums in found:
            named = (source, service, *paying[bytes(payer)])
            _add(totals[currency], named, status, flags, rows, tuple(map(Decimal, sums)))
    nothing = _without_rows(found, paying)
    return {currency: _without(one, currency, nothing) for currency, one in sorted(totals.items()) if one.charges}


_GROUPS = ("by_source", "by_service", "by_pi", "by_project", "by_fund")


def _add(to: Totals, named: Sequence[str], status: str, flags: str, rows: int, sums: Sequence[Decimal]) -> None:
    """``named``: source, service, investigator, project, fund. In the context EXACT, where adding is quick."""
    listed, billed, effective, amount = sums
    to.charges += rows
    if flags:
        for code in flags.split():
            to.flags[code] += rows
    if status == "rejected":
        to.rejected += amount
        return
    to.billed += billed
    to.effective += effective
    to.list += listed
    to.amount += amount
    if status == "flagged":
        to.flagged += amount
        to.flagged_charges += rows
    elif status == "not_billed":
        to.not_billed += amount
    if status in DUE:
        to.due += amount
    source, service, pi_email, project, fund = named
    to.by_source[source] += amount
    to.by_service[service] += amount
    to.by_pi[pi_email] += amount
    to.by_project[project] += amount
    to.by_fund[fund] += amount
    if not pi_email:
        to.unattributed += amount


def _without_rows(found: Sequence[Any], payers: Mapping[bytes, Sequence[str]]) -> set[tuple[str, str, str]]:
    """(currency, group, name) of which nothing is left: what was added and taken out again."""
    if all(row[6] > 0 for row in found):
        return set()
    counts: dict[tuple[str, str, str], int] = defaultdict(int)
    for currency, source, service, status, _, payer, rows, *_ in found:
        if status != "rejected":
            for group, name in zip(_GROUPS, (source, service, *payers[bytes(payer)]), strict=True):
                counts[currency, group, name] += rows
    return {key for key, rows in counts.items() if not rows}


def _without(one: Totals, currency: str, nothing: set[tuple[str, str, str]]) -> Totals:
    """Without those of whom nothing is left, and without a name for nobody."""
    for group in _GROUPS:
        getattr(one, group).pop("", None)
    for of_currency, group, name in nothing:
        if of_currency == currency:
            getattr(one, group).pop(name, None)
    one.flags = {code: rows for code, rows in one.flags.items() if rows}
    return one

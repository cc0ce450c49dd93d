"""What credits have paid and have left, what a sponsor paid for whom, what pools took and gave: read from the lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine

from clearfacts_assets.chargeback.rates.apportioning import in_cents, money_of
from clearfacts_assets.chargeback.rates.book import Institutions, Version
from clearfacts_assets.chargeback.rates.credits import months_between, year_of
from clearfacts_assets.chargeback.rates.definitions import Credit, RuleKind, Window
from clearfacts_assets.chargeback.rates.rule_matching import bearer
from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.storage.chargeback.rates.lines import attribution_of
from clearfacts_assets.storage.chargeback.rates.rules import NoSuchRule, load_book
from clearfacts_assets.storage.chargeback.registry import load_registry
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.decimal_sums import sum_of


def credits(engine: Engine, period: str, name: str | None = None) -> list[dict[str, Any]]:
    """Every credit as of a period: its newest version, what it paid so far, and for each of those that it is counted
    for what it paid in the period's window and has left. Raises NoSuchRule."""
    with reading(engine) as connection:
        book, institutions = load_book(connection), Institutions(load_registry(connection))
        newest = {one.rule_id: one for one in book.versions if one.kind is RuleKind.CREDIT}
        chosen = [one for one in newest.values() if name in (None, one.name) and isinstance(one.definition, Credit)]
        if name is not None and not chosen:
            raise NoSuchRule("there is no credit {name}: clearfacts chargeback credits list", name=name)
        versions = {one.id: one.rule_id for one in book.versions if one.kind is RuleKind.CREDIT}
        used = _used(connection, versions, newest, institutions)
    return [_credit(version, used[version.rule_id], period) for version in chosen]


_Used = dict[str, dict[str, int]]  # bearer -> period -> cents


def _used(
    connection: Connection, versions: dict[int, int], newest: dict[int, Version], institutions: Institutions
) -> dict[int, _Used]:
    found: dict[int, _Used] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    if not versions:
        return found
    query = sql(
        f"SELECT rule_version, period, attribution, {sum_of(connection, 'amount')} FROM ledger_lines "  # noqa: S608
        f"WHERE rule_version IN ({', '.join(map(str, sorted(versions)))}) AND withdrawn_run IS NULL "
        "GROUP BY rule_version, period, attribution"
    )
    for version_id, period, digest, amount in connection.execute(query).all():
        rule_id = versions[version_id]
        credit = newest[rule_id].definition
        if isinstance(credit, Credit):
            to = attribution_of(connection, bytes(digest))
            whose = bearer(credit.per, to, institutions.of(to.pi_email))
            found[rule_id][whose][period] -= int(in_cents(Decimal(amount), credit.currency))
    return found


def _credit(version: Version, used: _Used, period: str) -> dict[str, Any]:
    credit = version.definition
    assert isinstance(credit, Credit)  # noqa: S101 - only those were chosen
    whole = int(in_cents(credit.amount, credit.currency))
    rows = []
    for whose, by_period in sorted(used.items()):
        in_window = sum(cents for month, cents in by_period.items() if _in_window(credit, month, period))
        left = whole * _windows(credit, version.valid_from, period) - in_window
        rows.append(
            {
                "of": whose,
                "used": plain(money_of(in_window, credit.currency)),
                "left": plain(money_of(left, credit.currency)),
                "by_period": {
                    month: plain(money_of(cents, credit.currency)) for month, cents in sorted(by_period.items())
                },
            }
        )
    if not rows and credit.per == "all":
        amount = plain(money_of(whole * _windows(credit, version.valid_from, period), credit.currency))
        rows.append({"of": "", "used": plain(money_of(0, credit.currency)), "left": amount, "by_period": {}})
    total = sum(cents for by_period in used.values() for cents in by_period.values())
    return {
        "name": version.name,
        "payer": credit.payer,
        "prepayment": credit.prepayment,
        "amount": plain(money_of(whole, credit.currency)),
        "currency": credit.currency,
        "window": credit.window.value,
        "per": credit.per.value,
        "carry": credit.carry,
        "valid_from": version.valid_from,
        "valid_to": version.valid_to,
        "period": period,
        "paid": plain(money_of(total, credit.currency)),
        "balances": rows,
    }


def _in_window(credit: Credit, month: str, period: str) -> bool:
    if credit.window is Window.ONCE or credit.carry:
        return month <= period or credit.window is Window.ONCE
    if credit.window is Window.MONTH:
        return month == period
    return year_of(month, credit.year_begins) == year_of(period, credit.year_begins)


def _windows(credit: Credit, begins: str, period: str) -> int:
    if not credit.carry or credit.window is Window.ONCE or not begins:
        return 1
    if credit.window is Window.MONTH:
        return max(1, months_between(begins[:7], period) + 1)
    return max(1, year_of(period, credit.year_begins) - year_of(begins[:7], credit.year_begins) + 1)


def paid_by(engine: Engine, payer: str | None = None, period: str | None = None) -> list[dict[str, Any]]:
    """A sponsor's own statement: what it paid, by month, rule, investigator, project and currency. Without a payer, of
    all who pay something for others."""
    where = "l.withdrawn_run IS NULL AND l.rule_version IS NOT NULL AND l.payer <> ''"
    values: dict[str, Any] = {}
    if payer is not None:
        where, values["payer"] = f"{where} AND l.payer = :payer", payer
    if period is not None:
        where, values["period"] = f"{where} AND l.period = :period", period
    with reading(engine) as connection:
        query = sql(
            f"SELECT l.payer, l.period, r.kind, r.name, v.number, a.pi_email, a.project_id, a.fund_org, "  # noqa: S608
            f"l.currency, count(*), {sum_of(connection, 'l.amount')} FROM ledger_lines l "
            "JOIN billing_rule_versions v ON v.id = l.rule_version JOIN billing_rules r ON r.id = v.rule_id "
            f"JOIN cost_attributions a ON a.digest = l.attribution WHERE {where} "
            "GROUP BY l.payer, l.period, r.kind, r.name, v.number, a.pi_email, a.project_id, a.fund_org, l.currency "
            "ORDER BY l.payer, l.period, r.kind, r.name, v.number, a.pi_email, a.project_id, a.fund_org, l.currency"
        )
        names = ("payer", "period", "kind", "rule", "version", "pi_email", "project_id", "fund_org", "currency")
        return [
            dict(zip(names, row[:9], strict=True)) | {"lines": row[9], "amount": plain(EXACT.minus(Decimal(row[10])))}
            for row in connection.execute(query, values)
        ]


def sums_by_currency(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """What the rows add up to, a currency at a time."""
    found: dict[str, Decimal] = {}
    for row in rows:
        found[row["currency"]] = EXACT.add(found.get(row["currency"], Decimal(0)), Decimal(row["amount"]))
    return {currency: plain(amount) for currency, amount in sorted(found.items())}


def given_by_pools(engine: Engine, period: str) -> list[dict[str, Any]]:
    """Who bears how much of which pool in a period."""
    with reading(engine) as connection:
        query = sql(
            f"SELECT r.name, a.pi_email, a.project_id, a.fund_org, l.currency, {sum_of(connection, 'l.amount')} "  # noqa: S608
            "FROM ledger_lines l JOIN billing_rule_versions v ON v.id = l.rule_version "
            "JOIN billing_rules r ON r.id = v.rule_id JOIN cost_attributions a ON a.digest = l.attribution "
            "WHERE l.period = :period AND l.charge_id = 0 AND l.kind = 'pool' AND l.withdrawn_run IS NULL "
            "GROUP BY r.name, a.pi_email, a.project_id, a.fund_org, l.currency "
            "ORDER BY r.name, a.pi_email, a.project_id, a.fund_org, l.currency"
        )
        names = ("pool", "pi_email", "project_id", "fund_org", "currency")
        return [
            dict(zip(names, row[:5], strict=True)) | {"amount": plain(Decimal(row[5]))}
            for row in connection.execute(query, {"period": period})
        ]

"""An investigator's own view: costs, charges, statements and funds of one person, and nothing of anybody else."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

from fastapi import Response

from clearfacts_assets.desk.month import largest, months_before
from clearfacts_assets.desk.rendering import page
from clearfacts_assets.desk.visits import Visit
from clearfacts_assets.storage.chargeback.issuing.shelf import StatementFilter, StatementShelf
from clearfacts_assets.storage.chargeback.periods import PeriodRepository
from clearfacts_assets.storage.chargeback.registry import RegistryRepository

STANDING = ("proposed", "issued")


def own_page(visit: Visit, period: str, payers: tuple[str, ...]) -> Response:
    """The month of this person. Raises BadPeriod."""
    periods = PeriodRepository(visit.engine)
    totals = periods.totals(period, payers=payers)
    return page(
        visit,
        "own.html",
        period=period,
        periods=[one.name for one in periods.list()],
        totals=totals,
        past=months_before(visit.engine, period, totals, payers),
        services={currency: largest(one.by_service) for currency, one in totals.items()},
        projects={currency: largest(one.by_project) for currency, one in totals.items()},
        statements=own_statements(visit, payers),
        funds=_funds(visit, payers),
    )


def own_statements(visit: Visit, payers: tuple[str, ...]) -> list[dict[str, Any]]:
    """Those that stand, newest first: never a draft."""
    shelf = StatementShelf(visit.engine)
    found = [
        one
        for subject in payers
        for one in shelf.list(StatementFilter(kind="investigator", subject=subject, states=STANDING))
    ]
    return sorted(found, key=lambda one: one["id"], reverse=True)


def _funds(visit: Visit, payers: tuple[str, ...]) -> list[dict[str, Any]]:
    """By fund and currency: what this person's charges took from it over all months. The budget is told to those whom
    the registry names with the fund; what others took from it is told to nobody here."""
    spent: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    periods = PeriodRepository(visit.engine)
    for one in periods.list():
        for currency, totals in periods.totals(one.name, payers=payers).items():
            for fund, amount in totals.by_fund.items():
                spent[fund, currency] += amount
    registry = RegistryRepository(visit.engine).load()
    theirs = {one.fund_org for one in registry.projects if one.pi_email in payers}
    theirs |= {one.fund_org for one in registry.funds if set(one.may_charge) & set(payers)}
    known = {one.fund_org: one for one in registry.funds if one.fund_org in theirs}
    return [
        {
            "fund_org": fund,
            "currency": currency,
            "spent": amount,
            "budget": known[fund].budget if fund in known and known[fund].currency in ("", currency) else "",
            "award_end": known[fund].award_end if fund in known else "",
        }
        for (fund, currency), amount in sorted(spent.items())
    ]

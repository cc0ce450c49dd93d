"""An investigator's own view: costs, charges, statements and funds of one person, and nothing of anybody else."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fastapi import Response

from clearfacts_assets.desk.month import largest, months_before, sums_of
from clearfacts_assets.desk.rendering import page
from clearfacts_assets.desk.visits import Visit
from clearfacts_assets.money import EXACT
from clearfacts_assets.storage.chargeback.issuing.repository import StatementFilter, StatementRepository
from clearfacts_assets.storage.chargeback.periods import PeriodRepository
from clearfacts_assets.storage.chargeback.rates.month_due import OwnDue, billed_as_due, due_of_people
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets.storage.chargeback.totals import Totals
from clearfacts_assets.storage.database import reading

STANDING = ("proposed", "issued")


def own_page(visit: Visit, period: str, payers: tuple[str, ...]) -> Response:
    """The month of this person. Raises BadPeriod."""
    periods = PeriodRepository(visit.engine)
    totals = periods.totals(period, payers=payers)
    with reading(visit.engine) as connection:
        lines = due_of_people(connection, period, payers)
    due = billed_as_due(totals) if lines is None else _sums(lines, totals)
    return page(
        visit,
        "own.html",
        period=period,
        periods=[one.name for one in periods.list()],
        totals=totals,
        ruled=lines is not None,
        due=due,
        past=months_before(visit.engine, period, due, payers),
        services={
            currency: largest(_by("service", lines, one.by_service, currency)) for currency, one in totals.items()
        },
        projects={
            currency: largest(_by("project", lines, one.by_project, currency)) for currency, one in totals.items()
        },
        whole={currency: one.amount if lines is None else due[currency] for currency, one in totals.items()},
        statements=own_statements(visit, payers),
        funds=_funds(visit, payers),
    )


def _sums(lines: Sequence[OwnDue], totals: dict[str, Totals]) -> dict[str, Decimal]:
    """Every currency of the person's charges, and what the rules' lines come to in it."""
    nothing = dict.fromkeys(totals, Decimal(0))
    return nothing | sums_of((one.currency, one.amount) for one in lines)


def _by(name: str, lines: Sequence[OwnDue] | None, billed: dict[str, Decimal], currency: str) -> dict[str, Decimal]:
    """Of the rules' lines by service or project; what was billed by it, where rules were not applied."""
    if lines is None:
        return billed
    return sums_of((getattr(one, name), one.amount) for one in lines if one.currency == currency and one.amount)


def own_statements(visit: Visit, payers: tuple[str, ...]) -> list[dict[str, Any]]:
    """Those that stand, newest first: never a draft."""
    repository = StatementRepository(visit.engine)
    found = [
        one
        for subject in payers
        for one in repository.list(StatementFilter(kind="investigator", subject=subject, states=STANDING))
    ]
    return sorted(found, key=lambda one: one["id"], reverse=True)


def _spent(visit: Visit, payers: tuple[str, ...]) -> dict[tuple[str, str], Decimal]:
    """By fund and currency: what is due of this person over all months, by the rules' lines where there are any."""
    found: dict[tuple[str, str], Decimal] = {}
    periods = PeriodRepository(visit.engine)
    for one in periods.list():
        with reading(visit.engine) as connection:
            lines = due_of_people(connection, one.name, payers)
        if lines is None:
            totals = periods.totals(one.name, payers=payers)
            lines = [
                OwnDue(currency, "", "", fund, amount)
                for currency, sums in totals.items()
                for fund, amount in sums.by_fund.items()
            ]
        for line in lines:
            key = (line.fund, line.currency)
            found[key] = EXACT.add(found.get(key, Decimal(0)), line.amount)
    return {key: amount for key, amount in found.items() if key[0]}


def _funds(visit: Visit, payers: tuple[str, ...]) -> list[dict[str, Any]]:
    """By fund and currency: what this person's charges took from it over all months. The budget is told to those whom
    the registry names with the fund; what others took from it is told to nobody here."""
    spent = _spent(visit, payers)
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

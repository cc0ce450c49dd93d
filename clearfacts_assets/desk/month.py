"""What stands in a month and what comes next, for the dashboard: the checklist, sums, and the months before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from clearfacts_assets.chargeback.lifecycle import State
from clearfacts_assets.desk.rendering import address
from clearfacts_assets.desk.words import mark
from clearfacts_assets.storage.chargeback.imports import ImportRecord, ImportRepository
from clearfacts_assets.storage.chargeback.issuing.shelf import StatementFilter, StatementShelf
from clearfacts_assets.storage.chargeback.periods import NoSuchPeriod, PeriodRepository
from clearfacts_assets.storage.chargeback.rates.lines import last_run
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets.storage.chargeback.totals import Totals
from clearfacts_assets.storage.database import reading

MONTHS_SHOWN = 7
MOST_NAMES = 8  # of services and investigators
MOST_IMPORTS = 5


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the checklist. ``state``: done, now (the next thing to do) or later."""

    title: str
    detail: str
    href: str
    state: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Month:
    """A month at a glance. ``state`` is empty where it has not begun."""

    period: str
    state: str
    totals: dict[str, Totals]
    missing: list[str]  # sources without an import
    imports: list[ImportRecord]
    waiting: int
    refused: int
    statements: int
    rules_applied: bool

    @property
    def steps(self) -> list[Step]:
        """From the first file to the sealed month, in order. The first one that is not done is the next one."""
        period, closed = self.period, self.state in (State.CLOSED, State.FINALIZED)
        imported = bool(self.totals) and (not self.missing or closed)
        detail = mark("Still missing: {sources}") if self.totals and self.missing else mark("Upload the cost exports")
        found: list[tuple[bool, str, str, str]] = [
            (imported, mark("Import the costs"), detail, address("/desk/imports", period=period)),
            (
                bool(self.totals) and not self.waiting,
                mark("Review what waits"),
                mark("{waiting} charges wait for a decision") if self.waiting else mark("Nothing waits"),
                address("/desk/review", period=period),
            ),
            (
                closed,
                mark("Close the month"),
                mark("Compare with the provider's totals first"),
                f"/desk/periods/{period}",
            ),
            (
                self.rules_applied,
                mark("Apply rates and rules"),
                mark("Prices, splits and subsidies become ledger lines"),
                address("/desk/rates", period=period),
            ),
            (
                self.statements > 0,
                mark("Make the statements"),
                mark("{statements} statements stand"),
                address("/desk/statements", period=period),
            ),
            (
                self.state == State.FINALIZED,
                mark("Finalize the month"),
                mark("Sealed for ever; what comes late is billed later"),
                f"/desk/periods/{period}",
            ),
        ]
        values = {"sources": ", ".join(self.missing), "waiting": self.waiting, "statements": self.statements}
        steps, next_found = [], False
        for done, title, what, href in found:
            state = "done" if done else "later" if next_found else "now"
            next_found = next_found or not done
            steps.append(Step(title, what, href, state, values))
        return steps


def current(engine: Engine, now: datetime) -> str:
    """The oldest period that is not finalized, else the newest, else this month."""
    periods = PeriodRepository(engine).list()
    waiting = [one.name for one in periods if one.state != State.FINALIZED]
    return min(waiting) if waiting else periods[0].name if periods else now.strftime("%Y-%m")


def month_of(engine: Engine, period: str) -> Month:
    """All of it, in milliseconds for a million charges. Raises BadPeriod."""
    periods = PeriodRepository(engine)
    try:
        state, totals = periods.get(period).state, periods.totals(period)
    except NoSuchPeriod:
        state, totals = "", {}
    imports = ImportRepository(engine).list(period=period, limit=1000)
    brought = {one.source for one in imports if not one.withdrawn_at}
    standing = StatementFilter(period, states=("proposed", "issued"))
    with reading(engine) as connection:
        run = last_run(connection, period)
    return Month(
        period=period,
        state=state,
        totals=totals,
        missing=[one["name"] for one in RegistryRepository(engine).sources() if one["name"] not in brought],
        imports=imports[:MOST_IMPORTS],
        waiting=sum(one.flagged_charges for one in totals.values()),
        refused=sum(one.refused for one in imports if not one.withdrawn_at),
        statements=len(StatementShelf(engine).list(standing, limit=10_000)),
        rules_applied=run is not None,
    )


def months_before(
    engine: Engine, period: str, totals: dict[str, Totals], payers: tuple[str, ...] | None = None
) -> dict[str, list[tuple[str, Decimal]]]:
    """By currency: (month, amount without what was rejected) of the months before this one, oldest first, and of this
    one, whose ``totals`` are known."""
    periods = PeriodRepository(engine)
    names = sorted(one.name for one in periods.list() if one.name < period)[1 - MONTHS_SHOWN :]
    found: dict[str, list[tuple[str, Decimal]]] = {}
    for name in [*names, period]:
        for currency, one in (totals if name == period else periods.totals(name, payers=payers)).items():
            found.setdefault(currency, []).append((name, one.amount))
    return found


def largest(sums: dict[str, Decimal], most: int = MOST_NAMES) -> list[tuple[str, Decimal]]:
    """The largest sums, and the others as one."""
    ranked = sorted(sums.items(), key=lambda one: (-one[1], one[0]))
    rest = sum((amount for _, amount in ranked[most:]), Decimal(0))
    return ranked[:most] + ([("", rest)] if len(ranked) > most else [])

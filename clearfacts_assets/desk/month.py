"""What stands in a month and what comes next, for the dashboard: the checklist, sums, and the months before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from clearfacts_assets.chargeback.lifecycle import State
from clearfacts_assets.desk.rendering import address
from clearfacts_assets.desk.translations import mark
from clearfacts_assets.money import EXACT
from clearfacts_assets.storage.chargeback.imports import ImportRecord, ImportRepository
from clearfacts_assets.storage.chargeback.issuing.mails import MailBox
from clearfacts_assets.storage.chargeback.issuing.repository import StatementFilter, StatementRepository
from clearfacts_assets.storage.chargeback.journals.repository import JournalRepository
from clearfacts_assets.storage.chargeback.periods import NoSuchPeriod, PeriodRepository
from clearfacts_assets.storage.chargeback.rates.month_due import MonthDue, billed_as_due, due_of_month, due_of_people
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
    due: dict[str, MonthDue]
    missing: list[str]  # sources without an import
    imports: list[ImportRecord]
    waiting: int
    refused: int
    statements: int
    mailed: bool = False
    booked: bool = False  # a journal of it has left

    @property
    def rules_applied(self) -> bool:
        return any(one.at for one in self.due.values())

    @property
    def steps(self) -> list[Step]:
        """From the first file to the posted journal, in order. The first one that is not done is the next one."""
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
            (
                self.mailed,
                mark("Send the statements"),
                mark("One mail an investigator; what was sent is not sent again"),
                address("/desk/emails/preview", period=period),
            ),
            (
                self.booked,
                mark("Post the journal"),
                mark("Balanced, each statement once"),
                address("/desk/journals", period=period),
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
        due = due_of_month(connection, period, billed_as_due(totals))
    return Month(
        period=period,
        state=state,
        totals=totals,
        due=due,
        missing=[one["name"] for one in RegistryRepository(engine).sources() if one["name"] not in brought],
        imports=imports[:MOST_IMPORTS],
        waiting=sum(one.flagged_charges for one in totals.values()),
        refused=sum(one.refused for one in imports if not one.withdrawn_at),
        statements=len(StatementRepository(engine).list(standing, limit=10_000)),
        mailed=bool(MailBox(engine).list(period=period, states=("sent",), limit=1)),
        booked=bool(JournalRepository(engine).list(period, states=("exported", "posted"), limit=1)),
    )


def months_before(
    engine: Engine, period: str, due: dict[str, Decimal], people: tuple[str, ...] | None = None
) -> dict[str, list[tuple[str, Decimal]]]:
    """By currency: (month, what is due) of the months before this one, oldest first, and of this one, of which it is
    known. Of ``people`` alone, where they are named."""
    names = sorted(one.name for one in PeriodRepository(engine).list() if one.name < period)[1 - MONTHS_SHOWN :]
    found: dict[str, list[tuple[str, Decimal]]] = {}
    for name in [*names, period]:
        for currency, amount in (due if name == period else due_in(engine, name, people)).items():
            found.setdefault(currency, []).append((name, amount))
    return found


def due_in(engine: Engine, period: str, people: tuple[str, ...] | None = None) -> dict[str, Decimal]:
    """What is due in the month by currency, of everybody or of these people. Charges are added up only where rules were
    never applied."""
    with reading(engine) as connection:
        if people is None:
            if ruled := due_of_month(connection, period, {}):
                return {currency: one.amount for currency, one in ruled.items()}
        elif (own := due_of_people(connection, period, people)) is not None:
            return sums_of((one.currency, one.amount) for one in own)
    return billed_as_due(PeriodRepository(engine).totals(period, payers=people))


def sums_of(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    """Exact sums by name."""
    found: dict[str, Decimal] = {}
    for name, amount in amounts:
        found[name] = EXACT.add(found.get(name, Decimal(0)), amount)
    return found


def largest(sums: dict[str, Decimal], most: int = MOST_NAMES) -> list[tuple[str, Decimal]]:
    """The largest sums, and the others as one."""
    ranked = sorted(sums.items(), key=lambda one: (-one[1], one[0]))
    rest = sum((amount for _, amount in ranked[most:]), Decimal(0))
    return ranked[:most] + ([("", rest)] if len(ranked) > most else [])

"""The rows of the other statements: what sponsors paid, cost centres, a project's year."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from sqlalchemy import Connection, Engine, select

from clearfacts_assets.chargeback.model import ChargebackError, period_of
from clearfacts_assets.chargeback.statements.model import Cents, StatementKind, Subject
from clearfacts_assets.chargeback.statements.reports import DepartmentRow, SponsorRow, YearRow
from clearfacts_assets.chargeback.statements.trends import tables
from clearfacts_assets.money import EXACT
from clearfacts_assets.storage.chargeback.issuing import due_charges
from clearfacts_assets.storage.chargeback.issuing.issue_plan import (
    Background,
    Issuance,
    Live,
    PlannedStatement,
    with_rows,
)
from clearfacts_assets.storage.chargeback.issuing.issue_result import Generated
from clearfacts_assets.storage.chargeback.issuing.issuer import StatementIssuer
from clearfacts_assets.storage.chargeback.issuing.statement_rows import reserve
from clearfacts_assets.storage.chargeback.issuing.tables import StatementRow
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.decimal_sums import sum_of

_STANDS = "s.kind = 'investigator' AND s.state IN ('proposed', 'issued') AND sc.live"


def sponsors(connection: Connection, period: str) -> dict[Subject, list[SponsorRow]]:
    """What others than investigators pay of charges, by who pays it and currency."""
    sums: dict[tuple[Subject, tuple[str, str, str, str, str]], tuple[int, Decimal]] = {}
    for whose in due_charges.payers(connection, period):
        for one in due_charges.charges_of(connection, whose):
            for relief in (each for each in (*one.subsidies, *one.credits) if each.payer):
                subject = Subject(StatementKind.SPONSOR, period, relief.payer, currency=whose.subject.currency)
                label = relief.label.removesuffix(f", paid by {relief.payer}")
                key = (subject, (one.pi_email, one.project, one.fund, label, one.service))
                count, paid = sums.get(key, (0, Decimal(0)))
                sums[key] = count + 1, EXACT.subtract(paid, relief.amount)
    found: dict[Subject, list[SponsorRow]] = {}
    for (subject, names), (count, paid) in sorted(sums.items()):
        found.setdefault(subject, []).append(SponsorRow(*names, count, paid))
    return found


def departments(connection: Connection, period: str) -> dict[Subject, list[DepartmentRow]]:
    """What stands on investigators' statements, by cost centre and currency."""
    cents, listed = sum_of(connection, "sc.cents"), sum_of(connection, "sc.listed")
    groups = "sc.cost_center, s.currency, s.number, s.subject, s.project, sc.fund"
    rows = connection.execute(
        sql(
            f"SELECT {groups}, count(*) AS charges, {listed} AS listed, {cents} AS due "  # noqa: S608
            "FROM statement_charges sc JOIN statements s ON s.id = sc.statement_id "
            f"WHERE s.period = :period AND {_STANDS} GROUP BY {groups} ORDER BY {groups}"
        ),
        {"period": period},
    )
    found: dict[Subject, list[DepartmentRow]] = {}
    for row in rows:
        subject = Subject(StatementKind.DEPARTMENT, period, row.cost_center, currency=row.currency)
        found.setdefault(subject, []).append(
            DepartmentRow(
                row.number, row.subject, row.project, row.fund, row.charges, Decimal(row.listed), Decimal(row.due)
            )
        )
    return found


def years(connection: Connection, year: str, name: str, project: str | None) -> dict[Subject, list[YearRow]]:
    """An investigator's months of a year, by project and currency, as their statements say."""
    table = StatementRow.__table__
    query = select(table).where(
        table.c.kind == "investigator",
        table.c.state.in_(("proposed", "issued")),
        table.c.period >= f"{year}-01",
        table.c.period <= f"{year}-12",
        table.c.subject == name,
    )
    if project is not None:
        query = query.where(table.c.project == project)
    found: dict[Subject, list[YearRow]] = {}
    for row in connection.execute(query.order_by(table.c.period, table.c.id)).mappings().all():
        subject = Subject(StatementKind.YEAR, year, name, row["project"], currency=row["currency"])
        cents = Cents(row["listed"], row["discount"], row["subsidy"], row["credit"], row["due"])
        parts = [_parts(connection, row["id"], column) for column in ("sc.service", "sc.fund")]
        found.setdefault(subject, []).append(YearRow(row["period"], row["number"], cents, *parts))
    return found


def _parts(connection: Connection, statement: int, column: str) -> tuple[tuple[str, Decimal], ...]:
    cents = sum_of(connection, "sc.cents")
    rows = connection.execute(
        sql(
            f"SELECT {column} AS name, {cents} AS due FROM statement_charges sc "  # noqa: S608
            f"WHERE sc.statement_id = :id GROUP BY {column} ORDER BY {column}"
        ),
        {"id": statement},
    )
    return tuple((row.name, Decimal(row.due)) for row in rows)


class SummaryIssuer:
    """Issues the statements that are made of others."""

    def __init__(self, issuer: StatementIssuer, engine: Engine) -> None:
        self._issuer, self._engine = issuer, engine

    def month(self, kind: StatementKind, period: str, issuance: Issuance) -> Generated:
        """Sponsors' statements or departments' summaries of a month."""
        read = sponsors if kind is StatementKind.SPONSOR else departments

        def prepare() -> None:
            if kind is StatementKind.SPONSOR:
                self._issuer.bring_up_to_date(period_of(period), issuance)
            with reading(self._engine) as connection:
                subjects = list(read(connection, period_of(period)))
            reserve(self._engine, subjects)

        def ask(connection: Connection, known: Background, live: dict[str, Live]) -> Iterator[PlannedStatement]:
            found = read(connection, period)
            for subject, rows in found.items():
                if one := with_rows(subject, rows, live):
                    yield one

        return self._issuer.issue(kind, period, ask, issuance, prepare)

    def year(self, year: str, name: str, project: str | None, issuance: Issuance) -> Generated:
        """A year's statement for each project and currency of the investigator. Raises ChargebackError."""
        if not (len(year) == 4 and year.isdecimal()):
            raise ChargebackError("{year!r} is no year: a year has four digits", year=year)
        with reading(self._engine) as connection:
            subjects = list(years(connection, year, name, project))
        if not subjects:
            raise ChargebackError(
                "{name} has no statement in {year}: clearfacts chargeback statements list", name=name, year=year
            )
        if not issuance.dry_run:
            reserve(self._engine, subjects)

        def ask(connection: Connection, known: Background, live: dict[str, Live]) -> Iterator[PlannedStatement]:
            months = [f"{year}-{number:02d}" for number in range(1, 13)]
            for subject, rows in years(connection, year, name, project).items():
                if one := with_rows(subject, rows, live):
                    flat = [
                        (subject.name, subject.project, subject.currency, row.period, service, amount)
                        for row in rows
                        for service, amount in row.by_service
                    ]
                    known.history = {**known.history, **tables(_summed(flat), months)}
                    yield replace(one, rows=rows)

        return self._issuer.issue(StatementKind.YEAR, year, ask, issuance)


Row = tuple[str, str, str, str, str, Decimal]


def _summed(rows: list[Row]) -> list[Row]:
    """One row for each of what stands before the amount: with a statement a fund a month has several."""
    sums: dict[tuple[str, str, str, str, str], Decimal] = {}
    for row in rows:
        sums[row[:5]] = EXACT.add(sums.get(row[:5], Decimal(0)), row[5])
    return [(*key, amount) for key, amount in sums.items()]

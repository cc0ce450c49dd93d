"""What is due in a period, as statements take it: the one place where statements read the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, bindparam, text

from clearfacts_assets.chargeback.statements.model import DueCharge, StatementKind, Subject
from clearfacts_assets.chargeback.statements.trends import months_before
from clearfacts_assets.storage.chargeback.statements import sql
from clearfacts_assets.storage.exact import sum_of

_DUE = "('clear', 'approved')"
_PAYER = "a.pi_email, a.project_id, a.fund_org, a.cost_center"


@dataclass(frozen=True, slots=True)
class Payers:
    """A subject, and the attributions in the ledger that are its."""

    subject: Subject
    attributions: tuple[bytes, ...]


def payers(connection: Connection, period: str, *, by_fund: bool = False) -> list[Payers]:
    """Everybody who has something due in the period, each project and currency apart, in a fixed order."""
    found: dict[Subject, set[bytes]] = {}
    rows = connection.execute(
        sql(
            f"SELECT {_PAYER}, t.currency, t.attribution FROM charge_totals t "  # noqa: S608
            f"JOIN cost_attributions a ON a.digest = t.attribution WHERE t.period = :period AND t.status IN {_DUE} "
            f"GROUP BY {_PAYER}, t.currency, t.attribution HAVING sum(t.rows) <> 0"
        ),
        {"period": period},
    )
    for row in rows:
        fund = row.fund_org if by_fund else ""
        subject = Subject(StatementKind.INVESTIGATOR, period, row.pi_email, row.project_id, fund, row.currency)
        found.setdefault(subject, set()).add(bytes(row.attribution))
    return [Payers(subject, tuple(sorted(digests))) for subject, digests in sorted(found.items())]


def charges_of(connection: Connection, whose: Payers) -> list[DueCharge]:
    """What is due from them, by id. With billing rules, their effects (subsidies, credits, splits) belong here."""
    query = text(
        f"SELECT c.*, {_PAYER} FROM charges c JOIN cost_attributions a ON a.digest = c.attribution "  # noqa: S608
        f"WHERE c.period = :period AND c.withdrawn_by IS NULL AND c.status IN {_DUE} AND c.currency = :currency "
        "AND c.attribution IN :attributions ORDER BY c.id"
    ).bindparams(bindparam("attributions", expanding=True))
    values = {
        "period": whose.subject.period,
        "currency": whose.subject.currency,
        "attributions": list(whose.attributions),
    }
    return [_charge(row) for row in connection.execute(query, values)]


def _charge(row: Any) -> DueCharge:
    return DueCharge(
        charge_id=row.id,
        share=0,
        fund=row.fund_org,
        cost_center=row.cost_center,
        service=row.service,
        resource_id=row.resource_id,
        resource_name=row.resource_name,
        category=row.category,
        kind=row.kind,
        origin_period=row.origin_period,
        source=row.source,
        start=row.charge_start,
        end=row.charge_end,
        quantity=row.quantity or "",
        unit=row.unit,
        listed=Decimal(row.listed),
        charged=Decimal(row.amount),
        corrects=row.corrects,
        pi_email=row.pi_email,
        project=row.project_id,
    )


def all_charges(connection: Connection, period: str) -> Iterator[DueCharge]:
    """Everything that is due in the period, by payer."""
    for one in payers(connection, period):
        yield from charges_of(connection, one)


def mark(connection: Connection, period: str) -> str:
    """Another text whenever what is due in the period may have changed."""
    row = connection.execute(
        sql("SELECT count(*), max(id) FROM charge_totals WHERE period >= :period AND period <= :posted"),
        {"period": period, "posted": period if "-" in period else f"{period}-12"},
    ).one()
    return f"{row[0]}.{row[1]}"


def history(
    connection: Connection, period: str, months: Sequence[str] | None = None
) -> list[tuple[str, str, str, str, str, Decimal]]:
    """(investigator, project, currency, month, service, due) of the months up to this one."""
    months = list(months or months_before(period))
    due = sum_of(connection, "t.amount")
    rows = connection.execute(
        sql(
            f"SELECT a.pi_email, a.project_id, t.currency, t.period, t.service, {due} AS due "  # noqa: S608
            "FROM charge_totals t JOIN cost_attributions a ON a.digest = t.attribution "
            f"WHERE t.period >= :posted AND t.period <= :period AND t.status IN {_DUE} "
            "GROUP BY a.pi_email, a.project_id, t.currency, t.period, t.service"
        ),
        {"posted": months[0], "period": months[-1]},
    )
    return [(row[0], row[1], row[2], row[3], row[4], Decimal(row[5])) for row in rows]


def charged_to_funds(connection: Connection, period: str) -> dict[tuple[str, str], Decimal]:
    """(fund, currency) -> all that was ever due from it, up to and with this period."""
    due = sum_of(connection, "t.amount")
    rows = connection.execute(
        sql(
            f"SELECT a.fund_org, t.currency, {due} AS due FROM charge_totals t "  # noqa: S608
            "JOIN cost_attributions a ON a.digest = t.attribution "
            f"WHERE t.period <= :period AND t.status IN {_DUE} GROUP BY a.fund_org, t.currency"
        ),
        {"period": period},
    )
    return {(row[0], row[1]): Decimal(row[2]) for row in rows}

"""From charges to statements, a currency at a time: what rules made of a month's charges, each effect by its name, and
whether it stands on statements. It begins where reconciling with the provider ends, and nothing is left over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine

from clearfacts_assets.chargeback.model import period_of
from clearfacts_assets.chargeback.rates.model import LineKind, in_places
from clearfacts_assets.money import EXACT, exact_sum, plain
from clearfacts_assets.storage.chargeback.issuing.due_charges import with_lines
from clearfacts_assets.storage.chargeback.issuing.repository import StatementRepository
from clearfacts_assets.storage.chargeback.rates.line_sums import REPRICED, LineSums, added_up, kept_sums
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.decimal_sums import sum_of

_ZERO = Decimal(0)
_NAMES = {
    LineKind.MARKUP: "markup",
    LineKind.POOL: "pools: given on less what was taken",
    LineKind.ALLOWANCE: "free allowance",
    LineKind.SUBSIDY: "subsidy",
    LineKind.CREDIT: "credits",
    LineKind.PREPAYMENT: "prepayment",
    LineKind.ROUNDING: "rounded to whole cents",
    LineKind.CARRIED: "carried between months",
}
_PRICE = (LineKind.LIST, LineKind.DISCOUNT)


@dataclass(slots=True)
class WayToDue:
    """One currency. ``charges`` + ``steps`` = ``due`` where nothing is ``unexplained``; ``due`` - ``on_no_statement`` +
    ``rounding`` = ``statements``. ``basis`` says whether what is due comes from ledger lines, or from charges to
    which rules were not applied yet."""

    currency: str
    basis: str
    charges: Decimal = _ZERO
    steps: list[tuple[str, Decimal]] = field(default_factory=list)
    due: Decimal = _ZERO
    issued: int = 0
    statements: Decimal = _ZERO
    on_no_statement: Decimal = _ZERO
    rounding: Decimal = _ZERO

    @property
    def unexplained(self) -> Decimal:
        return EXACT.subtract(exact_sum((self.charges, *(amount for _, amount in self.steps))), self.due)

    def rows(self) -> list[tuple[str, str]]:
        """As a table shows it, from the charges to the statements."""
        head = [("charges that are due", plain(self.charges))]
        steps = [(name, plain(amount)) for name, amount in self.steps]
        tail = [(f"due, by {self.basis}", plain(self.due)), ("unexplained", plain(self.unexplained))]
        last = [("on no statement yet", plain(EXACT.minus(self.on_no_statement)))] if self.on_no_statement else []
        last += [("statements' rounding", plain(self.rounding))] if self.rounding else []
        return [*head, *steps, *tail, *last, (f"on {self.issued} statements", plain(self.statements))]

    def as_result(self) -> dict[str, Any]:
        """As JSON shows it."""
        amounts = ("charges", "due", "statements", "on_no_statement", "rounding", "unexplained")
        told: dict[str, Any] = {name: plain(getattr(self, name)) for name in amounts}
        steps = [{"name": name, "amount": plain(amount)} for name, amount in self.steps]
        return {"currency": self.currency, "basis": self.basis, "issued": self.issued, "steps": steps} | told


def way_to_due(engine: Engine, period: str, *, complete: bool = False) -> list[WayToDue]:
    """Every currency in which something is due. Raises BadPeriod.

    Of the lines what the last run kept counts, with all that changed after it. ``complete`` adds up every line, which
    is to give the same; so does whatever is left unexplained.
    """
    with reading(engine) as connection:
        ruled = bool(with_lines(connection, period_of(period), period))
        found = None if complete or not ruled else _ways(connection, period, ruled, kept_sums(connection, period))
        if found is None or any(one.unexplained for one in found):
            found = _ways(connection, period, ruled, added_up(connection, period, ruled=ruled))
    by_currency = {one.currency: one for one in found or ()}
    statements = StatementRepository(engine).standing(period)
    for currency in {*by_currency, *statements}:
        one, said = by_currency.setdefault(currency, WayToDue(currency, _basis(ruled))), statements.get(currency, ())
        exact = exact_sum(amount for _, amount in said)
        one.issued, one.statements = len(said), exact_sum(printed for printed, _ in said)
        one.rounding, one.on_no_statement = EXACT.subtract(one.statements, exact), EXACT.subtract(one.due, exact)
    return [one for _, one in sorted(by_currency.items())]


def _basis(ruled: bool) -> str:
    return "ledger lines" if ruled else "charges: rules were not applied yet"


def _ways(connection: Connection, period: str, ruled: bool, sums: LineSums | None) -> list[WayToDue] | None:
    """A currency at a time; None where nothing is known of the lines."""
    return None if sums is None else list(_of_sums(_charges(connection, period), sums, ruled))


def _of_sums(charges: dict[str, dict[bool, Decimal]], lines: LineSums, ruled: bool) -> Iterable[WayToDue]:
    for currency in sorted({*charges, *lines.kinds, *lines.strays}):
        of_charges, kinds, strays = charges[currency], lines.kinds[currency], lines.strays[currency]
        way = WayToDue(currency, _basis(ruled), exact_sum(of_charges.values()))
        if not ruled:
            way.due = way.charges
            yield way
            continue
        priced = exact_sum(kinds.get((True, kind), _ZERO) for kind in _PRICE)
        steps = [
            ("charges without lines: apply the rules again", EXACT.minus(lines.alone[currency])),
            ("lines of charges that are no longer due: apply the rules again", strays),
            ("priced by rates in place of the import", EXACT.subtract(priced, of_charges.get(True, _ZERO))),
        ]
        steps += [(name, exact_sum(kinds.get((which, kind), _ZERO) for which in (True, False)))
                  for kind, name in _NAMES.items()]  # fmt: skip
        way.steps = [(name, amount) for name, amount in steps if amount]
        way.due = in_places(EXACT.add(exact_sum(kinds.values()), strays), currency)
        yield way


def _charges(connection: Connection, period: str) -> dict[str, dict[bool, Decimal]]:
    """What is due of charges, by currency and whether rules may price them: from the totals that are kept of them, so
    that nobody waits until millions were added up."""
    by = f"CASE WHEN {REPRICED} THEN 1 ELSE 0 END"
    query = sql(
        f"SELECT c.currency, {by}, {sum_of(connection, 'c.amount')} FROM charge_totals c "  # noqa: S608
        f"WHERE c.period = :period AND c.status IN ('clear', 'approved') GROUP BY c.currency, {by} "
        "HAVING sum(c.rows) > 0"
    )
    found: dict[str, dict[bool, Decimal]] = defaultdict(dict)
    for currency, repriced, total in connection.execute(query, {"period": period}):
        found[currency][bool(repriced)] = Decimal(total)
    return found


def dues_of_investigator(engine: Engine, email: str, period: str | None) -> list[dict[str, Any]]:
    """What is due of an investigator by ledger lines, by month, project, fund and currency: the cost, what others pay,
    and the statement on which it stands. Months without lines are not among them."""
    where = "a.pi_email = :email AND l.withdrawn_run IS NULL" + (" AND l.period = :period" if period else "")
    groups = "l.period, a.project_id, a.fund_org, l.currency"
    with reading(engine) as connection:
        paid = sum_of(connection, "CASE WHEN l.payer <> '' OR l.kind = 'carried' THEN l.amount END")
        query = sql(
            f"SELECT {groups}, {paid} AS others, {sum_of(connection, 'l.amount')} AS due FROM ledger_lines l "  # noqa: S608
            f"JOIN cost_attributions a ON a.digest = l.attribution WHERE {where} GROUP BY {groups} ORDER BY {groups}"
        )
        rows = connection.execute(query, {"email": email, "period": period} if period else {"email": email}).all()
        numbers = connection.execute(
            sql(
                "SELECT period, project, fund, currency, number FROM statements WHERE kind = 'investigator' "
                "AND state IN ('proposed', 'issued') AND subject = :email ORDER BY number"
            ),
            {"email": email},
        ).all()
    by = {(one.period, one.project, one.fund, one.currency): one.number for one in numbers}
    found = []
    for month, project, fund, currency, others, due in rows:
        number = by.get((month, project, fund, currency)) or by.get((month, project, "", currency), "")
        cost = EXACT.subtract(Decimal(due), Decimal(others))
        if cost or Decimal(due):
            parts = {"cost": cost, "paid_by_others": Decimal(others), "due": Decimal(due)}
            amounts = {name: plain(in_places(amount, currency)) for name, amount in parts.items()}
            named = {"period": month, "project_id": project, "fund_org": fund, "currency": currency}
            found.append(named | amounts | {"statement": number})
    return found

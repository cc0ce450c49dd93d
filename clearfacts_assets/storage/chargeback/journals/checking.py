"""From the provider's bill to the general ledger: charges, statements, journals, with every difference named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, select, text

from clearfacts_assets.chargeback.journals.model import BatchKind, from_units
from clearfacts_assets.chargeback.model import period_of
from clearfacts_assets.money import EXACT, exact_sum, plain
from clearfacts_assets.storage.chargeback.issuing.repository import StatementRepository, TieOut
from clearfacts_assets.storage.chargeback.journals.rows import digest, journal_of_row
from clearfacts_assets.storage.chargeback.journals.standing import LIVE_STATES
from clearfacts_assets.storage.chargeback.journals.statements import StatementHead, heads
from clearfacts_assets.storage.chargeback.journals.tables import JournalAnswer, JournalBatch, JournalStatement
from clearfacts_assets.storage.chargeback.reconciling import Reconciled, reconcile
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.decimal_sums import sum_of

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class CheckDifference:
    """A difference, by name. ``open`` is one that somebody can still end; ``which`` names statements, if there are."""

    name: str
    amount: Decimal
    open: bool = False
    which: tuple[str, ...] = ()

    def as_result(self) -> dict[str, Any]:
        told = {"name": self.name, "amount": plain(self.amount), "open": self.open}
        return told | {"which": list(self.which)} if self.which else told


@dataclass(slots=True)
class Checked:
    """One currency of a month. ``left`` is what no step explains, and is 0."""

    currency: str
    exported: Decimal = _ZERO  # by the providers
    due: Decimal = _ZERO  # of charges
    printed: Decimal = _ZERO  # on statements
    journal: Decimal = _ZERO  # charged to funds by live batches
    steps: list[CheckDifference] = field(default_factory=list)

    @property
    def left(self) -> Decimal:
        explained = exact_sum((self.exported, *(one.amount for one in self.steps)))
        return EXACT.subtract(self.journal, explained)

    def as_result(self) -> dict[str, Any]:
        names = ("exported", "due", "printed", "journal", "left")
        told: dict[str, Any] = {name: plain(getattr(self, name)) for name in names}
        return {"currency": self.currency, **told, "steps": [one.as_result() for one in self.steps]}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check came to. ``problems`` are what must not be; ``waiting`` is what somebody still has to do."""

    period: str
    currencies: Sequence[Checked]
    problems: Sequence[str]
    waiting: Sequence[str]
    suspended: dict[str, str]

    @property
    def ties(self) -> bool:
        """Whether all is named, nothing is left over, and every batch is what it was."""
        return not self.problems and not any(one.left for one in self.currencies)

    @property
    def done(self) -> bool:
        """Whether moreover nothing waits for somebody."""
        return self.ties and not self.waiting

    def as_result(self) -> dict[str, Any]:
        return {
            "period": self.period,
            "ties": self.ties,
            "done": self.done,
            "currencies": [one.as_result() for one in self.currencies],
            "problems": list(self.problems),
            "waiting": list(self.waiting),
            "suspended": self.suspended,
        }


def check(engine: Engine, period: str) -> CheckResult:
    """The month, a currency at a time. Raises BadPeriod."""
    period_of(period)
    reconciled, tied = reconcile(engine, period), StatementRepository(engine).tie_out(period)
    with reading(engine) as connection:
        batches = _batches(connection, period)
        currencies = sorted(
            {one.currency for one in reconciled} | {one.currency for one in tied} | {row["currency"] for row in batches}
        )
        found = [
            _one(connection, period, currency, [one for one in reconciled if one.currency == currency],
                 next((one for one in tied if one.currency == currency), None))
            for currency in currencies
        ]  # fmt: skip
        problems = [problem for row in batches for problem in _of_batch(connection, row)]
        waiting = [*_waiting(connection, batches), *(_open(one) for each in found for one in each.steps if one.open)]
    suspended = {fund: to for row in batches if row["state"] in LIVE_STATES for fund, to in row["suspended"].items()}
    return CheckResult(period, found, problems, waiting, suspended)


def _one(
    connection: Connection, period: str, currency: str, reconciled: Sequence[Reconciled], tied: TieOut | None
) -> Checked:
    one = Checked(currency)
    by_name: dict[str, Decimal] = defaultdict(Decimal)
    for source in reconciled:
        one.exported = EXACT.add(one.exported, source.exported)
        one.due = EXACT.add(one.due, source.due)
        for name, amount in source.steps:
            by_name[name] = EXACT.add(by_name[name], amount)
    one.steps += [CheckDifference(name, amount) for name, amount in by_name.items() if amount]
    if tied is None:
        if one.due:
            one.steps.append(CheckDifference("due, and on no statement yet", EXACT.minus(one.due), open=True))
        return one
    one.printed = tied.printed
    one.steps += _rules(connection, period, currency, one.due, tied.ledger)
    missing = EXACT.subtract(tied.exact, tied.ledger)
    if missing:
        one.steps.append(CheckDifference("due, and on no statement yet", missing, open=True))
    if tied.rounding:
        one.steps.append(CheckDifference("rounding of statements", tied.rounding))
    one.steps += _unbooked(connection, period, currency)
    one.journal = _charged(connection, period, currency)
    return one


def _rules(connection: Connection, period: str, currency: str, due: Decimal, ledger: Decimal) -> list[CheckDifference]:
    """Where statements are made of the rules' lines: what each kind of rule adds or takes away."""
    if ledger == due:
        return []
    kinds: dict[str, Decimal] = {}
    query = (
        f"SELECT kind, {sum_of(connection, 'amount')} AS amount FROM ledger_lines WHERE period = :period "  # noqa: S608
        "AND currency = :currency AND withdrawn_run IS NULL GROUP BY kind ORDER BY kind"
    )
    for row in connection.execute(sql(query), {"period": period, "currency": currency}):
        kinds[row.kind] = Decimal(row.amount)
    priced = EXACT.add(kinds.pop("list", _ZERO), kinds.pop("discount", _ZERO))
    anew = EXACT.subtract(priced, due)
    steps = [CheckDifference("priced anew by the rates", anew)] if anew else []
    return steps + [CheckDifference(f"rules: {kind}", amount) for kind, amount in kinds.items() if amount]


def _unbooked(connection: Connection, period: str, currency: str) -> list[CheckDifference]:
    """What stands on statements and not, or not so, in a live batch."""
    table, batch = JournalStatement.__table__, JournalBatch.__table__
    query = (
        select(table.c.number, table.c.version, table.c.units)
        .join(batch, batch.c.id == table.c.batch_id)
        .where(table.c.sign == 1, table.c.released_by.is_(None), batch.c.period == period)
        .where(batch.c.currency == currency)
    )
    booked = {row.number: (row.version, from_units(row.units, currency)) for row in connection.execute(query)}
    issued = heads(connection, period=period, currency=currency)
    proposed = heads(connection, period=period, currency=currency, states=("proposed",))
    standing = {one.number: one for one in (*issued, *proposed)}
    away = [one for one in issued if one.number not in booked and one.due]
    moved = [
        (number, EXACT.subtract(amount, standing[number].due if number in standing else _ZERO))
        for number, (version, amount) in booked.items()
        if number not in standing or standing[number].version != version
    ]
    offered = [one for one in proposed if one.number not in booked and one.due]
    steps = [
        CheckDifference(
            "issued, and in no journal yet", EXACT.minus(_sum(away)), True, tuple(one.number for one in away)
        ),
        CheckDifference(
            "proposed, and not issued yet", EXACT.minus(_sum(offered)), True, tuple(one.number for one in offered)
        ),
        CheckDifference(
            "corrected since it was booked: journals transfer",
            exact_sum(amount for _, amount in moved),
            True,
            tuple(number for number, _ in moved),
        ),
    ]
    return [one for one in steps if one.which]


def _sum(statements: Sequence[StatementHead]) -> Decimal:
    return exact_sum(one.due for one in statements)


def _charged(connection: Connection, period: str, currency: str) -> Decimal:
    """What live batches charge to funds: the first line of each pair is the fund's, the second its counterpart."""
    kinds = f"('{BatchKind.CHARGES}', '{BatchKind.TRANSFER}')"
    query = text(
        "SELECT COALESCE(sum(CASE l.side WHEN 'D' THEN l.units ELSE -l.units END), 0) FROM journal_lines l "  # noqa: S608
        "JOIN journal_batches b ON b.id = l.batch_id WHERE b.period = :period AND b.currency = :currency "
        f"AND b.kind IN {kinds} AND b.state IN ('draft', 'exported', 'posted') AND l.number = 2 * l.pair - 1"
    )
    units = connection.execute(query, {"period": period, "currency": currency}).scalar_one()
    return from_units(int(units), currency)


def _batches(connection: Connection, period: str) -> list[dict[str, Any]]:
    table = JournalBatch.__table__
    query = select(table).where(table.c.period == period).order_by(table.c.id)
    return [dict(row) for row in connection.execute(query).mappings()]


def _of_batch(connection: Connection, row: dict[str, Any]) -> list[str]:
    journal = journal_of_row(connection, row, with_parts=False)
    found = []
    if journal.debit != journal.credit:
        found.append(f"{row['number']} does not balance: debit {journal.debit}, credit {journal.credit}")
    if digest(journal) != row["sha256"]:
        found.append(f"{row['number']} is not what it was when it was made: its hash differs")
    return found


def _waiting(connection: Connection, batches: Sequence[dict[str, Any]]) -> list[str]:
    found = []
    refused = set(
        connection.execute(select(JournalAnswer.batch_id).where(JournalAnswer.verdict == "refused")).scalars()
    )
    for row in batches:
        number, state = row["number"], row["state"]
        if state == "draft":
            found.append(f"{number} is a draft: clearfacts chargeback journals export {number}")
        elif state == "exported" and row["id"] in refused:
            found.append(f"{number} was refused by the general ledger: clearfacts chargeback journals show {number}")
        elif state in ("exported", "posted") and row["kind"] == BatchKind.ACCRUAL:
            found.append(f"the accrual {number} stands: clearfacts chargeback journals reverse {number}")
    return found


def _open(step: CheckDifference) -> str:
    which = f" ({', '.join(step.which)})" if step.which else ""
    return f"{step.name}: {plain(step.amount)}{which}"

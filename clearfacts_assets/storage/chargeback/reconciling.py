"""From the provider's total to what is due, by source and currency: every difference named, none left over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, select

from clearfacts_assets.chargeback.model import Mode
from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.storage.chargeback.import_tables import CostImport, CostImportFile
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.decimal_sums import sum_of

_ZERO = Decimal(0)


@dataclass(slots=True)
class Reconciled:
    """One source in one currency. ``exported`` is BilledCost as the files say it; each step is a name and an amount;
    ``unexplained`` is what no step explains, and is 0."""

    source: str
    currency: str
    basis: str = ""
    exported: Decimal = _ZERO
    steps: list[tuple[str, Decimal]] = field(default_factory=list)
    charges: Decimal = _ZERO  # BilledCost of the charges of this month's exports
    due: Decimal = _ZERO
    refused_rows: int = 0
    invoices: list[dict[str, Any]] = field(default_factory=list)

    @property
    def unexplained(self) -> Decimal:
        left = self.exported
        for _, amount in self.steps:
            left = EXACT.add(left, amount)
        return EXACT.subtract(left, self.due)

    def as_result(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "source": self.source,
            "currency": self.currency,
            "basis": self.basis,
            "exported": plain(self.exported),
            "steps": [{"name": name, "amount": plain(amount)} for name, amount in self.steps],
            "charges": plain(self.charges),
            "due": plain(self.due),
            "unexplained": plain(self.unexplained),
            "refused_rows": self.refused_rows,
            "invoices": self.invoices,
        }


def reconcile(engine: Engine, period: str) -> list[Reconciled]:
    """Every source and currency of the period."""
    with reading(engine) as connection:
        found: dict[tuple[str, str], Reconciled] = {}
        exports = Exports(connection, period)
        for key in sorted({*exports.keys(), *_keys(connection, period)}):
            found[key] = _one(connection, period, *key, exports)
        return list(found.values())


def _keys(connection: Connection, period: str) -> Iterable[tuple[str, str]]:
    query = sql("SELECT DISTINCT source, currency FROM charge_totals WHERE period = :period")
    return [(row[0], row[1]) for row in connection.execute(query, {"period": period})]


class Exports:
    """What the files say that stand behind the period: by account the last snapshot, and what was appended since."""

    def __init__(self, connection: Connection, period: str) -> None:
        self.billed: dict[tuple[str, str], dict[tuple[str, str], Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        self.twice: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.details: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.refused: dict[str, int] = defaultdict(int)
        self.rows: dict[str, int] = defaultdict(int)  # that were taken
        self.rows_twice: dict[str, int] = defaultdict(int)
        self.imports: set[int] = set()  # that count
        replaced: set[tuple[str, str]] = set()
        query = select(CostImport.__table__).where(CostImport.withdrawn_at.is_(None)).order_by(CostImport.id.desc())
        for row in connection.execute(query).mappings().all():
            accounts = {account for name, account in row["scopes"] if name == period}
            self._add(connection, row, period, accounts, replaced)
            if row["mode"] == Mode.SNAPSHOT and row["period"] in (None, period):
                replaced |= {(row["source"], account) for account in accounts}

    def keys(self) -> Iterable[tuple[str, str]]:
        return self.billed.keys()

    def _add(
        self, connection: Connection, row: Any, period: str, accounts: set[str], replaced: set[tuple[str, str]]
    ) -> None:
        source = row["source"]
        files = select(CostImportFile.tie_out, CostImportFile.dataset, CostImportFile.refused)
        for tie_out, dataset, refused in connection.execute(files.where(CostImportFile.import_id == row["id"])):
            counts = False
            for one in tie_out:
                invoice, key = (one["invoice_id"], one["issuer"]), (source, one["currency"])
                if dataset == "invoice_detail":
                    self.details[invoice] = EXACT.add(self.details[invoice], Decimal(one["billed"]))
                elif one["period"] == period and (source, one["account"]) not in replaced:
                    counts = True
                    self.rows[source] += one["rows"]
                    self.billed[key][invoice] = EXACT.add(self.billed[key][invoice], Decimal(one["billed"]))
            self.refused[source] += refused if counts else 0
            self.imports |= {row["id"]} if counts else set()
        appended = row["mode"] == Mode.APPEND or row["period"] not in (None, period)
        if appended and period in row["difference"] and not all((source, one) in replaced for one in accounts):
            self.rows_twice[source] += row["difference"][period]["equal"]["rows"]
            for currency, amount in row["difference"][period]["equal"]["before"].items():
                self.twice[source, currency] = EXACT.add(self.twice[source, currency], Decimal(amount))


def _one(connection: Connection, period: str, source: str, currency: str, exports: Exports) -> Reconciled:
    result = Reconciled(source, currency)
    result.basis = connection.execute(
        sql("SELECT basis FROM cost_sources WHERE name = :source"), {"source": source}
    ).scalar_one()
    by_invoice = exports.billed[source, currency]
    result.exported = _total(by_invoice.values())
    result.refused_rows = exports.refused[source]
    of_charges = _by_invoice(connection, period, source, currency)
    result.charges = _total(of_charges.values())
    result.invoices = [
        _invoice(key, by_invoice.get(key, _ZERO), of_charges.get(key, _ZERO), exports.details.get(key))
        for key in sorted({*by_invoice, *of_charges})
    ]
    away, here = _late(connection, period, source, currency)
    sums = _standing(connection, period, source, currency)
    billed, amount = sums["all"]
    steps = [
        ("appended rows that were there already, counted once", -exports.twice[source, currency]),
        (
            "taken back with an import that was withdrawn",
            -_taken_back(connection, period, source, currency, exports.imports),
        ),
        ("late, billed in another period", -away),
        ("late for another period, billed in this one", here),
        (f"cost basis {result.basis} instead of billed", EXACT.subtract(amount, billed)),
        ("rejected", -sums["rejected"][1]),
        ("flagged, waiting for a decision", -sums["flagged"][1]),
        ("not billed by an exception", -sums["not_billed"][1]),
    ]
    result.steps = [(name, value) for name, value in steps if value]
    result.due = EXACT.subtract(amount, _total(sums[one][1] for one in ("rejected", "flagged", "not_billed")))
    return result


def _invoice(key: tuple[str, str], exported: Decimal, charged: Decimal, detail: Decimal | None) -> dict[str, Any]:
    told = {
        "invoice_id": key[0],
        "issuer": key[1],
        "exported": plain(exported),
        "charges": plain(charged),
        "difference": plain(EXACT.subtract(exported, charged)),
    }
    return (
        told
        if detail is None
        else told | {"invoice": plain(detail), "to_invoice": plain(EXACT.subtract(detail, exported))}
    )


def _total(amounts: Iterable[Decimal]) -> Decimal:
    total = _ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


_OF_MONTH = "origin_period = :period AND source = :source AND currency = :currency AND withdrawn_by IS NULL"


def _by_invoice(connection: Connection, period: str, source: str, currency: str) -> dict[tuple[str, str], Decimal]:
    """BilledCost of all charges that this month's exports have become, wherever they are billed."""
    billed = sum_of(connection, "billed")
    values = {"period": period, "source": source, "currency": currency}
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    kept = f"SELECT invoice_id, issuer, {billed} FROM charge_totals WHERE period = :period AND source = :source "  # noqa: S608
    late = f"SELECT invoice_id, issuer, {billed} FROM charges WHERE kind <> 'charge' AND {_OF_MONTH} "  # noqa: S608
    for statement in (f"{kept} AND currency = :currency AND kind = 'charge' ", late):
        for invoice, issuer, amount in connection.execute(sql(f"{statement} GROUP BY invoice_id, issuer"), values):
            found[invoice, issuer] = EXACT.add(found[invoice, issuer], Decimal(amount))
    return found


def _late(connection: Connection, period: str, source: str, currency: str) -> tuple[Decimal, Decimal]:
    billed = sum_of(connection, "billed")
    values = {"period": period, "source": source, "currency": currency}
    away = sql(f"SELECT {billed} FROM charges WHERE kind <> 'charge' AND {_OF_MONTH} AND period <> :period")  # noqa: S608
    here = sql(
        f"SELECT {billed} FROM charge_totals WHERE period = :period AND source = :source "  # noqa: S608
        "AND currency = :currency AND kind <> 'charge'"
    )
    return tuple(Decimal(connection.execute(one, values).scalar_one()) for one in (away, here))  # type: ignore[return-value]


def _standing(connection: Connection, period: str, source: str, currency: str) -> dict[str, tuple[Decimal, Decimal]]:
    """Billed and amount of what stands in the period, all of it and by status."""
    billed, amount = sum_of(connection, "billed"), sum_of(connection, "amount")
    found = connection.execute(
        sql(
            f"SELECT status, {billed}, {amount} FROM charge_totals WHERE period = :period AND source = :source "  # noqa: S608
            "AND currency = :currency GROUP BY status"
        ),
        {"period": period, "source": source, "currency": currency},
    )
    sums: dict[str, tuple[Decimal, Decimal]] = defaultdict(lambda: (_ZERO, _ZERO))
    for status, of_billed, of_amount in found:
        sums[status] = (Decimal(of_billed), Decimal(of_amount))
    every = list(sums.values())
    sums["all"] = (_total(one[0] for one in every), _total(one[1] for one in every))
    return sums


def _taken_back(connection: Connection, period: str, source: str, currency: str, imports: set[int]) -> Decimal:
    """What the imports that count brought, and an import replaced that was itself withdrawn."""
    if not imports:
        return _ZERO
    return Decimal(
        connection.execute(
            sql(
                f"SELECT {sum_of(connection, 'c.billed')} FROM charges c JOIN cost_imports i ON i.id = c.withdrawn_by "  # noqa: S608
                f"WHERE i.withdrawn_at IS NOT NULL AND c.import_id IN ({', '.join(map(str, sorted(imports)))}) "
                "AND c.origin_period = :period AND c.source = :source "
                "AND c.currency = :currency"
            ),
            {"period": period, "source": source, "currency": currency},
        ).scalar_one()
    )

"""What commands and API tell of a month alike: a period with totals, a reconciliation, refused rows, charges as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Engine

from clearfacts_assets.chargeback.ingest.canonical import SAID_OF_REFUSALS
from clearfacts_assets.chargeback.model import period_of
from clearfacts_assets.chargeback.rates.model import LineKind
from clearfacts_assets.spreadsheet import neutralised
from clearfacts_assets.storage.chargeback.charges import ChargeFilter, ChargeRepository
from clearfacts_assets.storage.chargeback.imports import ImportRepository
from clearfacts_assets.storage.chargeback.periods import PeriodRecord, PeriodRepository
from clearfacts_assets.storage.chargeback.rates.lines import LedgerLines
from clearfacts_assets.storage.chargeback.reconciling import Reconciled, reconcile
from clearfacts_assets.storage.chargeback.refused_records import cells_of
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets.storage.chargeback.totals import Totals

_ALWAYS = frozenset({LineKind.LIST, LineKind.DISCOUNT, LineKind.SUBSIDY, LineKind.CREDIT})
_NUMBERS = frozenset(
    ["billed", "effective", "contracted", "list", "listed", "amount", "quantity", "id", "line", "corrects"]
)


def period_as_result(record: PeriodRecord) -> dict[str, Any]:
    """A period as JSON lists it."""
    said = asdict(record)
    return {"period": said.pop("name"), **said}


def period_summary(engine: Engine, period: str, payers: Sequence[str] | None = None) -> dict[str, Any]:
    """A period with its totals a currency at a time; where there is one currency, they stand at the top too.

    With ``payers`` only what these investigators are charged counts, and what rules made of it is not told. Raises
    NoSuchPeriod, BadPeriod.
    """
    repository = PeriodRepository(engine)
    record, totals = repository.get(period), repository.totals(period, payers=payers)
    told = {currency: one.as_result() for currency, one in totals.items()}
    top = next(iter(told.values())) | {"currency": next(iter(told))} if len(told) == 1 else {}
    said = {"basis": bases_of(engine, totals.values()), "totals": told}
    lines = {} if payers is not None else {"lines": line_totals(engine, period)}
    return period_as_result(record) | said | lines | top


def line_totals(engine: Engine, period: str) -> dict[str, dict[str, str]]:
    """By currency what the ledger lines of a period come to, as exact texts, from list price to what is due; negative
    is what others pay. Empty where rules were never applied. The run that wrote the lines kept it: no line is read."""
    run = LedgerLines(engine).last_run(period)
    kinds = [*(kind.value for kind in LineKind), "due"]
    totals = {} if run is None else {currency: one for currency, one in run["totals"].items() if currency != "findings"}
    return {
        currency: {kind: one.get(kind, "0") for kind in kinds if kind in one or kind in _ALWAYS}
        for currency, one in totals.items()
    }


def bases_of(engine: Engine, totals: Iterable[Totals]) -> dict[str, str]:
    """The cost basis of each source in the totals."""
    bases = {one["name"]: one["basis"] for one in RegistryRepository(engine).sources()}
    return {name: bases[name] for one in totals for name in one.by_source if name in bases}


def reconciliation(engine: Engine, period: str) -> tuple[list[Reconciled], dict[str, dict[str, int]], bool]:
    """Each source and currency, how many charges have which flag by currency, and whether nothing is left over.

    Raises BadPeriod.
    """
    found = reconcile(engine, period_of(period))
    totals = PeriodRepository(engine).totals(period)
    flags = {currency: dict(sorted(one.flags.items())) for currency, one in totals.items() if one.flags}
    return found, flags, not any(one.unexplained or any(_off(i) for i in one.invoices) for one in found)


def _off(invoice: dict[str, Any]) -> bool:
    """Whether the provider's Invoice Detail says another amount than its export."""
    return "to_invoice" in invoice and invoice["to_invoice"].strip("-0.") != ""


def refused_rows(engine: Engine, import_id: int) -> Iterator[list[Any]]:
    """The refused rows of an import that nobody has mended, as cells, headers among them: the original columns, and
    four that say why. Rows that do not fit their header cannot stand in such a file. A cell is as it was delivered,
    a formula too: the file is mended and read again. Raises NoSuchImport."""
    written: list[str] = []
    for one, header, dialect in ImportRepository(engine).refusals(import_id, mended=False):
        cells, again = cells_of(one.record, dialect), set(SAID_OF_REFUSALS) <= set(header)
        if len(cells) != len(header):
            continue
        if list(header) != written:
            yield [*header] if again else [*header, *SAID_OF_REFUSALS]
            written = list(header)
        # One that was mended in vain still says which record it mends.
        yield cells if again else [*cells, one.line, one.column, one.code, one.message]


def charge_rows(engine: Engine, which: ChargeFilter, columns: Sequence[str]) -> Iterator[list[Any]]:
    """All charges that are asked for as cells of a CSV file, the header first."""
    yield list(columns)
    for one in ChargeRepository(engine).every(which):
        yield [harmless_cell(name, one[name]) for name in columns]


def harmless_cell(column: str, value: Any) -> str:
    """As a CSV cell: amounts stay numbers, a text that begins like a formula gets an apostrophe."""
    text = plain_cell(value)
    return text if column in _NUMBERS else neutralised(text)


def plain_cell(value: Any) -> str:
    """A value of a charge as text."""
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)

"""An import that is killed at its first write to the ledger, its last, or between them, leaves what was there before,
to the last row, and comes to the same when it is done again. On SQLite and on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from clearfacts_assets.settings import Settings
from clearfacts_assets.storage.chargeback.importing import ImportRequest, import_files
from clearfacts_assets_tests.faults.test_ledger_races import Doomed
from clearfacts_assets_tests.fixtures.chargeback import NOW, Books, row, write

# In the order in which an import comes to them; what is flagged as an anomaly is the last write.
POINTS = (
    "INSERT INTO cost_imports",
    "UPDATE charges SET withdrawn_by",
    "INSERT INTO charges",
    "UPDATE charges SET attribution",
)
TABLES = (
    "audit_logs",
    "billing_periods",
    "charge_totals",
    "charges",
    "cost_attributions",
    "cost_import_files",
    "cost_imports",
    "cost_refusals",
    "cost_row_chunks",
    "cost_tag_sets",
)
APRIL = "2025-04"


def import_again(engine: Engine, folder: Path) -> object:
    """April once more: a row is gone, one is refused, one costs forty times what it did."""
    return imported(engine, folder / "again.csv", APRIL)


def imported(engine: Engine, file: Path, month: str) -> object:
    wanted = ImportRequest(source="aws", period=month, confirmed=True)
    return import_files(engine, [file], wanted, Settings().chargeback, usage={}, actor="pat", now=NOW)


def of_month(month: str, *costs: str) -> list[dict[str, str]]:
    start = f"2025-{month}-01T00:00:00Z"
    return [row(BillingPeriodStart=start, BilledCost=cost, ResourceId=f"r{n}") for n, cost in enumerate(costs)]


def everything(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    with engine.connect() as connection:
        found = {name: connection.execute(text(f"SELECT * FROM {name}")).all() for name in TABLES}
    return {name: sorted((tuple(one) for one in rows), key=repr) for name, rows in found.items()}


@pytest.mark.parametrize("at", POINTS)
def test_an_import_that_is_killed_while_the_ledger_is_written_changes_nothing_and_can_be_repeated(
    books: Books, migrated_url: str, tmp_path: Path, at: str
) -> None:
    for month in ("01", "02", "03", "04"):
        file = write(tmp_path / f"{month}.csv", of_month(month, "10.00", "1.00"))
        imported(books.engine, file, f"2025-{month}")
    write(tmp_path / "again.csv", of_month("04", "400.00", "=1"))
    before = everything(books.engine)
    doomed = Doomed(migrated_url, tmp_path, import_again, at)
    doomed.is_there()
    doomed.dies()
    assert everything(books.engine) == before
    import_again(books.engine, tmp_path)
    (charge,) = books.charges(period=APRIL)
    assert (charge["amount"], charge["status"], charge["flags"]) == ("400.00", "flagged", ["anomaly"])
    books.counted(APRIL)

"""What a journal over many charges costs, in CPU and memory, and how that grows.

``make bench-journals`` (ARGS="--charges 10000 100000 1000000 --rounds 3"). Statements of 500 charges each (a project's
eight services from three sources, on one fund, each fifth on two) stand in a SQLite file as if they had been issued.
Measured is all from there to the file in its place: the statements' cents, the chart of accounts, the batch in the
database, its balance, the file. Each figure is the first journal of a process of its own, after its imports. The
reference takes 3.9 seconds of CPU for 100,000 charges, and writes only the file.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

REFERENCE = 3.9  # seconds of CPU for 100,000 charges
OF_A_STATEMENT, FUNDS, SERVICES = 500, 40, 8
SOURCES = ("aws", "azure", "cluster")
NOW = datetime(2025, 4, 3, 9, 0, tzinfo=UTC)
_MONEY = {"billed", "effective", "contracted", "list", "listed", "amount"}
_NUMBERS = {"import_id", "import_file", "row", "line", "occurrence"}
_PROJECT = f"(i / {OF_A_STATEMENT})"
_FUND = f"({_PROJECT} + ({_PROJECT} % 5 = 0) * (i % 2)) % {FUNDS}"
_UNITS = "(i % 90 * 100 + i % 100)"
_CENTS = f"printf('%d.%02d', {_UNITS} / 100, {_UNITS} % 100)"


def fill(url: str, charges: int) -> None:
    """A ledger whose statements are issued, written past everything that makes statements."""
    from clearfacts_assets.storage.database import open_engine
    from clearfacts_assets.storage.migrate import upgrade

    upgrade(url)
    engine = open_engine(url)
    with engine.begin() as connection:
        run = connection.exec_driver_sql
        last = charges - 1
        run(
            "CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS "
            f"(SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) SELECT i FROM n"
        )
        for name in SOURCES:
            run(
                "INSERT INTO cost_sources (name, display_name, pattern, basis, credit_fund_org, account_code, "
                f"decimal_comma, created_at) VALUES ('{name}', '', '', 'billed', 'IT-{name.upper()}', '54100', 0, "
                "'2025-03-01')"
            )
        run(
            "INSERT INTO cost_attributions (digest, pi_email, project_id, fund_org, cost_center, account_code, "
            "reference_1, reference_2, origin) SELECT CAST(printf('%016d', i) AS BLOB), 'p', 'q', "
            f"'BIO-' || printf('%06d', i), '', '', '', '', 'tag' FROM n WHERE i < {FUNDS}"
        )
        _charges(run)
        _totals(run)
        _statements(run, charges // OF_A_STATEMENT)
        run("DROP TABLE n")
    engine.dispose()


def _charges(run: Any) -> None:
    said = {
        "id": "i + 1",
        "period": "'2025-03'",
        "origin_period": "'2025-03'",
        "kind": "'charge'",
        "source": "CASE i % 8 % 3 WHEN 0 THEN 'aws' WHEN 1 THEN 'azure' ELSE 'cluster' END",
        "fingerprint": "CAST(printf('%016d', i) AS BLOB)",
        "attribution": f"CAST(printf('%016d', {_FUND}) AS BLOB)",
        "service": f"'Service ' || (i % {SERVICES})",
        "status": "'clear'",
        "currency": "'USD'",
        "resource_id": "'arn:aws:compute:eu-1:0077:instance/i-' || printf('%012d', i)",
        "corrects": "NULL",
        "withdrawn_by": "NULL",
    }
    columns = [row[1] for row in run("PRAGMA table_info(charges)").all()]
    usual = {**dict.fromkeys(_NUMBERS, "0"), **dict.fromkeys(_MONEY, "'0.1234'")}
    values = [said.get(name) or usual.get(name) or "''" for name in columns]
    named = ", ".join(f'"{name}"' for name in columns)
    run(f"INSERT INTO charges ({named}) SELECT {', '.join(values)} FROM n")


def _totals(run: Any) -> None:
    """As imports keep them."""
    groups = "period, source, currency, service, account, invoice_id, issuer, kind, attribution, status, flags"
    sums = ", ".join(f'"{name}"' for name in sorted(_MONEY))
    nothing = ", ".join(["'0'"] * len(_MONEY))
    selected = f"SELECT {groups}, count(*), {nothing} FROM charges GROUP BY {groups}"
    run(f"INSERT INTO charge_totals ({groups}, rows, {sums}) {selected}")


def _statements(run: Any, count: int) -> None:
    run(
        "INSERT INTO statements (id, number, version, kind, period, subject_key, subject, project, fund, currency, "
        "state, listed, discount, subsidy, credit, due, exact, lines, charges, basis, rules, charges_hash, "
        "inputs_hash, pdf_sha256, stand_ins, file_name, issued_on, dispute_by, created_at) "
        "SELECT i + 1, 'S-2025-03-' || printf('%04d', i + 1), 1, 'investigator', '2025-03', 'k' || i, "
        "'p' || i || '@x.example.edu', 'project-' || i, '', 'USD', 'issued', '0', '0', '0', '0', '0.00', '0', 1, 1, "
        "'{}', '{}', '', '', '', '', '', '2025-04-03', '2025-04-17', '2025-04-03 09:00:00' "
        f"FROM n WHERE i < {count}"
    )
    run("DROP TRIGGER statements_facts")
    run(
        f"UPDATE statements SET due = t.due FROM (SELECT i / {OF_A_STATEMENT} + 1 AS id, "
        f"printf('%d.%02d', sum({_UNITS}) / 100, sum({_UNITS}) % 100) AS due FROM n GROUP BY 1) t "
        "WHERE t.id = statements.id"
    )
    run(
        "INSERT INTO statement_charges (statement_id, charge_id, share, line, fund, cost_center, service, listed, "
        f"exact, cents, live) SELECT i / {OF_A_STATEMENT} + 1, i + 1, 0, i % 20, 'BIO-' || printf('%06d', {_FUND}), "
        "'BIO', "
        f"'Service ' || (i % {SERVICES}), '1.00', '1.00', {_CENTS}, 1 FROM n"
    )


def exporting(url: str, format_: str, folder: str) -> tuple[float, float, int]:
    """CPU seconds, MiB at most, lines of the journal."""
    from clearfacts_assets.journal_settings import JournalSettings
    from clearfacts_assets.storage.chargeback.journals.batch_options import batch_options_of
    from clearfacts_assets.storage.chargeback.journals.batches import Asked
    from clearfacts_assets.storage.chargeback.journals.booking import JournalService
    from clearfacts_assets.storage.database import open_engine

    engine = open_engine(url)
    service = JournalService(engine, batch_options_of(JournalSettings(), format=format_, output=Path(folder)))
    before = time.process_time()
    (done,) = service.export("2025-03", Asked("bench", NOW))
    spent = time.process_time() - before
    assert done.journal.debit == done.journal.credit
    return spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(done.journal.lines)


def measure(filled: Path, format_: str, rounds: int) -> None:
    charges = int(filled.stem)
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "ledger.db"
            shutil.copy(filled, copy)
            with get_context("spawn").Pool(1) as pool:
                found.append(pool.apply(exporting, (f"sqlite:///{copy}", format_, folder)))
    spent = statistics.median(one[0] for one in found)
    reference = REFERENCE * charges / 100_000
    print(
        f"{charges:9,d} charges, {format_:8s}: {spent:6.2f} s of CPU, {reference / spent:5.1f} times the reference, "
        f"{charges / spent:9,.0f} charges a second, {max(one[1] for one in found):4.0f} MiB, {found[0][2]:,d} lines",
        flush=True,
    )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--charges", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    asked.add_argument("--formats", nargs="+", default=["gl", "standard"])
    asked.add_argument("--rounds", type=int, default=3)
    said = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for charges in said.charges:
            filled = Path(folder) / f"{charges}.db"
            fill(f"sqlite:///{filled}", charges)
            for format_ in said.formats:
                measure(filled, format_, said.rounds)


if __name__ == "__main__":
    main()

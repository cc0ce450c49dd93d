"""How long somebody waits for a page of the desk, and how heavy it is, among so many charges.

``make bench-desk ARGS="--rows 1000000"``: as ``bench-chargeback_api``; ``--database FILE`` asks one that was filled
before. Every charge that is due has a line of the ledger, as a month without rules has them. Until a page's
first byte: CPU of this process, which is server and client (median of the rounds), and the wall's time (median, and the
least, which is closest to a machine that nobody else uses); pages that need seconds send their top before they compute.
Then DECISIONS charges that wait are approved one by one, and each is taken back. Exit code 1 where a first byte or a
decision takes more than MOST_MS of CPU, or a page has more than MOST_BYTES.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chargeback_api import MONTH, MOST_MS, PERSON, ask, filled
from clearfacts_assets.chargeback.attribution.review import ReviewDecision, Verdict
from clearfacts_assets.money import plain
from clearfacts_assets.storage import migrate
from clearfacts_assets.storage.chargeback.charges import ChargeFilter, ChargeRepository
from clearfacts_assets.storage.chargeback.rates.lines import last_run
from clearfacts_assets.storage.chargeback.rates.month_due import due_of_funds
from clearfacts_assets.storage.chargeback.rates.tables import LedgerRun
from clearfacts_assets.storage.chargeback.review import ReviewRepository
from clearfacts_assets.storage.chargeback.totals import totals_of
from clearfacts_assets.storage.database import open_engine

MOST_BYTES = 150_000
DECISIONS = 20
ROUNDS = 7
LOOKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "dashboard": ("operator", "", MONTH),
    "charges": ("operator", "/charges", MONTH),
    "charges in the middle": ("operator", "/charges", {**MONTH, "cursor": "500000"}),
    "charges of an investigator": ("operator", "/charges", {**MONTH, "pi_email": PERSON}),
    "a charge": ("operator", "/charges/1000", {}),
    "review": ("operator", "/review", MONTH),
    "months": ("operator", "/periods", {}),
    "a month": ("operator", "/periods/2025-03", {}),
    "imports": ("operator", "/imports", {}),
    "statements": ("operator", "/statements", MONTH),
    "projects": ("operator", "/registry/projects", {}),
    "budgets": ("operator", "/budgets", {}),
    "rates": ("operator", "/rates", {}),
    "e-mails": ("operator", "/emails", MONTH),
    "journals": ("operator", "/journals", MONTH),
    "not billed": ("operator", "/exceptions", {}),
    "cost sources": ("operator", "/sources", {}),
    "overrides": ("operator", "/overrides", {}),
    "credits and pools": ("operator", "/credits", MONTH),
    "external customers": ("operator", "/customers", MONTH),
    "copies of mails": ("operator", "/emails/delegates", {}),
    "whom mails go to": ("operator", "/emails/preview", MONTH),
    "make statements": ("operator", "/statements/generate", {}),
    "an import": ("operator", "/imports/1", {}),
    "log of the review": ("operator", "/review/log", {}),
    "compare with the provider": ("operator", "/periods/2025-03/reconcile", {}),
    "tie-out": ("operator", "/journals/check/2025-03", {}),
    "settings": ("operator", "/settings", {}),
    "an investigator's view": ("bound", "", MONTH),
    "own charges": ("bound", "/charges", MONTH),
}


def with_lines(database: Path) -> Path:
    """A line for each charge that is due, and the run that wrote them with its sums, straight into the tables: how long
    rules take is another bench's question."""
    url = f"sqlite:///{database}"
    migrate.upgrade(url)
    with open_engine(url).begin() as connection:
        if last_run(connection, "2025-03") is None:
            sums = {currency: one.due for currency, one in totals_of(connection, "2025-03").items()}
            kept: dict[str, Any] = {
                currency: {"list": plain(due), "due": plain(due), "by_fund": {}, "pools": []}
                for currency, due in sums.items()
            }
            for (fund, currency), amount in due_of_funds(connection).items():
                kept[currency]["by_fund"][fund] = plain(amount)
            said = {"period": "2025-03", "actor": "bench", "at": datetime.now(UTC), "version": "0", "inputs": "0" * 64}
            counts = {"charges": 0, "added": 0, "withdrawn": 0, "totals": kept}
            connection.execute(insert(LedgerRun).values(**said, **counts))
            connection.execute(text(_LINES))
    return database


def decisions(database: Path) -> list[tuple[float, float]]:
    """Milliseconds of CPU and of the wall's time for each decision about one charge."""
    engine, taken = open_engine(f"sqlite:///{database}"), []
    waiting = ChargeRepository(engine).list(ChargeFilter(period="2025-03", status=("flagged",)), limit=DECISIONS).items
    for one in waiting:
        for verdict in (Verdict.APPROVE, Verdict.UNDO):
            started, worked = time.perf_counter(), time.process_time()
            which, said = ChargeFilter(ids=(one["id"],)), ReviewDecision(verdict, "", {}, {})
            ReviewRepository(engine).decide(which, said, actor="bench", now=datetime.now(UTC))
            taken.append(((time.process_time() - worked) * 1000, (time.perf_counter() - started) * 1000))
    return taken


_LINES = """
INSERT INTO ledger_lines
(period, run_id, charge_id, share, position, step, kind, payer, attribution, currency, amount, note)
SELECT period, 1, id, 0, 1, 'price', 'list', '', attribution, currency, printf('%.2f', amount), '' FROM charges
WHERE period = '2025-03' AND withdrawn_by IS NULL AND status IN ('clear', 'approved')
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", type=Path, help="filled before, with the month 2025-03")
    options = parser.parse_args()
    sizes: dict[str, int] = {}
    first: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="clearfacts-bench-") as folder:
        database = with_lines(options.database or filled(options.rows, Path(folder)))
        taken = ask(database, LOOKS, "/desk", sizes, first, ROUNDS)
        taken["a decision"] = first["a decision"] = decisions(database)
        sizes["a decision"] = 0
    worked = {name: statistics.median(cpu for cpu, _ in found) for name, found in first.items()}
    for name, found in first.items():
        walls = [wall for _, wall in found]
        print(
            f"{name:28} first byte: CPU {worked[name]:6.1f} ms, wall {statistics.median(walls):7.1f} ms, at least "
            f"{min(walls):6.1f} ms   whole: wall {statistics.median(wall for _, wall in taken[name]):7.1f} ms, "
            f"{sizes[name] / 1000:5.1f} kB"
        )
    bad = [name for name in first if worked[name] > MOST_MS or sizes[name] > MOST_BYTES]
    if bad:
        sys.exit(f"above {MOST_MS} ms or {MOST_BYTES} bytes: {', '.join(bad)}")


if __name__ == "__main__":
    main()

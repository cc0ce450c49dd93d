"""What an invoice costs in the ledger: this code and the code of another commit, by turns.

    make bench-deciding                                    against the commit before one history decided
    make bench-deciding ARGS="--against HEAD~1 --documents 2000 --turns 9"

Each code works in a process of its own, on a SQLite file of its own whose commits reach the disk. A turn is a new day,
stored, registered, claimed and settled as accepted, 16 together, and the same day once more: all is there already. Told
is CPU time of a document, and how many times the other code's this code's is. Documents are read beforehand.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from interleaved import Spread, by_turns, cpu, ratio

BEFORE = "4189402"  # a run's rows and one state at a time decided
TOGETHER, BATCH = 16, 200
PARTS = ("new: decided", "new: stored and decided", "again: stored and decided")
PROJECT = Path(__file__).resolve().parents[1]


def work(database: Path) -> None:
    """What the process of one code does: a line of numbers for each question on its standard input."""
    from clearfacts_assets.storage import migrate
    from clearfacts_assets.storage.database import open_engine

    stored = "clearfacts_assets.storage"
    invoices = _named("InvoiceRepository", f"{stored}.invoices.invoices", f"{stored}.invoices")
    repository = _named("JobRepository", f"{stored}.invoices.jobs", f"{stored}.jobs")

    url = f"sqlite:///{database}"
    migrate.upgrade(url)
    engine = open_engine(url)
    jobs, rows = repository(engine), invoices(engine)
    for prefix, line in zip(count(), sys.stdin, strict=False):
        pages = _pages(f"D{prefix}", int(line))
        (decided, new), (_, again) = (_day(engine, jobs, rows, pages) for _ in range(2))
        print(json.dumps([one / int(line) for one in (decided, new, again)]), flush=True)


def _pages(prefix: str, documents: int) -> list[list[tuple[Any, Any]]]:
    """Documents with what validation says of them, in pages."""
    from clearfacts_assets.invoices.model import Decision, Report, SourceDocument

    validation = "clearfacts_assets.invoices.validation"
    places = f"{validation}.ubl", f"{validation}.head", "clearfacts_assets.invoices.ubl"
    parse, read_invoice = (_named(one, *places) for one in ("parse", "read_invoice"))
    from clearfacts_assets_tests.faults.papers import Paper

    pairs, now = [], datetime.now(UTC)
    for number in range(documents):
        content = Paper("", f"{prefix}-{number}").content
        head = read_invoice(parse(content).root)
        report = Report("", len(content), "none", head, Decision.ACCEPT, (), (), 0.0)
        pairs.append((SourceDocument(f"{prefix}-{number}", now, content), report))
    return [pairs[first : first + BATCH] for first in range(0, documents, BATCH)]


def _day(engine: Any, jobs: Any, rows: Any, pages: list[list[tuple[Any, Any]]]) -> tuple[float, float]:
    """CPU seconds that a job over these documents takes: to decide alone, and in all."""
    stored = "clearfacts_assets.storage"
    ledgers = _named("SqlDeliveryLedger", f"{stored}.invoices.deliveries", f"{stored}.deliveries")
    run_id, ledger, now = uuid4(), ledgers(engine), datetime.now(UTC)
    begun = cpu()
    jobs.begin(run_id, job_type="manual", partition_key=None, correlation_id=None, details={}, now=now)
    for page in pages:
        rows.store(run_id, [one for one, _ in page], now=now)
    reports = {one.content: report for page in pages for one, report in page}
    for batch in rows.batches_to_validate(run_id, BATCH):
        rows.record_reports(run_id, [(row.id, reports[row.content], {}) for row in batch], now=now)
    candidates = [list(batch) for batch in rows.batches_to_deliver(run_id, BATCH)]
    stored = cpu()
    for one in candidates:
        _deliver(ledger, run_id, one)
    return cpu() - stored, cpu() - begun


def _deliver(ledger: Any, run_id: UUID, candidates: list[Any]) -> None:
    from clearfacts_assets.invoices.lifecycle import Event, State

    settlement = _named("Settlement", "clearfacts_assets.invoices.ledger.model", "clearfacts_assets.invoices.ports")
    answers = ledger.register(run_id, "clearfacts", candidates)
    ready = [one.delivery.id for one in answers if one.delivery.state is State.READY]
    for first in range(0, len(ready), TOGETHER):
        claimed = ledger.claim(run_id, ready[first : first + TOGETHER], 120.0, "rest")
        ledger.settle([settlement(one.id, one.fence, (Event.ACCEPTED,), document_id=str(one.id)) for one in claimed])


def _named(name: str, *modules: str) -> Any:
    """What is called so, in the first of the modules that there is: another code keeps it elsewhere."""
    for module in modules:
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"{name} stands in none of {', '.join(modules)}")


class Code:
    """A process that works with the code of a folder."""

    def __init__(self, folder: Path, database: Path, documents: int) -> None:
        self.documents, self.last = documents, dict.fromkeys(PARTS, 0.0)
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        command = [sys.executable, __file__, "--work", str(database)]
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def turn(self) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{self.documents}\n")
        self._process.stdin.flush()
        self.last = dict(zip(PARTS, json.loads(self._process.stdout.readline()), strict=True))
        return self.last[PARTS[1]]

    def close(self) -> None:
        self._process.communicate()


def unpacked(revision: str, folder: Path) -> Path:
    """The code of a revision, in the folder. Raises CalledProcessError where git does not know it."""
    done = subprocess.run(["git", "archive", revision], cwd=PROJECT, check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", default=BEFORE, help="a commit")
    parser.add_argument("--documents", type=int, default=1000, help="of each turn")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.work)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        codes = {
            "this code": Code(PROJECT, folder / "this.db", asked.documents),
            asked.against: Code(unpacked(asked.against, folder / "other"), folder / "other.db", asked.documents),
        }
        told: dict[str, dict[str, list[float]]] = {name: {part: [] for part in PARTS} for name in codes}
        by_turns({name: _noting(code, told[name]) for name, code in codes.items()}, asked.turns)
        for code in codes.values():
            code.close()
    print(f"{'CPU of a document':28}" + "".join(f"{name:>24}" for name in (*codes, "times")))
    for part in PARTS:
        columns = [[1e6 * one for one in told[name][part][1:]] for name in codes]
        figures = [f"{Spread.of(column):.0f} us" for column in columns]
        print(f"{part:28}" + "".join(f"{one:>24}" for one in (*figures, f"{ratio(*columns):.2f}")))


def _noting(code: Code, told: dict[str, list[float]]) -> Callable[[], float]:
    def turn() -> float:
        seconds = code.turn()
        for part, one in code.last.items():
            told[part].append(one)
        return seconds

    return turn


if __name__ == "__main__":
    main()

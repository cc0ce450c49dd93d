"""What an invoice costs in the ledger: this code and the code of another commit, by turns.

    make bench-deciding                                    against the commit before one history decided
    make bench-deciding ARGS="--against HEAD~1 --documents 2000 --turns 9"

Each code works in a process of its own, on a SQLite file of its own whose commits reach the disk. A turn is a new day
(new: registered, claimed and settled as accepted, 16 together) and the same day once more (again: every invoice is
known and delivered). Told is CPU time of a document, and how many times the other code's this code's is.
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
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

from interleaved import Spread, by_turns, cpu, ratio

BEFORE = "4189402"  # a run's rows and one state at a time decided
TOGETHER, BATCH = 16, 200
PARTS = ("new", "again")
PROJECT = Path(__file__).resolve().parents[1]


def work(database: Path) -> None:
    """What the process of one code does: a line of numbers for each question on its standard input."""
    from clearfacts_assets.storage import migrate
    from clearfacts_assets.storage.database import open_engine
    from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
    from clearfacts_assets.storage.invoices.jobs import JobRepository

    url = f"sqlite:///{database}"
    migrate.upgrade(url)
    engine = open_engine(url)
    jobs, rows = JobRepository(engine), InvoiceRepository(engine)
    for prefix, line in zip(count(), sys.stdin, strict=False):
        documents = int(line)
        seconds = [_day(engine, jobs, rows, f"D{prefix}", documents) for _ in PARTS]
        print(json.dumps([one / documents for one in seconds]), flush=True)


def _day(engine: Any, jobs: Any, rows: Any, prefix: str, documents: int) -> float:
    """CPU seconds that the ledger takes for a job over so many invoices."""
    from clearfacts_assets.invoices.lifecycle import Event, State
    from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger

    settlement = _settlement()
    run_id, ledger = uuid4(), SqlDeliveryLedger(engine)
    _write(jobs, rows, run_id, prefix, documents)
    candidates = [list(batch) for batch in rows.batches_to_deliver(run_id, BATCH)]
    begun = cpu()
    for batch in candidates:
        answers = ledger.register(run_id, "clearfacts", batch)
        ready = [one.delivery.id for one in answers if one.delivery.state is State.READY]
        for first in range(0, len(ready), TOGETHER):
            claimed = ledger.claim(run_id, ready[first : first + TOGETHER], 120.0, "rest")
            ledger.settle(
                [settlement(one.id, one.fence, (Event.ACCEPTED,), document_id=str(one.id)) for one in claimed]
            )
    return cpu() - begun


def _settlement() -> Any:
    try:
        from clearfacts_assets.invoices.ledger.model import Settlement
    except ImportError:  # where it stood before
        from clearfacts_assets.invoices import ports

        return ports.Settlement  # type: ignore[attr-defined]
    return Settlement


def _write(jobs: Any, rows: Any, run_id: Any, prefix: str, documents: int) -> None:
    from clearfacts_assets.invoices.model import Decision, Report, SourceDocument
    from clearfacts_assets.invoices.validation.ubl import parse, read_invoice
    from clearfacts_assets_tests.faults.papers import Paper

    now = datetime.now(UTC)
    jobs.begin(run_id, job_type="manual", partition_key=None, correlation_id=None, details={}, now=now)
    papers = [Paper(f"{prefix}-{number}", f"{prefix}-{number}") for number in range(documents)]
    for first in range(0, documents, BATCH):
        page = [SourceDocument(paper.erp_id, now, paper.content) for paper in papers[first : first + BATCH]]
        rows.store(run_id, page, now=now, skip_delivered=False)
    for batch in rows.batches_to_validate(run_id, BATCH):
        heads = [(row.id, len(row.content), read_invoice(parse(row.content).root)) for row in batch]
        reports = [(one, Report("", size, "none", head, Decision.ACCEPT, (), (), 0.0), {}) for one, size, head in heads]
        rows.record_reports(run_id, [(one, report, more) for one, report, more in reports], now=now)


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
        return sum(self.last.values())

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
    print(f"{'CPU of a document':24}" + "".join(f"{name:>24}" for name in (*codes, "times")))
    for part in PARTS:
        columns = [[1e6 * one for one in told[name][part][1:]] for name in codes]
        figures = [f"{Spread.of(column):.0f} us" for column in columns]
        print(f"{part:24}" + "".join(f"{one:>24}" for one in (*figures, f"{ratio(*columns):.2f}")))


def _noting(code: Code, told: dict[str, list[float]]) -> Callable[[], float]:
    def turn() -> float:
        seconds = code.turn()
        for part, one in code.last.items():
            told[part].append(one)
        return seconds

    return turn


if __name__ == "__main__":
    main()

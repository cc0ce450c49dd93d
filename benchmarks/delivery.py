"""How fast invoices are delivered, against what latency and connections allow.

``make bench-delivery ARGS="--invoices 2000 --latency-ms 50 --connections 16 --grow"``: a real simulator over HTTP, a
real ledger in a SQLite file. The ideal is connections / latency; both are of the same run. ``--grow`` adds the cost
of an invoice at 500, 5,000 and 50,000. Memory is this process' peak. ``--day N`` runs a whole day of N invoices through
all four assets instead (benchmarks/delivery_day.py); several may be given.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import delivery_day
from sqlalchemy import Engine

from clearfacts_assets.invoices.delivery import deliver
from clearfacts_assets.invoices.destinations.clearfacts_rest import ClearfactsRest
from clearfacts_assets.invoices.model import Decision, InvoiceStatus, Report, SourceDocument
from clearfacts_assets.invoices.outcomes import Pace
from clearfacts_assets.invoices.ubl import parse, read_invoice
from clearfacts_assets.storage import migrate
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets.storage.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices import InvoiceRepository
from clearfacts_assets.storage.jobs import JobRepository
from clearfacts_assets_tests.faults.papers import Paper
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

BATCH = 200
GROWTH = (500, 5_000, 50_000)


@dataclass(frozen=True)
class Measured:
    """Seconds of each part of a pass over a day's invoices."""

    invoices: int
    store: float
    record: float
    deliver: float
    statuses: Counter[str]


def batches(count: int, prefix: str) -> Iterator[list[SourceDocument]]:
    now = datetime.now(UTC)
    for start in range(0, count, BATCH):
        yield [
            SourceDocument(f"{prefix}-{number:06}", now, Paper("", f"{prefix}-{number:06}").content)
            for number in range(start, min(start + BATCH, count))
        ]


def one_pass(engine: Engine, simulator: RunningSimulator, count: int, prefix: str, connections: int) -> Measured:
    """A job over ``count`` invoices: stored, accepted without validation, delivered, recorded."""
    jobs, rows, job_id = JobRepository(engine), InvoiceRepository(engine), uuid4()
    jobs.begin(job_id, job_type="manual", partition_key=None, correlation_id=None, details={}, now=datetime.now(UTC))
    started = time.perf_counter()
    for page in batches(count, prefix):
        rows.store(job_id, page, now=datetime.now(UTC))
    stored = time.perf_counter()
    for batch in rows.batches_to_validate(job_id, BATCH):
        reports = [(row.id, _accepted(row.content), {}) for row in batch]
        rows.record_reports(job_id, reports, now=datetime.now(UTC))
    recorded = time.perf_counter()
    _deliver(engine, rows, job_id, simulator, connections)
    delivered = time.perf_counter()
    counts = jobs.counts(job_id)
    statuses = Counter({InvoiceStatus.SENT.value: counts.sent, InvoiceStatus.DUPLICATE.value: counts.duplicates})
    return Measured(count, stored - started, recorded - stored, delivered - recorded, statuses)


def _deliver(
    engine: Engine, rows: InvoiceRepository, job_id: UUID, simulator: RunningSimulator, connections: int
) -> None:
    destination = ClearfactsRest(simulator.clearfacts_url, simulator.clearfacts_token, connections=connections)
    for results in deliver(
        rows.batches_to_deliver(job_id, BATCH),
        ledger=SqlDeliveryLedger(engine),
        destination=destination,
        run_id=job_id,
        pace=Pace(concurrency=connections),
    ):
        rows.record_results(job_id, results, now=datetime.now(UTC))
    destination.close()


def _accepted(content: bytes) -> Report:
    head = read_invoice(parse(content).root)
    return Report("", len(content), "none", head, Decision.ACCEPT, (), (), 0.0)


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(title: str, measured: Measured) -> None:
    per = 1000 / measured.invoices
    print(
        f"{title:<28} {measured.invoices:>7,} invoices  store {measured.store * per:6.2f}  record "
        f"{measured.record * per:6.2f}  deliver {measured.deliver * per:6.2f} ms each   "
        f"{measured.invoices / measured.deliver:7.0f} delivered/s   peak {peak_megabytes():5.0f} MB   "
        f"{dict(measured.statuses)}",
        flush=True,
    )


def beside_the_ideal(reached: float, latency_ms: float, connections: int) -> str:
    """What was reached, in invoices a second, of what so many connections could; without latency there is no bound."""
    if latency_ms <= 0:
        return f"without latency nothing bounds {connections} connections: reached {reached:.0f}/s"
    ideal = connections / (latency_ms / 1000)
    return (
        f"ideal {ideal:.0f}/s at {latency_ms:g} ms and {connections} connections: reached {reached / ideal:.2f} of it"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=2000)
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--grow", action="store_true", help="the cost of an invoice at 500, 5,000 and 50,000")
    parser.add_argument("--day", type=int, action="append", help="a day of so many invoices through all four assets")
    asked = parser.parse_args(arguments)
    if asked.day:
        for count in asked.day:
            delivery_day.show(count, delivery_day.one_day(count, asked.latency_ms, asked.connections))
        return
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'bench.db'}"
        migrate.upgrade(url)
        engine, simulator = open_engine(url), RunningSimulator()
        try:
            measure(engine, simulator, asked)
        finally:
            simulator.stop()
            engine.dispose()


def measure(engine: Engine, simulator: RunningSimulator, asked: argparse.Namespace) -> None:
    simulator.reset(latency_ms=asked.latency_ms)
    first = one_pass(engine, simulator, asked.invoices, "A", asked.connections)
    show("first pass", first)
    again = one_pass(engine, simulator, asked.invoices, "A", asked.connections)
    show("the same day again", again)
    whole = (again.store + again.record + again.deliver) / (first.store + first.record + first.deliver)
    print(beside_the_ideal(asked.invoices / first.deliver, asked.latency_ms, asked.connections))
    print(f"a rerun of a delivered day costs {whole:.3f} of the first pass")
    if asked.grow:
        for count in GROWTH:
            simulator.reset(latency_ms=0)
            show("without latency", one_pass(engine, simulator, count, f"G{count}", asked.connections))


if __name__ == "__main__":
    main()

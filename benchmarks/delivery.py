"""How fast invoices are delivered, beside bare httpx that posts the same documents to the same simulator by turns.

    make bench-delivery                                       1,000 invoices a turn, 50 ms away, 16 connections
    make bench-delivery ARGS="--connections 64 --latency-ms 0 --invoices 2000 --turns 7"
    make bench-delivery ARGS=--grow                           the cost of an invoice at 500, 5,000 and 50,000
    make bench-delivery ARGS="--day 10000 --day 50000"        whole days through all four assets (delivery_day.py)

A real simulator over HTTP, a real ledger in a SQLite file whose commits reach the disk (TMPDIR says which). Bare httpx
is what our client is built on, in the same version: as many threads as connections, a client each, kept open; the same
documents as JSON of the same members over HTTP/1.1; every answer read whole, its status looked at; no ledger, and all
connections from the first moment on. Ours includes reading the rows, registering them and recording what came of each.
The clients of both are made before. CPU is this process'. Memory is its peak.
"""

from __future__ import annotations

import argparse
import base64
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import delivery_day
import httpx
from interleaved import Spread, by_turns, cpu, ratio
from sqlalchemy import Engine

from clearfacts_assets.invoices.delivery.job import DeliveryJob
from clearfacts_assets.invoices.delivery.outcomes import Pace
from clearfacts_assets.invoices.delivery.sending import deliver
from clearfacts_assets.invoices.destinations import DestinationOptions
from clearfacts_assets.invoices.destinations.clearfacts_rest import ClearfactsRest
from clearfacts_assets.invoices.model import Decision, InvoiceStatus, Report, SourceDocument
from clearfacts_assets.invoices.validation.head import read_invoice
from clearfacts_assets.invoices.validation.ubl import parse
from clearfacts_assets.storage import migrate
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets_tests.faults.papers import RECEIVER, Paper
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
    cpu: float  # of the delivery
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
    store, record = written(jobs, rows, job_id, batches(count, prefix))
    destination = ClearfactsRest(
        DestinationOptions(base_url=simulator.clearfacts_url, token=simulator.clearfacts_token, connections=connections)
    )
    started, before = time.perf_counter(), cpu()
    _deliver(engine, rows, job_id, destination, connections)
    delivered, used = time.perf_counter(), cpu() - before
    destination.close()
    counts = jobs.counts(job_id)
    statuses = Counter({InvoiceStatus.SENT.value: counts.sent, InvoiceStatus.DUPLICATE.value: counts.duplicates})
    return Measured(count, store, record, delivered - started, used, statuses)


def written(
    jobs: JobRepository, rows: InvoiceRepository, job_id: UUID, pages: Iterable[list[SourceDocument]]
) -> tuple[float, float]:
    """A job whose documents are stored and accepted without validation. Returns the seconds of both."""
    jobs.begin(job_id, job_type="manual", partition_key=None, correlation_id=None, details={}, now=datetime.now(UTC))
    started = time.perf_counter()
    for page in pages:
        rows.store(job_id, page, now=datetime.now(UTC))
    stored = time.perf_counter()
    for batch in rows.batches_to_validate(job_id, BATCH):
        reports = [(row.id, _accepted(row.content), {}) for row in batch]
        rows.record_reports(job_id, reports, now=datetime.now(UTC))
    return stored - started, time.perf_counter() - stored


def bare(simulator: RunningSimulator, count: int, prefix: str, connections: int) -> float:
    """Seconds in which httpx alone posts the same documents."""
    documents = [document for page in batches(count, prefix) for document in page]
    address = f"{simulator.clearfacts_url}/invoices"
    headers = {"Authorization": f"Bearer {simulator.clearfacts_token}"}
    clients = [httpx.Client(headers=headers, timeout=60, verify=False, trust_env=False) for _ in range(connections)]

    def post(number: int) -> None:
        for one in documents[number::connections]:
            content = {
                "administration": RECEIVER,
                "invoice_type": "PURCHASE",
                "file_name": f"{one.invoice_id}.xml",
                "content": base64.b64encode(one.content).decode(),
            }
            answer = clients[number].post(address, json=content, headers={"Idempotency-Key": one.invoice_id})
            assert answer.status_code in (200, 201), answer.text

    with ThreadPoolExecutor(connections) as threads:
        started = time.perf_counter()
        list(threads.map(post, range(connections)))
        seconds = time.perf_counter() - started
    for client in clients:
        client.close()
    return seconds


def _deliver(
    engine: Engine, rows: InvoiceRepository, job_id: UUID, destination: ClearfactsRest, connections: int
) -> None:
    for results in deliver(
        rows.batches_to_deliver(job_id, BATCH),
        ledger=SqlDeliveryLedger(engine),
        destination=destination,
        job=DeliveryJob(job_id),
        pace=Pace(concurrency=connections),
    ):
        rows.record_results(job_id, results, now=datetime.now(UTC))


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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--invoices", type=int, default=1000, help="of each turn")
    parser.add_argument("--turns", type=int, default=5)
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
    first: list[Measured] = []
    again: list[Measured] = []
    numbers = iter(range(10**6))
    used: dict[str, list[float]] = {"bare httpx": [], "ours": []}  # seconds of CPU, an invoice

    def alone() -> float:
        before = cpu()
        seconds = bare(simulator, asked.invoices, f"B{next(numbers)}", asked.connections)
        used["bare httpx"].append((cpu() - before) / asked.invoices)
        return seconds

    def ours() -> float:
        prefix = f"A{next(numbers)}"
        first.append(one_pass(engine, simulator, asked.invoices, prefix, asked.connections))
        used["ours"].append(first[-1].cpu / asked.invoices)
        again.append(one_pass(engine, simulator, asked.invoices, prefix, asked.connections))
        return first[-1].deliver

    seconds = by_turns({"bare httpx": alone, "ours": ours}, asked.turns)
    show("last pass", first[-1])
    show("the same day again", again[-1])
    print(f"{asked.invoices:,} documents a turn, {asked.latency_ms:g} ms away, {asked.connections} connections:")
    for name, column in seconds.items():
        each = Spread.of([1000 * one for one in used[name][1:]])
        rate = Spread.of([asked.invoices / one for one in column])
        print(f"  {name:<12} {rate:.0f} a second, {each:.2f} ms of CPU each")
    print(f"  ours reaches {ratio(seconds['bare httpx'], seconds['ours']):.2f} of bare httpx")
    reruns = ratio([_whole(one) for one in again[1:]], [_whole(one) for one in first[1:]])
    print(f"  a rerun of a delivered day costs {reruns:.3f} of the first pass")
    if asked.grow:
        grow(engine, simulator, asked)


def _whole(measured: Measured) -> float:
    return measured.store + measured.record + measured.deliver


def grow(engine: Engine, simulator: RunningSimulator, asked: argparse.Namespace) -> None:
    simulator.reset(latency_ms=0)
    numbers = iter(range(10**6))

    def one(count: int) -> float:
        measured = one_pass(engine, simulator, count, f"G{next(numbers)}", asked.connections)
        show("without latency", measured)
        return measured.deliver / count

    seconds = by_turns({f"{count:,}": lambda c=count: one(c) for count in GROWTH}, 3, warm=False)
    smallest = seconds[f"{GROWTH[0]:,}"]
    for name, column in seconds.items():
        each = Spread.of([1000 * one for one in column])
        print(f"  of {name} invoices, one costs {each:.2f} ms: {ratio(column, smallest):.2f} times one of {GROWTH[0]}")


if __name__ == "__main__":
    main()

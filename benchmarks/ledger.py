"""How many deliveries the ledger alone claims and settles, on SQLite and PostgreSQL by turns.

    make bench-ledger                           2,000 a turn, 1 at a time and 16 together
    make bench-ledger ARGS="--deliveries 5000 --together 1 --together 64"

A claim and its settlement are a transaction each, for one delivery or for as many as are ready together. Each commit
reaches the disk (PostgreSQL runs with fsync). CPU is this process'; PostgreSQL's own is not in it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

from delivery import batches, written
from interleaved import Spread, by_turns, cpu, wall
from sqlalchemy import Engine

from clearfacts_assets.invoices.lifecycle import Event
from clearfacts_assets.invoices.ports import Settlement
from clearfacts_assets.storage import migrate
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets.storage.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices import InvoiceRepository
from clearfacts_assets.storage.jobs import JobRepository
from clearfacts_assets_tests.fixtures.databases import PostgresServer

LEASE = 120.0
PREFIXES = (f"L{number}" for number in count())


@contextmanager
def databases() -> Iterator[dict[str, Engine]]:
    server = PostgresServer.create(durable=True)
    with tempfile.TemporaryDirectory() as folder:
        urls = {"sqlite": f"sqlite:///{Path(folder) / 'bench.db'}", "postgresql": server.fresh()}
        for url in urls.values():
            migrate.upgrade(url)
        engines = {name: open_engine(url) for name, url in urls.items()}
        try:
            yield engines
        finally:
            for engine in engines.values():
                engine.dispose()
            server.remove()


def registered(engine: Engine, deliveries: int) -> tuple[UUID, list[UUID]]:
    """A run, and so many new deliveries that it may claim."""
    jobs, rows, run_id = JobRepository(engine), InvoiceRepository(engine), uuid4()
    written(jobs, rows, run_id, batches(deliveries, next(PREFIXES)))
    ledger, ids = SqlDeliveryLedger(engine), []
    for batch in rows.batches_to_deliver(run_id, 200):
        ids += [one.delivery.id for one in ledger.register(run_id, "clearfacts", batch)]
    return run_id, ids


def settled(engine: Engine, run_id: UUID, ids: list[UUID], together: int) -> None:
    ledger = SqlDeliveryLedger(engine)
    for first in range(0, len(ids), together):
        claimed = ledger.claim(run_id, ids[first : first + together], LEASE, "rest")
        ledger.settle([Settlement(one.id, one.fence, (Event.ACCEPTED,), document_id=str(one.id)) for one in claimed])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deliveries", type=int, default=2000, help="of each turn")
    parser.add_argument("--together", type=int, action="append", help="claimed and settled in one transaction each")
    parser.add_argument("--turns", type=int, default=5)
    asked = parser.parse_args()
    used: dict[str, list[float]] = {}

    def turn(name: str, engine: Engine, together: int) -> float:
        run_id, ids = registered(engine, asked.deliveries)
        before, begun = cpu(), wall()
        settled(engine, run_id, ids, together)
        used.setdefault(name, []).append(asked.deliveries / (cpu() - before))
        return (wall() - begun) / asked.deliveries

    with databases() as engines:
        works = {
            f"{kind}, {together} together": lambda e=engine, t=together, n=f"{kind}, {together} together": turn(n, e, t)
            for together in asked.together or [1, 16]
            for kind, engine in engines.items()
        }
        seconds = by_turns(works, asked.turns)
    print(f"{'claimed and settled':28}{'a second and core':>28}{'a second on the clock':>28}")
    for name, column in seconds.items():
        clock, core = Spread.of([1 / one for one in column]), Spread.of(used[name][1:])
        print(f"{name:28}{f'{core:,.0f}':>28}{f'{clock:,.0f}':>28}")


if __name__ == "__main__":
    main()

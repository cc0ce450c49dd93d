"""How many deliveries the ledger alone claims and settles, on SQLite and PostgreSQL by turns.

    make bench-ledger                           2,000 a turn, 1 at a time and 16 together
    make bench-ledger ARGS="--deliveries 5000 --together 1 --together 64"
    make bench-ledger ARGS="--documents 10000000 --database sqlite"     what is due, among ten million delivered ones

A claim and its settlement are a transaction each, for one delivery or for as many as are ready together. Each commit
reaches the disk (PostgreSQL runs with fsync). CPU is this process'; PostgreSQL's own is not in it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from delivery import batches, written
from interleaved import Spread, by_turns, cpu, wall
from sqlalchemy import Engine, event, text

from clearfacts_assets.invoices.ledger.model import Settlement
from clearfacts_assets.invoices.lifecycle import Event
from clearfacts_assets.storage import migrate
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets.storage.invoices.review_queue import days_due
from clearfacts_assets_tests.fixtures.databases import PostgresServer

KINDS = ("sqlite", "postgresql")
LEASE = 120.0
PREFIXES = (f"L{number}" for number in count())


@contextmanager
def databases(kinds: Sequence[str] = KINDS) -> Iterator[dict[str, Engine]]:
    server = PostgresServer.create(durable=True) if "postgresql" in kinds else None
    with tempfile.TemporaryDirectory() as folder:
        urls = {"sqlite": f"sqlite:///{Path(folder) / 'bench.db'}"} if "sqlite" in kinds else {}
        if server is not None:
            urls["postgresql"] = server.fresh()
        for url in urls.values():
            migrate.upgrade(url)
        engines = {name: open_engine(url) for name, url in urls.items()}
        try:
            yield engines
        finally:
            for engine in engines.values():
                engine.dispose()
            if server is not None:
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


def delivered(engine: Engine, documents: int) -> None:
    """So many delivered documents, written by the database itself."""
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
        if engine.dialect.name == "sqlite"
        else "WITH n(i) AS (SELECT generate_series(1, :count))"
    )
    identifier = "printf('%032x', i)" if engine.dialect.name == "sqlite" else "lpad(to_hex(i), 32, '0')::uuid"
    digest = "printf('%064x', i)" if engine.dialect.name == "sqlite" else "lpad(to_hex(i), 64, '0')"
    columns = "id, key_digest, revision, destination, receiver, supplier, document_type, number, issue_year"
    more = "content_sha256, state, generation, attempts, fence, created_at, updated_at, delivered_at, day"
    with engine.begin() as connection:
        connection.execute(
            text(
                f"INSERT INTO deliveries ({columns}, {more}) {numbers} SELECT {identifier}, {digest}, 1, 'clearfacts', "
                f"'BE0123456749', 'BE0987654394', 'invoice', 'N-' || i, 2026, {digest}, 'delivered', 1, 0, 1, "
                "CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, '2026-11-19' FROM n"
            ),
            {"count": documents},
        )
    if engine.dialect.name == "postgresql":  # which does it by itself; SQLite never does
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (ANALYZE)"))


def due_among(engines: dict[str, Engine], documents: int, turns: int) -> None:
    """How long it takes to find what is due."""
    for engine in engines.values():
        delivered(engine, documents)
        registered(engine, 100)
        with engine.begin() as connection:
            connection.execute(text("UPDATE deliveries SET day = '2026-11-20' WHERE state = 'ready'"))
    works = {kind: lambda e=engine: _due(e) for kind, engine in engines.items()}
    print(f"what is due, 100 among {documents:,} documents:")
    for kind, column in by_turns(works, turns).items():
        print(f"  {kind:12} {Spread.of([1000 * one for one in column]):.1f} ms")
    for kind, engine in engines.items():
        print(f"how {kind} finds it:")
        print("\n".join(f"  {line}" for line in plans(engine)))


def plans(engine: Engine) -> list[str]:
    """How the database answers what is due, in its own words."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        asked.append((statement, values))

    event.listen(engine, "before_cursor_execute", note)
    _due(engine)
    event.remove(engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN (ANALYZE, COSTS OFF, BUFFERS) "
    lines: list[str] = []
    with engine.connect() as connection:
        for statement, values in asked:
            if " FROM " in statement.replace("\n", " "):  # and not what the time is
                lines += [str(row[-1]) for row in connection.exec_driver_sql(explain + statement, values)]
    return lines


def _due(engine: Engine) -> float:
    begun = wall()
    assert sum(days_due(engine).values()) >= 100
    return wall() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deliveries", type=int, default=2000, help="of each turn")
    parser.add_argument("--together", type=int, action="append", help="claimed and settled in one transaction each")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--database", choices=KINDS, action="append", help="only this one")
    parser.add_argument("--documents", type=int, default=0, help="only: find what is due among so many")
    asked = parser.parse_args()
    if asked.documents:
        with databases(asked.database or KINDS) as engines:
            due_among(engines, asked.documents, asked.turns)
        return
    used: dict[str, list[float]] = {}

    def turn(name: str, engine: Engine, together: int) -> float:
        run_id, ids = registered(engine, asked.deliveries)
        before, begun = cpu(), wall()
        settled(engine, run_id, ids, together)
        used.setdefault(name, []).append(asked.deliveries / (cpu() - before))
        return (wall() - begun) / asked.deliveries

    with databases(asked.database or KINDS) as engines:
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

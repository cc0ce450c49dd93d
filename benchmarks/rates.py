"""How much CPU the rules take over a month of charges, and how that grows; and a month of jobs from sacct.

``make bench-rates`` (ARGS="--rows 10000 100000 --rounds 3"). Every figure is a process of its own, on SQLite. The
rules: a markup, two splits, a pool, two subsidies, and three credits with caps. Beside it stands what the same charges
take to be read and their amounts to be added, which no rule can do without.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chargeback import importing
from benchmarks.chargeback_exports import write_export

NOW = datetime(2025, 4, 1, tzinfo=UTC)
PERIOD = "2025-03"


def rules(url: str) -> None:
    """The rules of the benchmark."""
    from clearfacts_assets.chargeback.rates.definitions import RuleKind
    from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository
    from clearfacts_assets.storage.database import open_engine

    engine = open_engine(url)
    with engine.connect() as connection:
        query = "SELECT project_id FROM cost_attributions WHERE project_id <> '' GROUP BY project_id ORDER BY 1"
        projects = list(connection.exec_driver_sql(query).scalars())
    repository = RuleRepository(engine)
    thirds = [{"fund_org": f"F-{number}", "part": "1/3"} for number in range(3)]
    halves = [{"fund_org": "G-1", "part": "62.5%"}, {"fund_org": "G-2", "part": "37.5%"}]
    said: list[tuple[RuleKind, str, dict[str, Any]]] = [
        (RuleKind.MARKUP, "handling", {"percent": "2.5"}),
        (RuleKind.SPLIT, "thirds", {"scope": {"projects": projects[:5]}, "parts": thirds}),
        (RuleKind.SPLIT, "halves", {"scope": {"projects": projects[5:10]}, "parts": halves}),
        (RuleKind.POOL, "shared", {"scope": {"projects": projects[10:11]}}),
        (RuleKind.SUBSIDY, "dean", {"payer": "Dean", "percent": "20", "scope": {"projects": projects[::2]}}),
        (RuleKind.SUBSIDY, "provost", {"payer": "Provost", "percent": "7.5"}),
        (RuleKind.CREDIT, "cap", {"payer": "Sponsor", "amount": "1000", "currency": "USD", "window": "month"}),
        (RuleKind.CREDIT, "each", {"payer": "Board", "amount": "50", "currency": "USD", "per": "person"}),
        (RuleKind.CREDIT, "paid", {"payer": "prepaid", "amount": "500", "currency": "USD", "prepayment": True}),
    ]
    for kind, name, definition in said:
        repository.add(kind, name, definition, actor="bench", now=NOW)


def running(url: str) -> Any:
    from clearfacts_assets.storage.chargeback.rates.rule_runs import apply_rules
    from clearfacts_assets.storage.database import open_engine

    result = apply_rules(open_engine(url), PERIOD, actor="bench", now=NOW)[0]
    return result.added


def adding(url: str) -> Any:
    from clearfacts_assets.storage.database import open_engine

    total = Decimal(0)
    with open_engine(url).connect() as connection:
        for row in connection.exec_driver_sql("SELECT * FROM charges ORDER BY charge_start, id"):
            total += Decimal(row.amount)
    return str(total)


def write_jobs(file: Path, jobs: int) -> None:
    """What sacct prints of a month: every fifth job with two steps, some with delimiters in their names."""
    chance = random.Random(7)
    with file.open("w", encoding="utf-8") as out:
        out.write(
            "JobID|JobIDRaw|User|Account|Partition|State|Start|End|Elapsed|ElapsedRaw|AllocCPUS|AllocTRES|JobName\n"
        )
        for number in range(jobs):
            cores, seconds = chance.choice((1, 4, 16, 64)), chance.randrange(1, 86_400)
            day, clock = chance.randrange(1, 29), f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
            head = f"{number}|{number}|u{number % 97}|lab{number % 23}|{chance.choice(('cpu', 'gpu'))}|COMPLETED"
            when = f"2025-03-{day:02d}T00:00:00|2025-03-{day:02d}T{clock}|{clock}|{seconds}"
            out.write(
                f"{head}|{when}|{cores}|cpu={cores},mem={cores * 4}G,node=1|run{'|x' if number % 50 == 0 else ''}\n"
            )
            if number % 5 == 0:
                step = f"{when}|{cores}|cpu={cores}"
                out.write(f"{number}.batch|{number}.batch||lab||COMPLETED|{step}|batch\n")
                out.write(f"{number}.0|{number}.0||lab||COMPLETED|{step}|srun\n")


def jobs(file: Path, url: str) -> Any:
    from clearfacts_assets.chargeback.cost_sources.usage import Usage
    from clearfacts_assets.chargeback.ingest.delivery import ingest
    from clearfacts_assets.chargeback.ingest.rules import ReadingRules
    from clearfacts_assets.chargeback.model import Mode
    from clearfacts_assets.chargeback.ports import Delivery
    from clearfacts_assets.chargeback.rates.definitions import RuleKind
    from clearfacts_assets.storage.chargeback.imports import ImportRepository
    from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository
    from clearfacts_assets.storage.chargeback.registry import RegistryRepository
    from clearfacts_assets.storage.database import open_engine

    engine = open_engine(url)
    repository = RuleRepository(engine)
    for partition, price in (("cpu", "0.05"), ("gpu", "0.75")):
        rate = {"service": f"HPC {partition}", "unit": "core-hour", "price": price, "currency": "USD"}
        repository.add(RuleKind.RATE, f"HPC {partition} / internal", rate, actor="bench", now=NOW)
    RegistryRepository(engine).source("slurm", now=NOW)
    read_with = ReadingRules("slurm", usage=Usage("slurm", book=repository.book()))
    delivery = Delivery("slurm", Mode.SNAPSHOT, None, "bench", NOW)
    outcome = ingest([file], delivery, read_with, ImportRepository(engine))
    assert outcome.applied, outcome.why
    return outcome.rows


def _child(work: Callable[..., Any], arguments: tuple[Any, ...], results: Any) -> None:
    import clearfacts_assets.storage.chargeback.imports
    import clearfacts_assets.storage.chargeback.rates.rule_runs  # noqa: F401 - loading code is no part of the work

    started = time.process_time()
    found = work(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.put((time.process_time() - started, peak, found))


def apart(work: Callable[..., Any], *arguments: Any) -> tuple[float, float, Any]:
    """CPU seconds, peak MiB, and the result, in a process of its own."""
    context = get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_child, args=(work, arguments, results))
    process.start()
    found: tuple[float, float, Any] = results.get()
    process.join()
    return found


def bench(rows: int, rounds: int, folder: Path) -> None:
    from clearfacts_assets.storage import migrate

    file, base = folder / f"{rows}.csv", folder / f"{rows}.db"
    write_export(file, rows)
    migrate.upgrade(f"sqlite:///{base}")
    apart(importing, file, f"sqlite:///{base}")
    rules(f"sqlite:///{base}")
    first, again, ratios = list[float](), list[float](), list[float]()
    peak, lines = 0.0, 0
    for number in range(rounds):
        copy = folder / f"{rows}-{number}.db"
        shutil.copy(base, copy)
        url = f"sqlite:///{copy}"
        reading = apart(adding, url)[0]
        seconds, peak, lines = apart(running, url)
        first.append(seconds)
        ratios.append(seconds / reading)
        again.append(apart(running, url)[0])
        copy.unlink()
    middle = statistics.median
    print(
        f"{rows:>9,} charges: {middle(first):6.2f} s CPU ({middle(first) / rows * 1e6:5.1f} µs a charge, "
        f"{middle(ratios):4.1f} times reading them), {lines:,} lines, peak {peak:4.0f} MiB; "
        f"again {middle(again):5.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="clearfacts-bench-"))
    try:
        from clearfacts_assets.storage import migrate

        for rows in options.rows:
            bench(rows, options.rounds, folder)
        if options.jobs:
            file, url = folder / "sacct.txt", f"sqlite:///{folder / 'jobs.db'}"
            write_jobs(file, options.jobs)
            migrate.upgrade(url)
            seconds, peak, rows = apart(jobs, file, url)
            print(f"{rows:>9,} jobs of sacct: {seconds:6.2f} s CPU to import, peak {peak:4.0f} MiB")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

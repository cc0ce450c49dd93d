"""What a scrape of /metrics costs among many invoices, on SQLite and PostgreSQL by turns.

    make bench-metrics                                    a million invoices of a thousand nights
    make bench-metrics ARGS="--invoices 100000 --database sqlite --turns 9"

The database itself writes the rows: as many deliveries and attempts as invoices, a thousand nights' jobs and runs
with their events, as many runs of health checks, and two thousand ticks of each schedule and sensor. Told is the CPU,
of this process and of PostgreSQL's, until all figures are there: the first time, where every collector computes them
anew (which is at most every 15 seconds), each collector by itself, and a scrape between two of those.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
from api import write_runs
from interleaved import Spread, by_turns, timed, wall
from sqlalchemy import Engine, text

from clearfacts_assets.api.metrics import SUPPLIERS
from clearfacts_assets.storage import migrate
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets.telemetry.metrics import Metrics
from clearfacts_assets_tests.fixtures.databases import PostgresServer

KINDS = ("sqlite", "postgresql")
NIGHTS = 1000
FIRST_NIGHT = int(time.time()) // 86400 * 86400 - NIGHTS * 86400  # so that the last one was yesterday's
TICKS = 2000  # that are kept of each schedule and sensor
MOST_SCRAPE_MS = 50.0
REPEATS = 8  # of a turn: the kernel counts CPU in hundredths of a second
# What is said of rows: of each hundred, so many are not as the others.
STATUS = "CASE WHEN i % 100 < 92 THEN 'sent' WHEN i % 100 < 96 THEN 'failed' ELSE 'duplicate' END"
STATE = "CASE WHEN i % 100 < 94 THEN 'delivered' WHEN i % 100 < 98 THEN 'rejected' ELSE 'superseded' END"


class _Words:
    """What the two databases write differently."""

    def __init__(self, kind: str) -> None:
        self.sqlite = kind == "sqlite"

    def numbers(self, last: str) -> str:
        if self.sqlite:
            return f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last})"
        return f"WITH n(i) AS (SELECT generate_series(1, {last}))"

    def identifier(self, number: str) -> str:
        return f"printf('%032x', {number})" if self.sqlite else f"lpad(to_hex({number}), 32, '0')::uuid"

    def digest(self, number: str) -> str:
        return f"printf('%064x', {number})" if self.sqlite else f"lpad(to_hex({number}), 64, '0')"

    def moment(self, seconds: str) -> str:
        """So many seconds after the first night."""
        if self.sqlite:
            return f"strftime('%Y-%m-%d %H:%M:%f000', {FIRST_NIGHT} + {seconds}, 'unixepoch')"
        return f"to_timestamp({FIRST_NIGHT} + {seconds})"

    @property
    def json(self) -> str:
        return "" if self.sqlite else "::jsonb"


def filled(engine: Engine, invoices: int) -> None:
    """So many invoices of a thousand nights, which ended long ago but for a hundred."""
    say, nights = _Words(engine.dialect.name), min(NIGHTS, invoices)
    began = say.moment(f"(i % {nights}) * 86400 + i % 3600")
    ended = say.moment(f"(i % {nights}) * 86400 + i % 3600 + (i % 64) / 8.0")
    night, after = say.moment("i * 86400"), say.moment("(i + 1) * 86400 + 7200")
    noted = '\'{"retrieval": {"pages": 5}}\'' + say.json
    filler = "printf('%0500d', i)" if say.sqlite else "lpad(i::text, 500, '0')"
    statements = (
        f"INSERT INTO jobs (id, job_type, status, started_at, completed_at, metadata, created_at, updated_at, "
        f"partition_key, whole_day) {say.numbers(str(nights))} SELECT {say.identifier('i')}, 'scheduled', 'completed', "
        f"{after}, {after}, {noted}, {after}, {after}, substr(cast({night} as text), 1, 10), true FROM n",
        "INSERT INTO deliveries (id, key_digest, revision, destination, receiver, supplier, document_type, number, "
        f"issue_year, content_sha256, state, generation, attempts, fence, created_at, updated_at, delivered_at, day) "
        f"{say.numbers(str(invoices))} SELECT {say.identifier('i')}, {say.digest('i')}, 1, 'clearfacts', "
        f"'BE0123456749', 'BE0987654394', 'invoice', 'N-' || i, 2026, {say.digest('i')}, {STATE}, 1, 0, 1, {began}, "
        f"{ended}, {ended}, '2026-11-19' FROM n",
        "INSERT INTO invoices (id, job_id, invoice_id, ubl_data, status, processed_at, created_at, updated_at, "
        f"source_updated_at, retrieved_at, content_sha256, delivery_id, number) {say.numbers(str(invoices))} SELECT "
        f"{say.identifier('i')}, {say.identifier(f'1 + i % {nights}')}, 'ERP-' || i, {filler}, {STATUS}, {ended}, "
        f"{began}, {ended}, {began}, {began}, {say.digest('i')}, {say.identifier('i')}, 'N-' || i FROM n",
        "INSERT INTO delivery_attempts (id, delivery_id, fence, generation, content_sha256, transport, started_at, "
        f"finished_at, outcome) {say.numbers(str(invoices))} SELECT {say.identifier('i')}, {say.identifier('i')}, 1, "
        f"1, {say.digest('i')}, 'graphql', {began}, {ended}, CASE WHEN i % 100 < 94 THEN 'accepted' ELSE 'rejected' "
        "END FROM n",
    )
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    if say.sqlite:  # as after a night: else each page is looked for in a log of gigabytes first
        with engine.connect() as connection:
            connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
    if engine.dialect.name == "postgresql":  # which does it by itself
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (ANALYZE)"))


def write_ticks(instance: Any, each: int) -> None:
    """So many ticks of each schedule and sensor that there is."""
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteRepositoryOrigin
    from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, TickData, TickStatus
    from dagster._core.storage.schedules.schema import JobTickTable
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
    from dagster._serdes import serialize_value

    from clearfacts_assets.definitions import defs

    code = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="clearfacts_assets.definitions"))
    repository = RemoteRepositoryOrigin(code, "__repository__")
    known = defs.get_repository_def()
    names = [one.name for one in (*known.schedule_defs, *known.sensor_defs)]
    now, rows = datetime.now(UTC), list[dict[str, Any]]()
    for name in names:
        origin = repository.get_instigator_origin(name)
        state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.DECLARED_IN_CODE)
        instance.add_instigator_state(state)
        told = {"instigator_origin_id": state.instigator_origin_id, "instigator_name": name}
        told |= {"instigator_type": InstigatorType.SENSOR, "selector_id": state.selector_id}
        for number in range(each):
            at = now - timedelta(seconds=30 * number)
            tick = TickData(
                status=TickStatus.SKIPPED, timestamp=at.timestamp(), run_ids=[], skip_reason="nothing to do", **told
            )
            rows.append(
                {"job_origin_id": state.instigator_origin_id, "selector_id": state.selector_id, "status": "SKIPPED"}
                | {"type": "SENSOR", "timestamp": at.replace(tzinfo=None), "tick_body": serialize_value(tick)}
            )
    with instance.schedule_storage.connect() as connection:
        connection.execute(JobTickTable.insert(), rows)


@contextmanager
def databases(kinds: Sequence[str], invoices: int) -> Iterator[dict[str, tuple[Engine, dg.DagsterInstance]]]:
    """Ours and Dagster's, full."""
    with ExitStack() as held:
        found: dict[str, tuple[Engine, dg.DagsterInstance]] = {}
        for kind in kinds:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
            url, storage = f"sqlite:///{folder / 'bench.db'}", "telemetry: {enabled: false}\n"
            if kind == "postgresql":
                server = PostgresServer.create()
                held.callback(server.remove)
                url, dagsters = server.fresh(), server.fresh().replace("+psycopg", "")
                storage += f"storage: {{postgres: {{postgres_url: '{dagsters}'}}}}\n"
            migrate.upgrade(url)
            engine = open_engine(url)
            held.callback(engine.dispose)
            began = wall()
            filled(engine, invoices)
            (folder / "dagster.yaml").write_text(storage, encoding="utf-8")
            instance = held.enter_context(dg.DagsterInstance.from_config(str(folder)))
            instance.optimize_for_webserver(statement_timeout=5000, pool_recycle=3600, max_overflow=20)  # as `serve`
            write_runs(instance, 2 * NIGHTS)
            write_ticks(instance, TICKS)
            print(f"{kind}: {invoices:,} invoices, {wall() - began:.0f} s to write them", flush=True)
            found[kind] = engine, instance
        yield found


def computing(engine: Engine, instance: dg.DagsterInstance) -> Callable[[], bytes]:
    """All figures, computed anew by everybody."""

    def scrape() -> bytes:
        suppliers = [lambda one=one: one(engine, instance) for one in SUPPLIERS]
        return Metrics(disk=Path.cwd(), suppliers=suppliers).exposition()

    return scrape


def used() -> float:
    """CPU seconds of this process and of the servers that it started."""
    total = 0.0
    for one in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def told(name: str, seconds: list[float]) -> float:
    spread = Spread.of([1000 * one for one in seconds])
    print(f"  {name:44} {spread:.1f} ms", flush=True)
    return spread.median


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--invoices", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--database", choices=KINDS, action="append", help="only this one")
    asked = parser.parse_args()
    with databases(asked.database or KINDS, asked.invoices) as found:
        for kind, one in found.items():
            first = timed(lambda one=one: [list(supplier(*one)) for supplier in SUPPLIERS], clock=used)  # to its end
            print(f"  {f'{kind}: the first time':44} {1000 * first():.0f} ms", flush=True)
        works: dict[str, Callable[[], Any]] = {}
        for kind, (engine, instance) in found.items():
            works[f"{kind}: a scrape that computes all"] = computing(engine, instance)
            suppliers = [lambda one=one, e=engine, i=instance: one(e, i) for one in SUPPLIERS]
            works[f"{kind}: a scrape between two of these"] = Metrics(disk=Path.cwd(), suppliers=suppliers).exposition
            for supplier, one in zip(SUPPLIERS, suppliers, strict=True):
                works[f"{kind}:   {supplier.__name__}"] = lambda one=one: list(one())
        seconds = by_turns(
            {name: timed(work, repeats=REPEATS, clock=used) for name, work in works.items()}, asked.turns
        )
        medians = {name: told(name, column) for name, column in seconds.items()}
        series = {kind: computing(*one)().count(b"\n") for kind, one in found.items()}
    print(", ".join(f"{kind}: {lines} lines" for kind, lines in series.items()))
    return int(any(medians[f"{kind}: a scrape that computes all"] > MOST_SCRAPE_MS for kind in found))


if __name__ == "__main__":
    raise SystemExit(main())

"""How long somebody waits for a page of charges and for a period's totals over the API, among so many charges.

``make bench-chargeback_api ARGS="--rows 1000000"``: our application over SQLite with a month of charges, asked over
HTTP by an operator and by a user who is bound to one investigator. Medians of the rounds: CPU of this process, which is
server and client, and the wall's time, which is other people's work too.
``--database FILE`` asks one that was filled before. Exit code 1 where a page or
a sum takes more than MOST_MS of CPU.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if TYPE_CHECKING:
    from clearfacts_assets_tests.fixtures.api import RunningApi

MOST_MS = 100
ROUNDS = 15
BASE = "/api/v1/chargeback"
PERSON = "pi007@lab7.example.edu"
MONTH = {"period": "2025-03"}
LOOKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a page of charges": ("operator", "/charges", MONTH),
    "200 charges": ("operator", "/charges", {**MONTH, "limit": 200}),
    "a page in the middle": ("operator", "/charges", {**MONTH, "cursor": "500000"}),
    "a page of one investigator": ("operator", "/charges", {**MONTH, "pi_email": PERSON}),
    "a page of what waits": ("operator", "/review", MONTH),
    "totals of a period": ("operator", "/periods/2025-03", {}),
    "reconcile": ("operator", "/reconcile/2025-03", {}),
    "own charges": ("bound", "/charges", {}),
    "own charges of a month": ("bound", "/charges", MONTH),
    "own totals": ("bound", "/periods/2025-03", {}),
}


def filled(rows: int, folder: Path) -> Path:
    from benchmarks.chargeback import importing
    from benchmarks.chargeback_exports import write_export
    from clearfacts_assets.storage import migrate

    database = folder / "clearfacts.db"
    write_export(folder / "export.csv", rows)
    migrate.upgrade(f"sqlite:///{database}")
    importing(folder / "export.csv", f"sqlite:///{database}")
    return database


@contextmanager
def served(database: Path) -> Iterator[RunningApi]:
    """Our application over this database."""
    from dagster._core.remote_origin import InProcessCodeLocationOrigin
    from dagster._core.test_utils import instance_for_test
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget

    from clearfacts_assets.api.dagster_gateway import LOCATION
    from clearfacts_assets.storage import migrate
    from clearfacts_assets_tests.fixtures.api import RunningApi

    os.environ["CLEARFACTS_HOME"] = str(database.parent)
    migrate.upgrade(f"sqlite:///{database}")
    target = LoadableTargetOrigin(module_name="clearfacts_assets.definitions", executable_path=sys.executable)
    origin = InProcessCodeLocationOrigin(target, location_name=LOCATION)
    with (
        instance_for_test() as instance,
        WorkspaceProcessContext(
            instance, InProcessWorkspaceLoadTarget(origin), version="", read_only=False
        ) as workspace,
    ):
        api = RunningApi(workspace, f"sqlite:///{database}")
        yield api
        api.close()


def ask(
    database: Path,
    looks: dict[str, tuple[str, str, dict[str, Any]]] = LOOKS,
    base: str = BASE,
    sizes: dict[str, int] | None = None,
    first: dict[str, list[tuple[float, float]]] | None = None,
    rounds: int = ROUNDS,
) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds of CPU and of the wall's time for each round of each look; how large its answer is, in ``sizes``;
    the same two until its first byte, in ``first``."""
    import httpx

    from clearfacts_assets_tests.fixtures.callers import TEST

    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in looks}
    with served(database) as api:
        bound = api.callers.user("user", "bound")
        api.callers.users.change(bound.id, investigator=PERSON, actor=TEST, now=datetime.now(UTC))
        clients = {"operator": api.client(None), "bound": api.client(None)}
        clients["operator"].headers.update(api.callers.cookie("operator"))  # a session outlives slow rounds
        clients["bound"].headers.update(api.callers.cookie_of(bound))
        for number in range(rounds + 1):
            for name, (who, path, query) in looks.items():
                started, worked = time.perf_counter(), time.process_time()
                asked = clients[who].build_request("GET", base + path, params=query)
                answer: httpx.Response = clients[who].send(asked, stream=True)  # comes back with the first byte
                began = (time.process_time() - worked, time.perf_counter() - started)
                answer.read()
                seconds = (time.process_time() - worked, time.perf_counter() - started)
                assert answer.status_code == 200, answer.text
                if sizes is not None:
                    sizes[name] = len(answer.content)
                if number:  # the first round only warms
                    taken[name].append((seconds[0] * 1000, seconds[1] * 1000))
                if number and first is not None:
                    first.setdefault(name, []).append((began[0] * 1000, began[1] * 1000))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", type=Path, help="filled before, with the month 2025-03")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clearfacts-bench-") as folder:
        taken = ask(options.database or filled(options.rows, Path(folder)))
    worked = {name: statistics.median(cpu for cpu, _ in found) for name, found in taken.items()}
    for name, found in taken.items():
        print(f"{name:28} CPU {worked[name]:6.1f} ms   wall {statistics.median(wall for _, wall in found):7.1f} ms")
    slow = [name for name, cpu in worked.items() if cpu > MOST_MS and name != "reconcile"]
    if slow:
        sys.exit(f"above {MOST_MS} ms: {', '.join(slow)}")


if __name__ == "__main__":
    main()

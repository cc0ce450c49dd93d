"""A night with Clearfacts away, recorded: ``python observability/night.py --minutes 27 --into build/night``.

The demo runs as it is shipped, with Prometheus, AlertManager and a collector of traces beside it, and nothing of it is
made quicker: the rules' patience and the sensors' waits are those of an installation. One day is processed well. Then
Clearfacts goes away for so many minutes, and the next day is due. When it is back, what is left is delivered by itself.
All that was seen from outside is kept: ``pictures.py`` draws it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import observe
from dashboards import DASHBOARDS

from clearfacts_assets.api.dagster_gateway import PasswordLogin
from clearfacts_assets_tests.fixtures.collector import ListeningCollector, listening

PORT, PROMETHEUS, ALERTMANAGER = 3300, 19090, 19093
STEP_SECONDS = 15
PATIENCE = 3600.0  # for what must come at last
BEFORE, AFTER = 240.0, 300.0  # seconds that are recorded before it goes and after all is well again


@contextmanager
def demo(home: Path, day: date, collector: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The demo, after it has processed its day: its admin's password, and where its simulator is."""
    environment = os.environ | {
        "CLEARFACTS_HOME": str(home),
        "CLEARFACTS_LOG_FORMAT": "json",
        "CLEARFACTS_SERVE__PUBLIC_METRICS": "true",
        "CLEARFACTS_TRACES__ENDPOINT": collector,
        "COLUMNS": "300",
    }
    command = [Path(sys.executable).parent / "clearfacts", "demo"]
    options = ["--port", str(PORT), "--per-day", "60", "--date", day.isoformat()]
    process = subprocess.Popen([*command, *options], env=environment, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    assert process.stdout is not None  # noqa: S101 - asked for above
    try:
        for line in process.stdout:
            say(f"demo: {line.rstrip()}")
            if found := re.search(r"with password (\S+)", line):
                simulator = json.loads((home / "logs" / "simulator.log").read_text().partition("\n")[0])
                yield found[1], simulator
                break
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(120)


class Night:
    """What is asked of the running installation."""

    def __init__(self, client: httpx.Client, simulator: httpx.Client) -> None:
        self.client, self.simulator = client, simulator
        self.moments: dict[str, float] = {}

    def note(self, what: str) -> None:
        self.moments[what] = time.time()
        say(what)

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get("/api/v1/jobs").json()["data"]["items"]
        return found

    def spend(self, seconds: float, until: Callable[[], Any] = lambda: False) -> bool:
        """Look at things as people do, so long or until something is so."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError, KeyError, ValueError):
                self.client.get("/api/v1/invoices/history")
                self.client.get("/api/v1/admin/health")
                self.client.get("/api/v1/chargeback/periods")
                if until():
                    return True
            time.sleep(5)
        return False

    def waiting(self) -> float:
        """Deliveries that should leave and did not."""
        with httpx.Client(trust_env=False) as prometheus:
            query = 'sum(max by (state) (invoice_deliveries{state=~"ready|waiting|sending|unknown"}))'
            answer = prometheus.get(f"http://127.0.0.1:{PROMETHEUS}/api/v1/query", params={"query": query}).json()
        return float(answer["data"]["result"][0]["value"][1])


def record(night: Night, day: date, minutes: float) -> None:
    """The night itself."""
    night.note("a good day was processed")
    night.spend(BEFORE)
    known = len(night.jobs())
    night.simulator.post("/faults", json={"target": "clearfacts", "kind": "down", "times": 10**6})
    night.note("Clearfacts goes away")
    if not night.spend(30, lambda: len(night.jobs()) > known):
        night.client.post("/api/v1/invoices/process", json={"date": day.isoformat()}).raise_for_status()
        night.note("the next day is asked for")
    night.spend(minutes * 60 - 30)
    night.simulator.delete("/faults")
    night.note("Clearfacts is back")
    night.spend(PATIENCE, lambda: night.waiting() == 0)
    night.note("nothing waits any more")
    night.spend(AFTER)


def asked(begun: float) -> dict[str, Any]:
    """What Prometheus remembers of all panels and of the alerts."""
    queries = {f"{title}: {one.title}": one for title, panels in DASHBOARDS.items() for one in panels}
    found: dict[str, Any] = {}
    span = {"start": str(begun), "end": str(time.time()), "step": str(STEP_SECONDS)}
    with httpx.Client(base_url=f"http://127.0.0.1:{PROMETHEUS}", trust_env=False, timeout=120) as prometheus:

        def series(query: str) -> list[Any]:
            told = prometheus.get("/api/v1/query_range", params={"query": query, **span}).raise_for_status().json()
            return list(told["data"]["result"])

        for name, panel in queries.items():
            found[name] = {query: series(query) for query in panel.queries}
        found["alerts"] = series("ALERTS")
    return found


def logged(home: Path) -> dict[str, list[str]]:
    """The last lines of each process."""
    files = [one for one in (home / "logs").glob("*.log") if one.name != "simulator.log"]
    return {one.stem: one.read_text(encoding="utf-8", errors="replace").splitlines()[-5000:] for one in files}


def kept(into: Path, begun: float, night: Night, home: Path, collector: ListeningCollector) -> None:
    told = {
        "begun": begun,
        "ended": time.time(),
        "moments": night.moments,
        "series": asked(begun),
        "slack": night.simulator.get("/slack").json()["messages"],
        "jobs": night.jobs(),
        "spans": [asdict(one) for one in collector.spans],
        "logs": logged(home),
    }
    (into / "night.json").write_text(json.dumps(told), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="for which Clearfacts is away")
    parser.add_argument("--into", type=Path, default=Path("build/night"), help="a folder that is empty or not there")
    given = parser.parse_args()
    into = given.into.resolve()
    home = into / "home"
    home.mkdir(parents=True)
    today = datetime.now(UTC).date()
    with listening() as collector, demo(home, today - timedelta(days=2), collector.url) as (password, simulator):
        environment, begun = simulator["environment"], time.time()
        slack = f"{environment['CLEARFACTS_SLACK__BASE_URL']}chat.postMessage"
        observe.route_to(into, slack=slack, token=environment["CLEARFACTS_SLACK__TOKEN"])
        observe.configure(into, target=f"127.0.0.1:{PORT}", alertmanager=f"127.0.0.1:{ALERTMANAGER}")
        running = [observe.start_alertmanager(into, ALERTMANAGER), observe.start_prometheus(into, PROMETHEUS)]
        address = f"http://127.0.0.1:{PORT}"
        with (
            httpx.Client(base_url=address, timeout=120, trust_env=False) as client,
            httpx.Client(base_url=f"{simulator['url']}/simulator", timeout=120, trust_env=False) as control,
        ):
            client.auth = PasswordLogin(address, "demo", password)
            night = Night(client, control)
            try:
                record(night, today - timedelta(days=1), given.minutes)
            finally:
                kept(into, begun, night, home, collector)
                for process in running:
                    process.terminate()
                    process.wait()


def say(text: str) -> None:
    sys.stdout.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

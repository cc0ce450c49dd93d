"""How long somebody waits for a page of the desk, and how heavy it is, among so many charges.

``make bench-desk ARGS="--rows 1000000"``: as ``bench-chargeback_api``; ``--database FILE`` asks one that was filled
before. Medians of the rounds: CPU of this process, which is server and client, and the wall's time until the whole page
is there, which is other people's work too. Exit code 1 where a page takes more than MOST_MS of CPU, or has more than
MOST_BYTES.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chargeback_api import MONTH, MOST_MS, PERSON, ask, filled

MOST_BYTES = 150_000
LOOKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "dashboard": ("operator", "", MONTH),
    "charges": ("operator", "/charges", MONTH),
    "charges in the middle": ("operator", "/charges", {**MONTH, "cursor": "500000"}),
    "charges of an investigator": ("operator", "/charges", {**MONTH, "pi_email": PERSON}),
    "a charge": ("operator", "/charges/1000", {}),
    "review": ("operator", "/review", MONTH),
    "months": ("operator", "/periods", {}),
    "a month": ("operator", "/periods/2025-03", {}),
    "imports": ("operator", "/imports", {}),
    "statements": ("operator", "/statements", MONTH),
    "projects": ("operator", "/registry/projects", {}),
    "budgets": ("operator", "/budgets", {}),
    "rates": ("operator", "/rates", {}),
    "an investigator's view": ("bound", "", MONTH),
    "own charges": ("bound", "/charges", MONTH),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", type=Path, help="filled before, with the month 2025-03")
    options = parser.parse_args()
    sizes: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="clearfacts-bench-") as folder:
        taken = ask(options.database or filled(options.rows, Path(folder)), LOOKS, "/desk", sizes)
    worked = {name: statistics.median(cpu for cpu, _ in found) for name, found in taken.items()}
    for name, found in taken.items():
        wall = statistics.median(wall for _, wall in found)
        print(f"{name:28} CPU {worked[name]:6.1f} ms   wall {wall:7.1f} ms   {sizes[name] / 1000:6.1f} kB")
    bad = [name for name in LOOKS if worked[name] > MOST_MS or sizes[name] > MOST_BYTES]
    if bad:
        sys.exit(f"above {MOST_MS} ms or {MOST_BYTES} bytes: {', '.join(bad)}")


if __name__ == "__main__":
    main()

"""What it costs to start a command: each beside an interpreter that does nothing, by turns.

Of the wall's clock --help is to take at most half a second, and the validation of a small file a second and a half.

make bench-commands                         CPU and seconds until the command has ended
make bench-commands ARGS="--turns 30"
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from interleaved import Spread, by_turns, cpu, ratio, wall

from clearfacts_assets_tests.fixtures.ubl_documents import document

BARE = "python -c pass"
INVOICE = "invoice.xml"
COMMANDS: dict[str, list[str]] = {
    BARE: ["-c", "pass"],
    "clearfacts --help": ["-m", "clearfacts_assets", "--help"],
    "clearfacts validate --help": ["-m", "clearfacts_assets", "validate", "--help"],
    f"clearfacts validate {INVOICE}": ["-m", "clearfacts_assets", "validate", INVOICE],
    "clearfacts run --help": ["-m", "clearfacts_assets", "run", "--help"],
    "clearfacts jobs list --help": ["-m", "clearfacts_assets", "jobs", "list", "--help"],
    "clearfacts chargeback --help": ["-m", "clearfacts_assets", "chargeback", "--help"],
    "clearfacts chargeback ingest --help": ["-m", "clearfacts_assets", "chargeback", "ingest", "--help"],
    "clearfacts chargeback generate --help": ["-m", "clearfacts_assets", "chargeback", "generate", "--help"],
    "clearfacts settings": ["-m", "clearfacts_assets", "settings"],
    "clearfacts db upgrade": ["-m", "clearfacts_assets", "db", "upgrade"],
    "clearfacts chargeback periods list": ["-m", "clearfacts_assets", "chargeback", "periods", "list"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=15)
    turns = parser.parse_args().turns
    waited: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as home:
        Path(home, INVOICE).write_bytes(document())
        environment = {"CLEARFACTS_HOME": home, "PATH": "/usr/bin"}

        def start(name: str) -> float:
            used, begun = cpu(), wall()
            command = [sys.executable, *COMMANDS[name]]
            subprocess.run(command, check=True, capture_output=True, cwd=home, env=environment)
            waited[name].append(wall() - begun)
            return cpu() - used

        used = by_turns({name: lambda n=name: start(n) for name in COMMANDS}, turns)
    print(f"{'':40}{'ms of CPU':>22}{'ms on the clock':>24}{'times python -c pass':>26}")
    for name, seconds in used.items():
        each, clock = (Spread.of([1000 * one for one in column]) for column in (seconds, waited[name][1:]))
        print(f"{name:40}{f'{each:.0f}':>22}{f'{clock:.0f}':>24}{f'{ratio(seconds, used[BARE]):.1f}':>26}")


if __name__ == "__main__":
    main()

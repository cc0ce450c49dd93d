"""What it costs to start a command: each beside an interpreter that does nothing, by turns.

make bench-commands                         CPU and seconds until the command has ended
make bench-commands ARGS="--turns 30"
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile

from interleaved import Spread, by_turns, cpu, ratio, wall

BARE = "python -c pass"
COMMANDS: dict[str, list[str]] = {
    BARE: ["-c", "pass"],
    "clearfacts --help": ["-m", "clearfacts_assets", "--help"],
    "clearfacts validate --help": ["-m", "clearfacts_assets", "validate", "--help"],
    "clearfacts run --help": ["-m", "clearfacts_assets", "run", "--help"],
    "clearfacts jobs list --help": ["-m", "clearfacts_assets", "jobs", "list", "--help"],
    "clearfacts settings": ["-m", "clearfacts_assets", "settings"],
    "clearfacts db upgrade": ["-m", "clearfacts_assets", "db", "upgrade"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=15)
    turns = parser.parse_args().turns
    waited: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as home:

        def start(name: str) -> float:
            used, begun = cpu(), wall()
            command = [sys.executable, *COMMANDS[name]]
            subprocess.run(command, check=True, capture_output=True, env={"CLEARFACTS_HOME": home, "PATH": "/usr/bin"})
            waited[name].append(wall() - begun)
            return cpu() - used

        used = by_turns({name: lambda n=name: start(n) for name in COMMANDS}, turns)
    print(f"{'':30}{'ms of CPU':>22}{'ms on the clock':>24}{'times python -c pass':>26}")
    for name, seconds in used.items():
        each, clock = (Spread.of([1000 * one for one in column]) for column in (seconds, waited[name][1:]))
        print(f"{name:30}{f'{each:.0f}':>22}{f'{clock:.0f}':>24}{f'{ratio(seconds, used[BARE]):.1f}':>26}")


if __name__ == "__main__":
    main()

"""What an upload of so many megabytes to the desk takes of the server's memory, until its difference is shown.

``make bench-desk_upload ARGS="--megabytes 100"``: our application over SQLite, a cost export that an operator drops,
sent as it is read from the disk. Peak of the process's resident memory (VmHWM of /proc, reset before each upload)
above what it took before. A small upload comes first, then so much, then twice so much. Exit code 1 where twice as much
lifts the peak by more than MOST_MB.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chargeback_api import served
from benchmarks.chargeback_exports import write_export
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.desk import Person

MOST_MB = 20
ROW_BYTES = 723
SMALL = 2  # MB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clearfacts-bench-") as folder:
        home = Path(folder)
        with served(home / "clearfacts.db") as api:
            peaks = [upload(api, home, size) for size in (SMALL, options.megabytes, 2 * options.megabytes)]
    if peaks[2] - peaks[1] > MOST_MB:
        sys.exit(f"twice as much takes {peaks[2] - peaks[1]:.0f} MB more")


def upload(api: RunningApi, home: Path, megabytes: int) -> float:
    """The process's peak, in MB."""
    file = home / f"aws-{megabytes}.csv"
    write_export(file, megabytes * 1_000_000 // ROW_BYTES)
    person = Person(api, "operator")
    token = person.token()
    Path("/proc/self/clear_refs").write_text("5")
    before, started, worked = resident("VmRSS"), time.perf_counter(), time.process_time()
    with file.open("rb") as content:
        said = {"csrf": token, "source": "aws"}
        answer = person.client.post("/desk/imports", files={"files": (file.name, content)}, data=said, timeout=3600)
    assert answer.status_code == 200, answer.text[-900:]
    assert "Nothing has changed yet." in answer.text
    peak, size = resident("VmHWM"), file.stat().st_size / 1e6
    print(
        f"{size:6.1f} MB: {before:6.1f} MB before, at most {peak:6.1f} MB, so {peak - before:5.1f} MB more; "
        f"CPU {time.process_time() - worked:5.1f} s, wall {time.perf_counter() - started:6.1f} s"
    )
    file.unlink()
    return peak


def resident(name: str) -> float:
    """Of this process, in MB."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    assert found
    return int(found[1]) / 1000


if __name__ == "__main__":
    main()

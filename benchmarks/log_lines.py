"""What a line of the log costs: as text, as JSON, an event of a run, and a line of another program that is made ours.

make bench-log_lines                 5,000 lines a turn, 9 turns
"""

from __future__ import annotations

import argparse
import io
import logging

import dagster as dg
from interleaved import Spread, by_turns, ratio, timed

from clearfacts_assets.orchestration.run_lines import EVENT, META, RunLines
from clearfacts_assets.telemetry.lines import lines
from clearfacts_assets.telemetry.logging import formatter

THEIRS = "%(asctime)s %(levelname)s %(name)s: %(message)s"
SECRETS = ("a-token-of-thirty-two-characters", "another-secret", "a third one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=5000)
    parser.add_argument("--turns", type=int, default=9)
    asked = parser.parse_args()
    said = {"msg": "%d invoices sent", "args": (57,), "name": "clearfacts_assets.delivery", "levelno": 20}
    record = {**said, "levelname": "INFO", "job_id": "f7e25554-fa11-4280-a217-50451adde4cf", "correlation_id": "c-1"}
    meta = {"run_id": "f7e25554", "job_name": "daily_processing", "step_key": "raw_invoices", "orig_message": "begins"}
    event = {**record, META: {**meta, "job_tags": {}, EVENT: dg.DagsterEvent("STEP_START", "daily_processing")}}
    theirs = "2026-11-20 02:00:00 +0000 - dagster.daemon.SensorDaemon - INFO - Checking for new runs for sensor: x\n"
    ours = formatter("json", secrets=SECRETS).format(logging.makeLogRecord(dict(record))) + "\n"

    def write(how: logging.Formatter, what: dict[str, object]) -> None:
        out = io.StringIO()
        for _ in range(asked.lines):
            out.write(how.format(logging.makeLogRecord(dict(what))) + "\n")

    def made(line: str) -> None:
        for _ in lines([line] * asked.lines, SECRETS):
            pass

    works = {
        "by logging's own formatter": lambda: write(logging.Formatter(THEIRS), record),
        "as text": lambda: write(formatter("text", secrets=SECRETS), record),
        "as JSON": lambda: write(formatter("json", secrets=SECRETS), record),
        "an event of a run, as JSON": lambda: write(RunLines(SECRETS), event),
        "a line of Dagster's, made ours": lambda: made(theirs),
        "a line of ours that passes": lambda: made(ours),
    }
    columns = by_turns({name: timed(work) for name, work in works.items()}, asked.turns)
    own = next(iter(columns.values()))
    for name, column in columns.items():
        each = Spread.of([1e6 * one / asked.lines for one in column])
        print(f"  {name:34} {each:.1f} us of CPU, {ratio(column, own):.2f} of logging's own")


if __name__ == "__main__":
    main()

"""Dagster's lines, a run's events and what else processes write: one JSON object each, in the names of our log."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._utils.log import define_default_formatter

from clearfacts_assets import settings
from clearfacts_assets.orchestration.run_lines import to_stream
from clearfacts_assets.telemetry.lines import lines

CANARY = "canary-7f3a"
TEMPLATE = Path(__file__).parents[2] / "observability" / "elasticsearch-index-template.json"


def told(*written: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines([f"{one}\n" for one in written], [CANARY])]


def test_a_line_of_dagsters_is_read_as_it_is_written_by_the_pinned_version() -> None:
    record = logging.LogRecord("dagster.daemon.SensorDaemon", logging.WARNING, "", 0, "Checking a - b", (), None)
    written = f"\x1b[32m{define_default_formatter().format(record)}\x1b[0m"
    (found,) = told(written)
    assert (found["log.logger"], found["log.level"], found["message"]) == (
        "dagster.daemon.SensorDaemon",
        "warning",
        "Checking a - b",
    )


def test_lines_of_ours_pass_as_they_are_and_what_only_looks_like_one_does_not() -> None:
    ours = '{"@timestamp": "2026-11-20T01:00:00Z", "message": "sent"}'
    broken = '{"@timestamp": "2026-'
    assert list(lines([f"{ours}\n"])) == [ours]
    assert [one["message"] for one in told(broken, "", "  ", "plain")] == [broken, "plain"]


def test_a_traceback_is_one_line() -> None:
    traceback = ["Traceback (most recent call last):", '  File "x.py", line 1', "    fail()", f"OSError: no {CANARY}"]
    first, second = told(*traceback, "afterwards")
    assert (first["log.level"], first["error.type"]) == ("error", "OSError")
    assert first["error.stack_trace"].count("\n") == 3
    assert second["message"] == "afterwards"
    assert told(*traceback[:-1])[0]["error.stack_trace"].endswith("fail()")  # the process was gone by then


@pytest.mark.parametrize(
    "written",
    [
        f"2026-11-20 02:00:00 +0000 - dagster - ERROR - it quoted {CANARY}",
        f"it quoted {CANARY}",
        "401 for Authorization: Bearer 0123456789abcdef",
        "postgresql://me:0123456789abcdef@db/clearfacts does not answer",
    ],
)
def test_no_secret_passes(written: str) -> None:
    (line,) = lines([written + "\n"], [CANARY])
    assert CANARY not in line
    assert "0123456789abcdef" not in line


def test_the_process_between_heeds_no_signal_and_ends_with_the_last_writer() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "clearfacts_assets.cli.lines"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("ready\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["message"] == "ready"
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate("2026-11-20 02:00:00 +0000 - dagster.daemon - INFO - Instance is configured\n", 600)
    assert (json.loads(out)["log.logger"], json.loads(out)["process.pid"]) == ("dagster.daemon", os.getpid())
    assert process.returncode == 0


@dg.op
def well() -> None:
    dg.get_dagster_logger().info(f"all is well, {CANARY}")


@dg.op
def badly() -> None:
    raise ValueError(f"it quoted {CANARY}")


@dg.graph
def both() -> None:
    well()
    badly()


@pytest.fixture(scope="module")
def run() -> tuple[str, list[dict[str, Any]]]:
    """A run of two steps, one of which fails, by Dagster's default logger: its id, and the lines of its process."""
    program = (
        "import dagster as dg\n"
        "from clearfacts_assets.orchestration.run_lines import speak_as_we_do\n"
        "from clearfacts_assets_tests.unit.test_lines import both\n"
        "speak_as_we_do()\n"
        "tags = {'clearfacts/correlation_id': 'c-1', 'dagster/partition': '2026-11-18',\n"
        "        'clearfacts/traceparent': '00-' + 32 * '7' + '-' + 16 * '8' + '-01'}\n"
        "print(both.to_job(executor_def=dg.in_process_executor).execute_in_process(\n"
        "    raise_on_error=False, tags=tags).run_id)\n"
    )
    environment = {"CLEARFACTS_LOG_FORMAT": "json", "CLEARFACTS_SLACK__TOKEN": CANARY, "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.slow
def test_each_event_of_a_run_is_a_line_with_run_step_and_correlation_id(run: tuple[str, list[dict[str, Any]]]) -> None:
    run_id, found = run
    assert {one["clearfacts"]["run_id"] for one in found} == {run_id}
    assert {one["clearfacts"]["correlation_id"] for one in found} == {"c-1"}
    assert {one["clearfacts"]["partition"] for one in found} == {"2026-11-18"}
    assert {one["trace.id"] for one in found} == {32 * "7"}
    steps = [
        (one.get("event.action"), one["clearfacts"].get("step"), one.get("event.outcome"))
        for one in found
        if one.get("event.action", "").startswith(("pipeline", "step_s", "step_f"))
    ]
    assert {("step_success", "well", "success"), ("step_failure", "badly", "failure")} <= set(steps)
    assert (steps[0][0], steps[-1]) == ("pipeline_start", ("pipeline_failure", None, "failure"))


def test_a_failed_step_tells_its_error_and_what_a_step_logs_is_there_too(
    run: tuple[str, list[dict[str, Any]]],
) -> None:
    (failed,) = [one for one in run[1] if one.get("event.action") == "step_failure"]
    assert (failed["error.type"], failed["error.message"]) == ("ValueError", "it quoted ***")
    assert failed["error.stack_trace"].endswith("ValueError: it quoted ***")
    (said,) = [one for one in run[1] if one["message"].startswith("all is well")]
    assert (said["clearfacts"]["step"], said["log.level"]) == ("well", "info")
    assert CANARY not in json.dumps(run[1])


def test_every_field_of_a_runs_line_is_in_the_index_template(run: tuple[str, list[dict[str, Any]]]) -> None:
    properties = json.loads(TEMPLATE.read_text(encoding="utf-8"))["template"]["mappings"]["properties"]
    assert {name for one in run[1] for name in one} <= set(properties)


@pytest.mark.parametrize(("level", "events"), [("INFO", True), ("CRITICAL", False)])
def test_a_run_that_is_told_to_be_quiet_is_quiet(level: str, events: bool) -> None:
    written = io.StringIO()
    logger = to_stream(written, level)
    logger.debug("a", extra={"dagster_meta": {"dagster_event": None, "orig_message": "chatter"}})
    event = dg.DagsterEvent("PIPELINE_START", "x", message="begins")
    logger.debug("b", extra={"dagster_meta": {"dagster_event": event, "orig_message": "begins"}})
    assert [json.loads(line)["message"] for line in written.getvalue().splitlines()] == ["begins"] * events


def test_for_people_dagster_writes_as_it_always_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from clearfacts_assets.orchestration.run_lines import run_logger

    monkeypatch.setenv("CLEARFACTS_LOG_FORMAT", "text")
    settings.load.cache_clear()
    context = dg.build_init_logger_context(logger_config={"name": "dagster", "log_level": "INFO"})
    assert run_logger(context) is None
    own = dg.colored_console_logger.logger_fn(context)
    assert (own.name, own.level) == ("dagster", logging.INFO)
    settings.load.cache_clear()

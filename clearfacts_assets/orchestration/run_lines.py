"""What Dagster says of a run, as lines of our own log: one JSON object each, in the names of the rest of it.

Only where ``log_format`` is json. For people Dagster writes as it always does.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

import dagster as dg

from clearfacts_assets import settings
from clearfacts_assets.orchestration.dagster_internals import console_logger_made_by
from clearfacts_assets.orchestration.tags import CORRELATION_TAG, PARTITION_TAG, TRACEPARENT_TAG
from clearfacts_assets.telemetry.logging import formatter

NAME = "dagster.run"
# Dagster's names of attributes of a record that one of its runs wrote.
META, EVENT = "dagster_meta", "dagster_event"
TRACEBACK = "Traceback (most recent call last):"
GOOD = ("SUCCESS", "COMPLETED", "MATERIALIZATION")
BAD = ("FAILURE", "FAILED", "CANCELED")


def speak_as_we_do() -> None:
    """From now on runs of this process write their lines by :func:`run_logger`. Reads nothing before a run begins."""
    console_logger_made_by(run_logger)


def run_logger(context: dg.InitLoggerContext) -> logging.Logger | None:
    """The logger of a run's lines; None where they are for people, who get Dagster's own."""
    configured = settings.load()
    if configured.log_format != "json":
        return None
    return to_stream(sys.stderr, context.logger_config["log_level"], secrets=configured.secrets)


def to_stream(stream: Any, level: str, *, secrets: Any = ()) -> logging.Logger:
    """Dagster's events whatever their level, for Dagster calls nearly all DEBUG; of other records those of the level.

    Above INFO, the events too are only those of the level.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    logger = logging.Logger(NAME, logging.DEBUG if threshold <= logging.INFO else threshold)
    handler = logging.StreamHandler(stream)
    handler.addFilter(lambda record: record.levelno >= threshold or _event_of(record) is not None)
    handler.setFormatter(RunLines(secrets))
    logger.addHandler(handler)
    return logger


class RunLines(logging.Formatter):
    """A record of a run as a line."""

    def __init__(self, secrets: Any = ()) -> None:
        super().__init__()
        self._inner = formatter("json", secrets=secrets)

    def format(self, record: logging.LogRecord) -> str:
        meta: Mapping[str, Any] = getattr(record, META, None) or {}
        told = logging.makeLogRecord(
            {
                "name": NAME,
                "levelno": record.levelno,
                "levelname": record.levelname,
                "msg": "%s",
                "args": (meta.get("orig_message") or record.getMessage(),),
                "exc_info": record.exc_info,
                **_of_run(meta),
                **_of_event(meta.get(EVENT)),
            }
        )
        return self._inner.format(told)


def _event_of(record: logging.LogRecord) -> Any:
    return (getattr(record, META, None) or {}).get(EVENT)


def _of_run(meta: Mapping[str, Any]) -> dict[str, Any]:
    tags: Mapping[str, str] = meta.get("job_tags") or {}
    found = {
        "run_id": meta.get("run_id"),
        "job": meta.get("job_name"),
        "step": meta.get("step_key"),
        "partition": tags.get(PARTITION_TAG),
        "correlation_id": tags.get(CORRELATION_TAG) or meta.get("run_id"),
        "ecs_trace_id": tags.get(TRACEPARENT_TAG, "")[3:35],
    }
    return {name: value for name, value in found.items() if value}


def _of_event(event: dg.DagsterEvent | None) -> dict[str, Any]:
    if event is None:
        return {}
    kind = event.event_type_value
    found: dict[str, Any] = {"ecs_event_action": kind.lower()}
    if kind.endswith((*GOOD, *BAD)):
        found["ecs_event_outcome"] = "failure" if kind.endswith(BAD) else "success"
    if event.asset_key is not None:
        found["asset"] = event.asset_key.to_user_string()
    error = getattr(event.event_specific_data, "error", None)
    if error is not None:
        while error.cause is not None:
            error = error.cause
        # As Python writes it, with what went wrong in the last line: Dagster puts that first.
        found["exception"] = f"{TRACEBACK}\n{''.join(error.stack)}{' '.join(error.message.split())}"
    return found

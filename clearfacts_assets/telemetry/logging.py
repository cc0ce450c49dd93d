"""Log lines: one line a record, for people or as JSON, without secrets and with the correlation id.

Only loggers below ``clearfacts_assets`` are touched. The root logger is left alone: Dagster hangs its own handlers
there, and one that writes to SQLite can then wait for itself.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any, Literal

import structlog
from pydantic import SecretBytes, SecretStr
from structlog.types import EventDict, Processor

from clearfacts_assets import tracing
from clearfacts_assets.outgoing.evidence import Secrets

NAMESPACE = "clearfacts_assets"  # modules log to logging.getLogger(__name__)

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
Format = Literal["text", "json"]

HIDDEN = "***"
ECS_VERSION, SERVICE = "8.11.0", "clearfacts"
# What a record may give of these fields, and of process.pid, under names that nothing else has.
GIVEN = {"ecs_event_action": "event.action", "ecs_event_outcome": "event.outcome", "ecs_trace_id": "trace.id"}
# What another handler's formatter writes into a record that we are given after it; nobody can give extras these names.
FORMATTED = ("message", "asctime")
DEEPEST = 6  # levels of a nested value that are written
_SECRET_NAME = re.compile(r"pass(word|wd|phrase)?$|secret|token|authori[sz]ation|api[-_]?key|cookie|credential", re.I)
_SECRET_TEXT = re.compile(r"(?i)(\bbearer\s+)[^\s\"',;]+|(://[^\s:/@]*:)[^\s/@]+(?=@)")
# What could end a line, move the cursor or turn the reading direction: nobody may write a second record into the first.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def configure(level: Level, form: Format, *, secrets: Sequence[str] = ()) -> None:
    """Write our own loggers' records to standard error. May be called again: the last call holds.

    ``secrets`` are values that must not be written whatever stands around them.
    """
    logger = logging.getLogger(NAMESPACE)
    for handler in [handler for handler in logger.handlers if isinstance(handler, _Handler)]:
        logger.removeHandler(handler)
    handler = _Handler(sys.stderr)
    handler.setFormatter(formatter(form, secrets=secrets))
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False  # else a handler on root would write each line again, uncleaned


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    """Put the id on every line that is logged inside, by this thread or task."""
    with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
        yield


def names_a_secret(name: str) -> bool:
    """Whether what stands under this name must not be written."""
    return _SECRET_NAME.search(name) is not None


def formatter(form: Format, *, secrets: Sequence[str] = ()) -> logging.Formatter:
    """One record to one line (in text, a traceback follows on indented lines)."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ExtraAdder(),
            _without_what_others_formatted,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _without_secrets(Secrets(*secrets)),
            _as_json if form == "json" else _as_text,
        ],
    )


class _Handler(logging.StreamHandler[Any]):
    """Ours, so that it can be told from those of others."""


def _without_what_others_formatted(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {name: value for name, value in event.items() if name not in FORMATTED}


def _without_secrets(known: Secrets) -> Processor:
    def clean_text(text: str) -> str:
        return _SECRET_TEXT.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}", known.remove(text))

    def clean(name: str, value: object, depth: int) -> object:
        if isinstance(value, SecretStr | SecretBytes) or names_a_secret(name):
            return HIDDEN
        if value is None or isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value)):
            return value
        if isinstance(value, Mapping) and depth:
            return {clean_text(str(key)): clean(str(key), item, depth - 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset) and depth:
            return [clean(name, item, depth - 1) for item in value]
        return clean_text(str(value))

    def processor(_logger: object, _method: str, event: EventDict) -> EventDict:
        return {name: clean(name, value, DEEPEST) for name, value in event.items()}

    return processor


def _as_json(_logger: object, _method: str, event: EventDict) -> str:
    """Field names of the Elastic Common Schema (ECS 8); what is ours stands under ``clearfacts``, where no name of
    theirs is in its way."""
    event = dict(event)
    told: dict[str, Any] = {
        "@timestamp": event.pop("timestamp", None),
        "log.level": event.pop("level", None),
        "message": event.pop("event", ""),
        "log.logger": event.pop("logger", None),
        "ecs.version": ECS_VERSION,
        "service.name": SERVICE,
        "service.version": tracing.installed_version(),
        "event.dataset": f"{SERVICE}.log",
        "process.pid": event.pop("ecs_process_pid", os.getpid()),
    }
    told |= {field: event.pop(name) for name, field in GIVEN.items() if event.get(name)}
    if under_way := tracing.traceparent():
        told |= {"trace.id": under_way[3:35], "span.id": under_way[36:52]}
    elif "trace.id" not in told and event.get("correlation_id"):
        told["trace.id"] = event["correlation_id"]
    if traceback := event.pop("exception", ""):
        last = str(traceback).rstrip().rpartition("\n")[2]
        kind, _, message = last.partition(": ")
        told |= {"error.type": kind, "error.message": message, "error.stack_trace": traceback}
    return json.dumps(told | ({"clearfacts": event} if event else {}))


def _as_text(_logger: object, _method: str, event: EventDict) -> str:
    event = dict(event)
    traceback = str(event.pop("exception", ""))
    head = f"{event.pop('timestamp')} {str(event.pop('level')).upper():<7} {event.pop('logger')}: {event.pop('event')}"
    line = _on_one_line(" ".join([head, *(f"{name}={_word(value)}" for name, value in event.items())]))
    # A message inside the traceback may hold line ends too: every further line is marked as one.
    return "\n".join([line, *(f"  | {_on_one_line(part)}" for part in traceback.splitlines())])


def _word(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if re.fullmatch(r"[^\s\"=]+", text) else json.dumps(text, ensure_ascii=False)


def _on_one_line(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)

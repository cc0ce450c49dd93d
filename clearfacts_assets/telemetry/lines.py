"""Whatever a process and its children write, as lines of our log: one JSON object each.

Dagster's daemon and its code servers format their lines themselves, and an interpreter that dies writes a traceback.
:func:`joined` puts a process between them and the place where their lines go. Lines of ours pass as they are. Of
Dagster's, logger, level and message are read; what is neither is told as it stands, a traceback as one line.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from clearfacts_assets.telemetry.logging import formatter

OTHERS = "stderr"  # the logger's name where nobody has said one
LONGEST_TRACEBACK = 1000  # lines
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# As Dagster writes for people: 2026-11-20 02:00:00 +0000 - dagster.daemon - INFO - message
_DAGSTERS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} - (\S+) - ([A-Z]+) - (.*)", re.DOTALL)
_writers: list[subprocess.Popen[bytes]] = []  # nobody waits for them: they end after us
_TRACEBACK = "Traceback (most recent call last):"


def joined() -> None:
    """From now on, all that this process and its children write goes through a process that makes lines of it.

    That one ends when the last of them has, and heeds no signal meant for them.
    """
    command = [sys.executable, "-m", "clearfacts_assets.cli.lines"]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=2, start_new_session=True)  # noqa: S603 - our own
    assert writer.stdin is not None  # noqa: S101 - asked for above
    _writers.append(writer)
    sys.stdout.flush()
    sys.stderr.flush()
    for descriptor in (1, 2):
        os.dup2(writer.stdin.fileno(), descriptor)
    writer.stdin.close()


def lines(written: Iterable[str], secrets: Sequence[str] = (), writer: int | None = None) -> Iterator[str]:
    """One JSON object for each line, and one for each traceback. ``writer`` is the process that began to write."""
    told, traceback = formatter("json", secrets=secrets), list[str]()
    whose: dict[str, Any] = {} if writer is None else {"ecs_process_pid": writer}
    for line in written:
        text = _COLOURS.sub("", line.rstrip("\n"))
        if traceback:
            traceback.append(text)
            if text.startswith((" ", "\t")) and len(traceback) < LONGEST_TRACEBACK:
                continue
            yield told.format(_record(OTHERS, "ERROR", text, exception="\n".join(traceback), **whose))
            traceback = []
        elif text == _TRACEBACK:
            traceback = [text]
        elif _is_ours(text):
            yield text
        elif text.strip():
            found = _DAGSTERS.fullmatch(text)
            yield told.format(_record(*(found.groups() if found else (OTHERS, "INFO", text)), **whose))
    if traceback:
        yield told.format(_record(OTHERS, "ERROR", traceback[-1], exception="\n".join(traceback), **whose))


def _is_ours(text: str) -> bool:
    if not text.startswith('{"@timestamp"'):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _record(name: str, level: str, message: str, **more: Any) -> logging.LogRecord:
    number = logging.getLevelNamesMapping().get(level, logging.INFO)
    named = {"name": name, "levelno": number, "levelname": logging.getLevelName(number)}
    return logging.makeLogRecord({**named, "msg": "%s", "args": (message,), **more})

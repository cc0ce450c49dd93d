"""Which process something runs in, so that another process can tell later whether it is gone.

No wall time is compared: a process is known by its number and by its start, which the kernel counts in ticks since the
machine was started, and both mean something only within one start of one machine and one namespace of processes (a
container has its own). A clock that is set changes none of these.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
_STATE, _STARTED = 0, 19  # of the fields after the name in /proc/PID/stat (proc(5): 3 and 22)
_OVER = frozenset({"Z", "X", "x"})  # a zombie, or dead


def this_process() -> dict[str, Any]:
    """Host and number for people; place and ticks for :func:`is_gone`, None where there is no /proc."""
    found = _stat(os.getpid())
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "place": place(),
        "ticks": found[1] if found else None,
    }


@lru_cache(maxsize=1)
def place() -> str | None:
    """Where process numbers mean what they mean here: this start of this machine, this namespace; None if unknown."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return None


def lives_here(process: Mapping[str, Any] | None) -> bool | None:
    """Whether the process lives, stopped ones included; None where that cannot be told from here."""
    if process is None or place() is None or process.get("place") != place():
        return None
    found = _stat(int(process["pid"]))
    return found is not None and found[0] not in _OVER and found[1] == process["ticks"]


def is_gone(process: Mapping[str, Any] | None) -> bool:
    """Whether the process is provably gone."""
    return lives_here(process) is False


def _stat(pid: int) -> tuple[str, int] | None:
    """State and start of a process; None where there is none."""
    try:
        text = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold anything, parentheses too
    return fields[_STATE], int(fields[_STARTED])

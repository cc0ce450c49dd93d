"""Several commands of ours as child processes, each with a log file, which end together."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from clearfacts_assets.cli.console import fail

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LAST_WORDS = 10  # lines of a log that are shown
STOP_SECONDS = 15  # given to a process before it is killed


class ProcessTree:
    """Child processes of this command, each with a log file of its own."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __call__(self, name: str, *arguments: str, inherited: socket.socket | None = None) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "clearfacts_assets", *arguments]
        log: IO[bytes]
        with self.log(name).open("wb") as log:
            # A session of their own, so that Ctrl-C reaches only us and the children are stopped in order.
            child = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=() if inherited is None else (inherited.fileno(),),
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        self._children[name] = child
        return child

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def check(self) -> None:
        """A child that ended by itself is named, with its last words, and ends the demo."""
        for name, child in self._children.items():
            if child.poll() is not None:
                said = self.log(name).read_text("utf-8", "replace").splitlines()[-LAST_WORDS:]
                fail(
                    "\n".join([f"the {name} process ended with code {child.returncode}: {self.log(name)} ends", *said])
                )

    def watch(self) -> None:
        """Until Ctrl-C, or until a child ends."""
        while True:
            self.check()
            time.sleep(1)

    def stop(self) -> None:
        """Last started, first stopped; who does not listen is killed with all it started."""
        for child in reversed(self._children.values()):
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self._children.values():
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.1, deadline - time.monotonic()))
            _kill_group(child.pid)


def _die_with_parent() -> None:
    """In the child: SIGTERM when the demo is gone, even by kill -9. Two daemons on one home would each do the night."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


@contextmanager
def process_tree(logs: Path) -> Iterator[ProcessTree]:
    tree = ProcessTree(logs)
    try:
        yield tree
    finally:
        tree.stop()

"""A command in the background ends when it is told, whatever the one that started it had switched off."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# The command's own entry, with one more command that waits until it is told to stop.
_WAITING = """
import signal
from clearfacts_assets.cli import main

@main.app.command()
def wait() -> None:
    print("up", flush=True)
    signal.pause()

main.main()
"""

# What a shell script's `&`, `trap '' TERM` and a supervisor with blocked signals leave behind.
_INHERITED = """
import os, signal, sys
if sys.argv[1] == "ignored":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
else:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2], "wait"])
"""


@pytest.mark.parametrize("inherited", ["ignored", "blocked"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_ends_when_told_though_the_signals_were_switched_off_before_it_began(number, inherited):
    command = [sys.executable, "-c", _INHERITED, inherited, _WAITING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            process.send_signal(number)
            process.wait(300)
        finally:
            process.kill()
    assert process.returncode != -signal.SIGKILL

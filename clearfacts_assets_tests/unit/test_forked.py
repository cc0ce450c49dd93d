"""Processes that are forked from one that has imported what commands need tell what any other process would."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from clearfacts_assets_tests.fixtures.forked import Forked

Start = Callable[..., tuple[Forked, Path]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """``start(program)`` gives the process and the file of what it says."""

    def started(program: str, **options: dict[str, str]) -> tuple[Forked, Path]:
        script, said = tmp_path / "program.py", tmp_path / "said"
        script.write_text(program)
        with open(os.devnull) as nothing, said.open("w") as says:
            files = [nothing.fileno(), says.fileno(), says.fileno()]
            return Forked(runpy.run_path, str(script), files=files, **options), said

    return started


@pytest.mark.parametrize(
    ("program", "code"),
    [("", 0), ("import sys; sys.exit(3)", 3), ("1 / 0", 1), ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL)],
)
def test_its_end_is_told(start: Start, program: str, code: int) -> None:
    process, said = start(program)
    assert process.wait(60) == code
    assert process.poll() == process.returncode == code
    assert ("ZeroDivisionError" in said.read_text()) == (program == "1 / 0")


def test_whoever_waits_in_vain_is_told_and_may_kill_it(start: Start) -> None:
    process, _ = start("import time; time.sleep(600)")
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    process.kill()  # again: its number may be another one's by now


def test_its_folder_is_the_callers_and_its_environment_what_it_is_given(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    process, said = start("import os; print(os.getcwd(), dict(os.environ), os.getpid())", environment={"WHO": "me"})
    assert process.wait(60) == 0
    assert said.read_text() == f"{tmp_path} {{'WHO': 'me'}} {process.pid}\n"

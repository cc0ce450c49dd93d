"""What is read once for all processes that play tests is what each of them would have read."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

READ = """
import socket, sys
from clearfacts_assets_tests.fixtures import reader

reader.read(socket.socket(fileno=int(sys.argv[1])), ["."])
"""


@pytest.mark.parametrize(("text", "code"), [("", 0), ("import no_such_module\n", 1)])
def test_where_a_file_cannot_be_read_nobody_gets_a_copy_and_each_process_tells_of_it(
    tmp_path: Path, text: str, code: int
) -> None:
    (tmp_path / "pytest.ini").touch()
    (tmp_path / "test_right.py").write_text("def test_one(): pass\n")
    (tmp_path / "test_other.py").write_text(text)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "reader"))
        listening.listen()
        done = subprocess.run(
            [sys.executable, "-c", READ, str(listening.fileno())],
            cwd=tmp_path,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            input="",  # when it has read this to its end, all have been served
            pass_fds=[listening.fileno()],
            capture_output=True,
            text=True,
            timeout=600,
        )
    assert done.returncode == code, done.stdout + done.stderr

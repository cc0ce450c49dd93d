"""Tests keep their files in memory where that serves, and only there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clearfacts_assets_tests.fixtures import scratch

CONFIG: Any = SimpleNamespace(option=SimpleNamespace(basetemp=None))


@pytest.fixture
def roomy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that has room, in the place of memory's; nobody has named another one."""
    monkeypatch.setattr(scratch, "IN_MEMORY", tmp_path)
    monkeypatch.setattr(scratch, "LEAST_FREE", 0)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", "")  # so that it is put back afterwards even if there is none
    monkeypatch.delenv("TMPDIR")
    return tmp_path


def test_files_lie_in_memory(roomy: Path) -> None:
    scratch.pytest_configure(CONFIG)
    assert os.environ["TMPDIR"] == str(roomy)


def test_a_place_that_somebody_named_is_left_as_it_is(roomy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.pytest_configure(SimpleNamespace(option=SimpleNamespace(basetemp=roomy)))  # type: ignore[arg-type]
    assert "TMPDIR" not in os.environ
    monkeypatch.setenv("TMPDIR", "/named")
    scratch.pytest_configure(CONFIG)
    assert os.environ["TMPDIR"] == "/named"


def test_what_is_not_there_has_no_room_or_starts_no_programs_does_not_serve(
    roomy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scratch.serves(roomy)
    assert not scratch.serves(roomy / "none")
    monkeypatch.setattr(scratch, "LEAST_FREE", shutil.disk_usage(roomy).free + 2**40)
    assert not scratch.serves(roomy)
    monkeypatch.setattr(scratch, "LEAST_FREE", 0)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_NOEXEC))
    assert not scratch.serves(roomy)

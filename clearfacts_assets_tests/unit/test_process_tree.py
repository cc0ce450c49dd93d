"""Child processes of one command: an inherited door, and what is said of one that ended."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import typer

from clearfacts_assets.cli.process_tree import process_tree


def test_a_child_that_ended_is_named_with_its_code_and_its_last_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with process_tree(tmp_path) as start:
        start("web", "serve", "--listen-fd", "977").wait(120)
        with pytest.raises(typer.Exit) as ended:
            start.check()
    said = capsys.readouterr().err
    assert ended.value.exit_code == 1
    assert "the web process ended with code 2" in said
    assert "--listen-fd 977: no socket that listens was inherited by this number" in said


def test_a_port_stays_taken_from_the_moment_it_is_chosen_until_the_web_server_that_inherited_it_ends(
    tmp_path: Path,
) -> None:
    """A number alone could go to somebody's outgoing connection while the server imports Dagster."""
    with socket.create_server(("127.0.0.1", 0)) as listener, process_tree(tmp_path) as start:
        address = listener.getsockname()
        web = start("web", "serve", "--listen-fd", str(listener.fileno()), inherited=listener)
        listener.close()
        with socket.socket() as another:
            another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                another.bind(address)
        assert web.poll() is None

"""Tables of the command line."""

from __future__ import annotations

import pytest

from clearfacts_assets.cli.console import print_table


def test_a_wide_table_breaks_no_word_beside_an_empty_column(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Imports", ("at", "by", ""), [("2026-11-29T06:39:27Z" * 10, "root", "")], wide=True)
    assert "2026-11-29T06:39:27Z" * 10 in capsys.readouterr().out

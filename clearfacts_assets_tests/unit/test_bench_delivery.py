"""The delivery benchmark's words."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("latency", "said"),
    [
        (50, "ideal 320/s at 50 ms and 16 connections: reached 0.50 of it"),
        (0, "without latency nothing bounds 16 connections: reached 160/s"),
    ],
)
def test_what_was_reached_is_told_with_and_without_latency(latency, said, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from delivery import beside_the_ideal

    assert beside_the_ideal(160, latency, 16) == said

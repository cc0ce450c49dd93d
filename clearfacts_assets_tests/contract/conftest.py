"""Clients of outside systems never wait here before they try again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Retries happen, their waits do not."""
    import stamina  # not for the process that only hands tests to others, which reads this file too

    with stamina.set_testing(True, attempts=10, cap=True):
        yield

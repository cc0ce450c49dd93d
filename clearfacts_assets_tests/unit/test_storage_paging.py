"""Cursors are ours or refused."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from clearfacts_assets.storage.paging import LONGEST_PAGE, BadCursor, Position, page_size


def test_a_cursor_is_read_back() -> None:
    position = Position(datetime(2026, 11, 21, 2, 0, 7, 123456, tzinfo=UTC), uuid4())
    assert Position.of(position.cursor()) == position


@pytest.mark.parametrize("cursor", ["", "x", "é", "MjAyNg==", "JycgT1IgMT0x", "/" * 4000])
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        Position.of(cursor)


@pytest.mark.parametrize(("asked", "given"), [(-1, 1), (0, 1), (50, 50), (10**9, LONGEST_PAGE)])
def test_pages_are_bounded(asked: int, given: int) -> None:
    assert page_size(asked) == given

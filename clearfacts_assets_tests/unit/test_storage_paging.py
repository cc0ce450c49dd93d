"""Cursors are ours or refused."""

from __future__ import annotations

import base64
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


@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-21T02:00:00", "2026-11-21T02:00:00+25:00"],
)
def test_a_cursor_of_a_moment_that_is_none_is_refused(moment: str) -> None:
    with pytest.raises(BadCursor):
        Position.of(base64.urlsafe_b64encode(f"{moment} {uuid4()}".encode()).decode())


@pytest.mark.parametrize(("asked", "given"), [(-1, 1), (0, 1), (50, 50), (10**9, LONGEST_PAGE)])
def test_pages_are_bounded(asked: int, given: int) -> None:
    assert page_size(asked) == given

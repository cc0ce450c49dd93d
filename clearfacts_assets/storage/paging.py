"""Pages of long lists: by the last row seen, so that the thousandth page costs what the first one does."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, or_

T = TypeVar("T")

LONGEST_PAGE = 1000


class BadCursor(ValueError):
    """This cursor was not made by us: ask for the first page again, without a cursor."""

    def __init__(self) -> None:
        super().__init__("the cursor is not one of ours: ask again without it")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and how to ask for those after them; None where there are no more."""

    items: Sequence[T]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Position:
    """The row after which a page starts: lists are ordered by time and, where two times are equal, by id."""

    moment: datetime
    id: UUID

    def cursor(self) -> str:
        return base64.urlsafe_b64encode(f"{self.moment.isoformat()} {self.id}".encode()).decode()

    @classmethod
    def of(cls, cursor: str) -> Position:
        """Raises BadCursor."""
        try:
            moment, identifier = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ")
            position = cls(datetime.fromisoformat(moment), UUID(identifier))
        except (ValueError, binascii.Error):
            raise BadCursor from None
        if position.moment.utcoffset() is None:
            raise BadCursor
        return position


@dataclass(frozen=True, slots=True)
class Span:
    """Which rows of a list, by their time, and in which direction; ``since <= time < until``."""

    since: datetime | None = None
    until: datetime | None = None
    oldest_first: bool = False

    def of(
        self,
        query: Select[Any],
        moment: ColumnElement[Any],
        identifier: ColumnElement[Any],
        cursor: str | None,
        size: int,
    ) -> Select[Any]:
        """The query for the rows after the cursor, and for one more than fits the page. Raises BadCursor."""
        if self.since is not None:
            query = query.where(moment >= self.since)
        if self.until is not None:
            query = query.where(moment < self.until)
        if cursor is not None:
            after = newer_than if self.oldest_first else older_than
            query = query.where(after(moment, identifier, cursor))
        order = (moment, identifier) if self.oldest_first else (moment.desc(), identifier.desc())
        return query.order_by(*order).limit(size + 1)


NEWEST_FIRST = Span()


def older_than(moment: ColumnElement[Any], identifier: ColumnElement[Any], cursor: str) -> ColumnElement[bool]:
    """The condition for the rows after the cursor's, newest first. Raises BadCursor."""
    after = Position.of(cursor)
    return or_(moment < after.moment, and_(moment == after.moment, identifier < after.id))


def newer_than(moment: ColumnElement[Any], identifier: ColumnElement[Any], cursor: str) -> ColumnElement[bool]:
    """The condition for the rows after the cursor's, oldest first. Raises BadCursor."""
    after = Position.of(cursor)
    return or_(moment > after.moment, and_(moment == after.moment, identifier > after.id))


def page_of(found: Sequence[T], limit: int, moment_of: Callable[[T], datetime], id_of: Callable[[T], UUID]) -> Page[T]:
    """The page from rows of which one more was read than fits."""
    items = found[:limit]
    if len(found) <= limit:
        return Page(items, None)
    return Page(items, Position(moment_of(items[-1]), id_of(items[-1])).cursor())


def page_size(limit: int) -> int:
    """The limit that was asked for, kept between 1 and LONGEST_PAGE."""
    return max(1, min(limit, LONGEST_PAGE))

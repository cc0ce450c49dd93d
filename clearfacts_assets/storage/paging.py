"""Pages of long lists: by the last row seen, so that the thousandth page costs what the first one does."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Connection, Row, Select, and_, bindparam, or_

T = TypeVar("T")
Filter = Callable[[BindParameter[Any]], ColumnElement[bool]]  # the condition that a row has the wanted value

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
            parsed = datetime.fromisoformat(moment)
            if parsed.utcoffset() is None:
                raise BadCursor
            return cls(parsed.astimezone(UTC), UUID(identifier))
        except (ValueError, OverflowError, binascii.Error):  # overflow: its zone puts it before year 1 or after 9999
            raise BadCursor from None


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
        return _bounded(query, moment, identifier, self.oldest_first, {**self.bounds(cursor), "most": size + 1})

    def bounds(self, cursor: str | None) -> dict[str, Any]:
        """Where the rows begin and end: only what was asked for. Raises BadCursor."""
        after = Position.of(cursor) if cursor is not None else None
        every = {
            "since": self.since,
            "until": self.until,
            "after_moment": after and after.moment,
            "after_id": after and after.id,
        }
        return {name: value for name, value in every.items() if value is not None}


NEWEST_FIRST = Span()


class Listing:
    """A list that is read often: each of its statements is built once, since building one costs more than running it.

    There are as many as combinations of filters and bounds.
    """

    def __init__(
        self,
        query: Select[Any],
        moment: ColumnElement[Any],
        identifier: ColumnElement[Any],
        filters: Mapping[str, Filter],
        around: Callable[[Select[Any], bool], Select[Any]] | None = None,
    ) -> None:
        """``around`` puts more columns around the statement of a page; it is told whether the oldest come first."""
        self._around = around
        self._query, self._moment, self._identifier, self._filters = query, moment, identifier, filters
        self._built: dict[tuple[object, ...], Select[Any]] = {}

    def rows(
        self, connection: Connection, span: Span, cursor: str | None, size: int, wanted: Mapping[str, Any]
    ) -> Sequence[Row[Any]]:
        """The rows after the cursor that have the wanted values (None: whatever it is), and one more than fits the
        page. Raises BadCursor."""
        chosen = {name: value for name, value in wanted.items() if value is not None}
        values = {**span.bounds(cursor), "most": size + 1, **chosen}
        shape = (span.oldest_first, *values)
        statement = self._built.get(shape)
        if statement is None:
            query = self._query.where(*(self._filters[name](bindparam(name)) for name in chosen))
            places: dict[str, Any] = {name: bindparam(name) for name in values}
            statement = _bounded(query, self._moment, self._identifier, span.oldest_first, places)
            if self._around is not None:
                statement = self._around(statement, span.oldest_first)
            self._built[shape] = statement
        return connection.execute(statement, values).all()


def _bounded(
    query: Select[Any],
    moment: ColumnElement[Any],
    identifier: ColumnElement[Any],
    oldest_first: bool,
    given: Mapping[str, Any],
) -> Select[Any]:
    """In order and within these bounds, which are values or parameters that get theirs later."""
    if "since" in given:
        query = query.where(moment >= given["since"])
    if "until" in given:
        query = query.where(moment < given["until"])
    if "after_id" in given:
        at, last = given["after_moment"], given["after_id"]
        if oldest_first:
            query = query.where(or_(moment > at, and_(moment == at, identifier > last)))
        else:
            query = query.where(or_(moment < at, and_(moment == at, identifier < last)))
    order = (moment, identifier) if oldest_first else (moment.desc(), identifier.desc())
    return query.order_by(*order).limit(given["most"])


def page_of(found: Sequence[T], limit: int, moment_of: Callable[[T], datetime], id_of: Callable[[T], UUID]) -> Page[T]:
    """The page from rows of which one more was read than fits."""
    items = found[:limit]
    if len(found) <= limit:
        return Page(items, None)
    return Page(items, Position(moment_of(items[-1]), id_of(items[-1])).cursor())


def page_size(limit: int) -> int:
    """The limit that was asked for, kept between 1 and LONGEST_PAGE."""
    return max(1, min(limit, LONGEST_PAGE))

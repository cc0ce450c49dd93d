"""Sums over a table that grows for ever, of which nearly all stays as it is: kept by slices of time, looked at in turn.

Each slice is an hour of the rows' beginnings, found and summed by the index on it. The newest are summed each time, so
that what happens now is seen now; of the others as many as fit into a moment, the recent ones more often. Nothing is
kept in the database, nothing is paid by whoever writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain, cycle, islice
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Connection, Engine, Select, Table, bindparam, func, select

from clearfacts_assets.storage.database import reading

SLICE = timedelta(hours=1)
NEWEST = 1  # slices that are summed each time, with the one of the hour before them
RECENT = 15  # slices before these that are looked at as often as all others together
BUDGET_SECONDS = 0.002  # after which no further one of the others is begun


@dataclass(frozen=True, slots=True)
class Times:
    """How many lasted at most so many seconds, cumulated over the bounds asked for, and all together."""

    up_to: tuple[int, ...]
    count: int
    total_seconds: float


@dataclass(slots=True)
class Sums:
    """How many rows bear each label; and how long those took that have an end."""

    rows: dict[str, int]
    times: Times

    @classmethod
    def of(cls, parts: Sequence[Sums], bounds: int) -> Sums:
        """All of them together."""
        rows: dict[str, int] = {}
        up_to, count, seconds = [0] * bounds, 0, 0.0
        for part in parts:
            for label, number in part.rows.items():
                rows[label] = rows.get(label, 0) + number
            if part.times.count:
                count, seconds = count + part.times.count, seconds + part.times.total_seconds
                up_to = [one + more for one, more in zip(up_to, part.times.up_to, strict=True)]
        return cls(rows, Times(tuple(up_to), count, seconds))


@dataclass(frozen=True)
class Question:
    """What is asked of a table: ``moment`` has an index, ``label`` few values, ``lasted`` is NULL without an end."""

    table: Table
    moment: ColumnElement[datetime]
    label: ColumnElement[Any]
    lasted: ColumnElement[float] | None = None
    bounds: Sequence[float] = ()

    @cached_property
    def _next(self) -> Select[Any]:
        return select(self.moment).where(self.moment >= bindparam("start")).order_by(self.moment).limit(1)

    @cached_property
    def _sums(self) -> Select[Any]:
        within = (self.moment >= bindparam("start")) & (self.moment < bindparam("end"))
        asked = [self.label.label("label"), *([] if self.lasted is None else [self.lasted.label("lasted")])]
        # The offset keeps both databases from working out each row's seconds anew for every bound.
        inner = select(*asked).select_from(self.table).where(within).offset(0).subquery()
        columns: list[ColumnElement[Any]] = [inner.c.label, func.count()]
        if self.lasted is not None:
            lasted = inner.c.lasted
            up_to = [func.count().filter(lasted <= bound) for bound in self.bounds]
            columns += [func.count(lasted), func.coalesce(func.sum(lasted), 0.0), *up_to]
        return select(*columns).group_by(inner.c.label)

    def next_moment(self, connection: Connection, after: datetime) -> datetime | None:
        """When the first row began that did not begin before."""
        found: datetime | None = connection.execute(self._next, {"start": after}).scalar_one_or_none()
        return None if found is None else found.astimezone(UTC)

    def sums(self, connection: Connection, start: datetime) -> Sums:
        """Of one slice."""
        rows, parts = dict[str, int](), list[Sums]()
        for label, number, *times in connection.execute(self._sums, {"start": start, "end": start + SLICE}):
            rows[str(label)] = int(number)
            if times:
                parts.append(Sums({}, Times(tuple(map(int, times[2:])), int(times[0]), float(times[1]))))
        return Sums(rows, Sums.of(parts, len(self.bounds)).times)


@dataclass
class Slices:
    """What is known of one table by one process."""

    question: Question
    monotonic: Callable[[], float] = time.monotonic
    _known: dict[datetime, Sums] = field(default_factory=dict)  # by the slice's start, oldest first
    _together: Sums | None = None  # of all that are known, until one of them changes
    _turn: int = 0

    def sums(self, engine: Engine) -> Sums:
        """Of the whole table. The first time each slice is summed, which takes its time."""
        with reading(engine) as connection:
            self._walk(connection)
            deadline = self.monotonic() + BUDGET_SECONDS
            for start in self._in_turn():
                self._learn(connection, start)
                self._turn += 1
                if self.monotonic() >= deadline:
                    break
        if self._together is None:
            self._together = Sums.of(list(self._known.values()), len(self.question.bounds))
        return self._together

    def _learn(self, connection: Connection, start: datetime) -> None:
        found = self.question.sums(connection, start)
        if self._known.get(start) != found:
            self._known[start], self._together = found, None

    def _walk(self, connection: Connection) -> None:
        """The newest slices that are known, and all that came after."""
        newest = list(self._known)[-self._newest() :]
        after = newest[0] if newest else datetime(1970, 1, 1, tzinfo=UTC)
        while (moment := self.question.next_moment(connection, after)) is not None:
            start = moment.replace(minute=0, second=0, microsecond=0)
            self._learn(connection, start)
            after = start + SLICE

    def _newest(self) -> int:
        """How many slices are summed each time: what began just before the hour may have ended just after it."""
        last = list(self._known)[-NEWEST - 1 :]
        return NEWEST + (len(last) > NEWEST and last[1] - last[0] == SLICE)

    def _in_turn(self) -> Sequence[datetime]:
        """Those that were not just summed, each at most once: by turns a recent one and one of the others."""
        rest = list(self._known)[: -self._newest()]
        recent, old = rest[-RECENT:], rest[:-RECENT]
        if not old:
            return _from(recent, self._turn)
        pairs = zip(cycle(_from(recent, self._turn // 2)), _from(old, self._turn // 2), strict=False)
        turns = chain.from_iterable(islice(pairs, len(old)))
        return list(dict.fromkeys(islice(turns, self._turn % 2, None)))


_kept: WeakKeyDictionary[Engine, dict[str, Slices]] = WeakKeyDictionary()


def sums_of(engine: Engine, name: str, question: Callable[[], Question]) -> Sums:
    """What this process knows of the engine's table, under a name of this question."""
    kept = _kept.setdefault(engine, {})
    if name not in kept:
        kept[name] = Slices(question())
    return kept[name].sums(engine)


def _from(slices: Sequence[datetime], place: int) -> list[datetime]:
    """All of them, beginning at this place."""
    place %= max(len(slices), 1)
    return [*slices[place:], *slices[:place]]

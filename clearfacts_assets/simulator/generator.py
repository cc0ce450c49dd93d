"""The invoices of any day, always the same for the same seed: what the simulated ERP has to give.

A day holds ``per_day`` records, spread evenly over its 23, 24 or 25 hours in Brussels; the first stands exactly at
midnight, so that a window that is not half-open is found out. Any document can be had without those before it, which
is how 50,000 a day fit into little memory.

>>> generator = Generator(seed=7, per_day=40)
>>> generator.describe(date(2026, 11, 20)).total
40
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from random import Random
from zoneinfo import ZoneInfo

from clearfacts_assets.simulator.defects import BY_NAME, DEFECTS
from clearfacts_assets.simulator.invoicing import compose
from clearfacts_assets.simulator.ubl import write

ZONE = ZoneInfo("Europe/Brussels")
DEFAULT_PER_DAY = 40
DEFAULT_BROKEN_SHARE = 0.05
DEFAULT_DUPLICATE_SHARE = 0.03
MOST_PER_DAY = 1_000_000
FIRST_DAY = date(2000, 1, 1)  # there is nothing before it
_PLANS_KEPT = 64
_ID = re.compile(r"ERP-(\d{8})-(\d{5,7})")


class Kind(StrEnum):
    """What a record is, seen from the one who must process it."""

    VALID = "valid"
    BROKEN = "broken"
    COPY = "copy"  # the document of an earlier record of the same day, under another ERP id
    REPEAT = "repeat"  # a record of the day before, again, under the same ERP id


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a day, before its document is written. ``day`` and ``index`` say where the document is from."""

    invoice_id: str
    updated_at: datetime  # UTC
    kind: Kind
    day: date
    index: int
    defect: str = ""


@dataclass(frozen=True, slots=True)
class DayDescription:
    """What a day contains, so that a test can ask for exact counts."""

    day: date
    entries: tuple[Entry, ...] = field(repr=False)

    @property
    def total(self) -> int:
        return len(self.entries)

    def count(self, kind: Kind) -> int:
        return sum(entry.kind is kind for entry in self.entries)

    @property
    def defects(self) -> dict[str, int]:
        """How many broken records of each kind, by the defect's name."""
        return dict(Counter(entry.defect for entry in self.entries if entry.defect))

    def as_json(self) -> dict[str, object]:
        return {
            "day": self.day.isoformat(),
            "total": self.total,
            **{kind.value: self.count(kind) for kind in Kind},
            "defects": self.defects,
        }


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a right pipeline makes of some days, one job a day, oldest first, starting from nothing."""

    total: int
    processed: int
    failed: int
    duplicates: int


class _Plan:
    """Which positions of a day are broken and which are duplicates; all others are valid."""

    def __init__(self, seed: int, day: date, per_day: int, broken_share: float, duplicate_share: float) -> None:
        draw = Random(f"{seed}/{day}/plan")  # noqa: S311  a simulation, no secret
        broken = int(per_day * broken_share + draw.random())
        duplicates = min(int(per_day * duplicate_share + draw.random()), per_day - broken)
        chosen = draw.sample(range(per_day), broken + duplicates)
        self.defects = {index: draw.choice(DEFECTS).name for index in chosen[:broken]}
        self.duplicates = {index: draw.random() for index in chosen[broken:]}
        special = set(chosen)
        self.valid = [index for index in range(per_day) if index not in special]


class Generator:
    """A seeded source of Peppol BIS Billing 3.0 invoices and credit notes.

    ``broken_share`` and ``duplicate_share`` are shares of a day's records between 0 and 1, together at most 1; where
    they do not come to whole records, the seed decides. Half of the duplicates are copies, half repeats.
    """

    def __init__(
        self,
        seed: int = 1,
        per_day: int = DEFAULT_PER_DAY,
        broken_share: float = DEFAULT_BROKEN_SHARE,
        duplicate_share: float = DEFAULT_DUPLICATE_SHARE,
    ) -> None:
        if not 0 <= per_day <= MOST_PER_DAY:
            raise ValueError(f"a day has 0 to {MOST_PER_DAY} invoices, not {per_day}")
        if min(broken_share, duplicate_share) < 0 or broken_share + duplicate_share > 1:
            raise ValueError("the shares of broken and duplicate invoices lie between 0 and 1, together too")
        self.seed, self.per_day = seed, per_day
        self.broken_share, self.duplicate_share = broken_share, duplicate_share
        self._plan = lru_cache(maxsize=_PLANS_KEPT)(self._make_plan)
        self._repeated = lru_cache(maxsize=_PLANS_KEPT)(self._make_repeated)

    def _make_plan(self, day: date) -> _Plan:
        return _Plan(self.seed, day, self.per_day, self.broken_share, self.duplicate_share)

    def _make_repeated(self, day: date) -> dict[int, int]:
        """Which positions of a day show again which of the day before; none twice, since an ERP has one row an id."""
        valid = self._plan(day - timedelta(days=1)).valid
        taken: dict[int, int] = {}  # by place in ``valid``
        for index, chance in sorted(self._plan(day).duplicates.items()):
            if chance < 0.5 or len(taken) == len(valid):
                continue
            place = int((chance - 0.5) * 2 * len(valid))
            while place in taken:
                place = (place + 1) % len(valid)
            taken[place] = index
        return {index: valid[place] for place, index in taken.items()}

    def entry(self, day: date, index: int) -> Entry:
        """The record at a position of a day, 0 <= index < per_day."""
        plan = self._plan(day)
        moment = self._moment(day, index)
        defect = plan.defects.get(index, "")
        if defect:
            return Entry(record_id(day, index), moment, Kind.BROKEN, day, index, defect)
        chance = plan.duplicates.get(index)
        if chance is None:
            return Entry(record_id(day, index), moment, Kind.VALID, day, index)
        if chance < 0.5:
            earlier = bisect_left(plan.valid, index)
            if earlier:
                return Entry(record_id(day, index), moment, Kind.COPY, day, plan.valid[int(chance * 2 * earlier)])
        elif (origin := self._repeated(day).get(index)) is not None:
            before = day - timedelta(days=1)
            return Entry(record_id(before, origin), moment, Kind.REPEAT, before, origin)
        return Entry(record_id(day, index), moment, Kind.VALID, day, index)

    def document(self, entry: Entry) -> str:
        """The record's XML, or what stands in its place."""
        text = write(compose(self.seed, entry.day, entry.index))
        return BY_NAME[entry.defect].plant(text) if entry.defect else text

    def entries(self, day: date) -> Iterator[Entry]:
        """A day's records in the order of ``updated_at``."""
        return (self.entry(day, index) for index in range(self.per_day))

    def between(self, start: datetime, end: datetime) -> Iterator[Entry]:
        """What changed in ``start <= updated_at < end``, in that order, lazily."""
        start = max(start, _hours(FIRST_DAY)[0])
        if start >= end:
            return
        day, last = start.astimezone(ZONE).date(), end.astimezone(ZONE).date()
        while day <= last:
            for index in range(self._first_at(day, start), self.per_day):
                entry = self.entry(day, index)
                if entry.updated_at >= end:
                    return
                yield entry
            day += timedelta(days=1)

    def find(self, invoice_id: str) -> Entry | None:
        """The record of that id as it was first created, or None."""
        match = _ID.fullmatch(invoice_id)
        if not match or int(match[2]) >= self.per_day:
            return None
        try:
            day = datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=ZONE).date()
        except ValueError:
            return None
        if not FIRST_DAY <= day < date.max:
            return None
        entry = self.entry(day, int(match[2]))
        return entry if entry.invoice_id == invoice_id else None

    def describe(self, day: date) -> DayDescription:
        return DayDescription(day, tuple(self.entries(day)))

    def expect(self, days: Sequence[date]) -> Expectation:
        """The counts of a right pipeline over these days, given in the order in which they are processed."""
        seen: set[tuple[date, int]] = set()
        total = failed = duplicates = 0
        for day in days:
            for entry in self.entries(day):
                total += 1
                origin = (entry.day, entry.index)
                if entry.kind is Kind.BROKEN:
                    failed += 1
                elif origin in seen:
                    duplicates += 1
                seen.add(origin)
        return Expectation(total, total - failed - duplicates, failed, duplicates)

    def _moment(self, day: date, index: int) -> datetime:
        start, length = _hours(day)
        slot = length // self.per_day
        jitter = Random(f"{self.seed}/{day}/{index}/time").randrange(slot) if index else 0  # noqa: S311
        return start + timedelta(milliseconds=index * slot + jitter)

    def _first_at(self, day: date, moment: datetime) -> int:
        """The first position of a day that is not before the moment."""
        if self.per_day == 0:
            return 0
        start, length = _hours(day)
        passed = (moment - start) // timedelta(milliseconds=1)
        if passed <= 0:
            return 0
        index = min(passed // (length // self.per_day), self.per_day)
        if index < self.per_day and self._moment(day, index) < moment:
            index += 1
        return index


def record_id(day: date, index: int) -> str:
    """The ERP's id of a record, ``ERP-20261120-00017``."""
    return f"ERP-{day:%Y%m%d}-{index:05d}"


@lru_cache(maxsize=64)
def _hours(day: date) -> tuple[datetime, int]:
    """When a day begins in Brussels, in UTC, and how many milliseconds it has."""
    start = datetime.combine(day, time(), ZONE).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), time(), ZONE).astimezone(UTC)
    return start, (end - start) // timedelta(milliseconds=1)

"""The work list of one run: what may leave now, what is due later, and every delivery that the run has not finished."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from uuid import UUID

from clearfacts_assets.invoices.ledger.model import Candidate, DeliveryRecord

MOST_WAITING = 500  # deliveries kept in memory until they are due; more are not taken on


@dataclass(slots=True)
class WorkItem:
    """One delivery that a run works on, and the further rows of the job that are the same document."""

    candidate: Candidate
    delivery: DeliveryRecord
    same: list[UUID] = field(default_factory=list)
    asking: bool = False  # a look-up is under way instead of a call that sends


@dataclass(slots=True)
class WorkList:
    """All items not yet finished, by delivery; those that are neither ready nor waiting are under way."""

    open: dict[UUID, WorkItem] = field(default_factory=dict)
    ready: deque[WorkItem] = field(default_factory=deque)
    waiting: list[tuple[float, int, WorkItem]] = field(default_factory=list)  # a heap, by when they are due
    numbers: Iterator[int] = field(default_factory=count)

    def has_room(self, concurrency: int) -> bool:
        return len(self.ready) < 2 * concurrency and len(self.waiting) < MOST_WAITING

    def postpone(self, item: WorkItem, until: float) -> None:
        heapq.heappush(self.waiting, (until, next(self.numbers), item))

    def wake(self, now: float) -> None:
        """What is due is ready."""
        while self.waiting and self.waiting[0][0] <= now:
            self.ready.append(heapq.heappop(self.waiting)[2])

    def take(self, most: int) -> list[WorkItem]:
        return [self.ready.popleft() for _ in range(min(most, len(self.ready)))]

    def next_due(self) -> float | None:
        """When the first one that waits is due; None while something is ready, or nothing waits."""
        return self.waiting[0][0] if self.waiting and not self.ready else None

    def clear(self) -> list[WorkItem]:
        """Take out all that are not under way."""
        rest = [*self.ready, *(entry[2] for entry in self.waiting)]
        self.ready.clear()
        self.waiting.clear()
        return rest

"""Comparisons that can be believed on a machine that others use too.

What is compared runs by turns (A, B, A, B, ...), so that whatever else the machine does strikes all alike. Each turn
gives a ratio; the median of the ratios is told with their quartiles. Work of the processor is measured as CPU time of
this process and of its children that have ended; waiting (a network, a disk) as the time of the clock on the wall.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Clock = Callable[[], float]  # seconds since some moment
Turn = Callable[[], float]  # one turn of something; returns its seconds

wall: Clock = time.perf_counter
# Ours looks for garbage more rarely as soon as it is imported, and what it is compared with would gain from that too.
PYTHONS_OWN = (700, 10, 10)


def cpu() -> float:
    """Seconds of CPU that this process and its ended children have used."""
    used = os.times()
    return time.process_time() + used.children_user + used.children_system


def timed(work: Callable[[], object], *, repeats: int = 1, clock: Clock = cpu) -> Turn:
    """A turn that does the work so often; its seconds are those of one time."""

    def turn() -> float:
        started = clock()
        for _ in range(repeats):
            work()
        return (clock() - started) / repeats

    return turn


def by_turns(works: Mapping[str, Turn], turns: int, *, warm: bool = True) -> dict[str, list[float]]:
    """Seconds of each turn of each work, all begun by Python's own numbers for the search for garbage. With ``warm``, a
    first round is not counted."""
    gc.set_threshold(*PYTHONS_OWN)
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(turns + warm):
        for name, turn in works.items():
            taken = turn()
            if number >= warm:
                seconds[name].append(taken)
    return seconds


@dataclass(frozen=True)
class Spread:
    """The median of some numbers, and the quartiles around it."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, numbers: list[float]) -> Spread:
        if len(numbers) == 1:
            return cls(*numbers * 3)
        low, median, high = statistics.quantiles(numbers, n=4, method="inclusive")
        return cls(low, median, high)

    def __format__(self, form: str) -> str:
        """``f"{spread:.2f}"`` is ``0.48 (0.47-0.50)``."""
        return f"{self.median:{form}} ({self.low:{form}}-{self.high:{form}})"


def ratio(ones: list[float], others: list[float]) -> Spread:
    """How many times the other's seconds one takes, turn by turn."""
    return Spread.of([one / other for one, other in zip(ones, others, strict=True)])

"""How fast a run hands documents over: the first call alone, then all at once; after trouble one at a time and one more
for each answer; and a stop when waiting or asking on is of no use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import assert_never

from clearfacts_assets.invoices.delivery.outcomes import Pace
from clearfacts_assets.invoices.ports import Accepted, Denied, NotSent, Outcome, Refused, Unknown

FORGET = 0.9  # how slowly a slow moment of the ledger is forgotten, a transaction


@dataclass(slots=True)
class Pacing:
    """What the destination's answers have taught one run. Only ``faltering`` is touched by several threads."""

    pace: Pace
    monotonic: Callable[[], float]
    most_ahead: int  # claims beyond the calls under way
    whom: str = "Clearfacts"  # the destination, for people
    window: int = 1  # calls at once that the destination has earned
    at_once: float = 0.0  # calls that ended while the ledger was busy, the most of late
    unknowns: int = 0  # in a row
    setbacks: int = 0  # in a row, those at the same time counted as one
    hold_until: float = 0.0  # no call before it
    waited: float = 0.0  # seconds in which nothing was under way
    trouble: str = ""  # the last answer that accepted and refused nothing
    faltering: threading.Event = field(default_factory=threading.Event)  # trouble that the run's thread has not seen

    def free(self, under_way: int) -> int:
        """How many calls may begin beside those that are under way."""
        if self.faltering.is_set() or self.monotonic() < self.hold_until:
            return 0
        # Claims beyond the calls under way, so that none waits for the ledger; none while there is trouble.
        ahead = min(ceil(2 * self.at_once), self.most_ahead) if self.window == self.pace.concurrency else 0
        return max(0, self.window + ahead - under_way)

    @property
    def together(self) -> int:
        """How many answers are worth waiting for, to share a transaction; none while there is trouble."""
        return 1 if self.faltering.is_set() else max(1, min(self.window, self.most_ahead // 2))

    def landed(self, calls: int) -> None:
        """So many calls ended while the ledger was busy or answers were gathered: as many may end while it is next."""
        self.at_once = max(float(calls), FORGET * self.at_once)

    def notice(self, outcome: Outcome) -> None:
        """Let calls that are about to begin know of trouble at once."""
        if not isinstance(outcome, Accepted | Refused):
            self.faltering.set()

    def learn(self, outcome: Outcome) -> tuple[bool, str]:
        """Follow an answer. Returns whether there is trouble, and why nothing more is to be claimed, if so."""
        match outcome:
            case Accepted() | Refused():
                # The first answer shows that the way is open: to go on by degrees would risk no fewer calls later on.
                window = self.window + 1 if self.trouble else self.pace.concurrency
                self.window, self.unknowns, self.setbacks = min(window, self.pace.concurrency), 0, 0
                return False, ""
            case Denied(reason):
                return True, f"{self.whom} refuses our credentials: {reason}"
            case NotSent(reason, asked):
                self._slow_down(reason, asked)
                return True, ""
            case Unknown(reason):
                self._slow_down(reason, None)
                self.unknowns += 1
                if self.unknowns < self.pace.unknowns_in_a_row:
                    return True, ""
                row = "one answer" if self.unknowns == 1 else f"{self.unknowns} answers in a row"
                return True, f"nothing was settled by {row}, the last one: {reason}"
            case _:
                assert_never(outcome)

    def _slow_down(self, trouble: str, asked: float | None) -> None:
        """One call at a time from now on, after a pause: as many seconds as were asked for, or our own."""
        now, self.trouble = self.monotonic(), trouble
        self.faltering.clear()
        if now >= self.hold_until:
            self.setbacks += 1
        pause = asked if asked is not None else self.pace.pause_after(self.setbacks - 1)
        self.window, self.hold_until = 1, max(self.hold_until, now + pause)

    def pause(self, due: float | None) -> tuple[float, str]:
        """Seconds to wait until something is due, or may be called again; and why not to wait, if that is too long."""
        now = self.monotonic()
        pause = max(self.hold_until, now if due is None else due, now) - now
        if self.waited + pause > self.pace.patience:
            why = f": {self.trouble}" if self.trouble else ""
            return 0.0, f"{self.whom} is to be tried again in {pause:.0f} s, longer than this run waits{why}"
        return pause, ""

"""How much of the machine's processors is in use."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import psutil

LEAST_SECONDS = 1.0  # that use is told of


@dataclass(frozen=True, slots=True)
class _Spent:
    """Seconds of all processors together since the machine was started."""

    busy: float = 0.0
    all: float = 0.0

    @classmethod
    def now(cls) -> _Spent:
        times = psutil.cpu_times()
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # Linux counts them as users' too
        together = sum(times) - guests
        return cls(together - times.idle - getattr(times, "iowait", 0.0), together)

    def percent(self, since: _Spent) -> float:
        return round(100 * (self.busy - since.busy) / (self.all - since.all), 1)


class Processors:
    """Told is the use since somebody asked last, at least a second ago: who asks at once after another is told alike.

    psutil's own ``cpu_percent`` measures since its last call, by thread: 0 for each thread's first, and for who comes
    right after another.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._least = LEAST_SECONDS * (psutil.cpu_count() or 1)
        self._since = self._newer = _Spent.now()

    def percent(self) -> float:
        """0 to 100, of all processors; in the first second of this process since the machine was started."""
        with self._lock:
            now = _Spent.now()
            if now.all - self._newer.all >= self._least:
                self._since, self._newer = self._newer, now
            return now.percent(self._since if now.all - self._since.all >= self._least else _Spent())

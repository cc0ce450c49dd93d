"""How long is waited between two tries: twice as long each time, up to a bound. The one rule for whoever tries again.

A client of HTTP whose retries are a library's (the Java backend's, with jitter) says only its bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

_MOST_DOUBLINGS = 30  # beyond them every wait is the longest; a number of tries from outside costs no work


@dataclass(frozen=True, slots=True)
class Backoff:
    """Both in seconds."""

    first: float  # after the first failure
    longest: float = float("inf")

    def after(self, failures: int, *, asked: float | None = None) -> float:
        """Seconds until the next try after so many failures; not less than the other side ``asked`` for."""
        doubled: float = self.first * 2.0 ** min(max(failures - 1, 0), _MOST_DOUBLINGS)
        return min(max(doubled, asked or 0.0), self.longest)

    def delay(self, failures: int, *, asked: float | None = None) -> timedelta:
        return timedelta(seconds=self.after(failures, asked=asked))

"""The one deadline of a call, in the thread that makes it, and whether the network has taken anything of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import httpcore


@dataclass(slots=True)
class Call:
    """One call under way."""

    ends: float  # on the monotonic clock
    handed_over: bool = False  # the network took a byte of the request: from then on it may have been understood

    @property
    def remaining(self) -> float:
        """Seconds left; zero or less when the deadline has passed."""
        return self.ends - time.monotonic()


_current: ContextVar[Call | None] = ContextVar("call", default=None)


@contextmanager
def bounded(seconds: float) -> Iterator[Call]:
    """Everything that a client of ``client.open_client`` does inside, in this thread, ends within so many seconds."""
    call = Call(ends=time.monotonic() + seconds)
    token = _current.set(call)
    try:
        yield call
    finally:
        _current.reset(token)


def current_call() -> Call | None:
    """The call that this thread is in; None outside of ``bounded``."""
    return _current.get()


def time_left(timeout: float | None, passed: type[httpcore.TimeoutException]) -> float | None:
    """The smaller of the operation's own timeout and what is left of the call. Raises ``passed`` if nothing is."""
    call = current_call()
    if call is None:
        return timeout
    remaining = call.remaining
    if remaining <= 0:
        raise passed("the call's deadline has passed")
    return remaining if timeout is None else min(timeout, remaining)

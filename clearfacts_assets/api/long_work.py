"""Work that takes seconds or minutes (a month's statements, rules, mails) on threads of its own, few at once: neither
the event loop nor the readers wait for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import ParamSpec

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from pydantic import BaseModel

P = ParamSpec("P")

AT_ONCE = 2  # in a process; the ledger has one writer anyway

_working = RunVar[CapacityLimiter]("working")


def takes_long(route: Callable[P, BaseModel]) -> Callable[P, Awaitable[BaseModel]]:
    """For a route whose work is long. What was begun is ended, also where nobody waits for its answer any more."""

    @wraps(route)
    async def beside(*args: P.args, **kwargs: P.kwargs) -> BaseModel:
        return await to_thread.run_sync(partial(route, *args, **kwargs), limiter=_limiter())

    return beside


def _limiter() -> CapacityLimiter:
    """The limiter of this event loop."""
    limiter = _working.get(None)
    if limiter is None:
        limiter = CapacityLimiter(AT_ONCE)
        _working.set(limiter)
    return limiter

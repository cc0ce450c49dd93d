"""Routes that only read: a few threads beside the event loop, and one pass from the model to bytes.

Python runs one thread at a time. With FastAPI's 40 threads, the event loop would wait behind all of them; with few, a
burst of readers queues in front of the database and everybody is served sooner.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, ParamSpec

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from fastapi import Response
from pydantic import BaseModel

P = ParamSpec("P")

READERS = 4  # threads
WAITERS = 16  # threads that mostly wait for others: for Dagster to take a run, for an outside system to answer

_readers = RunVar[CapacityLimiter]("readers")
_waiters = RunVar[CapacityLimiter]("waiters")


def reads(route: Callable[P, BaseModel]) -> Callable[P, Awaitable[Response]]:
    """For a route that answers from the database: the model that it returns is the answer, and is not checked again."""

    @wraps(route)
    async def beside(*args: P.args, **kwargs: P.kwargs) -> Response:
        content = await to_thread.run_sync(
            partial(_answered, route, *args, **kwargs), limiter=_threads(_readers, READERS)
        )
        return Response(content, media_type="application/json")

    return beside


def waits(route: Callable[P, BaseModel]) -> Callable[P, Awaitable[BaseModel]]:
    """For a route that waits for somebody else: it must not keep readers from theirs."""

    @wraps(route)
    async def beside(*args: P.args, **kwargs: P.kwargs) -> BaseModel:
        return await to_thread.run_sync(partial(route, *args, **kwargs), limiter=_threads(_waiters, WAITERS))

    return beside


def _answered(route: Callable[..., BaseModel], *args: Any, **kwargs: Any) -> bytes:
    return route(*args, **kwargs).model_dump_json().encode()


def _threads(kind: RunVar[CapacityLimiter], number: int) -> CapacityLimiter:
    """The limiter of this event loop."""
    limiter = kind.get(None)
    if limiter is None:
        limiter = CapacityLimiter(number)
        kind.set(limiter)
    return limiter

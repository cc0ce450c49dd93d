"""Routes beside the event loop: those that read have few threads, those that wait for others have more, and long work
has threads of its own.

Python runs one thread at a time: with FastAPI's 40 threads the event loop would wait behind all of them, with few a
burst queues in front of the database and everybody is served sooner.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from fastapi import Request, Response
from pydantic import BaseModel
from sqlalchemy import Engine

P = ParamSpec("P")
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
Given = TypeVarTuple("Given")

READERS = {"sqlite": 1, "postgresql": 4}  # threads: SQLite computes, PostgreSQL is mostly waited for
WAITERS = 16  # threads that mostly wait for others: for Dagster to take a run, for an outside system to answer
LONG_AT_ONCE = 2  # in a process; the ledger has one writer anyway

_ASKED = "request_for_the_readers"


def readers_of(engine: Engine) -> ThreadPoolExecutor:
    """The threads of a process in which routes read."""
    return ThreadPoolExecutor(READERS[engine.dialect.name], thread_name_prefix="reader")


def reads(route: Callable[P, M]) -> Callable[P, M]:
    """For a route that answers from the database: the model that it returns is the answer, and is not checked again."""

    @wraps(route)
    async def beside(**arguments: Any) -> Response:
        readers: ThreadPoolExecutor = arguments.pop(_ASKED).app.state.services.readers
        work = partial(copy_context().run, _answered, route, arguments)
        content = await asyncio.get_running_loop().run_in_executor(readers, work)
        return Response(content, media_type="application/json")

    # FastAPI hands over what this asks for, and describes what the route returns.
    asked = inspect.Parameter(_ASKED, inspect.Parameter.KEYWORD_ONLY, annotation=Request)
    said = inspect.signature(route)
    beside.__signature__ = said.replace(parameters=[*said.parameters.values(), asked])  # type: ignore[attr-defined]
    return beside  # type: ignore[return-value]


class Limiter:
    """How many threads one kind of work has, in each event loop."""

    def __init__(self, name: str, at_once: int) -> None:
        self._of_the_loop, self._at_once = RunVar[CapacityLimiter](name), at_once

    async def run(self, work: Callable[[*Given], T], *given: *Given) -> T:
        """The work with what it is given, on one of these threads. What was begun is ended, also where nobody waits for
        it any more."""
        limiter = self._of_the_loop.get(None)
        if limiter is None:
            limiter = CapacityLimiter(self._at_once)
            self._of_the_loop.set(limiter)
        return await to_thread.run_sync(work, *given, limiter=limiter)

    def __call__(self, route: Callable[P, BaseModel]) -> Callable[P, Awaitable[BaseModel]]:
        """The route on these threads."""

        @wraps(route)
        async def beside(*args: P.args, **kwargs: P.kwargs) -> BaseModel:
            return await self.run(partial(route, *args, **kwargs))

        return beside


# For a route that waits for somebody else: it must not keep readers from theirs.
waits = Limiter("waiters", WAITERS)
# For a route whose work takes seconds or minutes (a month's statements, rules, mails): nobody else waits for it.
takes_long = Limiter("working", LONG_AT_ONCE)


def _answered(route: Callable[..., BaseModel], arguments: dict[str, Any]) -> bytes:
    return route(**arguments).model_dump_json().encode()

"""Routes that only read: one way from the request to the bytes, and a few threads beside the event loop.

FastAPI describes these routes and knows their parameters. It resolves dependencies for each request anew, which costs
more than all that these routes do themselves; so a ReadRoute finds out once what its function takes, and then only
fetches it. Python runs one thread at a time: with FastAPI's 40 threads the event loop would wait behind all of them,
with few (readers_of) a burst queues in front of the database and everybody is served sooner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, get_origin

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from sqlalchemy import Engine
from starlette.datastructures import QueryParams

from clearfacts_assets.api.auth.dependencies import Requires, anybody_known

P = ParamSpec("P")
M = TypeVar("M", bound=BaseModel)

READERS = {"sqlite": 1, "postgresql": 4}  # threads: SQLite computes, PostgreSQL is mostly waited for
WAITERS = 16  # threads that mostly wait for others: for Dagster to take a run, for an outside system to answer

_waiters = RunVar[CapacityLimiter]("waiters")
_Fetch = Callable[[Request], Awaitable[Any]]


def reads(route: Callable[P, M]) -> Callable[P, M]:
    """For a route that answers from the database: the model that it returns is the answer, and is not checked again.

    It may take path parameters, one model of query parameters, a permission, and what the application has made
    (services, access). Anything else raises TypeError when the application is made.
    """
    route.reads = True  # type: ignore[attr-defined]
    return route


def readers_of(engine: Engine) -> ThreadPoolExecutor:
    """The threads of a process in which routes read."""
    return ThreadPoolExecutor(READERS[engine.dialect.name], thread_name_prefix="reader")


def is_read(endpoint: Callable[..., Any]) -> bool:
    return getattr(endpoint, "reads", False)


class ReadRoute(APIRoute):
    """The class of routes with ``@reads``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        route, fetches, parameters = self.endpoint, _fetches(self.dependant), _Parameters(self.dependant)

        async def answer(request: Request) -> Response:
            arguments = {name: await fetch(request) for name, fetch in fetches.items()}
            arguments |= parameters.of(request)
            content = await asyncio.get_running_loop().run_in_executor(
                request.app.state.services.readers, copy_context().run, _answered, route, arguments
            )
            return Response(content, media_type="application/json")

        return answer


def waits(route: Callable[P, BaseModel]) -> Callable[P, Awaitable[BaseModel]]:
    """For a route that waits for somebody else: it must not keep readers from theirs."""

    @wraps(route)
    async def beside(*args: P.args, **kwargs: P.kwargs) -> BaseModel:
        return await to_thread.run_sync(partial(route, *args, **kwargs), limiter=_waiting())

    return beside


def _answered(route: Callable[..., BaseModel], arguments: dict[str, Any]) -> bytes:
    return route(**arguments).model_dump_json().encode()


def _fetches(dependant: Dependant) -> dict[str, _Fetch]:
    """How the function gets what it depends on; who asks comes first."""
    found: dict[str, _Fetch] = {}
    for one in sorted(dependant.dependencies, key=lambda one: not isinstance(one.call, Requires)):
        if one.name is None or one.call is None:
            raise TypeError(f"{dependant.path}: a route with @reads takes its dependencies as parameters")
        found[one.name] = partial(_allowed, one.call) if isinstance(one.call, Requires) else one.call
    if not any(isinstance(one.call, Requires) for one in dependant.dependencies):
        raise TypeError(f"{dependant.path}: a route with @reads asks for a permission")
    return found


async def _allowed(requires: Requires, request: Request) -> Any:
    return await requires(await anybody_known(request))


class _Parameters:
    """The checked parameters of a request, by FastAPI's own description of them. Raises RequestValidationError."""

    def __init__(self, dependant: Dependant) -> None:
        self._path, self._query = dependant.path_params, dependant.query_params
        models = [field for field in self._query if isinstance(field.field_info.annotation, type)]
        if len(models) != len(self._query) or len(models) > 1 or dependant.body_params or dependant.header_params:
            raise TypeError(f"{dependant.path}: a route with @reads takes path parameters and one model of the query")
        self._lists = {
            name
            for field in models
            for name, one in field.field_info.annotation.model_fields.items()  # type: ignore[union-attr]
            if get_origin(one.annotation) is list
        }

    def of(self, request: Request) -> dict[str, Any]:
        values, problems = {}, []
        for field in self._path:
            given = request.path_params[field.alias]
            values[field.name], wrong = field.validate(given, loc=("path", field.alias))
            problems += wrong
        for field in self._query:
            values[field.name], wrong = field.validate(self._given(request.query_params), loc=("query",))
            problems += wrong
        if problems:
            raise RequestValidationError(problems)
        return values

    def _given(self, parameters: QueryParams) -> dict[str, Any]:
        given: dict[str, Any] = dict(parameters)
        for name in self._lists.intersection(given):
            given[name] = parameters.getlist(name)
        return given


def _waiting() -> CapacityLimiter:
    """The limiter of this event loop."""
    limiter = _waiters.get(None)
    if limiter is None:
        limiter = CapacityLimiter(WAITERS)
        _waiters.set(limiter)
    return limiter

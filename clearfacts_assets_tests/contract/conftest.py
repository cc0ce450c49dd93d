"""Clients of outside systems, connected to servers that do what a script says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import stamina

from clearfacts_assets.invoices.sources import SourceOptions
from clearfacts_assets.invoices.sources.java_backend import JavaBackend
from clearfacts_assets_tests.fixtures.backends import TOKEN, BackendAt
from clearfacts_assets_tests.fixtures.destinations import TRANSPORTS, Destination, DestinationAt, open_destination
from clearfacts_assets_tests.fixtures.wire import Script, WireServer


@pytest.fixture
def backend_at() -> Iterator[BackendAt]:
    """``backend_at(script, ..., **options)`` gives the server and a Java backend's client that asks it."""
    with ExitStack() as stack:

        def make(*scripts: Script, **options: Any) -> tuple[WireServer, JavaBackend]:
            server = stack.enter_context(WireServer(list(scripts)))
            ours = {name: options.pop(name) for name in ("page_limit", "now") if name in options}
            chosen = {"deadline": 5.0, "attempts": 3} | options
            backend = JavaBackend(SourceOptions(place=server.url, token=TOKEN, **chosen), **ours)
            stack.callback(backend.close)
            return server, backend

        yield make


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def destination_at(transport: str) -> Iterator[DestinationAt]:
    """``destination_at(script, ..., **options)`` gives the server and a client of each transport that sends to it."""
    with ExitStack() as stack:

        def make(*scripts: Script, **options: Any) -> tuple[WireServer, Destination]:
            server = stack.enter_context(WireServer(list(scripts)))
            destination = open_destination(transport, server.url, **options)
            stack.callback(destination.close)
            return server, destination

        yield make


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Retries happen, their waits do not."""
    with stamina.set_testing(True, attempts=10, cap=True):
        yield
